"""Where things stand on an axis of time, in percent of its width. Pure; it knows nothing of what they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

_LEAST: Final = 1.0  # no bar is narrower: a call of a millisecond must be seen, too
_EDGE: Final = 2.0  # a tick there is seen whole
_APART: Final = 4.5  # so far two ticks do not touch each other on a phone


@dataclass(frozen=True, slots=True)
class Bar:
    """From `x`, so wide."""

    x: float
    width: float


@dataclass(frozen=True, slots=True)
class Tick:
    """One try: its number, if it is told, when it was or will be (seconds since 1970), and how it ended."""

    label: str
    at: float
    state: str
    x: float = 0.0


@dataclass(frozen=True, slots=True)
class Strip:
    """Tries on one axis, in order, and the present among them, unless all is over."""

    begin: float
    end: float
    ticks: list[Tick]
    now: float | None


def bar(at: float, seconds: float, begin: float, end: float) -> Bar:
    """Of what began at `at`, on an axis from `begin` to `end`; never outside of it."""
    span = end - begin
    if span <= 0:
        return Bar(0.0, 100.0)
    x = min(max(100 * (at - begin) / span, 0.0), 100 - _LEAST)
    return Bar(round(x, 2), round(min(max(100 * seconds / span, _LEAST), 100 - x), 2))


def strip(begin: float, ticks: Sequence[Tick], now: float | None) -> Strip:
    """Ticks that would touch each other are moved apart; they keep their order."""
    end = max([begin, *(each.at for each in ticks), *([] if now is None else [now])])
    places = _apart([_place(each.at, begin, end) for each in ticks])
    placed = [Tick(each.label, each.at, each.state, x) for each, x in zip(ticks, places, strict=True)]
    return Strip(begin, end, placed, None if now is None else _place(now, begin, end))


def _place(at: float, begin: float, end: float) -> float:
    share = (at - begin) / (end - begin) if end > begin else 0.0
    return round(_EDGE + (100 - 2 * _EDGE) * min(max(share, 0.0), 1.0), 2)


def _apart(places: Sequence[float]) -> list[float]:
    """From the left, each as far from the one before as needed; then back from the right edge."""
    apart = min(_APART, (100 - 2 * _EDGE) / max(len(places) - 1, 1))
    moved: list[float] = []
    for place in places:
        moved.append(max(place, moved[-1] + apart) if moved else place)
    edge = 100 - _EDGE
    for index in range(len(moved) - 1, -1, -1):
        moved[index] = round(min(moved[index], edge), 2)
        edge = moved[index] - apart
    return moved
