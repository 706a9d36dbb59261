"""The eighteen sequences that once left a customer wrong (design of order and consent), through the real service.

Each begins with the customer created, and subscribed unless the sequence needs it otherwise.
"""

from __future__ import annotations

from typing import Any

from app.ledger.tables import DAY
from tests.sequences.conftest import Worlds
from tests.sequences.world import TIMEOUT, Customer, World, record


async def created(here: World, minute: int | None = 0, consent: str = "yes", **more: Any) -> None:
    answer = await here.tell(record(minute, consent, **more))
    assert answer.status_code == 200, answer.text


async def held(here: World, customer: str = "1") -> tuple[str, bool]:
    """Version and subscription, as they are at Stamped.io."""
    found = here.stamped.named(f"C-{customer}")
    return found.version, found.subscribed


async def test_1_a_cancelled_sync_takes_no_promise_with_it(world: Worlds) -> None:
    async with world() as here:
        await created(here)
        here.stamped.down = True
        await here.promise(record(2, "no"))
        sync = await here.sync("1")
        await here.until(here.at_rest)
        await here.cancel(sync)
        await here.up()
        assert await held(here) == ("T2 no", False)


async def test_2_what_a_cancelled_change_replaced_is_wanted_again(world: Worlds) -> None:
    async with world() as here:
        await created(here)
        here.stamped.down = True
        first = await here.promise(record(2, "no"))
        second = await here.promise(record(3, None))
        assert (await here.show(first))["status"] == "skipped"
        await here.cancel(second)
        shown = await here.show(first)
        assert (shown["status"], shown["promised"]) != ("skipped", False)
        await here.up()
        assert await held(here) == ("T2 no", False)
        assert (await here.show(first))["status"] == "succeeded"
        assert (await here.show(second))["status"] == "cancelled"


async def test_3_a_newer_change_takes_over_the_promise(world: Worlds) -> None:
    async with world() as here:
        await created(here)
        here.stamped.down = True
        await here.promise(record(2, "no"))
        answer = await here.tell(record(3, "no"))
        assert answer.status_code == 202, "not an error that nobody would retry"
        await here.up()
        assert await held(here) == ("T3 no", False)


async def test_4_a_trigger_that_cannot_be_loaded_fails_alone(world: Worlds) -> None:
    async with world(ipaas=True) as here:
        await created(here)
        here.stamped.down = True
        await here.promise(record(2, "no"))
        here.ipaas.status = 401
        answer = await here.tell(None)
        assert answer.json()["type"] == "/errors/customer-not-loaded"
        await here.up()
        assert await held(here) == ("T2 no", False)


async def test_5_a_record_that_lags_changes_nothing(world: Worlds) -> None:
    async with world(ipaas=True) as here:
        await created(here, 5)
        here.ipaas.records["1"] = record(5, "yes")
        here.stamped.down = True
        await here.promise(record(9, "no"))
        here.stamped.down = False
        answer = await here.tell(None)
        assert answer.json()["results"][0]["status"] == "skipped"
        await here.up()
        assert await held(here) == ("T9 no", False)


async def test_6_what_is_still_to_be_loaded_is_not_ended_by_an_older_change(world: Worlds) -> None:
    async with world(ipaas=True) as here:
        await created(here, 0, "no")
        here.ipaas.status = 503
        here.ipaas.records["1"] = record(12, "no")
        await here.promise(None)
        assert (await here.tell(record(3, "yes"))).json()["results"][0]["subscription"] == "subscribed"
        here.ipaas.status = 200
        await here.up()
        assert await held(here) == ("T12 no", False)


async def test_7_the_last_failure_counts(world: Worlds) -> None:
    async with world() as here:
        await created(here)
        here.stamped.gone.add(143491)
        here.stamped.on("add", "503", "503", "503")
        where = await here.promise(record(2, "yes"))
        assert (await here.show(where))["status"] == "waiting"
        await here.up()
        assert [each.id for each in here.stamped.customers] == [143491, 143492]
        assert (here.stamped.customers[1].version, here.stamped.customers[1].subscribed) == ("T2 yes", True)


async def test_8_an_add_without_an_answer_is_found_under_the_email_that_was_tried(world: Worlds) -> None:
    async with world() as here:
        await created(here)
        here.stamped.gone.add(143491)
        here.stamped.on("add", "lost", "lost", "lost")
        assert (await here.tell(record(2, "yes"))).status_code == 502
        answer = await here.tell(record(3, "yes", email="moved@example.com"))
        assert answer.json()["results"][0]["external_id"] == "143492"
        await here.up()
        assert [each.email for each in here.stamped.customers if each.id not in here.stamped.gone] == [
            "moved@example.com"
        ]


async def test_9_an_id_belongs_to_who_added_it_last(world: Worlds) -> None:
    async with world() as here:
        await created(here, None, "no", customer="A", email="a@example.com")
        await here.tell(record(3, "yes", customer="B", email="a@example.com"))
        await here.tell(record(2, None, customer="A", email="b@example.com"))
        await here.tell(record(4, "yes", customer="B", email="a@example.com"))
        await here.tell(record(5, "no", customer="A", email="b@example.com"))
        await here.up()
        by_email = {each.email: (each.fields["externalId"], each.subscribed) for each in here.stamped.customers}
        assert by_email == {"a@example.com": ("C-B", True), "b@example.com": ("C-A", False)}


async def test_10_the_first_valid_link_of_a_destination_counts(world: Worlds) -> None:
    async with world() as here:
        await here.tell(record(0, "yes", customer="other", email="person1@example.com"))
        known = here.stamped.customers[0].id
        links = (f"DELETED:{known}", str(known))
        # as after a move to an empty database: only the record knows the link
        answer = await here.tell(record(1, "no", customer="other", email="new@example.com", links=links))
        assert answer.json()["results"][0]["external_id"] == str(known)
        await here.up()
        assert [(each.email, each.subscribed) for each in here.stamped.customers] == [("new@example.com", False)]


async def test_11_a_no_whose_call_failed_outlives_a_change_without_consent(world: Worlds) -> None:
    async with world() as here:
        await created(here)
        here.stamped.on("unsubscribe", *["500"] * 3)
        await here.promise(record(2, "no"))
        here.stamped.on("unsubscribe", *["500"] * 3)
        await here.promise(record(3, None))
        await here.up()
        assert await held(here) == ("T3 None", False)


async def test_12_a_no_that_failed_is_not_undone_by_an_older_yes(world: Worlds) -> None:
    async with world() as here:
        await created(here)
        here.stamped.down = True
        assert (await here.tell(record(9, "no"))).status_code == 502
        here.stamped.down = False
        answer = await here.tell(record(5, "yes"))
        assert answer.json()["results"][0]["status"] == "skipped"
        await here.up()
        assert (await held(here))[1] is False


async def test_13_a_repeat_keeps_its_place(world: Worlds) -> None:
    async with world() as here:
        await created(here, 0, "no")
        here.stamped.down = True
        guid = "3c90c3cc-0d44-4b50-8888-000000000005"
        assert (await here.tell(record(5, "yes"), guid=guid)).status_code == 502
        here.stamped.down = False
        assert (await here.tell(record(5, "no"))).status_code == 200
        again = await here.tell(record(5, "yes"), guid=guid)
        assert again.json()["results"][0]["status"] == "skipped"
        await here.up()
        assert await held(here) == ("T5 no", False)


async def test_14_a_call_that_takes_effect_late_does_not_last(world: Worlds) -> None:
    async with world() as here:
        await created(here, 0, "no")
        here.stamped.on("subscribe", "timeout")
        began = here.clock.monotonic()
        assert (await here.tell(record(2, "yes"))).json()["results"][0]["subscription"] == "subscribed"
        assert (await here.tell(record(3, "no"))).json()["results"][0]["subscription"] == "unsubscribed"
        here.stamped.happen()
        assert (await held(here))[1] is True, "it had its effect after all"
        calls = len(here.stamped.calls)
        await here.up()
        assert await held(here) == ("T3 no", False)
        assert [operation for operation, _ in here.stamped.calls[calls:]] == ["get", "unsubscribe"]
        assert 2 * TIMEOUT <= here.stamped.at[calls] - began <= 4 * TIMEOUT
        (verified,) = [each for each in await here.transfers(customer_id="1") if each["trigger"] == "verify"]
        assert (verified["status"], verified["action"], verified["subscription"]) == (
            *("succeeded", None, "unsubscribed"),
        )


async def test_15_a_stranger_with_an_email_that_was_tried_is_left_alone(world: Worlds) -> None:
    async with world() as here:
        here.stamped.customers.append(Customer(7, "x@example.com", {"externalId": "somebody else's"}))
        here.stamped.down = True
        assert (await here.tell(record(1, "no", customer="A", email="x@example.com"))).status_code == 502
        here.stamped.down = False
        await here.tell(record(2, "no", customer="A", email="a@example.com"))
        await here.up()
        assert [each.email for each in here.stamped.customers] == ["x@example.com", "a@example.com"]


async def test_16_a_no_is_applied_although_the_record_is_refused(world: Worlds) -> None:
    async with world() as here:
        await created(here, 0, "yes", customer="A", email="a@example.com")
        await created(here, 0, "yes", customer="B", email="b@example.com")
        for customer, email in (("A", "b@example.com"), ("B", "a@example.com")):
            answer = await here.tell(record(2, "no", customer=customer, email=email))
            assert answer.status_code == 422
            assert answer.json()["type"] == "/errors/customer-create-or-update-failed"
        await here.up()
        assert {each.email: each.subscribed for each in here.stamped.customers} == {
            "a@example.com": False,
            "b@example.com": False,
        }


async def test_17_a_yes_whose_call_failed_is_dropped_by_a_change_without_consent(world: Worlds) -> None:
    async with world() as here:
        await created(here, 0, "no")
        here.stamped.on("subscribe", *["500"] * 3)
        await here.promise(record(2, "yes"))
        await here.promise(record(3, None))
        await here.up()
        assert await held(here) == ("T3 None", False)


async def test_18_retention_deletes_records_never_order(world: Worlds) -> None:
    async with world() as here:
        await created(here, 0, "no")
        await here.tell(record(9, "no"))
        await here.pass_time(2 * TIMEOUT)
        await here.sleep(29 * DAY)
        late = await here.tell(record(5, "yes"))
        assert late.json()["results"][0]["status"] == "skipped"
        await here.sleep(2 * DAY)

        async def is_forgotten() -> bool:
            here.clock.advance(1)
            items = await here.transfers(customer_id="1")
            shown = [await here.show(f"/transfers/{each['transfer_id']}") for each in items]
            return [each["record"] is None for each in shown] == [False, True, True]

        await here.sleep(3600)
        await here.until(is_forgotten)
        answer = await here.operate("POST", "/customers/1/sync")
        assert answer.status_code == 404
        await here.up()
        assert (await held(here))[1] is False
