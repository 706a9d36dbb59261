"""Which change of a customer is sent, and which ends as superseded by it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NamedTuple

import pytest

from app.ledger import endings, moves
from app.ledger.stored import Stored
from tests.ledger.support import OWNER, REFUSED, RETRYABLE, Ledger, change, changed


class Case(NamedTuple):
    """Two changes, in the order of receipt, by the minute they were made in; which of them is the newer one."""

    first: int | None
    second: int | None
    second_is_newer: bool


CASES = [
    Case(1, 2, second_is_newer=True),
    Case(2, 1, second_is_newer=False),
    Case(1, 1, second_is_newer=True),  # neither is strictly older, so receipt decides
    Case(None, None, second_is_newer=True),
    Case(5, None, second_is_newer=True),
    Case(None, 5, second_is_newer=True),
]
cases = pytest.mark.parametrize("case", CASES)


def assert_superseded(transfer: Stored, by: Stored) -> None:
    assert (transfer.status, transfer.superseded_by) == ("skipped", by.id)
    assert by.id in (transfer.reason or "")
    assert (transfer.next_attempt_at, transfer.owner, transfer.error) == (None, None, None)
    assert transfer.finished_at is not None


@cases
async def test_one_that_waits_and_one_that_arrives(ledger: Ledger, case: Case) -> None:
    first = await ledger.waiting(change(case.first, promised=True))
    entered = await ledger.accept(change(case.second))
    if case.second_is_newer:
        assert entered.claimed, "a waiting transfer never holds up a newer change"
        assert [each.seq for each in entered.ended] == [first.seq]
        assert_superseded(await ledger.row(first), entered.transfer)
    else:
        assert_superseded(entered.transfer, first)
        assert await ledger.row(first) == first


@cases
async def test_one_that_was_sent_and_one_that_arrives(ledger: Ledger, case: Case) -> None:
    first = (await ledger.finish(await ledger.running(change(case.first)))).transfer
    entered = await ledger.accept(change(case.second))
    if case.second_is_newer:
        assert entered.claimed
    else:
        assert_superseded(entered.transfer, first)


@cases
async def test_one_that_waits_behind_one_that_then_was_sent(ledger: Ledger, case: Case) -> None:
    running = await ledger.running(change(case.first))
    second = (await ledger.accept(change(case.second))).transfer
    first = (await ledger.finish(running)).transfer
    claimed = await ledger.claim(second.seq)
    assert claimed is not None
    if case.second_is_newer:
        assert claimed.claimed
    else:
        assert not claimed.claimed
        assert [each.seq for each in claimed.ended] == [second.seq]
        assert_superseded(claimed.transfer, first)


@cases
async def test_one_that_must_be_retried_while_another_waits(ledger: Ledger, case: Case) -> None:
    running = await ledger.running(change(case.first, promised=True))
    second = (await ledger.accept(change(case.second))).transfer
    finished = await ledger.finish(running, RETRYABLE)
    if case.second_is_newer:
        assert_superseded(finished.transfer, second)
        assert finished.next_seq == second.seq, "the newer one runs at once"
    else:
        assert (finished.transfer.status, finished.next_seq) == ("waiting", None)
        assert [each.seq for each in finished.ended] == [second.seq]
        assert_superseded(await ledger.row(second), finished.transfer)


@cases
async def test_one_whose_replica_died_while_another_waits(ledger: Ledger, case: Case) -> None:
    running = await ledger.running(change(case.first))
    second = (await ledger.accept(change(case.second))).transfer
    entered = await ledger.do(endings.give_up, running.seq, OWNER, ledger.now)
    assert entered is not None
    if case.second_is_newer:
        assert_superseded(entered.transfer, second)
        assert (await ledger.row(second)).status == "accepted"
    else:
        assert entered.transfer.status == "accepted"
        assert_superseded(await ledger.row(second), entered.transfer)


@cases
async def test_a_rerun_of_one_after_another_was_sent(ledger: Ledger, case: Case) -> None:
    failed = await ledger.failed(change(case.first))
    entered = await ledger.accept(change(case.second))
    second = (await ledger.finish(entered.transfer)).transfer
    again = await ledger.rerun(failed.seq)
    assert again is not None
    strictly_older = case.second_is_newer and (case.first != case.second or case.first is None)
    if strictly_older:
        assert_superseded(again.transfer, second)
    else:
        assert again.claimed


@cases
async def test_a_rerun_while_another_waits(ledger: Ledger, case: Case) -> None:
    failed = await ledger.failed(change(case.first))
    second = await ledger.waiting(change(case.second, promised=True))
    again = await ledger.rerun(failed.seq)
    assert again is not None
    if not case.second_is_newer:
        assert again.claimed
        assert_superseded(await ledger.row(second), again.transfer)
    else:
        assert_superseded(again.transfer, second)


async def test_an_older_one_behind_a_newer_that_failed_is_sent_after_all(ledger: Ledger) -> None:
    """The newer one's caller was told; what Stamped.io holds is otherwise older still."""
    newer = await ledger.running(change(9))
    older = (await ledger.accept(change(1))).transfer
    finished = await ledger.finish(newer, REFUSED)
    assert finished.next_seq == older.seq
    claimed = await ledger.claim(older.seq)
    assert claimed is not None
    assert claimed.claimed


async def test_waiting_ones_collapse_into_the_newest(ledger: Ledger) -> None:
    running = await ledger.running(change(0))
    waiting = [(await ledger.accept(change(minute, promised=True))).transfer for minute in (3, 5, 4, 5, 8)]
    final = [await ledger.row(each) for each in waiting]
    assert [each.status for each in final] == ["skipped"] * 4 + ["accepted"]
    by = [each.superseded_by for each in final]
    assert by == [waiting[1].id, waiting[3].id, waiting[1].id, waiting[4].id, None]
    assert (await ledger.finish(running)).next_seq == waiting[4].seq


@pytest.mark.parametrize("minute", [1, None])
async def test_a_run_by_hand_always_sends(ledger: Ledger, minute: int | None) -> None:
    await ledger.finish(await ledger.running(change(9)))
    waiting = await ledger.waiting(change(9, promised=True))
    entered = await ledger.accept(change(minute, trigger="manual"))
    assert entered.claimed
    assert_superseded(await ledger.row(waiting), entered.transfer)


async def test_a_run_by_hand_is_no_repeat_of_anything(ledger: Ledger) -> None:
    new = change(1, trigger="manual")
    first = (await ledger.finish(await ledger.running(new))).transfer
    again = await ledger.accept(new)
    assert again.claimed
    assert again.transfer.seq != first.seq


async def test_a_fetched_record_that_is_older_than_what_was_sent_is_skipped(ledger: Ledger) -> None:
    sent = (await ledger.finish(await ledger.running(change(5)))).transfer
    claimed = await ledger.running(change(None))
    assert await ledger.do(moves.keep_loaded, claimed, changed(4)) == sent.id
    kept = await ledger.row(claimed)
    assert kept.fetched
    assert kept.changed_at == datetime(2026, 11, 24, 10, 4, tzinfo=UTC).timestamp()
    finished = await ledger.finish(claimed, superseded_by=sent.id)
    assert_superseded(finished.transfer, sent)
    assert await ledger.do(moves.keep_loaded, claimed, changed(6)) is None


async def test_a_superseded_attempt_that_was_sent_earlier_stays_the_newest_sent(ledger: Ledger) -> None:
    """What an older change does later never makes the ledger forget the newest one."""
    sent = (await ledger.finish(await ledger.running(change(5)))).transfer
    for minute in (4, 3):
        assert_superseded((await ledger.accept(change(minute))).transfer, sent)
    assert (await ledger.accept(change(6))).claimed
