"""Beside others: who lives, who takes over from whom, and two replicas on one database in this process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from app.attempt import Progress
from app.engine import NotTaking
from app.ipaas.models import read_record
from app.ledger import attempts, claims, replicas, triggers
from app.ledger.attempts import AttemptResult, Terms
from app.ledger.faults import DatabaseGone
from app.ledger.session import Session
from app.ledger.stored import Stored
from tests.engine.support import Room, SlowIpaas, ask, change, record, room
from tests.engine.test_recovery import BEATS_TO_DEATH, GONE
from tests.ledger.support import loads
from tests.support import SCOPE

BEATS_TO_FENCE = int(replicas.FENCE_SECONDS / replicas.HEARTBEAT_SECONDS)


@pytest.fixture
async def other(here: Room, tmp_path: Path) -> AsyncIterator[Room]:
    """A second replica, on the same database."""
    async with room(tmp_path, beside=here) as opened:
        yield opened


@pytest.fixture
async def one_of_several(here: Room, monkeypatch: pytest.MonkeyPatch) -> Room:
    """As on PostgreSQL, where others may take over what runs here."""
    beat = replicas.beat

    def by_database(connection: Session, replica: str, _: float | None = None) -> float:
        return beat(connection, replica, here.clock.now().timestamp())

    monkeypatch.setattr(replicas, "beat", by_database)
    monkeypatch.setattr(here.database, "is_sqlite", False)
    await here.beat()
    return here


async def test_heartbeats_leave_idle_customers_alone(here: Room) -> None:
    here.send(change(1))
    await here.release()
    with capture_logs() as lines:
        for _ in range(BEATS_TO_DEATH):
            await here.beat()
            await here.advance(0)
    assert [line["event"] for line in lines] == []
    assert here.database.asked["release"] == 0
    assert await here.statuses() == ["succeeded"]


async def test_readiness_goes_with_the_age_of_the_last_good_heartbeat(one_of_several: Room) -> None:
    here = one_of_several
    here.database.away = True
    await here.beat(2)
    assert here.engine.taking, "one that was not written may be the next one's luck"
    await here.beat()
    assert not here.engine.taking
    with pytest.raises(NotTaking):
        await here.engine.run([change(1)])
    here.database.away = False
    assert not here.engine.taking
    await here.beat()
    assert here.engine.taking
    assert await here.promise(change(1))


async def test_a_replica_is_not_ready_while_its_heartbeat_hangs(
    one_of_several: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing fails, and nothing is said."""
    here, hangs = one_of_several, asyncio.Event()

    async def beat(*_: object) -> None:
        await hangs.wait()

    monkeypatch.setattr(here.database, "beat", beat)
    await here.beat(4)
    assert not here.engine.taking
    monkeypatch.undo()


@pytest.mark.parametrize("failure", [DatabaseGone("away"), ZeroDivisionError()], ids=["gone", "broken"])
async def test_a_heartbeat_counts_though_nothing_can_be_taken_over(
    one_of_several: Room, monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    here = one_of_several
    here.send(change(1))
    await here.still()
    before = here.engine.pulse.replica
    monkeypatch.setattr(replicas, "bury", raising(failure))
    with capture_logs():
        await here.beat(2 * BEATS_TO_FENCE)
    assert here.engine.taking
    assert here.engine.pulse.replica == before
    await here.release()
    assert await here.statuses() == ["succeeded"]


def raising(failure: Exception) -> Callable[..., Any]:
    def breaks(*_: object) -> None:
        raise failure

    return breaks


def _orphans(connection: Session, now: float) -> None:
    replicas.beat(connection, GONE, now)
    for customer in (1, 2, 3):
        triggers.accept(connection, change(1, customer=customer), GONE, now)


def _stuck(monkeypatch: pytest.MonkeyPatch, failure: Exception) -> None:
    release = attempts.release

    def others(
        connection: Session, name: str, customer_id: str, owner: str, now: float, terms: Terms
    ) -> list[Stored] | None:
        if customer_id == "1":
            raise failure
        return release(connection, name, customer_id, owner, now, terms)

    monkeypatch.setattr(attempts, "release", others)


@pytest.mark.parametrize("failure", [DatabaseGone("locked"), ZeroDivisionError()], ids=["locked", "broken"])
async def test_an_orphan_that_cannot_be_taken_over_keeps_nobody_from_the_others(
    here: Room, monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    await here.database.run(_orphans, here.now)
    _stuck(monkeypatch, failure)
    with capture_logs():
        await here.beat(BEATS_TO_DEATH + 1)
    await here.release_all()
    assert await here.statuses() == ["running", "succeeded", "succeeded"]
    monkeypatch.undo()
    await here.beat()
    await here.release_all()
    assert (await here.statuses())[:3] == ["succeeded"] * 3


@pytest.mark.parametrize("failure", [DatabaseGone("locked"), ZeroDivisionError()], ids=["locked", "broken"])
async def test_an_orphan_that_cannot_be_taken_over_keeps_no_replica_from_its_start(
    here: Room, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    await here.database.run(_orphans, here.now)
    await here.engine.drain(0)
    _stuck(monkeypatch, failure)
    async with room(tmp_path, beside=here) as after:
        await after.release_all()
        assert (await after.statuses())[1:3] == ["succeeded"] * 2


async def test_a_replica_that_froze_sends_nothing_more_when_it_wakes(one_of_several: Room) -> None:
    """Others may have sent something newer meanwhile."""
    here = one_of_several
    here.send(change(1))
    await here.still()
    before = here.engine.pulse.replica
    here.fake_clock._seconds[0] += replicas.FENCE_SECONDS + 1  # nobody wakes for it
    here.stamped.release(here.stamped.open[0], "away")
    await here.still()
    assert (here.stamped.open, here.stamped.sent, here.engine.running) == ([], [], 0), "its repeat is not sent"
    assert here.engine.pulse.replica != before
    await here.beat(BEATS_TO_DEATH + 1)
    await here.release_all()
    assert (await here.statuses())[0] == "succeeded"


async def test_two_replicas_share_the_work_and_never_run_a_customer_twice_at_once(here: Room, other: Room) -> None:
    for number in range(8):
        await (here, other)[number % 2].promise(change(number, customer=number // 2))
    await here.still()
    assert (here.engine.running, other.engine.running) > (0, 0)
    await here.release_all()
    rows = await here.rows()
    assert {row.status for row in rows} <= {"succeeded", "skipped"}
    assert {row.attempts for row in rows if row.status == "succeeded"} == {1}
    assert here.stamped.held == {f"C-{customer}": 2 * customer + 1 for customer in range(4)}
    assert here.stamped.most_at_once == 1


@pytest.mark.parametrize("count", [1, 2, 3])
async def test_more_replicas_ask_the_database_hardly_more(here: Room, tmp_path: Path, count: int) -> None:
    async with AsyncExitStack() as stack:
        more = [await stack.enter_async_context(room(tmp_path, beside=here)) for _ in range(count - 1)]
        before = here.database.asked.total()
        customers = 30
        await here.promise(*(change(1, customer=number) for number in range(customers)))
        for each in [here, *more]:
            each.engine.settle()
        await here.release_all()
        assert await here.statuses() == ["succeeded"] * customers
        assert here.database.asked.total() - before < 5 * customers


async def test_a_caller_learns_that_another_replica_got_a_newer_change(here: Room, other: Room) -> None:
    here.send(change(1))
    await here.still()
    waiting = here.send(change(2))
    await here.still()
    (newest,) = await other.promise(change(3))
    async with asyncio.timeout(5):
        (outcome,) = await waiting
    assert (outcome.transfer.status, outcome.transfer.superseded_by) == ("skipped", newest.id)
    await here.release_all()
    assert here.stamped.held == {"C-1": 3}


async def test_a_caller_whose_customer_is_at_work_elsewhere_gets_its_answer(here: Room, other: Room) -> None:
    here.send(change(1))
    await here.still()
    waiting = other.send(change(2))
    await here.release()
    await here.release()
    async with asyncio.timeout(5):
        (outcome,) = await waiting
    assert outcome.transfer.status == "succeeded"


def _overtake(connection: Session, replica: str, now: float) -> None:
    """The others took this replica for dead, and did all of its work, and more."""
    done = AttemptResult(Progress(action="updated", external_id="143491"), now)
    assert attempts.release(connection, SCOPE, "1", replica, now, Terms())
    again = claims.claim(connection, SCOPE, "1", GONE, now)
    assert again is not None
    assert attempts.finish(connection, again, done, Terms())


async def test_a_caller_whose_attempt_was_taken_over_gets_its_answer(here: Room) -> None:
    caller = here.send(change(1))
    await here.still()
    await here.database.run(_overtake, here.engine.pulse.replica, here.now)
    await here.release()
    async with asyncio.timeout(5):
        (outcome,) = await caller
    assert outcome.transfer.status == "succeeded"


async def test_a_caller_whose_replica_was_fenced_gets_its_answer(here: Room) -> None:
    caller = here.send(change(1))
    await here.still()
    await here.database.run(_overtake, here.engine.pulse.replica, here.now)
    here.engine._fence()
    async with asyncio.timeout(5):
        (outcome,) = await caller
    assert outcome.transfer.status == "succeeded"


async def test_a_caller_whose_load_was_taken_over_gets_its_answer(tmp_path: Path) -> None:
    ipaas = SlowIpaas(record(1))
    async with room(tmp_path / "bridge.db", ipaas=ipaas) as here:
        caller = here.send(ask())
        await here.still()
        await here.database.run(_overtake_load, here.engine.pulse.replica, here.now)
        ipaas.release(ipaas.open[0])
        async with asyncio.timeout(5):
            (outcome,) = await caller
        assert (outcome.transfer.status, here.stamped.sent) == ("succeeded", [])


def _overtake_load(connection: Session, replica: str, now: float) -> None:
    assert attempts.release_load(connection, 1, replica, now)
    (claimed,) = loads(connection, SCOPE, GONE, now, 1)
    entered = triggers.loaded(connection, claimed, read_record(record(1)), None, GONE, now)
    assert entered is not None
    assert entered.claim is not None
    done = AttemptResult(Progress(action="created", external_id="143491"), now)
    assert attempts.finish(connection, entered.claim, done, Terms())


async def test_what_a_replica_leaves_when_it_stops_others_go_on_with(here: Room, other: Room) -> None:
    caller = here.send(change(1))
    await here.still()
    await here.engine.drain(0)
    await other.advance(0)
    await other.release()
    async with asyncio.timeout(5):
        (outcome,) = await caller
    assert outcome.transfer.is_final or outcome.transfer.promised
    assert (await other.statuses())[0] == "succeeded"
    assert here.stamped.most_at_once == 1


async def test_a_replica_that_lives_is_not_taken_over(here: Room, other: Room) -> None:
    here.send(change(1))
    await here.still()
    await other.beat(2 * BEATS_TO_DEATH)
    assert len(here.stamped.open) == 1
    assert (here.engine.running, other.engine.running) == (1, 0)
    await here.release()
    assert await here.statuses() == ["succeeded"]
