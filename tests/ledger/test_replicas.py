"""Who lives, who is dead, and what the dead left running."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import select, update

from app.ledger import attempts, replicas, tables
from app.ledger.replicas import DEAD_AFTER_SECONDS, HEARTBEAT_SECONDS, Orphans
from app.ledger.session import Session
from tests.ledger.support import CUSTOMER, OTHER, OWNER, Halfway, Ledger, bare, change
from tests.support import SCOPE


async def beat(ledger: Ledger, replica: str) -> Orphans:
    """As a replica does it: say that it lives, then look who does not."""
    now = await ledger.do(replicas.beat, replica, ledger.now)
    return await ledger.do(replicas.bury, replica, now)


def orphan(owner: str = OWNER, customer: str = CUSTOMER) -> Orphans:
    return Orphans([(SCOPE, customer, owner)], [])


NOBODY = Orphans([], [])


async def test_what_a_living_replica_runs_is_its_own(ledger: Ledger) -> None:
    await beat(ledger, OWNER)
    await ledger.begun()
    for _ in range(10):
        ledger.now += HEARTBEAT_SECONDS
        await beat(ledger, OWNER)
        assert await beat(ledger, OTHER) == NOBODY


async def test_a_replica_is_told_what_the_ledger_says_it_runs(ledger: Ledger) -> None:
    await beat(ledger, OTHER)
    await ledger.begun()
    loading = await ledger.loading(bare(customer="2"))
    assert await beat(ledger, OWNER) == Orphans(orphan().customers, [(loading.seq, OWNER)])


async def test_what_a_dead_one_left_is_found_once_it_is_dead(ledger: Ledger) -> None:
    await beat(ledger, OWNER)
    await ledger.begun()
    loading = await ledger.loading(bare(customer="2"))
    left = Orphans(orphan().customers, [(loading.seq, OWNER)])
    ledger.now += DEAD_AFTER_SECONDS
    assert await beat(ledger, OTHER) == NOBODY
    ledger.now += 1
    assert await beat(ledger, OTHER) == left
    assert await beat(ledger, "third") == left, "until somebody released it"
    await ledger.release()
    await ledger.do(attempts.release_load, loading.seq, OWNER, ledger.now)
    assert await beat(ledger, OTHER) == NOBODY


async def test_one_that_leaves_is_dead_at_once(ledger: Ledger) -> None:
    await beat(ledger, OWNER)
    await beat(ledger, OTHER)
    await ledger.begun()
    await ledger.do(replicas.leave, OWNER)
    assert await beat(ledger, OTHER) == orphan()
    assert await beat(ledger, "third") == orphan(), "and nobody else is"


async def test_at_the_start_on_sqlite_all_others_are_dead(ledger: Ledger) -> None:
    await beat(ledger, OWNER)
    await ledger.begun()
    await ledger.do(replicas.leave)
    assert await beat(ledger, OTHER) == orphan()


async def test_nobody_buries_itself_however_late_it_is(ledger: Ledger) -> None:
    for name in (OWNER, OTHER):
        await beat(ledger, name)
    assert await ledger.do(replicas.bury, OWNER, ledger.now + DEAD_AFTER_SECONDS + 1) == NOBODY

    def known(connection: Session) -> list[str]:
        return list(connection.execute(select(tables.replicas.c.id)).scalars())

    assert await ledger.database.read(known) == [OWNER]


async def test_what_has_ended_or_waits_is_nobodys(ledger: Ledger) -> None:
    await ledger.waiting(change(customer="1", promised=True))
    await ledger.succeeded(change(customer="2"))
    await ledger.not_loaded(await ledger.loading(bare(customer="3", promised=True)))
    assert await beat(ledger, OTHER) == NOBODY


async def test_replicas_that_start_and_beat_at_the_same_time(ledger: Ledger) -> None:
    await ledger.pending()
    names = [f"replica-{number}" for number in range(8)]
    for _ in range(3):
        assert await asyncio.gather(*(beat(ledger, name) for name in names)) == [NOBODY] * 8
        ledger.now += DEAD_AFTER_SECONDS + 1  # each finds the others dead, and itself late


@pytest.mark.parametrize("empty_url", ["postgresql"], indirect=True)
async def test_nobody_waits_for_one_that_is_just_saying_that_it_lives(ledger: Ledger) -> None:
    """After an outage all are late at once: each would delete the others, and they would wait in a circle."""
    for name in (OWNER, OTHER):
        await beat(ledger, name)
    ledger.now += DEAD_AFTER_SECONDS + 1
    halfway = Halfway()

    def about_to_beat(connection: Session) -> None:
        mine = tables.replicas.c.id == OTHER
        connection.execute(update(tables.replicas).where(mine).values(seen_at=ledger.now))
        halfway.stop()

    slow = asyncio.create_task(ledger.do(about_to_beat))
    await halfway.reached.wait()
    try:
        async with asyncio.timeout(5):
            assert await beat(ledger, OWNER) == NOBODY
    finally:
        halfway.go_on.set()
        await slow


@pytest.mark.parametrize("empty_url", ["postgresql"], indirect=True)
async def test_replicas_are_judged_by_one_clock(ledger: Ledger) -> None:
    """By the database's, whatever each replica takes for the time."""

    async def look() -> Orphans:
        return await ledger.do(replicas.bury, OTHER, await ledger.do(replicas.beat, OTHER))

    await ledger.do(replicas.beat, OWNER)
    await ledger.begun()
    ledger.now += DEAD_AFTER_SECONDS * 10
    assert await look() == NOBODY
    await ledger.do(_was_seen_earlier, OWNER, DEAD_AFTER_SECONDS + 1)
    assert await look() == orphan()


def _was_seen_earlier(connection: Session, replica: str, seconds: float) -> None:
    seen = tables.replicas.c.seen_at
    connection.execute(
        update(tables.replicas).where(tables.replicas.c.id == replica).values(seen_at=seen - seconds)
    )
