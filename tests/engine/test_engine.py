"""Callers, promises, retries and what comes due, in one process."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from app.clock import Clock
from app.engine import NotTaking, Outcome
from app.ledger import bulk, claims, triggers
from app.ledger.claims import Claim
from app.ledger.customers import Customer
from app.ledger.faults import DatabaseGone
from app.ledger.session import Session
from app.ledger.stored import Stored
from tests.engine.support import BACKGROUND, Room, change, room
from tests.ledger.support import due
from tests.support import BY

MINUTE = 60.0


async def test_a_caller_waits_for_the_end(here: Room) -> None:
    caller = here.send(change(1))
    await here.still()
    assert not caller.done()
    assert here.engine.running == 1
    await here.release()
    (outcome,) = caller.result()
    assert (outcome.transfer.status, outcome.replayed, outcome.transfer.promised) == ("succeeded", False, False)
    assert here.engine.running == 0


async def test_a_caller_without_patience_is_promised_at_once(here: Room) -> None:
    (stored,) = await here.promise(change(1))
    assert (stored.status, stored.promised) == ("accepted", True)
    await here.release()
    assert (await here.row(stored)).status == "succeeded"


async def test_patience_ends_in_a_promise_and_the_transfer_goes_on(tmp_path: Path) -> None:
    async with room(tmp_path / "bridge.db", Clock(), wait_seconds=0.02) as here:
        (outcome,) = await here.send(change(1))
        assert (outcome.transfer.status, outcome.transfer.promised) == ("running", True)
        await here.release()
        assert (await here.row(outcome.transfer)).status == "succeeded"


async def test_many_are_entered_side_by_side_and_those_of_a_customer_in_their_order(
    here: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that a hundred take a few commits, not a hundred."""
    run = here.database.run
    entering: list[str | None] = []
    most: list[list[str | None]] = []

    async def watched(work: Any, *args: Any, **more: Any) -> Any:
        if work is not triggers.accept:
            return await run(work, *args, **more)
        entering.append(args[0].customer_id)
        most.append(list(entering))
        try:
            return await run(work, *args, **more)
        finally:
            entering.remove(args[0].customer_id)

    monkeypatch.setattr(here.database, "run", watched)
    news = [change(version, customer=customer) for version in (1, 2) for customer in range(10)]
    stored = await here.promise(*news)
    assert [each.tracking_guid for each in stored] == [new.tracking_guid for new in news]
    assert max(map(len, most)) == 10
    assert all(len(set(each)) == len(each) for each in most)
    assert all(earlier.seq < later.seq for earlier, later in zip(stored[:10], stored[10:], strict=True))


async def test_what_of_a_request_was_entered_goes_on_though_the_rest_is_not_taken(
    here: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = here.database.run

    async def failing(work: Any, *args: Any, **more: Any) -> Any:
        if work is triggers.accept and args[0].customer_id == "1":
            raise DatabaseGone("away")
        return await run(work, *args, **more)

    monkeypatch.setattr(here.database, "run", failing)
    caller = here.send(*[change(1, customer=customer) for customer in range(3)])
    with pytest.raises(NotTaking):
        await caller
    await here.release_all()
    assert sorted(here.stamped.held) == ["C-0", "C-2"]


async def test_a_caller_that_leaves_ends_nothing_and_leaves_nothing(here: Room) -> None:
    caller = here.send(change(1))
    waiting = here.send(change(2))
    await here.still()
    for each in (caller, waiting):
        each.cancel()
        with pytest.raises(asyncio.CancelledError):
            await each
    await here.release()
    await here.release()
    assert await here.statuses() == ["succeeded", "succeeded"]
    assert here.engine._watchers._watches == {}
    assert here.stamped.held == {"C-1": 2}


async def test_a_caller_that_leaves_while_it_is_accepted_still_is(here: Room) -> None:
    """The transaction runs in a thread; nobody may be left with a row that runs nowhere."""
    caller = here.send(change(1))
    for _ in range(3):
        await asyncio.sleep(0)
    caller.cancel()
    await here.release()
    (row,) = await here.rows()
    assert row.status == "succeeded"
    assert here.engine._watchers._watches == {}


async def test_a_caller_that_was_told_the_error_leaves_no_schedule(here: Room) -> None:
    caller = here.send(change(1))
    await here.release("away")
    (outcome,) = caller.result()
    assert (outcome.transfer.status, outcome.transfer.next_attempt_at) == ("failed", None)
    await here.advance(24 * 60 * MINUTE)
    assert here.stamped.open == []
    assert (await here.row(outcome.transfer)).attempts == 1


async def test_a_promised_one_is_retried_when_it_is_due(here: Room) -> None:
    (stored,) = await here.promise(change(1))
    await here.release("away")
    waiting = await here.row(stored)
    began = here.now
    assert waiting.status == "waiting"
    assert waiting.next_attempt_at == pytest.approx(began + 21 * MINUTE, abs=3)  # 20 min and half of 10 %
    await here.advance(20 * MINUTE)
    assert here.stamped.open == [], "not yet"
    await here.advance(2 * MINUTE)
    await here.release()
    assert (await here.row(stored)).status == "succeeded"
    assert here.stamped.sent == [("C-1", 1)]


async def test_six_tries_and_no_more(here: Room) -> None:
    (stored,) = await here.promise(change(1))
    pauses = []
    for _ in range(6):
        await here.release("garbled")
        row = await here.row(stored)
        if row.next_attempt_at is not None:
            pauses.append(round((row.next_attempt_at - here.now) / MINUTE / 1.05))
            await here.advance(row.next_attempt_at - here.now + 1)
    assert pauses == [20, 60, 120, 200, 300]
    row = await here.row(stored)
    assert (row.status, row.tries, row.attempts, row.next_attempt_at) == ("failed", 6, 6, None)


async def test_the_unit_of_retries_is_a_setting(tmp_path: Path) -> None:
    async with room(tmp_path / "bridge.db", retry_unit_seconds=60) as here:
        (stored,) = await here.promise(change(1))
        await here.release("away")
        assert (await here.row(stored)).next_attempt_at == pytest.approx(here.now + 2.1 * MINUTE, abs=1)


async def test_a_newer_change_takes_over_the_promise_of_what_it_replaces(here: Room) -> None:
    (older,) = await here.promise(change(1))
    await here.release("garbled")
    caller = here.send(change(2))
    await here.release("garbled")
    (outcome,) = caller.result()
    assert (outcome.transfer.status, outcome.transfer.promised) == ("waiting", True)
    assert (await here.row(older)).superseded_by == outcome.transfer.id
    await here.advance(22 * MINUTE)
    await here.release()
    assert (await here.row(outcome.transfer)).status == "succeeded"


async def test_a_newer_change_that_ends_in_an_outage_takes_over_the_promise_too(here: Room) -> None:
    """Nobody is told an error, and no try is used up: it waits for Stamped.io."""
    (older,) = await here.promise(change(1))
    await here.release("away")
    caller = here.send(change(2))
    await here.release("away")
    (outcome,) = caller.result()
    assert (outcome.transfer.status, outcome.transfer.promised, outcome.transfer.tries) == ("accepted", True, 0)
    assert outcome.transfer.pause is not None
    assert outcome.transfer.pause.state == "down"
    assert (await here.row(older)).superseded_by == outcome.transfer.id
    await here.advance(5)
    await here.release()
    assert (await here.row(outcome.transfer)).status == "succeeded"
    assert here.stamped.sent == [("C-1", 2)]


async def test_what_a_cancelled_one_replaced_is_wanted_again(here: Room) -> None:
    (older,) = await here.promise(change(1))
    await here.release("garbled")
    (newer,) = await here.promise(change(2))
    await here.release("garbled")
    assert await here.operations.cancel(newer, BY) is not None
    await here.release()
    assert [(await here.row(each)).status for each in (older, newer)] == ["succeeded", "cancelled"]
    assert here.stamped.held == {"C-1": 1}


async def test_what_is_refused_fails_at_once_though_it_was_promised(here: Room) -> None:
    (stored,) = await here.promise(change(1))
    await here.release("refused")
    assert (await here.row(stored)).status == "failed"


async def test_a_retry_by_hand_does_not_wait(here: Room) -> None:
    (stored,) = await here.promise(change(1))
    await here.release("away")
    again = asyncio.create_task(here.engine.rerun(stored))
    await here.release()
    outcome = await again
    assert outcome is not None
    assert (outcome.transfer.seq, outcome.transfer.status) == (stored.seq, "succeeded")
    assert await here.engine.rerun(stored) is None


async def test_a_newer_change_runs_at_once_beside_one_that_waits(here: Room) -> None:
    (older,) = await here.promise(change(1))
    await here.release("away")
    caller = here.send(change(2))
    await here.release()
    (outcome,) = caller.result()
    assert outcome.transfer.status == "succeeded"
    assert (await here.row(older)).superseded_by == outcome.transfer.id


async def test_a_waiting_caller_learns_at_once_that_a_newer_change_won(here: Room) -> None:
    running, middle = here.send(change(1)), here.send(change(2))
    await here.still()
    newest = here.send(change(3))
    await here.still()
    (outcome,) = middle.result()
    assert outcome.transfer.status == "skipped"
    await here.release()
    await here.release()
    assert outcome.transfer.superseded_by == newest.result()[0].transfer.id
    assert running.result()[0].transfer.status == "succeeded"
    assert here.stamped.sent == [("C-1", 1), ("C-1", 3)]


async def test_callers_join_what_runs_and_get_the_same_answer(here: Room) -> None:
    new = change(1)
    callers = [here.send(new) for _ in range(5)]
    await here.release()
    answers = [caller.result()[0] for caller in callers]
    assert {answer.transfer.seq for answer in answers} == {1}
    assert {answer.transfer.status for answer in answers} == {"succeeded"}
    assert here.stamped.sent == [("C-1", 1)]
    (replayed,) = await here.send(new)
    assert replayed == Outcome(answers[0].transfer, replayed=True)


async def test_one_request_with_several_changes_of_one_customer(here: Room) -> None:
    caller = here.send(change(1), change(2), change(3), change(4, customer=2))
    await here.still()
    assert len(here.stamped.open) == 2
    for _ in range(3):
        here.stamped.release(here.stamped.open[0])
        await here.still()
    statuses = [outcome.transfer.status for outcome in caller.result()]
    assert statuses == ["succeeded", "skipped", "succeeded", "succeeded"]
    assert here.stamped.held == {"C-1": 3, "C-2": 4}


async def test_background_work_holds_up_no_caller(here: Room) -> None:
    """All of the background's places are taken by slow customers."""
    await here.promise(*(change(1, customer=number) for number in range(10, 20)))
    await here.still()
    busy = len(here.stamped.open)
    assert busy < 10
    caller = here.send(change(1, customer=1))
    follower = here.send(change(2, customer=1))
    await here.still()
    for version in (1, 2):
        (mine,) = [call for call in here.stamped.open if call.customer == "C-1"]
        assert mine.version == version
        here.stamped.release(mine)
        await here.still()
    assert caller.done()
    assert follower.done()
    assert len(here.stamped.open) == busy


async def test_what_is_due_is_claimed_together(here: Room) -> None:
    """As many as there is room for, in one transaction; and never one by one."""
    before = here.database.asked["claim_work"]
    news = [change(1, customer=number) for number in range(BACKGROUND)]
    await here.database.run(_enter, news, here.now)
    await here.advance(0)
    assert len(here.stamped.open) == BACKGROUND
    assert here.database.asked["claim_work"] - before < BACKGROUND
    assert here.database.asked["claim"] == 0


def _enter(connection: Session, news: list[triggers.NewTransfer], now: float) -> None:
    for new in news:
        triggers.accept(connection, replace(new, promised=True), None, now)


async def test_a_due_one_that_cannot_be_claimed_keeps_no_other_from_it(
    here: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = claims.begin

    def begin_others(
        connection: Session, customer: Customer, covered: list[Stored], owner: str, now: float
    ) -> Claim:
        if customer.customer_id == "1":
            raise ZeroDivisionError
        return begin(connection, customer, covered, owner, now)

    monkeypatch.setattr(claims, "begin", begin_others)
    stuck, other = await here.promise(change(1), change(1, customer=2))
    await here.still()
    assert [call.customer for call in here.stamped.open] == ["C-2"]
    await here.release()
    assert (await here.row(other)).status == "succeeded"
    monkeypatch.undo()
    await here.advance(1)
    await here.release()
    assert (await here.row(stuck)).status == "succeeded"


async def test_what_somebody_waits_for_and_cannot_be_claimed_is_not_forgotten(
    here: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(*_: object) -> None:
        raise ZeroDivisionError

    here.send(change(1))
    caller = here.send(change(2))
    await here.still()
    monkeypatch.setattr(claims, "claim", breaks)
    with capture_logs() as lines:
        await here.release()
    assert [line["exc_info"] for line in lines if line["log_level"] == "error"] == [True]
    await here.advance(1)
    await here.release()
    assert [outcome.transfer.status for outcome in caller.result()] == ["succeeded"]


async def test_what_is_accepted_is_due_whatever_the_clock_says(here: Room) -> None:
    here.send(change(1))
    await here.still()
    (waiting,) = await here.promise(change(2))
    here.fake_clock.jump(-10 * MINUTE)
    await here.release()
    await here.release()
    assert (await here.row(waiting)).status == "succeeded"


async def test_a_clock_that_jumps_back_stops_nobody(here: Room) -> None:
    """Also what is accepted after it, and what somebody waits for."""
    here.fake_clock.jump(-10 * MINUTE)
    (promised,) = await here.promise(change(1))
    await here.release()
    caller = here.send(change(2))
    await here.release()
    assert [outcome.transfer.status for outcome in caller.result()] == ["succeeded"]
    assert (await here.row(promised)).status == "succeeded"


async def test_nothing_is_taken_after_the_drain(here: Room) -> None:
    here.send(change(1))
    await here.release("refused")
    (failed,) = await here.rows()
    await here.engine.drain(0)
    for attempt in (here.engine.run([change(1)]), here.engine.rerun(failed)):
        with pytest.raises(NotTaking):
            await attempt
    assert await here.statuses() == ["failed"]


async def test_nothing_is_taken_without_the_database(here: Room) -> None:
    here.database.away = True
    with pytest.raises(NotTaking):
        await here.engine.run([change(1)])
    here.database.away = False
    assert await here.promise(change(1))


async def test_a_promise_given_in_the_last_moment_is_kept(here: Room) -> None:
    caller = here.send(change(1))
    await here.still()
    (row,) = await here.rows()
    await here.database.run(triggers.promise, row.seq)
    await here.release("away")
    (outcome,) = caller.result()
    assert (outcome.transfer.status, outcome.transfer.promised) == ("waiting", True)


async def test_what_ends_without_an_attempt_has_its_line_too(here: Room) -> None:
    here.send(change(1))
    await here.still()
    (second,) = await here.promise(change(2))
    with capture_logs() as lines:
        (third,) = await here.promise(change(3))
        await here.still()
        await here.operations.cancel(third, BY)
    told = [(line["transfer_id"], line["status"]) for line in lines if line["event"] == "transfer"]
    assert told == [(second.id, "skipped"), (third.id, "cancelled")]


async def test_what_was_meant_for_a_sandbox_never_reaches_a_store(here: Room) -> None:
    """The same database, once without keys and later with them; `here` is a store."""
    sandbox = "default@sandbox 2026-11-24T10:00:00.000000"
    trial = replace(change(1), connection=sandbox)
    now = here.now
    waiting = (await here.database.run(triggers.accept, trial, None, now)).transfer
    await here.advance(60)
    assert here.stamped.open == []
    assert await here.database.run(triggers.cancel, waiting.seq, now) is not None
    assert await here.engine.rerun(waiting) is None
    await here.database.run(bulk.open_sync, "sync-1", bulk.EVERY, "retry", [waiting.seq], now)
    here.engine.entry.wake()
    await here.advance(60)
    assert here.stamped.open == []
    assert await here.statuses() == ["cancelled"]
    assert await here.database.run(due, sandbox, "another", now, 10) == []
    again = await here.database.run(triggers.rerun, waiting.seq, None, now, fetch={sandbox: False})
    assert again is not None
    (claim,) = await here.database.run(due, sandbox, "another", now, 10)
    assert claim.lead.seq == waiting.seq
