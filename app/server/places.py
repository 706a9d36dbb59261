"""Places for callers: who may stay, who is held to which time, and who must go when there is no place left."""

from __future__ import annotations

import asyncio
import math
import time
from typing import TYPE_CHECKING, Final, Protocol

import structlog

from app.server.limits import Limits
from app.telemetry.quiet import Quiet

if TYPE_CHECKING:
    from app.telemetry.metrics import Metrics

log = structlog.stdlib.get_logger("server")

NEVER: Final = math.inf


class Caller(Protocol):
    """A connection."""

    def is_due(self, now: float) -> bool:
        """Whether its time is over, by the loop's clock."""

    def expire(self) -> None:
        """Its time is over."""

    def leave(self) -> None:
        """Its place is needed; it waits for nothing."""


class Places:
    """Who is connected to this process. An idle caller gives its place to one who comes.

    Where all are busy, so many more are let in as are reserved: they get an answer to a health call, or a 503.
    """

    def __init__(self, metrics: Metrics, limits: Limits | None = None) -> None:
        self.limits = limits or Limits.of_this_process()
        self._metrics = metrics
        self._callers: set[Caller] = set()
        self._idle: dict[Caller, None] = {}  # the one that is idle for the longest is the first
        self.held = 0
        """Bytes of bodies that are not answered."""
        self._quiet = Quiet(time.monotonic)
        self._look: asyncio.TimerHandle | None = None

    def take(self, caller: Caller) -> bool | None:
        """Let it in: True = to a place of its own, False = to a reserved one; None = there is none at all."""
        limits = self.limits
        if len(self._callers) >= limits.places and self._idle:
            self.said("a caller that was idle gave its place to another one")
            longest = next(iter(self._idle))
            self.give_back(longest)
            longest.leave()
        if len(self._callers) >= limits.places + limits.reserved:
            self.refused(0)
            self.said("no place is left for another caller")
            return None
        own = len(self._callers) < limits.places
        self._callers.add(caller)
        self._idle[caller] = None
        self._metrics.callers(len(self._callers))
        if self._look is None:
            self._look = asyncio.get_running_loop().call_later(limits.look_seconds, self._look_round)
        return own

    def busy(self, caller: Caller) -> None:
        """It waits for an answer, or sends a body."""
        self._idle.pop(caller, None)

    def idle(self, caller: Caller) -> None:
        """It has sent no whole head since its last answer."""
        if caller in self._callers:
            self._idle[caller] = None

    def give_back(self, caller: Caller) -> None:
        """It has left, or will at once. Idempotent."""
        self._callers.discard(caller)
        self._idle.pop(caller, None)
        self._metrics.callers(len(self._callers))

    def refused(self, status: int) -> None:
        """Before it came to the application; 0 = without an answer."""
        self._metrics.turned_away(status)

    def said(self, event: str, **about: object) -> None:
        """A warning, once a minute, with how often it would have been said in between."""
        if self._quiet.passes(event):
            log.warning(event, callers=len(self._callers), more_of_them=self._quiet.withheld(event), **about)

    def _look_round(self) -> None:
        self._look = None
        loop = asyncio.get_running_loop()
        now = loop.time()
        for caller in [each for each in self._callers if each.is_due(now)]:
            caller.expire()
        if self._callers:
            self._look = loop.call_later(self.limits.look_seconds, self._look_round)
