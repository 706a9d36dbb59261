"""Attempts are counted when they ended, whatever becomes of them; hours that are over once, by one replica."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import delete, select

from app.clock import Clock
from app.engine.upkeep import Upkeep
from app.ledger import hours
from app.ledger.database import Database
from app.ledger.database_url import read_url
from app.ledger.hours import ALL, HOUR, LATE_SECONDS, hour_of
from app.ledger.session import Session
from app.ledger.tables import DAY, attempts
from app.ledger.tables import hours as table
from app.ledger.tallies import LADDER, Tally, seconds_of
from app.telemetry.metrics import Metrics
from tests.ledger.support import ELSEWHERE, REFUSED, START, Ledger, change
from tests.support import SCOPE

FIRST = hour_of(START)
Counts = dict[int, tuple[int, int, int]]


async def history(ledger: Ledger, connection: str = "", until: float | None = None) -> Counts:
    """Succeeded, failed, recovered, by the number of the hour."""
    found = await ledger.database.read(hours.history, FIRST, until or ledger.now + HOUR, connection)
    return {
        (hour - FIRST) // HOUR: (each.succeeded, each.failed, each.recovered)
        for hour, each in sorted(found.items())
        if each.total or each.recovered
    }


async def close_all(ledger: Ledger, now: float | None = None) -> int:
    """How many hours."""
    closed = 0
    while closing := await ledger.database.read(hours.over, now or ledger.now):
        assert await ledger.do(hours.close, closing)
        closed += (closing.end - closing.first) // HOUR
    return closed


async def test_a_re_run_leaves_the_failure_in_its_hour_and_marks_it(ledger: Ledger) -> None:
    failed = await ledger.failed(change(1, customer="1"), REFUSED)
    await ledger.failed(change(1, customer="2"), REFUSED)
    await ledger.succeeded(change(1, customer="3"))
    assert await history(ledger) == {0: (1, 2, 0)}
    ledger.now += 3 * HOUR
    assert await close_all(ledger) == 2, "the third may not be whole yet"
    assert await history(ledger) == {0: (1, 2, 0)}, "closed, and nothing is different"
    again = await ledger.again(failed)
    assert again.claim is not None
    await ledger.finish(again.claim)
    expected = {0: (1, 2, 1), 3: (1, 0, 0)}
    assert await history(ledger) == expected, "known at once"
    ledger.now += 2 * HOUR
    assert await close_all(ledger) == 2
    assert await history(ledger) == expected, "and kept in the hour that was closed before"
    assert await history(ledger, "default") == expected
    assert await history(ledger, "1797") == {}


async def test_what_is_not_closed_is_counted_now(ledger: Ledger) -> None:
    for number in range(60):
        await ledger.succeeded(change(1, customer=str(number)))
        ledger.now += HOUR / 2
    live = await history(ledger)
    assert sum(each[0] for each in live.values()) == 60
    closing = await ledger.database.read(hours.over, ledger.now)
    assert closing is not None
    assert await ledger.do(hours.close, closing), "some of them"
    assert await history(ledger) == live
    await close_all(ledger)
    assert await history(ledger) == live
    assert await ledger.database.read(hours.over, ledger.now) is None
    assert await history(ledger, until=FIRST + 3 * HOUR) == {0: live[0], 1: live[1], 2: live[2]}


async def test_an_hour_is_closed_when_nothing_can_come_late(ledger: Ledger) -> None:
    await ledger.succeeded(change(1))
    over = FIRST + HOUR + LATE_SECONDS
    assert await close_all(ledger, over - 1) == 0
    assert await close_all(ledger, over) == 1


async def test_connections_are_apart_and_together(ledger: Ledger) -> None:
    await ledger.succeeded(change(1, customer="1"))
    elsewhere = await ledger.failed(change(1, customer="2"))

    def move(session: Session) -> None:
        session.connection.exec_driver_sql(
            f"UPDATE transfers SET connection = '{ELSEWHERE}' WHERE seq = {elsewhere.seq}"  # noqa: S608 - our own
        )

    await ledger.do(move)
    for _ in range(2):
        assert await history(ledger) == {0: (1, 1, 0)}
        assert await history(ledger, "default") == {0: (1, 0, 0)}
        assert await history(ledger, "1797") == {0: (0, 1, 0)}
        assert await history(ledger, "179") == {}
        await close_all(ledger, ledger.now + 2 * HOUR)


async def test_two_replicas_count_an_hour_once(ledger: Ledger, empty_url: str) -> None:
    failed = await ledger.failed(change(1, customer="1"), REFUSED)
    ledger.now += 2 * HOUR
    await close_all(ledger)
    again = await ledger.again(failed)
    assert again.claim is not None
    await ledger.finish(again.claim)
    ledger.now += 2 * HOUR
    closing = await ledger.database.read(hours.over, ledger.now)
    assert closing is not None
    if ledger.database.is_sqlite:
        kept = [await ledger.do(hours.close, closing) for _ in range(2)]
    else:
        other = Database(read_url(empty_url))
        kept = list(await asyncio.gather(*(each.run(hours.close, closing) for each in (ledger.database, other))))
        await other.aclose()
    assert sorted(kept) == [False, True]
    assert await history(ledger) == {0: (0, 1, 1), 2: (1, 0, 0)}


async def test_closed_hours_are_all_that_is_needed_and_go_in_the_end(ledger: Ledger) -> None:
    await ledger.succeeded(change(1, customer="1"))
    ledger.now += 2 * HOUR
    await close_all(ledger)

    def empty(session: Session) -> None:
        session.execute(delete(attempts))

    def kept(session: Session) -> list[tuple[str, int]]:
        return [(row.connection, row.hour) for row in session.execute(select(table).order_by(table.c.connection))]

    before = await ledger.database.read(kept)
    assert (ALL, FIRST) in before
    assert (SCOPE, FIRST) in before
    await ledger.do(empty)
    assert await history(ledger) == {0: (1, 0, 0)}
    assert await ledger.do(hours.forget, FIRST + HOUR) == 2
    assert await history(ledger) == {}


async def no_sleep(seconds: float) -> None:
    assert seconds < 1


async def test_upkeep_closes_all_that_are_over(ledger: Ledger) -> None:
    await ledger.succeeded(change(1))
    later = Clock(now=lambda: datetime.fromtimestamp(START + DAY, UTC), sleep=no_sleep)
    await Upkeep(ledger.database, later, 30, Metrics()).close_hours()

    def closed(session: Session) -> list[int]:
        return list(session.execute(select(table.c.hour).where(table.c.connection == ALL)).scalars())

    expected = [FIRST + number * HOUR for number in range(23)]
    assert sorted(await ledger.database.read(closed)) == expected
    assert await history(ledger) == {0: (1, 0, 0)}


async def test_durations_are_kept_to_two_digits(ledger: Ledger) -> None:
    for number, seconds in enumerate((0.0004, 0.03, 0.5, 0.5, 7.0, 42.0, 610.0, 2 * DAY)):
        claim = await ledger.begun(change(1, customer=str(number)))
        ledger.now += seconds
        await ledger.finish(claim)
        ledger.now -= seconds
    found = await ledger.database.read(hours.history, FIRST, START + 3 * DAY)
    joined = Tally()
    for each in found.values():
        joined.join(each)
    assert joined.took.total() == 8
    expected = (0.0005, 0.03, 0.5, 0.5, 7.0, 42.0, 610.0, 1000.0)
    kept = sorted(seconds_of(place) for place in joined.took.elements())
    assert kept == pytest.approx(expected, rel=0.06)
    assert joined.p50 == pytest.approx(0.5, rel=0.02)
    assert joined.p95 == 1000.0


def places() -> Iterator[tuple[int, float, float]]:
    """Each place of the ladder, its begin and its end."""
    number, below = 0, 0.0
    for top, step in LADDER:
        for each in range(round((top - below) / step)):
            yield number, below + each * step, below + (each + 1) * step
            number += 1
        below = top


def test_each_place_stands_for_its_middle() -> None:
    for place, begin, end in places():
        assert begin < seconds_of(place) < end
    assert seconds_of(place + 1) == 1000.0


@given(st.lists(st.builds(Tally, *[st.integers(0, 9)] * 4), max_size=5))
def test_a_tally_is_kept_as_it_is(tallies: list[Tally]) -> None:
    joined = Tally()
    for number, each in enumerate(tallies):
        each.took[number] += each.succeeded
        joined.join(each)
    assert Tally.of(joined.values()) == joined
    assert joined.total == sum(each.total for each in tallies)


def test_a_tally_of_nothing_has_no_rate_and_no_durations() -> None:
    nothing = Tally()
    assert (nothing.success_rate, nothing.p50, nothing.p95) == (None, None, None)
    nothing.add("paused", 3, 2)
    assert (nothing.put_off, nothing.total, nothing.success_rate, nothing.p95) == (2, 2, None, None)
