"""Sequences that the model has to get right, too: each was found by thinking against it, or by a run of chance."""

from __future__ import annotations

from tests.sequences.conftest import Worlds
from tests.sequences.test_sequences import created, held
from tests.sequences.world import record


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
