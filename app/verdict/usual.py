"""How often webhooks usually come, so that a silence can be told from an ordinary night or weekend. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final, Self

from app.ledger.facts import HOUR, SLOT, WEEK
from app.ledger.tables import DAY

if TYPE_CHECKING:
    from collections.abc import Mapping

_WEEK_HOURS: Final = 168
_SLOTS_PER_HOUR: Final = int(HOUR / SLOT)
_TIMES: Final = 3  # "three times the usual gap"
_LEAST: Final = 2 * HOUR  # so that one hour that was busy but once is no silence
_YOUNG: Final = 3 * DAY
_FEW: Final = 10  # webhooks in a week; of fewer no hours can be told


@dataclass(frozen=True, slots=True)
class Usual:
    """By the week before the last webhook. Only *busy hours* count: hours of the week in which webhooks came then.

    `gap`: the longest time without one, in seconds of busy hours; where there were too few for that, or the first
    one is younger than a week (`busy` None), in seconds by the clock.
    """

    busy: frozenset[int] | None
    gap: float
    per_hour: int

    @classmethod
    def of(cls, counts: Mapping[int, int], first_at: float, last_at: float) -> Self:
        """`counts`: webhooks by slots of ten minutes."""
        hours = {slot // _SLOTS_PER_HOUR for slot in counts}
        total = sum(counts.values())
        per_hour = round(total / len(hours)) if hours else 0
        if first_at > last_at - WEEK or total < _FEW:
            begin = int(max(first_at, last_at - WEEK) // SLOT)
            known = sorted({begin, *counts})
            gaps = [after - before for before, after in pairwise(known)]
            return cls(None, max(gaps, default=0) * SLOT, per_hour)
        longest = run = 0
        for slot in range(min(counts), max(counts)):
            if slot // _SLOTS_PER_HOUR in hours:
                run = 0 if slot in counts else run + 1
                longest = max(longest, run)
        return cls(frozenset(hour % _WEEK_HOURS for hour in hours), (longest + 1) * SLOT, per_hour)

    def is_broken(self, last_at: float, now: float) -> bool:
        """Whether none has come for three times the usual gap."""
        if self.busy is None:
            return now - last_at > max(_TIMES * self.gap, _YOUNG)
        return self._busy_seconds(self.busy, last_at, now) > max(_TIMES * self.gap, _LEAST)

    @staticmethod
    def _busy_seconds(busy: frozenset[int], begin: float, end: float) -> float:
        end = min(end, begin + 8 * WEEK)  # longer is broken anyway
        hours = (hour for hour in range(int(begin // HOUR), int(end // HOUR) + 1) if hour % _WEEK_HOURS in busy)
        return sum(min(end, (hour + 1) * HOUR) - max(begin, hour * HOUR) for hour in hours)
