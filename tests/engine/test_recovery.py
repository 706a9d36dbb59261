"""Stops, crashes, a database that is away, and attempts that nobody runs any more."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from app.attempt import Failure, Progress
from app.engine.memory import Memory
from app.engine.pulse import Pulse
from app.error_catalog import Slug
from app.ledger import attempts, rejected, replicas, reports, triggers, work
from app.ledger.attempts import AttemptResult, Terms
from app.ledger.claims import Claim
from app.ledger.gates import Ask
from app.ledger.session import Session
from app.ledger.stored import Stored
from tests.engine.support import Room, SlowIpaas, ask, change, record, room
from tests.support import SCOPE

GONE = "a-replica-that-is-gone"
BEATS_TO_DEATH = int(replicas.DEAD_AFTER_SECONDS / replicas.HEARTBEAT_SECONDS)


def on_disk(directory: Path) -> Path:
    """What is on the disk at this moment, as if the process were killed."""
    copy = directory / "copy.db"
    for name in ("bridge.db", "bridge.db-wal"):
        content = (directory / name).read_bytes()
        Path(str(copy) + name.removeprefix("bridge.db")).write_bytes(content)
    return copy


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
    async with asyncio.timeout(5):
        answers = await asyncio.gather(caller, joined, behind)
    for (outcome,) in answers:
        assert outcome.transfer.is_final or outcome.transfer.promised
    assert here.engine.running == 0
    rows = await here.rows()
    assert "running" not in {row.status for row in rows}
    assert [row.status for row in rows] == ["skipped", "accepted", "accepted"]
    await here.database.aclose()
    async with room(tmp_path / "bridge.db") as after:
        await after.release_all()
        assert await after.statuses() == ["skipped", "succeeded", "succeeded"]
        assert after.stamped.held == {"C-1": 3, "C-2": 2}


async def test_the_next_start_goes_on_with_what_a_killed_process_ran(here: Room, tmp_path: Path) -> None:
    caller = here.send(change(1))
    await here.still()
    async with room(on_disk(tmp_path)) as after:
        await after.release()
        (row,) = await after.rows()
        assert (row.status, row.promised, row.attempts) == ("succeeded", True, 2)
        tried = await after.database.read(reports.attempts_of, row.seq)
        assert [each.outcome for each in tried] == ["interrupted", "succeeded"]
    assert not caller.done()


async def test_an_attempt_that_nobody_runs_is_taken_over(here: Room) -> None:
    """As after a commit whose answer was lost: the row says that this replica runs it."""
    now = here.now
    await here.database.run(triggers.accept, change(1), here.engine.pulse.replica, now)
    await here.beat()
    assert here.stamped.open == [], "it may just be about to begin"
    await here.beat()
    await here.release()
    assert await here.statuses() == ["succeeded"]


async def test_only_a_replica_that_is_gone_is_taken_over(here: Room) -> None:
    now = here.now
    await here.database.run(replicas.beat, GONE, now)
    await here.database.run(triggers.accept, change(1), GONE, now)
    for _ in range(BEATS_TO_DEATH):
        await here.beat()
        assert here.stamped.open == []
    await here.beat()
    await here.release()
    assert await here.statuses() == ["succeeded"]


async def test_a_caller_follows_what_another_replica_runs(here: Room) -> None:
    new = change(1)
    now = here.now
    await here.database.run(replicas.beat, GONE, now)
    entered = await here.database.run(triggers.accept, new, GONE, now)
    assert entered.claim is not None
    caller = here.send(new)
    await here.still()
    assert not caller.done()
    result = AttemptResult(Progress("created", "143491"), now)
    await here.database.run(attempts.finish, entered.claim, result, Terms())
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
    assert await here.statuses() == ["succeeded", "succeeded"]
    assert [outcome.transfer.status for outcome in caller.result()] == ["succeeded"]


async def test_a_replica_without_its_database_stops_before_it_is_taken_over(here: Room) -> None:
    """The others wait for DEAD_AFTER_SECONDS; until then nothing of it may still be at work."""
    here.send(change(1))
    await here.still()
    before = here.engine.pulse.replica
    here.database.away = True
    beats = int(replicas.FENCE_SECONDS / replicas.HEARTBEAT_SECONDS)
    await here.beat(beats)
    assert here.engine.running == 1
    await here.beat()
    assert (beats + 1) * replicas.HEARTBEAT_SECONDS < replicas.DEAD_AFTER_SECONDS
    assert here.engine.running == 0
    assert here.stamped.open == []
    assert here.engine.pulse.replica != before
    here.database.away = False
    await here.beat(BEATS_TO_DEATH + 1)
    await here.release()
    assert await here.statuses() == ["succeeded"]


async def test_an_attempt_that_begins_as_the_last_one_ends_is_not_forgotten(here: Room) -> None:
    """Else the heartbeat would take it for one that nobody runs, and run it twice at once."""
    runner, go_on, key = here.engine._runner, asyncio.Event(), (SCOPE, "1")

    async def follows() -> None:
        await go_on.wait()

    async def ends() -> None:
        runner._start(key, follows())

    await runner._start(key, ends())
    await here.still()
    assert here.engine.running == 1
    go_on.set()
    await here.still()
    assert here.engine.running == 0


FAILED = Failure(Slug.CUSTOMER, 502, "Not now.", retryable=True)


def _begun(connection: Session, new: triggers.NewTransfer, now: float) -> Claim | Stored:
    entered = triggers.accept(connection, new, GONE, now)
    return entered.claim or entered.transfer


@pytest.mark.parametrize("new", [change(1), ask()], ids=["record", "load"])
@pytest.mark.parametrize("status", ["accepted", "running", "waiting"])
async def test_no_state_is_without_an_exit(tmp_path: Path, status: str, new: triggers.NewTransfer) -> None:
    """Whatever a crash leaves behind, time alone brings it to its end."""
    new, ipaas = replace(new, promised=True), SlowIpaas(record(1))

    def leave(connection: Session, now: float) -> None:
        if status == "accepted":
            triggers.accept(connection, new, None, now)
            return
        begun, result = _begun(connection, new, now), AttemptResult(Progress(), now, FAILED)
        if status == "running":
            return
        if isinstance(begun, Claim):
            attempts.finish(connection, begun, result, Terms())
        else:
            attempts.not_loaded(connection, begun, result, Terms())

    async with room(tmp_path / "bridge.db", ipaas=ipaas) as here:
        await here.database.run(leave, here.now)
        assert await here.statuses() == [status]
        for _ in range(10):
            await here.advance(300)
            for load in list(ipaas.open):
                ipaas.release(load)
            await here.release_all()
        assert set(await here.statuses()) == {"succeeded"}


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
    (failed,) = await here.rows()
    caller = asyncio.create_task(here.engine.rerun(failed))
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
    claim, begun, go_on = work.claim_work, threading.Event(), threading.Event()

    def slow_claim(
        connection: Session, asks: Sequence[Ask], owner: str, now: float, *, careful: bool
    ) -> work.Work:
        begun.set()
        go_on.wait(10)
        return claim(connection, asks, owner, now, careful=careful)

    await here.database.run(_accept_promised, [change(1), change(2, customer=2)], here.now)
    monkeypatch.setattr(work, "claim_work", slow_claim)
    here.engine.settle()
    await asyncio.to_thread(begun.wait, 10)
    draining = asyncio.create_task(here.engine.drain(20))
    for _ in range(25):  # as far as it gets
        await asyncio.sleep(0)
    go_on.set()
    await here.release_all()
    await draining
    assert {(row.status, row.attempts) for row in await here.rows()} == {("succeeded", 1)}


def _accept_promised(connection: Session, news: list[triggers.NewTransfer], now: float) -> None:
    for new in news:
        triggers.accept(connection, replace(new, promised=True), None, now)


async def test_rejections_are_written_before_the_end(here: Room) -> None:
    here.engine.upkeep.reject(422, "invalid-request", "Wrong.", None)
    await here.engine.drain(0)
    assert [row["reason"] for row in await here.database.read(rejected.listed, None, None, None, 10)] == ["Wrong."]


async def test_a_drain_lets_loads_end_and_what_follows_them(tmp_path: Path) -> None:
    ipaas = SlowIpaas(record(1))
    async with room(tmp_path / "bridge.db", ipaas=ipaas) as here:
        caller = here.send(ask())
        await here.still()
        draining = asyncio.create_task(here.engine.drain(20))
        await here.still()
        ipaas.release(ipaas.open[0])
        await here.still()
        assert not draining.done()
        await here.release()
        await draining
        assert [outcome.transfer.status for outcome in caller.result()] == ["succeeded"]


async def test_a_load_that_does_not_end_in_time_is_promised_and_left(tmp_path: Path) -> None:
    ipaas = SlowIpaas(record(1))
    async with room(tmp_path / "bridge.db", ipaas=ipaas) as here:
        caller = here.send(ask())
        await here.still()
        await here.engine.drain(0)
        async with asyncio.timeout(5):
            (outcome,) = await caller
        assert outcome.transfer.promised
        (row,) = await here.rows()
        assert (row.status, row.loading, here.engine.running, ipaas.open) == ("accepted", True, 0, [])
    async with room(tmp_path / "bridge.db", ipaas=ipaas) as after:
        ipaas.release(ipaas.open[0])
        await after.release()
        assert await after.statuses() == ["succeeded"]


async def test_a_record_that_is_loaded_as_the_drain_ends_its_customers_attempt_is_left_for_the_next_start(
    tmp_path: Path,
) -> None:
    """It has its place in the order, and nobody began it."""
    ipaas = SlowIpaas(record(2))
    async with room(tmp_path / "bridge.db", ipaas=ipaas) as here:
        here.send(change(1))
        caller = here.send(ask())
        await here.still()
        draining = asyncio.create_task(here.engine.drain(20))
        await here.still()
        ipaas.release(ipaas.open[0])
        await here.still()
        await here.release()
        await draining
        (outcome,) = await caller
        assert (outcome.transfer.status, outcome.transfer.promised) == ("accepted", True)
        assert here.stamped.held == {"C-1": 1}
    async with room(tmp_path / "bridge.db", ipaas=ipaas, stamped=here.stamped) as after:
        await after.release()
        assert await after.statuses() == ["succeeded", "succeeded"]
        assert after.stamped.held == {"C-1": 2}


async def test_a_load_of_a_replica_that_is_gone_is_done_again(tmp_path: Path) -> None:
    ipaas = SlowIpaas(record(1))
    async with room(tmp_path / "bridge.db", ipaas=ipaas) as here:
        await here.database.run(replicas.beat, GONE, here.now)
        await here.database.run(triggers.accept, ask(), GONE, here.now)
        await here.beat(BEATS_TO_DEATH)
        assert ipaas.open == []
        await here.beat()
        ipaas.release(ipaas.open[0])
        await here.release()
        (row,) = await here.rows()
        assert (row.status, row.attempts) == ("succeeded", 2)


async def test_a_replica_that_stood_still_sends_nothing_more(here: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    """Others may have sent something newer meanwhile."""
    monkeypatch.setattr(Pulse, "is_cut_off", property(lambda _: True))
    here.send(change(1))
    await here.still()
    assert here.stamped.open == []
    assert here.stamped.sent == []
    assert here.engine.running == 0
    monkeypatch.undo()
    await here.beat(2)
    await here.release()
    assert await here.statuses() == ["succeeded"]


async def test_an_attempt_that_cannot_be_recorded_ends_as_an_error_of_ours(
    here: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish = attempts.finish
    broke: list[AttemptResult] = []

    def breaks_once(
        connection: Session, claimed: Claim, result: AttemptResult, terms: Terms
    ) -> attempts.Finished | None:
        if not broke:
            broke.append(result)
            raise ZeroDivisionError
        return finish(connection, claimed, result, terms)

    monkeypatch.setattr(attempts, "finish", breaks_once)
    caller = here.send(change(1))
    with capture_logs() as lines:
        await here.release()
    assert [line["exc_info"] for line in lines if line["log_level"] == "error"] == [True]
    (outcome,) = caller.result()
    assert (outcome.transfer.status, outcome.transfer.error) == ("failed", "internal-error")
    assert here.engine.running == 0
    await here.advance(4 * here.timeout)
    assert await here.verifications() == ["succeeded"], "what it did is unknown"


async def test_what_breaks_an_attempt_ends_it_as_an_error_of_ours(
    here: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def breaks(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Memory, "remember", breaks)
    caller = here.send(change(1))
    with capture_logs() as lines:
        await here.release()
    assert [line["exc_info"] for line in lines if line["log_level"] == "error"] == [True]
    (outcome,) = caller.result()
    assert (outcome.transfer.status, outcome.transfer.error) == ("failed", "internal-error")


async def test_a_loaded_record_that_cannot_be_kept_fails_its_trigger_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(triggers, "loaded", breaks)
    ipaas = SlowIpaas(record(1))
    async with room(tmp_path / "bridge.db", ipaas=ipaas) as here:
        caller = here.send(ask())
        await here.still()
        with capture_logs() as lines:
            ipaas.release(ipaas.open[0])
            await here.still()
        assert [line["exc_info"] for line in lines if line["log_level"] == "error"] == [True]
        (outcome,) = caller.result()
        assert (outcome.transfer.status, outcome.transfer.error) == ("failed", "internal-error")
        assert [line["status"] for line in lines if line["event"] == "transfer"] == ["failed"], "it has its line"
        (tried,) = await here.database.read(reports.attempts_of, outcome.transfer.seq)
        assert [(call.system, call.operation, call.outcome) for call in tried.calls] == [("ipaas", "load", "ok")]
        here.send(change(2))
        await here.release()
        assert await here.statuses() == ["failed", "succeeded"]
