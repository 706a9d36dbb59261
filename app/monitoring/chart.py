"""Attempts in time, by outcome, as bars in two lanes: places and sizes for the SVG of the template. Pure.

All places are percent of the drawing, so it fits any width while letters and patterns keep their size.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from app.ledger.hours import HOUR
from app.ledger.tallies import Tally

if TYPE_CHECKING:
    from collections.abc import Mapping

_DAY = 24 * HOUR
# up to so many seconds are drawn in slots of so many
_WIDTHS: Final = ((2 * _DAY, HOUR), (8 * _DAY, 6 * HOUR), (32 * _DAY, _DAY))
_WEEK = 7 * _DAY
UNITS: Final = {HOUR: "hour", 6 * HOUR: "6 hours", _DAY: "day", _WEEK: "week"}

# from the bottom of a lane to its top: what, and where the lane begins and ends
_MAIN: Final = (9.0, 60.0, ("succeeded", "put_off"))
_BELOW: Final = (71.0, 89.0, ("failed", "recovered"))
_LEAST = 1.6  # so high is a bar of one beside thousands
_FILLED = 0.74  # of a slot's width
_LABELS = 8  # as many have room on a phone
_NEAR = 2  # slots beside the running one, whose own label stands there
_THOUSAND = 1000
_ROUND = (1, 2, 3, 4, 6, 8)


@dataclass(frozen=True, slots=True)
class Span:
    """Whole slots of `width` seconds, in UTC: from `first` to `until`, which is not part of it."""

    first: int
    until: int
    width: int

    @classmethod
    def of(cls, since: float, until: float) -> Span:
        """The slots that have a part of this time."""
        width = _width(until - since)
        first = int(since // width) * width
        return cls(first, max(-int(-until // width) * width, first + width), width)

    @classmethod
    def ending(cls, now: float, seconds: int) -> Span:
        """The last so many seconds in whole slots, of which the last one still runs."""
        width = _width(seconds)
        end = int(now // width + 1) * width
        return cls(end - seconds // width * width, end, width)

    @property
    def unit(self) -> str:
        """For people, after "per"."""
        return UNITS[self.width]

    def begins(self) -> range:
        """Of each slot."""
        return range(self.first, self.until, self.width)


@dataclass(frozen=True, slots=True)
class Bar:
    """One outcome in one slot."""

    x: float
    y: float
    width: float
    height: float
    outcome: str


@dataclass(frozen=True, slots=True)
class Slot:
    """Some hours with their attempts. `label` is empty where there is no room for one."""

    begins: int
    ends: int
    tally: Tally
    x: float
    middle: float
    label: str
    running: bool
    right: bool  # in the right half


@dataclass(frozen=True, slots=True)
class Line:
    """A grid line and its number."""

    y: float
    text: str


@dataclass(frozen=True, slots=True)
class Chart:
    """Everything that the template draws."""

    span: Span
    slots: list[Slot]
    bars: list[Bar]
    lines: list[Line]
    width: float  # of a slot
    total: Tally


def draw(tallies: Mapping[int, Tally], span: Span, now: float) -> Chart:
    """The chart of these hours; `tallies` by the begin of each."""
    begins = list(span.begins())
    width = 100 / len(begins)
    joined = {begin: Tally() for begin in begins}
    for hour, tally in tallies.items():
        if span.first <= hour < span.until:
            joined[span.first + (hour - span.first) // span.width * span.width].join(tally)
    running = next((index for index, begin in enumerate(begins) if begin <= now < begin + span.width), None)
    slots = [
        Slot(
            begin,
            begin + span.width,
            joined[begin],
            round(index * width, 3),
            round((index + 0.5) * width, 3),
            _label(begin, index, len(begins), span.width, running),
            index == running,
            index >= len(begins) / 2,
        )
        for index, begin in enumerate(begins)
    ]
    total = Tally()
    bars, lines = [], []
    for tally in joined.values():
        total.join(tally)
    for lane in (_MAIN, _BELOW):
        drawn, grid = _lane(slots, width, *lane)
        bars += drawn
        lines += grid
    return Chart(span, slots, bars, lines, round(width, 3), total)


def _lane(
    slots: list[Slot], width: float, top: float, floor: float, outcomes: tuple[str, ...]
) -> tuple[list[Bar], list[Line]]:
    """The bars of one lane and its grid."""
    counts = [_counts(slot.tally, outcomes) for slot in slots]
    most = _round_up(max(sum(each.values()) for each in counts))
    bars = []
    for slot, each in zip(slots, counts, strict=True):
        heights = _heights(each, (floor - top) / most, floor - top)
        y = floor
        for outcome, height in heights.items():
            y -= height
            x = slot.x + (1 - _FILLED) / 2 * width
            bars.append(Bar(round(x, 3), round(y, 2), round(width * _FILLED, 3), round(height, 2), outcome))
    numbers = sorted({0, most // 2, most} if outcomes == _MAIN[2] else {0, most})
    return bars, [Line(round(floor - number * (floor - top) / most, 2), _short(number)) for number in numbers]


def _counts(tally: Tally, outcomes: tuple[str, ...]) -> dict[str, int]:
    """Each attempt once: those that were recovered are no failures any more."""
    counts = {name: getattr(tally, name) for name in outcomes}
    if "recovered" in counts:
        counts["failed"] -= counts["recovered"]
    return counts


def _heights(counts: Mapping[str, int], scale: float, room: float) -> dict[str, float]:
    """Of those that there are; a few are seen, too, and the tallest gives them the room."""
    heights = {name: max(number * scale, _LEAST) for name, number in counts.items() if number > 0}
    over = sum(heights.values()) - room
    if over > 0:
        tallest = max(heights, key=lambda name: heights[name])
        heights[tallest] -= over
    return heights


def _label(begin: int, index: int, slots: int, width: int, running: int | None) -> str:
    """At the bottom of some slots: hours of a day, or days."""
    if index == running:
        return "now"
    if running is not None and abs(index - running) <= max(1, slots * _NEAR // 24):
        return ""
    moment = datetime.fromtimestamp(begin, UTC)
    if width == HOUR:
        every = max(1, -(-slots // _LABELS))
        return f"{moment:%H:%M}" if moment.hour % every == 0 else ""
    if width < _DAY:
        return f"{moment:%b} {moment.day}" if moment.hour == 0 else ""
    every = max(1, -(-slots // (_LABELS - 2)))
    return f"{moment:%b} {moment.day}" if (begin // width) % every == 0 else ""


def _width(seconds: float) -> int:
    """Of a slot, where so much is drawn."""
    return next((width for most, width in _WIDTHS if seconds <= most), _WEEK)


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
