"""Who lives, who is dead, and what the dead left running."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import Connection, update

from app.ledger import replicas, tables
from app.ledger.replicas import DEAD_AFTER_SECONDS, HEARTBEAT_SECONDS
from tests.ledger.support import OTHER, OWNER, Ledger, change


async def beat(ledger: Ledger, replica: str) -> list[tuple[int, str]]:
    found = await ledger.do(replicas.beat, replica, ledger.now)
    return [(seq, owner) for seq, owner, _ in found]


async def test_what_a_living_replica_runs_is_its_own(ledger: Ledger) -> None:
    await beat(ledger, OWNER)
    await ledger.running()
    for _ in range(10):
        ledger.now += HEARTBEAT_SECONDS
        await beat(ledger, OWNER)
        assert await beat(ledger, OTHER) == []


async def test_a_replica_is_told_what_the_ledger_says_it_runs(ledger: Ledger) -> None:
    await beat(ledger, OTHER)
    mine = await ledger.running()
    assert await beat(ledger, OWNER) == [(mine.seq, OWNER)]


async def test_what_a_dead_one_left_is_found_once_it_is_dead(ledger: Ledger) -> None:
    await beat(ledger, OWNER)
    left = await ledger.running()
    ledger.now += DEAD_AFTER_SECONDS
    assert await beat(ledger, OTHER) == []
    ledger.now += 1
    assert await beat(ledger, OTHER) == [(left.seq, OWNER)]
    assert await beat(ledger, "third") == [(left.seq, OWNER)], "until somebody gave it up"


async def test_one_that_leaves_is_dead_at_once(ledger: Ledger) -> None:
    await beat(ledger, OWNER)
    left = await ledger.running()
    await ledger.do(replicas.leave, OWNER)
    assert await beat(ledger, OTHER) == [(left.seq, OWNER)]


async def test_at_the_start_on_sqlite_all_others_are_dead(ledger: Ledger) -> None:
    await beat(ledger, OWNER)
    left = await ledger.running()
    await ledger.do(replicas.leave)
    assert await beat(ledger, OTHER) == [(left.seq, OWNER)]


async def test_replicas_that_start_and_beat_at_the_same_time(ledger: Ledger) -> None:
    await ledger.accept(change(), None)
    names = [f"replica-{number}" for number in range(8)]
    for _ in range(3):
        assert await asyncio.gather(*(beat(ledger, name) for name in names)) == [[]] * 8
        ledger.now += DEAD_AFTER_SECONDS + 1  # each finds the others dead, and itself late


@pytest.mark.parametrize("empty_url", ["postgresql"], indirect=True)
async def test_nobody_waits_for_one_that_is_just_saying_that_it_lives(ledger: Ledger) -> None:
    """After an outage all are late at once: each would delete the others, and they would wait in a circle."""
    for name in (OWNER, OTHER):
        await beat(ledger, name)
    ledger.now += DEAD_AFTER_SECONDS + 1
    loop, said, go_on = asyncio.get_running_loop(), asyncio.Event(), asyncio.Event()

    def about_to_beat(connection: Connection) -> None:
        mine = tables.replicas.c.id == OTHER
        connection.execute(update(tables.replicas).where(mine).values(seen_at=ledger.now))
        loop.call_soon_threadsafe(said.set)
        asyncio.run_coroutine_threadsafe(go_on.wait(), loop).result(10)

    slow = asyncio.create_task(ledger.do(about_to_beat))
    await said.wait()
    try:
        async with asyncio.timeout(5):
            assert await beat(ledger, OWNER) == []
    finally:
        go_on.set()
        await slow


@pytest.mark.parametrize("empty_url", ["postgresql"], indirect=True)
async def test_replicas_are_judged_by_one_clock(ledger: Ledger) -> None:
    """By the database's, whatever each replica takes for the time."""
    await ledger.do(replicas.beat, OWNER)
    left = await ledger.running()
    ledger.now += DEAD_AFTER_SECONDS * 10
    assert await ledger.do(replicas.beat, OTHER) == []
    await ledger.do(_was_seen_earlier, OWNER, DEAD_AFTER_SECONDS + 1)
    assert [(seq, owner) for seq, owner, _ in await ledger.do(replicas.beat, OTHER)] == [(left.seq, OWNER)]


def _was_seen_earlier(connection: Connection, replica: str, seconds: float) -> None:
    seen = tables.replicas.c.seen_at
    connection.execute(
        update(tables.replicas).where(tables.replicas.c.id == replica).values(seen_at=seen - seconds)
    )
