"""A re-run of many that sends one first: the rest goes on only when that one has succeeded."""

from __future__ import annotations

import asyncio

import pytest

from app.attempt import Failure
from app.ledger import bulk, reports, retention
from app.ledger.stored import Stored
from app.ledger.tables import DAY
from app.ledger.trail import By
from tests.ledger.support import REFUSED, RETRYABLE, Ledger, change
from tests.support import SCOPE

SYNC = "sync-1"
BY = By("ada", None, "page")
COUNTED = ("total", "succeeded", "failed", "skipped", "cancelled", "remaining", "held")


async def opened(ledger: Ledger, number: int = 3) -> list[Stored]:
    """So many failed ones, of which one has been sent first."""
    failed = [await ledger.failed(change(customer=str(each)), REFUSED) for each in range(number)]
    seqs = [each.seq for each in failed]
    ledger.now += 1
    await ledger.do(bulk.open_sync, SYNC, bulk.EVERY, "retry", seqs, ledger.now, one_first=True)
    await enter(ledger)
    return failed


async def enter(ledger: Ledger) -> None:
    while await ledger.do(bulk.enter_some, ledger.now, {SCOPE: False}) is not None:
        pass


async def counts(ledger: Ledger) -> dict[str, int]:
    found = await ledger.database.read(reports.sync_counts, SYNC)
    assert found is not None
    assert found["total"] == sum(found[each] for each in COUNTED[1:-1]), "each is counted once"
    return {name: found[name] for name in COUNTED if found[name]}


async def pilot(ledger: Ledger) -> tuple[str, int]:
    found = await ledger.database.read(reports.sync_counts, SYNC)
    assert found is not None
    return found["first"]["status"], found["first"]["others"]


async def end(ledger: Ledger, customer: int, failure: Failure | None = None) -> None:
    await ledger.finish(await ledger.claim(str(customer)), failure)
    await enter(ledger)


async def test_the_rest_follows_when_the_first_has_succeeded(ledger: Ledger) -> None:
    failed = await opened(ledger, bulk.BLOCK + 2)
    assert await ledger.statuses() == ["accepted", *["failed"] * (len(failed) - 1)]
    assert await counts(ledger) == {"total": len(failed), "remaining": len(failed)}
    assert await pilot(ledger) == ("accepted", len(failed) - 1)
    assert await ledger.database.read(bulk.pilots) == {failed[0].seq}
    await enter(ledger)  # as after a restart
    assert (await ledger.statuses()).count("accepted") == 1
    await end(ledger, 0)
    assert await ledger.statuses() == ["succeeded", *["accepted"] * (len(failed) - 1)]
    assert await counts(ledger) == {"total": len(failed), "succeeded": 1, "remaining": len(failed) - 1}
    assert await pilot(ledger) == ("succeeded", 0)
    assert await ledger.database.read(bulk.pilots) == set()


async def test_the_rest_is_left_as_it_was_when_the_first_fails(ledger: Ledger) -> None:
    failed = await opened(ledger)
    await end(ledger, 0, REFUSED)
    assert await counts(ledger) == {"total": 3, "failed": 3, "held": 2}
    assert [(await ledger.row(each)).finished_at for each in failed[1:]] == [
        each.finished_at for each in failed[1:]
    ]
    assert await pilot(ledger) == ("failed", 0)
    await ledger.do(bulk.go_on, SYNC, ledger.now, BY)
    await enter(ledger)
    assert await ledger.statuses() == ["failed", "accepted", "accepted"]
    assert await counts(ledger) == {"total": 3, "failed": 1, "remaining": 2}
    assert not await ledger.do(bulk.go_on, SYNC, ledger.now, BY), "nothing is left to go on with"


async def test_a_held_one_does_not_go_on_by_itself(ledger: Ledger) -> None:
    first, *_ = await opened(ledger)
    await end(ledger, 0, REFUSED)
    claim = (await ledger.again(first)).claim
    assert claim is not None
    await ledger.finish(claim)
    await enter(ledger)
    assert await ledger.statuses() == ["succeeded", "failed", "failed"]


async def test_while_the_first_is_tried_again_the_rest_waits(ledger: Ledger) -> None:
    await opened(ledger)
    await end(ledger, 0, RETRYABLE)
    assert await pilot(ledger) == ("waiting", 2)
    assert await counts(ledger) == {"total": 3, "remaining": 3}
    ledger.now += 10**6
    await end(ledger, 0)
    assert await ledger.statuses() == ["succeeded", "accepted", "accepted"]


async def test_the_rest_need_not_wait(ledger: Ledger) -> None:
    await opened(ledger)
    assert await ledger.do(bulk.go_on, SYNC, ledger.now, BY)
    await enter(ledger)
    assert await ledger.statuses() == ["accepted"] * 3


async def test_one_that_was_skipped_tells_nothing_so_the_next_goes_first(ledger: Ledger) -> None:
    await opened(ledger)
    newer = await ledger.accept(change(9, customer="0"))
    assert (await ledger.statuses())[0] == "skipped"
    await enter(ledger)
    assert await ledger.statuses() == ["skipped", "accepted", "failed", newer.transfer.status]
    assert await pilot(ledger) == ("accepted", 1)
    await end(ledger, 1)
    assert (await ledger.statuses())[:3] == ["skipped", "succeeded", "accepted"]
    assert await counts(ledger) == {"total": 3, "succeeded": 1, "skipped": 1, "remaining": 1}


async def test_one_that_is_in_no_state_for_it_is_left_out(ledger: Ledger) -> None:
    failed = [await ledger.failed(change(customer=str(each)), REFUSED) for each in range(3)]
    await ledger.finish((await ledger.again(failed[0])).claim or await ledger.claim("0"))
    seqs = [each.seq for each in failed]
    await ledger.do(bulk.open_sync, SYNC, bulk.EVERY, "retry", seqs, ledger.now, one_first=True)
    await enter(ledger)
    assert await ledger.statuses() == ["succeeded", "accepted", "failed"]
    assert await counts(ledger) == {"total": 2, "remaining": 2}


async def test_cancelling_takes_back_the_first_and_enters_no_other(ledger: Ledger) -> None:
    failed = await opened(ledger)
    seqs = await ledger.do(bulk.close_sync, SYNC, ledger.now)
    await ledger.do(bulk.cancel_some, seqs, ledger.now)
    await enter(ledger)
    assert await ledger.statuses() == ["failed"] * 3
    assert await counts(ledger) == {"total": 3, "failed": 1, "cancelled": 2}
    assert (await ledger.row(failed[0])).failure_group == failed[0].failure_group, "in its group again"


async def test_cancelling_the_first_alone_holds_the_rest(ledger: Ledger) -> None:
    first, *_ = await opened(ledger)
    await ledger.do(bulk.cancel_some, [first.seq], ledger.now)
    await enter(ledger)
    assert (await pilot(ledger))[0] == "cancelled"
    assert await counts(ledger) == {"total": 3, "failed": 3, "held": 2}


async def test_it_keeps_no_other_sync_waiting(ledger: Ledger) -> None:
    await opened(ledger)
    other = await ledger.failed(change(customer="9"), REFUSED)
    await ledger.do(bulk.open_sync, "sync-2", bulk.EVERY, "retry", [other.seq], ledger.now)
    await enter(ledger)
    assert await ledger.statuses() == ["accepted", "failed", "failed", "accepted"]


async def test_replicas_send_one_between_them(ledger: Ledger) -> None:
    failed = [await ledger.failed(change(customer=str(each)), REFUSED) for each in range(5)]
    seqs = [each.seq for each in failed]
    await ledger.do(bulk.open_sync, SYNC, bulk.EVERY, "retry", seqs, ledger.now, one_first=True)
    await asyncio.gather(*(ledger.do(bulk.enter_some, ledger.now, {SCOPE: False}) for _ in range(6)))
    assert (await ledger.statuses()).count("accepted") == 1
    await ledger.finish(await ledger.claim("0"), REFUSED)
    await asyncio.gather(*(ledger.do(bulk.enter_some, ledger.now, {SCOPE: False}) for _ in range(6)))
    assert await counts(ledger) == {"total": 5, "failed": 5, "held": 4}


@pytest.mark.parametrize("held", [True, False])
async def test_what_was_held_goes_with_its_time(ledger: Ledger, *, held: bool) -> None:
    await opened(ledger, 2)
    if held:
        await end(ledger, 0, REFUSED)
    await ledger.do(retention.forget_transfers, ledger.now + 400 * DAY)
    found = await ledger.database.read(reports.sync_counts, SYNC)
    assert (found is None) is held
