"""An ordinary night or weekend is no silence; one that is three times as long as usual is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from app.ledger.facts import HOUR, SLOT, WEEK
from app.ledger.tables import DAY
from app.verdict.usual import Usual

MONDAY = datetime(2026, 11, 16, tzinfo=UTC).timestamp()
Comes = Callable[[float], bool]


def on_working_days(at: float) -> bool:
    """From eight to six."""
    return (at - MONDAY) % WEEK < 5 * DAY and 8 * HOUR <= at % DAY < 18 * HOUR


def usual(comes: Comes, until: float, every: float = 300.0, weeks: float = 3) -> tuple[Usual, float]:
    """Of webhooks at those times; and when the last one came."""
    times = [until - number * every for number in range(int(weeks * WEEK / every))]
    times = [each for each in times if comes(each)]
    counts = Counter(int(each // SLOT) for each in times if each >= times[0] - WEEK)
    return Usual.of(counts, times[-1], times[0]), times[0]


@pytest.mark.parametrize(
    ("comes", "day", "hour", "minutes_until_broken"),
    [
        (lambda _: True, 1, 12.0, 121),  # every five minutes: two hours at least
        (on_working_days, 1, 17.99, 14 * 60 + 122),  # over a night
        (on_working_days, 4, 17.99, (2 * 24 + 14) * 60 + 122),  # over a weekend
        (on_working_days, 2, 12.0, 121),  # in the midst of a day
    ],
)
def test_only_busy_hours_count(comes: Comes, day: int, hour: float, minutes_until_broken: int) -> None:
    found, last = usual(comes, MONDAY + 14 * DAY + day * DAY + hour * HOUR)
    assert found.per_hour == 12
    broken = next(minute for minute in range(7 * 1440) if found.is_broken(last, last + minute * 60))
    assert broken == pytest.approx(minutes_until_broken, abs=3)


def test_three_times_the_longest_gap_where_that_is_longer() -> None:
    """One every fifty minutes, so up to five of ten minutes have none."""
    found, last = usual(lambda _: True, MONDAY + 20 * DAY, every=3000.0)
    assert not found.is_broken(last, last + 3 * 3000 - 60)
    assert found.is_broken(last, last + 3 * 3000 + 3 * SLOT)


def test_one_busy_hour_at_night_is_not_waited_for() -> None:
    """A week after many customers were imported once."""
    night = MONDAY + 8 * DAY + 3 * HOUR
    found, last = usual(
        lambda at: on_working_days(at) or night <= at < night + HOUR, MONDAY + 14 * DAY + 18 * HOUR
    )
    assert not found.is_broken(last, MONDAY + 15 * DAY + 8 * HOUR - 60)


@pytest.mark.parametrize(("weeks", "days"), [(0.3, 3.0), (0.9, 3.0)])
def test_of_a_young_one_little_is_known(weeks: float, days: float) -> None:
    found, last = usual(on_working_days, MONDAY + 14 * DAY + 12 * HOUR, weeks=weeks)
    assert found.busy is None
    assert not found.is_broken(last, last + days * DAY - 60)
    assert found.is_broken(last, last + 3 * max(days * DAY, found.gap) + 60)


def test_of_a_few_webhooks_three_times_the_longest_gap() -> None:
    found, last = usual(lambda _: True, MONDAY + 20 * DAY, every=2 * DAY)
    assert not found.is_broken(last, last + 5.9 * DAY)
    assert found.is_broken(last, last + 6.3 * DAY)
