"""A few bars without axes: how something came over time. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

HEIGHT: Final = 24
STEP: Final = 5
_LEAST = 1.5  # what there is can be seen


@dataclass(frozen=True, slots=True)
class Bar:
    """Something in one part of the time."""

    x: int
    y: float
    height: float


@dataclass(frozen=True, slots=True)
class Spark:
    """What the template draws, and the same in words."""

    bars: list[Bar]
    width: int
    text: str
    height: int = HEIGHT

    @classmethod
    def of(cls, trend: Sequence[int], since: float, until: float) -> Spark:
        """`since` and `until` of the whole, in seconds since 1970."""
        most = max(trend, default=0)
        if not most:
            return cls([], STEP * len(trend), "none")
        sizes = [(index, max(count / most * HEIGHT, _LEAST)) for index, count in enumerate(trend) if count]
        bars = [Bar(index * STEP, round(HEIGHT - size, 1), round(size, 1)) for index, size in sizes]
        seconds = since + trend.index(most) * (until - since) / len(trend)
        when = f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M}Z"
        return cls(bars, STEP * len(trend), f"over the time: at most {most:,} at once, from {when}")
