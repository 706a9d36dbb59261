"""How attempts ended in some time, and how long they took. Pure."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

# Durations to two digits: up to `top` seconds in steps of `step`; longer ones are in the last place.
LADDER: Final = ((0.1, 0.001), (1.0, 0.01), (10.0, 0.1), (100.0, 1.0), (1000.0, 10.0))
_MEDIAN, _TAIL = 0.5, 0.95
_COUNTS = ("succeeded", "failed", "recovered", "put_off")


@dataclass(slots=True)
class Tally:
    """Attempts by outcome. `recovered`: failed ones whose transfer succeeded since; `put_off`: paused or cut off.

    `took`: how many of those that succeeded or failed took how long, by place on the ladder.
    """

    succeeded: int = 0
    failed: int = 0
    recovered: int = 0
    put_off: int = 0
    took: Counter[int] = field(default_factory=Counter)

    def add(self, outcome: str, place: int, total: int) -> None:
        """So many more that ended so, and took so long."""
        if outcome in {"succeeded", "failed"}:
            setattr(self, outcome, getattr(self, outcome) + total)
            self.took[place] += total
        else:
            self.put_off += total

    def join(self, other: Tally) -> None:
        """Those of another time, too."""
        for name in _COUNTS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.took.update(other.took)

    @property
    def total(self) -> int:
        """Of any outcome."""
        return self.succeeded + self.failed + self.put_off

    @property
    def success_rate(self) -> float | None:
        """Succeeded of those that succeeded or failed; None without any."""
        ended = self.succeeded + self.failed
        return self.succeeded / ended if ended else None

    @property
    def p50(self) -> float | None:
        """Seconds; None without any."""
        return self._within(_MEDIAN)

    @property
    def p95(self) -> float | None:
        """Seconds; None without any."""
        return self._within(_TAIL)

    def _within(self, share: float) -> float | None:
        """The seconds that this share took at most: to two digits, as they are kept."""
        left = share * self.took.total()
        for place in sorted(self.took):
            left -= self.took[place]
            if left <= 0:
                return seconds_of(place)
        return None

    def values(self) -> dict[str, int | str]:
        """As it is kept."""
        took = json.dumps(self.took, separators=(",", ":"))
        return {name: getattr(self, name) for name in _COUNTS} | {"took": took}

    @classmethod
    def of(cls, row: Mapping[Any, Any]) -> Tally:
        """The inverse of `values`."""
        counts = {name: row[name] for name in _COUNTS}
        took = {int(place): total for place, total in json.loads(row["took"]).items()}
        return cls(**counts, took=Counter(took))


def seconds_of(place: int) -> float:
    """The middle of what is counted at this place."""
    below, first = 0.0, 0
    for top, step in LADDER:
        following = first + round((top - below) / step)
        if place < following:
            return below + (place - first + 0.5) * step
        below, first = top, following
    return LADDER[-1][0]
