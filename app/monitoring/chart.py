"""Transfers per hour as a stack of bars: places and sizes for the SVG of the template. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from app.ledger.statistics import HOUR

if TYPE_CHECKING:
    from collections.abc import Mapping

WIDTH: Final = 720
HEIGHT: Final = 184
_LEFT, _RIGHT, _TOP, _BOTTOM = 48, 4, 12, 26
_GAP = 5
_LABEL_EVERY = 3
_THOUSAND = 1000
_ROUND = (1, 2, 3, 4, 6, 8)

# from the bottom of a bar to its top
OUTCOMES: Final = (
    ("succeeded", ("succeeded",)),
    ("skipped", ("skipped", "cancelled")),
    ("open", ("accepted", "running", "waiting")),
    ("failed", ("failed",)),
)


@dataclass(frozen=True, slots=True)
class Bar:
    """One outcome in one hour."""

    x: float
    y: float
    width: float
    height: float
    outcome: str


@dataclass(frozen=True, slots=True)
class Hour:
    """One hour with its transfers by outcome; `label` is empty where there is no room for one."""

    begins: int
    middle: float
    label: str
    totals: dict[str, int]


@dataclass(frozen=True, slots=True)
class Line:
    """A grid line and its number."""

    y: float
    text: str


@dataclass(frozen=True, slots=True)
class Chart:
    """Everything that the template draws."""

    hours: list[Hour]
    bars: list[Bar]
    lines: list[Line]
    width: int = WIDTH
    height: int = HEIGHT
    left: int = _LEFT

    def total(self, outcome: str) -> int:
        """In all hours."""
        return sum(hour.totals[outcome] for hour in self.hours)


def draw(per_hour: Mapping[tuple[int, str], int], first_hour: int, hours: int) -> Chart:
    """The chart of these hours."""
    slot = (WIDTH - _LEFT - _RIGHT) / hours
    columns = [_hour(per_hour, first_hour + index * HOUR, index, slot) for index in range(hours)]
    top = _round_up(max(sum(column.totals.values()) for column in columns))
    scale = (HEIGHT - _TOP - _BOTTOM) / top
    floor = HEIGHT - _BOTTOM
    bars = []
    for column in columns:
        y = float(floor)
        for outcome, total in column.totals.items():
            if total:
                height = total * scale
                y -= height
                x = column.middle - (slot - _GAP) / 2
                bars.append(Bar(round(x, 1), round(y, 2), round(slot - _GAP, 1), round(height, 2), outcome))
    numbers = sorted({0, top // 2, top})
    return Chart(columns, bars, [Line(round(floor - number * scale, 1), _short(number)) for number in numbers])


def _hour(per_hour: Mapping[tuple[int, str], int], begins: int, index: int, slot: float) -> Hour:
    totals = {
        outcome: sum(per_hour.get((begins, status), 0) for status in statuses) for outcome, statuses in OUTCOMES
    }
    hour = datetime.fromtimestamp(begins, UTC)
    label = f"{hour:%H:%M}" if hour.hour % _LABEL_EVERY == 0 else ""
    return Hour(begins, round(_LEFT + (index + 0.5) * slot, 1), label, totals)


def _round_up(number: int) -> int:
    """An even number above, with one digit that is not zero; at least 2."""
    power = 1
    while True:
        for step in _ROUND:
            if step * power >= max(number, 2) and step * power % 2 == 0:
                return step * power
        power *= 10


def _short(number: int) -> str:
    """Few characters, for phones: 1500 → 1.5k."""
    return f"{number / 1000:g}k" if number >= _THOUSAND else str(number)
