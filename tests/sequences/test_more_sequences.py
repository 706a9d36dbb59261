"""Sequences that the model has to get right, too: each was found by thinking against it, or by a run of chance."""

from __future__ import annotations

import pytest

from tests.sequences.conftest import Worlds
from tests.sequences.test_sequences import created, held
from tests.sequences.world import Customer, record

pytestmark = pytest.mark.parametrize("world", ["sqlite"], indirect=True)  # nothing here depends on the database


async def test_a_late_no_is_applied_beside_a_newer_record_that_says_nothing(world: Worlds) -> None:
    async with world() as here:
        await created(here, 1)
        await here.tell(record(9, None))
        late = await here.tell(record(5, "no"))
        assert late.json()["results"][0]["status"] == "skipped"
        assert await held(here) == ("T9 None", False), "before its caller was answered"


async def test_a_late_yes_is_no_reason_to_subscribe(world: Worlds) -> None:
    async with world() as here:
        await created(here, 1, "no")
        await here.tell(record(9, None))
        await here.tell(record(5, "yes"))
        await here.up()
        assert await held(here) == ("T9 None", False)


async def test_a_sync_with_a_body_counts_as_the_newest_whatever_its_date(world: Worlds) -> None:
    async with world() as here:
        await created(here, 9)
        answer = await here.operate("POST", "/customers/1/sync", json=record(3, "no", version="by hand"))
        assert answer.json()["results"][0]["status"] == "succeeded"
        late = await here.tell(record(7, "yes"))
        assert late.json()["results"][0]["status"] == "skipped"
        assert await held(here) == ("by hand", False)


async def test_what_was_partly_applied_and_then_taken_back_does_not_stay(world: Worlds) -> None:
    async with world() as here:
        await created(here, 1, "no")
        here.stamped.on("subscribe", *["500"] * 3)
        second = await here.promise(record(2, "yes"))
        assert await held(here) == ("T2 yes", False)
        await here.cancel(second)
        await here.up()
        assert await held(here) == ("T1 no", False)


async def test_a_cancelled_rerun_is_failed_again_with_its_old_error_and_replaces_nothing(world: Worlds) -> None:
    async with world() as here:
        await created(here, 1, "yes")
        here.stamped.on("update", "422")
        failed = (await here.tell(record(5, "no", version="wrong"))).json()["instance"]
        here.stamped.down = True

        async def waits() -> bool:
            return bool((await here.show(failed))["status"] == "waiting")

        await here.operate("POST", "/transfers/retry", json={"status": "failed"})
        await here.until(waits)
        await here.cancel(failed)
        shown = await here.show(failed)
        assert (shown["status"], shown["error"]["stamped"]["status"]) == ("failed", 422)
        await here.up()
        assert (await held(here))[1] is False, "its no is owed all the same"


async def test_what_a_cancelled_rerun_replaced_is_wanted_again(world: Worlds) -> None:
    async with world() as here:
        failed = (await here.tell(record(4, "maybe"))).json()["instance"]
        here.stamped.down = True
        await here.promise(record(None, None))
        await here.promise(record(3, None))  # newer than the undated one, and older than the first
        await here.operate("POST", f"{failed}/retry")
        await here.until(here.at_rest)
        await here.cancel(failed)
        await here.up()
        assert await held(here) == ("T3 None", False)


async def test_a_no_is_told_to_whoever_is_linked_anew(world: Worlds) -> None:
    async with world() as here:
        await created(here, 1, "no")
        here.stamped.gone.add(143491)
        here.stamped.customers.append(Customer(7, "person1@example.com", {}, subscribed=True))
        await here.tell(record(9, None))
        assert here.stamped.customers[-1].subscribed is False


async def test_a_no_is_told_to_whom_the_record_names(world: Worlds) -> None:
    async with world() as here:
        await created(here, 1, "no")
        here.stamped.customers.append(Customer(7, "other@example.com", {}, subscribed=True))
        await here.tell(record(9, None, email="other@example.com", links=("7",)))
        assert here.stamped.customers[-1].subscribed is False


async def test_an_undated_record_does_not_open_the_door_to_an_older_yes(world: Worlds) -> None:
    async with world() as here:
        await created(here, 9, "no")
        await here.tell(record(None, None))
        await here.tell(record(5, "yes"))
        await here.up()
        assert (await held(here))[1] is False
        assert "subscribe" not in [operation for operation, _ in here.stamped.calls]


async def test_a_record_that_comes_with_the_repeat_of_what_still_loads_is_used(world: Worlds) -> None:
    async with world(ipaas=True) as here:
        await created(here, 1, "yes")
        here.ipaas.status = 503
        here.ipaas.records["1"] = record(1, "yes")
        guid = "3c90c3cc-0d44-4b50-8888-000000000009"
        await here.promise(None, guid=guid)
        await here.tell(record(9, "no"), guid=guid)
        assert await held(here) == ("T9 no", False)
        here.ipaas.status = 200
        await here.up()
        assert await held(here) == ("T9 no", False)


async def test_of_two_adds_without_an_answer_that_of_the_email_to_be_sent_comes_first(world: Worlds) -> None:
    async with world() as here:
        here.stamped.on("add", *["timeout"] * 3)
        await here.tell(record(1, "yes", email="b@example.com"))
        here.stamped.customers.append(Customer(7, "a@example.com", {}, subscribed=True))
        here.stamped.on("add", *["lost"] * 3)
        await here.promise(record(2, "no", email="a@example.com"))
        here.stamped.happen()
        await here.up()
        by_email = {each.email: (each.version, each.subscribed) for each in here.stamped.customers}
        assert by_email["a@example.com"] == ("T2 no", False)
