"""The calls of an attempt, noted for whoever reads its story: never a body, an address, or a key."""

from __future__ import annotations

import json
from collections import deque
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Protocol

from app.clock import Clock
from app.outbound.calls import cut

if TYPE_CHECKING:
    from collections.abc import Callable, MutableSequence, Sequence

    from app.outbound.calls import CallError

MOST_KEPT: Final = 30
SYSTEMS: Final = {"stamped": "Stamped.io", "ipaas": "iPaaS.com"}
METERED: Final = "stamped"
CANCELLED: Final = "cancelled"
_MESSAGE_LIMIT = 200
_encode = json.JSONEncoder(separators=(",", ":")).encode


class Meter(Protocol):
    """What lets calls to Stamped.io through, counts them, and learns how it is."""

    async def begin(self) -> None:
        """Before a call, until it may be made. Raises Paused."""
        ...

    def end(self, error: CallError | None, *, given_up: bool = False) -> None:
        """It has ended; None = well, unless it was given up before its end."""
        ...

    def stops(self, error: CallError) -> bool:
        """Whether the attempt is to end with this, and to wait for its connection."""
        ...


class Unmetered:
    """Where nobody counts."""

    async def begin(self) -> None:
        """At once."""

    def end(self, error: CallError | None, *, given_up: bool = False) -> None:
        """Nothing follows from it."""

    def stops(self, _error: CallError) -> bool:
        """Never."""
        return False


UNMETERED: Final = Unmetered()


@dataclass(slots=True)
class Call:
    """One call; `number` says which try of its step it was.

    `started_at` is in monotonic seconds, and once it is kept in seconds since 1970, UTC. `outcome` is `ok` or the
    kind of failure, as in the metrics; `status` None = no answer.
    """

    system: str
    operation: str
    number: int
    started_at: float
    seconds: float = 0.0
    outcome: str = CANCELLED
    status: int | None = None
    message: str | None = None


@dataclass(frozen=True, slots=True)
class Noting:
    """Whose calls they are, and the try that is made."""

    calls: MutableSequence[Call]
    clock: Clock
    number: int
    meter: Meter = UNMETERED

    async def begin(self, system: str, operation: str) -> Call:
        """A call begins, as soon as it may. Raises Paused."""
        if system == METERED:
            await self.meter.begin()
        call = Call(system, operation, self.number, self.clock.monotonic())
        self.calls.append(call)
        return call

    def end(self, call: Call, outcome: str, error: CallError | None) -> None:
        """It has ended."""
        call.outcome, call.seconds = outcome, self.clock.monotonic() - call.started_at
        if call.system == METERED:
            self.meter.end(error, given_up=outcome == CANCELLED)

    def stops(self, error: CallError) -> bool:
        """Whether the attempt is to end with this, and to wait."""
        return bool(self.calls) and self.calls[-1].system == METERED and self.meter.stops(error)

    def judge(self, error: CallError) -> None:
        """A call that seemed a success may be of no use to who made it."""
        call = next((each for each in reversed(self.calls) if each.operation == error.operation), None)
        if call is not None and call.outcome == "ok":
            call.outcome, call.message = error.kind.value, error.message

    def excuse(self) -> None:
        """What the last call failed with is an answer, too."""
        if self.calls:
            self.calls[-1].outcome = "ok"


# Handed down by the context: only the innermost call of a client knows status and time, and passing it through all
# methods of both, and of what stands in for them, would be four times this. By default nothing is noted.
_NOBODYS: Final = Noting(deque(maxlen=0), Clock(), 1)
NOTING: Final = ContextVar("NOTING", default=_NOBODYS)


def dump(calls: Sequence[Call], ahead: float, hide: Callable[[str], str]) -> str:
    """As JSON, with what `hide` leaves of messages. `ahead`: what monotonic seconds lack to those since 1970.

    The first ones and the last are kept, and how many are missing between them is told.
    """
    missing = len(calls) - MOST_KEPT
    if missing > 0:
        told = f"{missing} calls before this one are left out. {calls[-1].message or ''}"
        calls = [*calls[: MOST_KEPT - 1], replace(calls[-1], message=told)]
    return _encode([_kept(each, ahead, hide) for each in calls])


def load(text: str) -> list[Call]:
    """The inverse of `dump`."""
    return [Call(*each) for each in json.loads(text)]


def _kept(call: Call, ahead: float, hide: Callable[[str], str]) -> tuple[object, ...]:
    """In the order of the fields."""
    message = cut(hide(call.message), _MESSAGE_LIMIT) if call.message else None
    begun, took = round(call.started_at + ahead, 6), round(call.seconds, 4)
    return call.system, call.operation, call.number, begun, took, call.outcome, call.status, message
