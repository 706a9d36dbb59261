"""The throttle: which calls of a connection were begun lately, and how many more may be. Pure.

A call takes its place from the moment it is reserved until a window after its *end*. Stamped.io receives it in
between, so however long it is on its way, no window of Stamped.io's own clock holds more than the limit: all calls
that arrive within one have their places at its end.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

_SKEW_SECONDS: Final = 0.1  # what the clocks of two replicas may differ by, which both follow the database's
_STEPS: Final = 100  # a window is counted in so many steps
_MOST_SLICES: Final = 50
_LITTLE: Final = 1e-9  # what sums of fractions may lack
_TENTH: Final = 10  # "the lowest always keeps a tenth"


@dataclass(frozen=True, slots=True)
class Throttle:
    """At most `limit` calls in any window of `seconds`."""

    limit: int
    seconds: float

    def step(self, at: float) -> float:
        """The end of the step that a time is in: counted so, a call keeps its place a little longer."""
        width = self.seconds / _STEPS
        return math.ceil(at / width) * width


@dataclass(slots=True)
class Window:
    """Of one connection; times are seconds since 1970.

    `held`: by each replica, reserved and not ended yet. `spent`: how many ended, by the time of their end. `owed`:
    set aside for the lowest of those that wait; `crowded`: whether somebody waits at all.
    """

    throttle: Throttle
    held: dict[str, int] = field(default_factory=dict)
    spent: dict[float, int] = field(default_factory=dict)
    owed: float = 0.0
    crowded: bool = False

    def left(self, now: float) -> int:
        """How many may be reserved at this moment."""
        places = sum(self.held.values()) + sum(count for _, count in self._kept(now))
        return max(0, self.throttle.limit - places)

    def set_aside(self, need: int) -> int:
        """So many are the lowest's: as many whole attempts as it is owed, for less than one helps nobody."""
        return int((self.owed + _LITTLE) // max(need, 1)) * need

    def settle(self, replica: str, held: int, used: Mapping[float, int]) -> None:
        """What a replica holds now, and what it used since it told last."""
        self.held[replica] = held
        if not held:
            del self.held[replica]
        self._spend(used.items())

    def bury(self, living: Collection[str], now: float) -> None:
        """What dead replicas held may have been used to this very moment."""
        for replica in self.held.keys() - set(living):
            self._spend([(now, self.held.pop(replica))])

    def take(self, replica: str, most: int, least: int, now: float, *, aside: bool = True) -> int:
        """Reserve up to `most`, or none where `least` are not left.

        `aside` leaves what the lowest is owed, where `least` is what an attempt needs.
        """
        left = self.left(now) - (self.set_aside(least) if aside else 0)
        taken = min(most, left)
        if taken < max(least, 1):
            return 0
        self.held[replica] = self.held.get(replica, 0) + taken
        if self.crowded and aside:
            self.owed = min(self.owed + taken / (_TENTH - 1), 2 * max(self.throttle.limit / _TENTH, least) + least)
        return taken

    def opens_at(self, calls: int, now: float) -> float:
        """The first moment at which so many could be reserved, if all that are held were given back unused."""
        windows, calls = divmod(max(calls, 1) - 1, self.throttle.limit)
        kept = sorted(self._kept(now))
        left = self.throttle.limit - sum(count for _, count in kept)
        opens = now
        for end, count in kept:
            if left > calls:
                break
            left, opens = left + count, self._free_at(end)
        return opens + windows * self.throttle.seconds

    def pace(self, at: float, burst: int) -> None:
        """From `at` on the places are free again evenly over a window, a `burst` at first: no storm follows."""
        limit, seconds = self.throttle.limit, self.throttle.seconds
        slices = max(1, min(_MOST_SLICES, limit // burst))
        kept = sorted(self.spent.items())
        places = limit - sum(self.held.values())
        ends = [(-math.inf, places - sum(count for _, count in kept)), *kept]
        begin = at - seconds - _SKEW_SECONDS
        even = [
            (begin + number * seconds / slices, limit * (number + 1) // slices - limit * number // slices)
            for number in range(slices)
        ]
        self.spent = {}
        self._spend(_later(ends, even))

    def dump(self) -> str:
        """As JSON, without the throttle, which is a setting."""
        spent = sorted(self.spent.items())
        return json.dumps({"held": self.held, "spent": spent, "owed": self.owed, "crowded": self.crowded})

    @classmethod
    def load(cls, text: str | None, throttle: Throttle) -> Window:
        """The inverse of `dump`."""
        kept = json.loads(text) if text else {}
        return cls(throttle, **kept | {"spent": dict(map(tuple, kept["spent"]))}) if kept else cls(throttle)

    def forget(self, now: float) -> None:
        """What keeps no place any more."""
        self.spent = dict(self._kept(now))

    def _kept(self, now: float) -> list[tuple[float, int]]:
        return [(end, count) for end, count in self.spent.items() if self._free_at(end) > now]

    def _free_at(self, end: float) -> float:
        return end + self.throttle.seconds + _SKEW_SECONDS

    def _spend(self, used: Iterable[tuple[float, int]]) -> None:
        for end, count in used:
            if count > 0:
                self.spent[end] = self.spent.get(end, 0) + count


def _later(one: list[tuple[float, int]], other: list[tuple[float, int]]) -> list[tuple[float, int]]:
    """Of both in order, place by place, the later time."""
    found: list[tuple[float, int]] = []
    first, second = iter(one), iter(other)
    (at, count), (then, many) = next(first), next(second)
    while True:
        if count <= 0:
            following = next(first, None)
            if following is None:
                return found
            at, count = following
            continue
        if many <= 0:
            following = next(second, None)
            if following is None:  # more have ended than the limit allows: it was another one then
                return [*found, (at, count), *first]
            then, many = following
            continue
        both = min(count, many)
        found.append((max(at, then), both))
        count, many = count - both, many - both
