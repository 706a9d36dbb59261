"""Accept, repeat, re-run, claim, promise and cancel, from every state."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Connection

from app.ledger import endings, moves, reports, scene
from app.ledger.stored import Stored
from tests.ledger.support import OTHER, OWNER, RETRYABLE, Ledger, change, changed

GUID = "3c90c3cc-0d44-4b50-8888-8dd25736052a"


async def test_with_an_owner_it_runs_at_once(ledger: Ledger) -> None:
    entered = await ledger.accept(change(guid=GUID))
    assert entered.claimed
    assert not entered.replayed
    stored = entered.transfer
    assert (stored.status, stored.owner, stored.attempts, stored.tries) == ("running", OWNER, 1, 0)
    assert (stored.started_at, stored.next_attempt_at, stored.finished_at) == (ledger.now, None, None)
    assert (stored.tracking_guid, stored.promised, stored.is_final) == (GUID, False, False)


async def test_without_an_owner_it_is_due_now(ledger: Ledger) -> None:
    entered = await ledger.accept(change(promised=True), None)
    assert not entered.claimed
    assert (entered.transfer.status, entered.transfer.next_attempt_at) == ("accepted", ledger.now)
    assert await ledger.database.read(reports.due, ledger.now, 10) == [entered.transfer.seq]


async def test_while_one_runs_the_next_is_accepted_and_not_due(ledger: Ledger) -> None:
    first = await ledger.running()
    second = await ledger.accept(change())
    assert not second.claimed
    assert second.transfer.status == "accepted"
    assert await ledger.database.read(reports.due, ledger.now, 10) == []
    finished = await ledger.finish(first)
    assert finished.next_seq == second.transfer.seq
    assert await ledger.database.read(reports.due, ledger.now, 10) == [second.transfer.seq]


async def test_other_customers_and_connections_are_not_held_up(ledger: Ledger) -> None:
    await ledger.running()
    assert (await ledger.accept(change(customer="2"))).claimed
    assert (await ledger.accept(change(connection="another"))).claimed


async def test_a_skipped_one_ends_at_once_and_holds_nothing_up(ledger: Ledger) -> None:
    deleted = replace(change(), skip_reason="Only …", repeat_key=None, record=None, customer_id=None)
    entered = await ledger.accept(deleted)
    assert (entered.transfer.status, entered.transfer.reason, entered.claimed) == ("skipped", "Only …", False)
    assert entered.transfer.finished_at == ledger.now
    assert (await ledger.accept(change())).claimed


async def test_a_repeat_of_one_that_succeeded_is_its_answer(ledger: Ledger) -> None:
    new = change()
    done = (await ledger.finish(await ledger.running(new))).transfer
    again = await ledger.accept(new)
    assert again.replayed
    assert not again.claimed
    assert again.transfer == done
    assert await ledger.statuses() == ["succeeded"]


@pytest.mark.parametrize("promised", [False, True])
async def test_a_repeat_of_one_that_runs_joins_it(ledger: Ledger, *, promised: bool) -> None:
    new = change()
    running = await ledger.running(new)
    again = await ledger.accept(replace(new, promised=promised), OTHER)
    assert not again.claimed
    assert not again.replayed
    assert again.transfer.seq == running.seq
    assert (await ledger.row(running)).promised is promised
    assert (await ledger.row(running)).owner == OWNER


async def test_a_repeat_of_one_that_is_accepted_joins_it(ledger: Ledger) -> None:
    new = change(promised=True)
    first = await ledger.accept(new, None)
    again = await ledger.accept(replace(new, promised=False))
    assert (again.claimed, again.transfer.seq) == (False, first.transfer.seq)
    assert (await ledger.row(first.transfer)).promised, "a promise is never taken back by a repeat that waits"


async def test_a_repeat_of_one_that_failed_runs_with_the_record_that_came_now(ledger: Ledger) -> None:
    failed = await ledger.failed(change(guid=GUID, record=changed(1)))
    ledger.now += 5
    again = await ledger.accept(change(guid=GUID, record=changed(2)), OTHER)
    stored = again.transfer
    assert again.claimed
    assert (stored.seq, stored.attempts, stored.owner, stored.tries) == (failed.seq, 2, OTHER, 0)
    assert (stored.finished_at, stored.started_at) == (None, ledger.now)
    record = stored.customer_record()
    assert record is not None
    assert record.first_name == "minute 2"


async def test_a_repeat_of_one_that_waits_runs_now(ledger: Ledger) -> None:
    new = change(promised=True)
    waiting = await ledger.waiting(new)
    again = await ledger.accept(replace(new, promised=False))
    assert (again.claimed, again.transfer.seq, again.transfer.next_attempt_at) == (True, waiting.seq, None)


async def test_a_repeat_of_a_cancelled_one_runs(ledger: Ledger) -> None:
    new = change(promised=True)
    entered = await ledger.accept(new, None)
    assert await ledger.do(moves.cancel, entered.transfer.seq, ledger.now)
    assert (await ledger.accept(new)).claimed


async def test_the_same_guid_of_another_customer_or_connection_is_no_repeat(ledger: Ledger) -> None:
    first = await ledger.running(change(guid=GUID))
    for new in (change(guid=GUID, customer="2"), change(guid=GUID, connection="another")):
        assert (await ledger.accept(new)).transfer.seq != first.seq


@pytest.mark.parametrize("owner", [OWNER, None])
async def test_a_rerun_begins_anew(ledger: Ledger, owner: str | None) -> None:
    failed = await ledger.failed()
    entered = await ledger.rerun(failed.seq, owner, promised=owner is None)
    assert entered is not None
    assert entered.claimed is (owner is not None)
    assert entered.transfer.status == ("running" if owner else "accepted")
    assert (entered.transfer.tries, entered.transfer.finished_at) == (0, None)


async def test_only_failed_cancelled_and_waiting_ones_run_again(ledger: Ledger) -> None:
    running = await ledger.running()
    accepted = (await ledger.accept(change(customer="2"), None)).transfer
    succeeded = (await ledger.finish(await ledger.running(change(customer="3")))).transfer
    for other in (running, accepted, succeeded):
        assert await ledger.rerun(other.seq) is None
        assert await ledger.row(other) == other
    assert await ledger.rerun(10**6) is None


async def test_a_rerun_beside_one_that_runs_waits_for_it(ledger: Ledger) -> None:
    failed = await ledger.failed()
    running = await ledger.running()
    entered = await ledger.rerun(failed.seq)
    assert entered is not None
    assert (entered.claimed, entered.transfer.status) == (False, "accepted")
    assert (await ledger.row(running)).status == "running"


async def test_only_one_claim_wins(ledger: Ledger) -> None:
    accepted = (await ledger.accept(change(promised=True), None)).transfer
    claims = await asyncio.gather(*(ledger.claim(accepted.seq, f"replica-{number}") for number in range(6)))
    (won,) = [claim for claim in claims if claim is not None]
    assert won.claimed
    assert (await ledger.row(accepted)).owner == won.transfer.owner
    assert (await ledger.row(accepted)).attempts == 1


async def test_what_is_not_due_yet_cannot_be_claimed(ledger: Ledger) -> None:
    """A dispatcher may hold a list from before the attempt that moved its next time."""
    waiting = await ledger.waiting()
    assert waiting.next_attempt_at is not None
    ledger.now = waiting.next_attempt_at - 1
    assert await ledger.claim(waiting.seq) is None
    ledger.now = waiting.next_attempt_at
    claimed = await ledger.claim(waiting.seq)
    assert claimed is not None
    assert (claimed.claimed, claimed.transfer.attempts, claimed.transfer.tries) == (True, 2, 1)


async def test_nothing_is_claimed_beside_one_that_runs(ledger: Ledger) -> None:
    await ledger.running()
    second = (await ledger.accept(change())).transfer
    assert await ledger.claim(second.seq) is None
    assert await ledger.row(second) == second


async def test_a_promise_changes_what_a_failure_means(ledger: Ledger) -> None:
    claimed = await ledger.running()
    assert (await ledger.do(moves.promise, claimed.seq)).promised
    assert (await ledger.finish(claimed, RETRYABLE)).transfer.status == "waiting"


async def test_a_promise_comes_too_late_for_what_has_ended(ledger: Ledger) -> None:
    failed = await ledger.failed()
    assert await ledger.do(moves.promise, failed.seq) == failed


@pytest.mark.parametrize("empty_url", ["postgresql"], indirect=True)
async def test_a_promise_waits_for_a_move_that_is_under_way(ledger: Ledger) -> None:
    """Else `finish` reads "not promised", the caller gets its 202, and `failed` is written: nobody retries."""
    claimed = await ledger.running()
    read, go_on = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def finish_slowly(connection: Connection) -> None:
        scene.enter_by_seq(connection, claimed.seq)  # where `finish` reads whether it was promised
        loop.call_soon_threadsafe(read.set)
        asyncio.run_coroutine_threadsafe(go_on.wait(), loop).result(10)

    finishing = asyncio.create_task(ledger.do(finish_slowly))
    await read.wait()
    promising = asyncio.create_task(ledger.do(moves.promise, claimed.seq))
    blocked = await _blocked_or_done(ledger, promising)
    go_on.set()
    await asyncio.gather(finishing, promising)
    assert blocked, "the promise was given in the middle of another move"


@pytest.mark.parametrize("empty_url", ["postgresql"], indirect=True)
async def test_a_run_by_hand_sends_what_arrives_while_it_waits_for_its_turn(ledger: Ledger) -> None:
    await ledger.finish(await ledger.running(change(1)))
    by_hand = replace(change(trigger="manual"), record=None, send_last=True)
    arrived, go_on = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def accept_slowly(connection: Connection) -> Stored:
        entered = moves.accept(connection, change(2), None, ledger.now)
        loop.call_soon_threadsafe(arrived.set)
        asyncio.run_coroutine_threadsafe(go_on.wait(), loop).result(10)
        return entered.transfer

    accepting = asyncio.create_task(ledger.do(accept_slowly))
    await arrived.wait()
    sending = asyncio.create_task(ledger.accept(by_hand))
    blocked = await _blocked_or_done(ledger, sending)
    go_on.set()
    newest, entered = await asyncio.gather(accepting, sending)
    assert blocked
    assert entered.transfer.record == newest.record
    assert (await ledger.row(newest)).superseded_by == entered.transfer.id


async def _blocked_or_done(ledger: Ledger, task: asyncio.Task[Any]) -> bool:
    """Whether another backend waits for a customer's lock before this task is done."""

    def blocked(connection: Connection) -> bool:
        waits = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        return connection.exec_driver_sql(waits).first() is not None

    async with asyncio.timeout(10):
        while not task.done():
            if await ledger.database.read(blocked):
                return True
    return False


async def test_what_was_taken_over_keeps_no_record_that_comes_late(ledger: Ledger) -> None:
    late = await ledger.running(replace(change(), record=None))
    assert await ledger.do(endings.give_up, late.seq, OWNER, ledger.now)
    again = await ledger.claim(late.seq, OTHER)
    assert again is not None
    assert await ledger.do(moves.keep_loaded, again.transfer, changed(5)) is None
    kept = await ledger.row(late)
    assert await ledger.do(moves.keep_loaded, late, changed(4)) is None
    assert await ledger.row(late) == kept
    assert kept.changed_at is not None


@pytest.mark.parametrize("state", ["accepted", "waiting"])
async def test_what_has_not_begun_can_be_cancelled(ledger: Ledger, state: str) -> None:
    new = change(promised=True)
    pending = await ledger.waiting(new) if state == "waiting" else (await ledger.accept(new, None)).transfer
    cancelled = await ledger.do(moves.cancel, pending.seq, ledger.now)
    assert cancelled is not None
    assert (cancelled.status, cancelled.next_attempt_at, cancelled.finished_at) == ("cancelled", None, ledger.now)
    assert await ledger.database.read(reports.due, ledger.now + 10**6, 10) == []
    assert await ledger.do(moves.cancel, pending.seq, ledger.now) is None


async def test_what_runs_cannot_be_cancelled(ledger: Ledger) -> None:
    claimed = await ledger.running()
    assert await ledger.do(moves.cancel, claimed.seq, ledger.now) is None
    assert await ledger.row(claimed) == claimed
