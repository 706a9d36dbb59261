"""What this replica holds of one connection's calls to Stamped.io, and who may make one.

The ledger keeps the gate for all replicas (`app/ledger/gates.py`); here are the calls that this one has reserved,
and those that it has used and not told yet. Telling too late only makes others wait. Nothing in here asks.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import structlog

from app.connections import connection_id
from app.ledger.gates import Ask, Gate
from app.outbound.pauses import FAILURES, Pause, Paused, Pauses, is_outage
from app.outbound.status_table import Kind
from app.outbound.window import Throttle, Window

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from app.clock import Clock
    from app.connections import Connection
    from app.engine.pulse import Pulse
    from app.ledger.gates import Turn
    from app.outbound.calls import CallError
    from app.outbound.pauses import State

log = structlog.stdlib.get_logger("gates")

_NEEDED: Final = {True: 5, False: 2}  # is consent mapped? add, find, read, set, read again; else add, find
_SHARE: Final = 20  # of all calls this part is held in advance
_SOON_SECONDS: Final = 0.25
_IDLE: Final = 10  # and given back after this part of a window
_TURNS: dict[Turn, str] = {
    "throttled": "Stamped.io asks to wait",
    "down": "Stamped.io does not answer; it is probed from now on",
    "up": "Stamped.io answers again",
}


class Turnstile:
    """One connection's. `gate` is as it was last read, with what changed here since.

    `turned` learns when its pause changes here; `more` gets one more call for an attempt that has begun, or lets a
    little time pass.
    """

    def __init__(  # noqa: PLR0913 - what it stands on
        self,
        scope: str,
        connection: Connection,
        clock: Clock,
        pulse: Pulse,
        turned: Callable[[Turnstile], None],
        more: Callable[[Turnstile], Awaitable[bool]],
    ) -> None:
        self.scope = scope
        self.more = more
        self._turned = turned
        self._clock = clock
        self._pulse = pulse
        self._followed: Connection | None = None
        self.follow(connection)
        self.gate = Gate(scope, Window(self.throttle))
        self.version = 0
        self.changed: list[tuple[Turn, float, float | None]] = []
        """What is still to be kept in the ledger."""
        self.queues = False
        """Callers wait that came before."""
        self.wanting: list[Reservation] = []
        """Attempts that have begun and wait for one more call, in their order."""
        self._free = 0
        self._reserved = 0
        self._used: dict[float, int] = {}
        self._failures = 0
        self._odd = False
        self._touched = float("-inf")

    def follow(self, connection: Connection) -> None:
        """Its settings, as they are now."""
        if connection is self._followed:
            return
        self._followed, settings = connection, connection.settings
        self.throttle = Throttle(settings.stamped_api_throttle_limit, settings.stamped_api_throttle_seconds)
        self.need = min(_NEEDED[connection.mapping.subscribed is not None], self.throttle.limit)
        self.block = max(self.need, self.throttle.limit // _SHARE)

    def pause(self) -> Pause | None:
        """Why nothing can begin now."""
        now = self._pulse.now()
        return self.gate.pauses.at(now) if self._free >= self.need else self.gate.pause(now, self.need)

    @property
    def paused_by(self) -> set[State]:
        """All that nothing can begin for now."""
        pauses, pause = self.gate.pauses, self.pause()
        states: dict[State, bool] = {
            "throttled": pauses.is_throttled(self._pulse.now()),
            "down": pauses.down_at is not None,
            "paused": pauses.paused_at is not None,
        }
        return {state for state, holds in states.items() if holds} | ({pause.state} if pause else set())

    @property
    def calls_left(self) -> int:
        """So many may begin at this moment, with what is held here."""
        pause = self.pause()
        if pause is not None and pause.state == "throttled":
            return 0
        return self.gate.window.left(self._pulse.now()) + self._free

    def is_late(self, seconds: float) -> bool:
        """Whether it is certain that what comes now begins no sooner than in so many seconds."""
        pause = self.pause()
        if pause is None or pause.state != "throttled":
            return pause is not None
        return pause.until is not None and pause.until - self._pulse.now() > seconds

    def opens_in(self) -> float | None:
        """Seconds until more of what waits may begin; None = nothing waits for that."""
        if self.is_shut or not (self.gate.window.crowded or self.queues):
            return None
        now = self._pulse.now()
        opens = self.gate.window.opens_at(self.need, now)
        return opens - now if opens > now else _SOON_SECONDS  # others hold what is left

    def take(self) -> Reservation | None:
        """The calls of one attempt, of what is held. None = it does not begin, or `more` of them are to be had."""
        if self._free < self.need or self.is_shut or self.wanting:
            return None
        self._free -= self.need
        return self.hand_out(self.need)

    @property
    def is_shut(self) -> bool:
        """Whether nothing may begin, however many calls there are."""
        return self.gate.pauses.at(self._pulse.now()) is not None

    def hand_out(self, calls: int, *, probes: bool = False) -> Reservation:
        """To one attempt, those that the ledger has just reserved."""
        self._reserved += calls
        self._touched = self._clock.monotonic()
        return Reservation(self, calls, probes=probes)

    def hold(self, calls: int) -> None:
        """The ledger has reserved these, for whoever comes."""
        self._free += calls
        self._touched = self._clock.monotonic()

    def holds(self, least: int) -> bool:
        """Whether so many are held that nobody has."""
        return 0 < least <= self._free

    def one_more(self) -> bool:
        """For an attempt that has begun, of what is held."""
        if not self._free:
            return False
        self._free -= 1
        self._reserved += 1
        return True

    def give_back(self, calls: int) -> None:
        """They were not needed."""
        self._reserved -= calls
        self._free += calls

    def end(self, error: CallError | None, *, given_up: bool) -> None:
        """A reserved call has ended, and keeps its place from now on for a window."""
        now = self._pulse.now()
        self._reserved -= 1
        step = self.throttle.step(now)
        self._used[step] = self._used.get(step, 0) + 1
        if not given_up:
            self._judge(error, now)

    def may_call(self, *, probes: bool) -> bool:
        """Whether an attempt that has begun goes on. A pause by hand lets it end."""
        pauses = self.gate.pauses
        return not pauses.is_throttled(self._pulse.now()) and (probes or pauses.down_at is None)

    def ask(self, room: int = 0, *, leaves: bool = False) -> Ask:
        """What the ledger is told. What is free is given back where others wait for it, or nobody needs it."""
        idle = self._clock.monotonic() - self._touched > self.throttle.seconds / _IDLE
        if idle or leaves or self.queues or self.gate.window.crowded:
            self._free = 0
        held = self._reserved + self._free
        tells = bool(self._used) or self.gate.window.held.get(self._pulse.replica, 0) != held
        self._odd = not self._odd
        return replace(self.named(), room=room, held=held, used=dict(self._used), tells=tells, odd=self._odd)

    def named(self) -> Ask:
        """Whose it is."""
        return Ask(self.scope, self.throttle, self.need)

    def told(self, ask: Ask) -> None:
        """The ledger has it now."""
        for step, count in ask.used.items():
            self._used[step] -= count
            if not self._used[step]:
                del self._used[step]

    def see(self, gate: Gate, version: int) -> bool:
        """As the ledger has it, unless it changed here since; whether it is paused otherwise than before."""
        if version != self.version or self.changed:
            self.gate = Gate(self.scope, gate.window, self.gate.pauses)
            return False
        before, self.gate = self.gate.pauses, gate
        if gate.pauses.down_at is None and before.down_at is not None:  # another replica has seen it answer
            self._failures = 0
        return before != gate.pauses

    def _judge(self, error: CallError | None, now: float) -> None:
        """What a call's end says of Stamped.io."""
        pauses = self.gate.pauses
        if error is not None and is_outage(error):
            self._failures += 1
            if self._failures >= FAILURES and pauses.down_at is None:
                self._turn("down", pauses.down(now), now)
            return
        self._failures = 0
        if pauses.down_at is not None:
            self._turn("up", pauses.up(), now)
        if error is not None and error.kind is Kind.THROTTLED:
            self._turn("throttled", self.gate.pauses.throttled(now, error.retry_after), now, error.retry_after)

    def _turn(self, how: Turn, pauses: Pauses, now: float, seconds: float | None = None) -> None:
        self.gate = Gate(self.scope, self.gate.window, pauses)
        self.version += 1
        self.changed.append((how, now, seconds))
        log.warning(_TURNS[how], connection=connection_id(self.scope))
        self._turned(self)


class Reservation:
    """The calls of one attempt: it meters them, and gives back what is left when it is closed."""

    def __init__(self, turnstile: Turnstile, calls: int, *, probes: bool = False) -> None:
        self._turnstile = turnstile
        self._left = calls
        self._probes = probes

    async def begin(self) -> None:
        """Before a call. One that was not reserved waits for its place. Raises Paused."""
        turnstile = self._turnstile
        if not turnstile.may_call(probes=self._probes):
            raise Paused
        if self._left:
            self._left -= 1
            return
        turnstile.wanting.append(self)
        try:
            while not (turnstile.wanting[0] is self and turnstile.one_more()):
                if not await turnstile.more(turnstile) and turnstile.is_shut and not self._probes:
                    raise Paused
        finally:
            turnstile.wanting.remove(self)

    def end(self, error: CallError | None, *, given_up: bool = False) -> None:
        """After it."""
        self._turnstile.end(error, given_up=given_up)

    def stops(self, error: CallError) -> bool:
        """After 429, where Stamped.io is down, and in a pause by hand: nothing is repeated then."""
        pauses = self._turnstile.gate.pauses
        is_down = pauses.down_at is not None and is_outage(error)
        is_paused = pauses.paused_at is not None and error.kind.retryable
        return error.kind is Kind.THROTTLED or is_down or is_paused

    def close(self) -> None:
        """Give back what is left. Idempotent."""
        left, self._left = self._left, 0
        self._turnstile.give_back(left)
