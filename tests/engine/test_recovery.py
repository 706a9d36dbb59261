"""Stops, crashes, a database that is away, and attempts that nobody runs any more."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Connection, update

from app.attempt import Progress
from app.ledger import endings, moves, replicas, reports
from app.ledger.stored import Stored
from app.ledger.tables import transfers
from tests.engine.support import Room, change, room

GONE = "a-replica-that-is-gone"


async def heartbeat(here: Room, times: int = 1) -> None:
    for _ in range(times):
        here.fake_clock.advance(replicas.HEARTBEAT_SECONDS)
        await here.still()


async def test_a_drain_lets_running_ones_end(here: Room) -> None:
    caller = here.send(change(1))
    await here.still()
    draining = asyncio.create_task(here.engine.drain(20))
    await here.release()
    await draining
    assert [outcome.transfer.status for outcome in caller.result()] == ["succeeded"]


async def test_what_does_not_end_in_time_is_promised_and_left(here: Room, tmp_path: Path) -> None:
    caller, joined, behind = here.send(change(1)), here.send(change(2, customer=2)), here.send(change(3))
    await here.still()
    await here.engine.drain(0)
    for (outcome,) in await asyncio.gather(caller, joined, behind):
        assert outcome.transfer.is_final or outcome.transfer.promised
    assert here.engine.running == 0
    rows = await here.rows()
    assert "running" not in {row.status for row in rows}
    assert [row.status for row in rows] == ["skipped", "accepted", "accepted"]
    await here.database.aclose()
    async with room(tmp_path / "bridge.db") as after:
        await _release_all(after)
        assert [row.status for row in await after.rows()] == ["skipped", "succeeded", "succeeded"]
        assert after.stamped.held == {"C-1": 3, "C-2": 2}


async def _release_all(here: Room) -> None:
    await here.still()
    while here.stamped.open:
        here.stamped.release(here.stamped.open[0])
        await here.still()


async def test_the_next_start_goes_on_with_what_a_killed_process_ran(here: Room, tmp_path: Path) -> None:
    caller = here.send(change(1))
    await here.still()
    copy = tmp_path / "copy.db"
    for name in ("bridge.db", "bridge.db-wal"):  # what is on the disk at the moment of a crash
        content = (tmp_path / name).read_bytes()
        Path(str(copy) + name.removeprefix("bridge.db")).write_bytes(content)  # noqa: ASYNC240 - small
    async with room(copy) as after:
        await after.release()
        (row,) = await after.rows()
        assert (row.status, row.promised, row.attempts) == ("succeeded", True, 2)
        attempts = await after.database.read(reports.attempts_of, row.seq)
        assert [each["outcome"] for each in attempts] == ["interrupted", "succeeded"]
    assert not caller.done()


async def test_an_attempt_that_nobody_runs_is_taken_over(here: Room) -> None:
    """As after a commit whose answer was lost: the row says that this replica runs it."""
    now = here.clock.now().timestamp()
    await here.database.run(moves.accept, change(1), here.engine._runner.replica, now)
    await heartbeat(here)
    assert here.stamped.open == [], "it may just be about to begin"
    await heartbeat(here)
    await here.release()
    assert [row.status for row in await here.rows()] == ["succeeded"]


async def test_only_a_replica_that_is_gone_is_taken_over(here: Room) -> None:
    now = here.clock.now().timestamp()
    await here.database.run(replicas.beat, GONE, now)
    await here.database.run(moves.accept, change(1), GONE, now)
    for _ in range(int(replicas.DEAD_AFTER_SECONDS / replicas.HEARTBEAT_SECONDS)):
        await heartbeat(here)
        assert here.stamped.open == []
    await heartbeat(here)
    await here.release()
    assert [row.status for row in await here.rows()] == ["succeeded"]


async def test_a_caller_follows_what_another_replica_runs(here: Room) -> None:
    new = change(1)
    now = here.clock.now().timestamp()
    await here.database.run(replicas.beat, GONE, now)
    entered = await here.database.run(moves.accept, new, GONE, now)
    caller = here.send(new)
    await here.still()
    assert not caller.done()
    result = endings.AttemptResult(Progress("created", "143491"), now)
    await here.database.run(endings.finish, entered.transfer, result, 0.0)
    async with asyncio.timeout(5):
        (outcome,) = await caller
    assert outcome.transfer.status == "succeeded"
    assert here.stamped.sent == []


async def test_an_end_is_written_as_soon_as_the_database_is_back(here: Room) -> None:
    here.send(change(1))
    await here.release()
    caller = here.send(change(2))
    await here.still()
    here.database.away = True
    await here.release()
    assert not caller.done()
    here.database.away = False
    here.fake_clock.advance(1)
    await here.still()
    assert [row.status for row in await here.rows()] == ["succeeded", "succeeded"]
    assert [outcome.transfer.status for outcome in caller.result()] == ["succeeded"]


async def test_a_replica_without_its_database_stops_before_it_is_taken_over(here: Room) -> None:
    """The others wait for DEAD_AFTER_SECONDS; until then nothing of it may still be at work."""
    here.send(change(1))
    await here.still()
    before = here.engine._runner.replica
    here.database.away = True
    beats = int(replicas.FENCE_SECONDS / replicas.HEARTBEAT_SECONDS)
    await heartbeat(here, beats)
    assert here.engine.running == 1
    await heartbeat(here)
    assert (beats + 1) * replicas.HEARTBEAT_SECONDS < replicas.DEAD_AFTER_SECONDS
    assert here.engine.running == 0
    assert here.stamped.open == []
    assert here.engine._runner.replica != before
    here.database.away = False
    await heartbeat(here, int(replicas.DEAD_AFTER_SECONDS / replicas.HEARTBEAT_SECONDS) + 1)
    await here.release()
    assert [row.status for row in await here.rows()] == ["succeeded"]


async def test_an_attempt_that_begins_as_the_last_one_ends_is_not_forgotten(here: Room) -> None:
    """Else the heartbeat would take it for one that nobody runs, and run it twice at once."""
    runner = here.engine._runner
    on_end = runner._on_end
    again: list[Stored] = []

    def at_the_end(finished: endings.Finished) -> None:
        if not again:
            entered = moves.Entered(replace(finished.transfer, owner=runner.replica), claimed=True)
            again.append(entered.transfer)
            runner.execute(entered, here.clock.monotonic() + 25)
        on_end(finished)

    runner._on_end = at_the_end
    here.send(change(1))
    await here.release("refused")
    assert again
    assert len(here.stamped.open) == 1
    assert here.engine.running == 1
    await here.release()
    assert here.engine.running == 0


@pytest.mark.parametrize("status", ["accepted", "running", "waiting"])
async def test_no_state_is_without_an_exit(here: Room, status: str) -> None:
    """Whatever a crash leaves behind, time alone brings it to its end."""
    now = here.clock.now().timestamp()

    def leave(connection: Connection) -> None:
        entered = moves.accept(connection, replace(change(1), promised=True), None, now)
        values = {
            "accepted": {},
            "running": {"status": "running", "owner": GONE, "attempts": 1, "started_at": now},
            "waiting": {"status": "waiting", "tries": 1, "next_attempt_at": now + 1200},
        }[status]
        if values:
            mine = transfers.c.seq == entered.transfer.seq
            connection.execute(update(transfers).where(mine).values(values))

    await here.database.run(leave)
    for _ in range(10):
        await here.advance(300)
        await _release_all(here)
    assert [row.status for row in await here.rows()] == ["succeeded"]


class _Held:
    """The database is busy with something else until `release`, so that what is asked of it stays under way."""

    def __init__(self, here: Room) -> None:
        self._go_on = threading.Event()
        self._task = asyncio.create_task(here.database.run(lambda _connection: self._go_on.wait(10)))

    async def release(self) -> None:
        self._go_on.set()
        await self._task


async def test_a_caller_that_is_just_being_accepted_gets_its_answer(here: Room) -> None:
    held = _Held(here)
    caller = here.send(change(1))
    await asyncio.sleep(0)
    draining = asyncio.create_task(here.engine.drain(20))
    await asyncio.sleep(0)
    await held.release()
    await here.release()
    await draining
    assert [outcome.transfer.status for outcome in await caller] == ["succeeded"]


async def test_a_rerun_that_is_just_being_accepted_gets_its_answer(here: Room) -> None:
    here.send(change(1))
    await here.release("refused")
    held = _Held(here)
    caller = asyncio.create_task(here.engine.rerun(1))
    await asyncio.sleep(0)
    draining = asyncio.create_task(here.engine.drain(20))
    await asyncio.sleep(0)
    await held.release()
    await here.release()
    await draining
    outcome = await caller
    assert outcome is not None
    assert outcome.transfer.status == "succeeded"


async def test_what_begins_as_the_drain_begins_may_end_too(here: Room) -> None:
    here.send(change(1))
    await here.still()
    held = _Held(here)
    caller = here.send(change(2, customer=2))
    await asyncio.sleep(0)
    draining = asyncio.create_task(here.engine.drain(20))
    await asyncio.sleep(0)
    here.stamped.release(here.stamped.open[0])  # the only one that ran when the drain began
    await held.release()
    await here.still()
    assert not draining.done()
    await here.release()
    await draining
    assert [outcome.transfer.status for outcome in await caller] == ["succeeded"]


async def test_what_is_just_being_claimed_as_the_drain_begins_may_end(
    here: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not claimed for nobody, to be taken over as if it had been broken off."""
    claim, begun, go_on = moves.claim, threading.Event(), threading.Event()

    def slow_claim(connection: Connection, seq: int, owner: str, now: float) -> moves.Entered | None:
        begun.set()
        go_on.wait(10)
        return claim(connection, seq, owner, now)

    monkeypatch.setattr(moves, "claim", slow_claim)
    await here.promise(change(1), change(2, customer=2))
    await asyncio.to_thread(begun.wait, 10)
    draining = asyncio.create_task(here.engine.drain(20))
    for _ in range(25):  # as far as it gets
        await asyncio.sleep(0)
    go_on.set()
    await _release_all(here)
    await draining
    assert {(row.status, row.attempts) for row in await here.rows()} <= {("succeeded", 1), ("accepted", 0)}
    assert here.stamped.held


async def test_rejections_are_written_before_the_end(here: Room) -> None:
    here.engine.upkeep.reject(422, "invalid-request", "Wrong.", None)
    await here.engine.drain(0)
    assert [row["reason"] for row in await here.database.read(reports.rejected, 10)] == ["Wrong."]


async def test_a_replica_that_stood_still_sends_nothing_more(here: Room) -> None:
    """Others may have sent something newer meanwhile."""
    runner = here.engine._runner
    runner._is_cut_off = lambda: True
    here.send(change(1))
    await here.still()
    assert here.stamped.open == []
    assert here.stamped.sent == []
    assert here.engine.running == 0
    runner._is_cut_off = lambda: False
    await heartbeat(here, 2)
    await here.release()
    assert [row.status for row in await here.rows()] == ["succeeded"]


async def _overtaken(here: Room, seq: int) -> None:
    """Others took this replica for dead, ran its transfer, and then sent a newer change."""
    now = here.clock.now().timestamp()
    done = endings.AttemptResult(Progress(action="updated", external_id="143491"), now)

    def take_over(connection: Connection) -> None:
        endings.give_up(connection, seq, here.engine._runner.replica, now)
        again = moves.claim(connection, seq, GONE, now)
        assert again is not None
        assert endings.finish(connection, again.transfer, done, 0.5)
        newer = moves.accept(connection, change(2), GONE, now)
        assert endings.finish(connection, newer.transfer, done, 0.5)

    await here.database.run(take_over)
    here.stamped.held["C-1"] = 2
    here.stamped.emails["143491"] = "person1@example.com"


@pytest.mark.parametrize("fenced", [False, True])
async def test_what_a_replica_sends_after_it_stood_still_does_not_last(here: Room, *, fenced: bool) -> None:
    here.send(change(1))
    await here.still()
    await _overtaken(here, 1)
    (late,) = here.stamped.open
    if fenced:
        here.stamped.held["C-1"] = 1  # it had left already
        here.engine._runner.fence()
    else:
        here.stamped.release(late)
        assert here.stamped.held == {"C-1": 1}
    await here.release()
    assert here.stamped.held == {"C-1": 2}
    assert [(row.trigger, row.status) for row in await here.rows()][2:] == [("repair", "succeeded")]


async def test_where_nothing_newer_was_sent_nothing_is_repaired(here: Room) -> None:
    here.send(change(1))
    await here.still()
    here.engine._runner.fence()
    await heartbeat(here, 10)
    await here.release()
    assert [(row.trigger, row.status) for row in await here.rows()] == [("webhook", "succeeded")]
