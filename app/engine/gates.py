"""The gates of all connections in this replica: they reserve calls, and keep in the ledger what changes here."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TypeVar

from app.engine.turnstile import Turnstile
from app.ledger import gates, work
from app.ledger.faults import DatabaseGone
from app.ledger.ranks import Rank
from app.ledger.tables import PENDING
from app.outbound.calls import CallError, printable
from app.outbound.noting import NOTING, Noting
from app.outbound.pauses import Paused

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from app.clock import Clock
    from app.connections import Connections
    from app.engine.pulse import Pulse
    from app.engine.tasks import Tasks
    from app.engine.turnstile import Reservation
    from app.ledger.database import Database
    from app.ledger.gates import Gate
    from app.ledger.session import Session
    from app.ledger.stored import Stored
    from app.ledger.trail import By
    from app.ledger.work import Work

T = TypeVar("T")
_AGAIN_SECONDS = 0.25  # between looks for one more call
_DATABASE_SECONDS = 1.0


class Gates:
    """`on_change` learns the scope of each connection whose pause is another one."""

    def __init__(  # noqa: PLR0913 - what they stand on
        self,
        connections: Connections,
        database: Database,
        clock: Clock,
        pulse: Pulse,
        tasks: Tasks,
        on_change: Callable[[str], None],
    ) -> None:
        self._connections = connections
        self._database = database
        self._clock = clock
        self._pulse = pulse
        self._tasks = tasks
        self._on_change = on_change
        self._here: dict[str, Turnstile] = {}
        self._up: set[str] = set()
        self._telling = asyncio.Lock()
        """What is held is told as a whole, so one tells at a time."""

    def at(self, scope: str) -> Turnstile:
        """That of a connection which is served, or leaves. Raises LookupError."""
        connection = self._connections.of(scope)
        here = self._here.get(scope)
        if here is None:
            here = Turnstile(scope, connection, self._clock, self._pulse, self._turned, self._one_more)
            self._here[scope] = here
        here.follow(connection)
        return here

    async def reserve(self, scope: str, rank: int = Rank.CALLER) -> Reservation | None:
        """The calls of an attempt that is to begin now; None = it is not its turn.

        Raises LookupError and DatabaseGone.
        """
        here = self.at(scope)
        if here.queues or (rank != Rank.CALLER and here.gate.window.crowded):
            return None
        found = here.take()
        if found is None and here.pause() is None:
            await self._lease(here, here.block + here.need, here.need)
            found = here.take()
        return found

    async def work(self, running: Mapping[str, int], *, careful: bool = False) -> tuple[Work, list[Reservation]]:
        """Claim what is due, each attempt with its calls. `running`: so many run already of each connection.

        Raises DatabaseGone.
        """
        async with self._telling:
            here = {scope: self.at(scope) for scope in self._connections.in_turn()}
            versions = {scope: each.version for scope, each in here.items()}
            asks = [each.ask(self._room(each, running)) for each in here.values()]
            await self._put_up(here)
            owner, now = self._pulse.replica, self._pulse.now()
            found = await self._database.run(work.claim_work, asks, owner, now, careful=careful)
            for ask in asks:
                if ask.connection in found.told:
                    here[ask.connection].told(ask)
                if ask.room > 0:
                    here[ask.connection].queues = ask.connection in found.queues
            reservations = [
                here[each.customer.connection].hand_out(here[each.customer.connection].need, probes=each.probes)
                for each in found.claims
            ]
            for scope in found.checks:
                self._tasks.start(self._probe(here[scope], here[scope].hand_out(1, probes=True)))
        for scope, gate in found.gates.items():
            self._see(here[scope], gate, versions[scope])
        return found, reservations

    def has_room(self, running: Mapping[str, int]) -> bool:
        """Whether an attempt of any connection may begin, when so many run of each."""
        return any(self._at_once(each.scope) > running.get(each.scope, 0) for each in self._connections)

    def explain(self, transfer: Stored) -> Stored:
        """With the pause that it waits for, if it does."""
        here = self._here.get(transfer.connection)
        pause = here.pause() if here is not None and transfer.status in PENDING else None
        due_at = transfer.next_attempt_at or 0.0
        if pause is None or due_at > (pause.until or self._pulse.now()):
            return transfer
        return transfer.but({"pause": pause})

    def is_late(self, scope: str, seconds: float) -> bool:
        """Whether it is certain that what comes now begins no sooner than in so many seconds."""
        return scope in self._here and self._here[scope].is_late(seconds)

    def opens_in(self) -> float | None:
        """Seconds until more of what waits can begin."""
        waits = (self._here[each.scope].opens_in() for each in self._connections if each.scope in self._here)
        return min((seconds for seconds in waits if seconds is not None), default=None)

    async def look(self) -> dict[str, dict[Rank, int]]:
        """See all that are served as they are, and how much waits at each. Raises DatabaseGone."""
        return await self.see(gates.waiting)

    async def see(self, count: Callable[[Session, Collection[str]], T]) -> T:
        """See all that are served as they are, and what else is counted of their scopes. Raises DatabaseGone."""
        here = {each.scope: self.at(each.scope) for each in self._connections}
        versions = {scope: each.version for scope, each in here.items()}
        throttles = {scope: each.throttle for scope, each in here.items()}
        found, counted = await self._database.read(gates.survey, throttles, count)
        for scope, gate in found.items():
            self._see(here[scope], gate, versions[scope])
        return counted

    async def pause(self, scope: str, reason: str | None, by: By) -> None:
        """By hand. Raises LookupError and DatabaseGone."""
        here = self.at(scope)
        told = self._connections.redactor.text(printable(reason)) if reason else None
        gate = await self._database.run(gates.pause, here.named(), told, self._pulse.now(), by)
        self._take_over(here, gate)

    async def resume(self, scope: str, by: By) -> None:
        """The end of that; what is down is probed at once. Raises LookupError and DatabaseGone."""
        here = self.at(scope)
        self._take_over(here, await self._database.run(gates.resume, here.named(), self._pulse.now(), by))

    @contextmanager
    def metered(self, scope: str) -> Iterator[None]:
        """Calls in here, by a person's wish, are counted, too. Raises Paused while Stamped.io asks to wait."""
        with self._metering(self.at(scope).hand_out(0, probes=True)):
            yield

    async def leave(self) -> None:
        """Tell what was used, and hold nothing any more. Raises DatabaseGone."""
        for here in self._here.values():
            await self._lease(here, 0, 0, leaves=True)

    async def _put_up(self, here: Mapping[str, Turnstile]) -> None:
        """In a short transaction of its own, so that nobody waits for a longer one."""
        new = here.keys() - self._up
        if new:
            await self._database.run(gates.put_up, new)
            self._up |= new

    def _room(self, here: Turnstile, running: Mapping[str, int]) -> int:
        """None where the ledger is still to learn why nothing may begin, or what has begun waits for a call."""
        return 0 if here.changed or here.wanting else self._at_once(here.scope) - running.get(here.scope, 0)

    def _at_once(self, scope: str) -> int:
        return max(1, self._connections.of(scope).settings.stamped_concurrent_connections // 2)

    async def _lease(
        self, here: Turnstile, most: int, least: int, *, leaves: bool = False, has_begun: bool = False
    ) -> bool:
        async with self._telling:
            if here.holds(least):  # who was first has got some for all
                return True
            version, ask = here.version, here.ask(leaves=leaves)
            if leaves and not ask.tells:
                return False
            terms = (ask, most, least, self._pulse.replica, self._pulse.now())
            gate, taken = await self._database.run(gates.lease, *terms, has_begun=has_begun)
            here.told(ask)
            here.hold(taken)
        self._see(here, gate, version)
        return taken > 0

    async def _one_more(self, here: Turnstile) -> bool:
        """For an attempt that has begun; whether there is one, else a little time has passed."""
        with suppress(DatabaseGone):
            if await self._lease(here, 1, 1, has_begun=True):
                return True
        await self._clock.sleep(_AGAIN_SECONDS)
        return False

    async def _probe(self, here: Turnstile, reservation: Reservation) -> None:
        """One read-only call, whose end the reservation judges."""
        connection = self._connections.at(here.scope)
        with self._metering(reservation), suppress(CallError, Paused):
            if connection is not None:
                await connection.stamped.check()

    @contextmanager
    def _metering(self, reservation: Reservation) -> Iterator[None]:
        before = NOTING.set(Noting(deque(maxlen=1), self._clock, 1, reservation))
        try:
            yield
        finally:
            NOTING.reset(before)
            reservation.close()

    def _turned(self, here: Turnstile) -> None:
        """Its pause changed here: whoever waits is to know, and so is the ledger."""
        self._on_change(here.scope)
        if len(here.changed) == 1:
            self._tasks.start(self._keep(here))

    async def _keep(self, here: Turnstile) -> None:
        while here.changed:
            how, at, seconds = here.changed[0]
            try:
                gate = await self._database.run(gates.turn, here.named(), how, at, seconds)
            except DatabaseGone:
                await self._clock.sleep(_DATABASE_SECONDS)
                continue
            here.changed.pop(0)
            self._take_over(here, gate)
        self._on_change(here.scope)  # until now nothing was to begin

    def _take_over(self, here: Turnstile, gate: Gate) -> None:
        """What was just kept."""
        here.version += 1
        self._see(here, gate, here.version)

    def _see(self, here: Turnstile, gate: Gate, version: int) -> None:
        if here.see(gate, version):
            self._on_change(here.scope)
