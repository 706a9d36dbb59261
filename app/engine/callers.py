"""Callers: their transfers are entered, begin at once where it is their turn, and are waited for."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from app.engine.tasks import wait_at_most
from app.ledger import reports, triggers
from app.ledger.faults import DatabaseGone
from app.ledger.ranks import Rank
from app.telemetry import traces

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.attempt import Progress
    from app.clock import Clock
    from app.connections import Connections
    from app.engine.gates import Gates
    from app.engine.pulse import Pulse
    from app.engine.runner import Runner
    from app.engine.tasks import Tasks, Watch, Watchers
    from app.engine.turnstile import Reservation
    from app.ledger.database import Database
    from app.ledger.stored import Stored
    from app.ledger.trail import By
    from app.ledger.triggers import Entered, NewTransfer

    _Look = Callable[[Stored], Watch]

T = TypeVar("T")
_ELSEWHERE_SECONDS = 0.25  # how often a caller looks for what another replica runs


class NotTaking(Exception):
    """The engine is starting, stopping or cut off from its database, and takes no new transfers."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """A transfer as its caller learns of it; `replayed`: it had ended before this call."""

    transfer: Stored
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class _Turn:
    """Whether it is a transfer's turn: it begins under `owner`, with these calls; or it waits, or is promised."""

    owner: str | None = None
    promised: bool = False
    reservation: Reservation | None = None


_LATER = _Turn(promised=True)


class Callers:
    """One that stops waiting never cancels its transfer. `settle` learns what ended, or waits, by itself."""

    def __init__(  # noqa: PLR0913 - what they stand on
        self,
        connections: Connections,
        database: Database,
        clock: Clock,
        pulse: Pulse,
        gates: Gates,
        runner: Runner,
        watchers: Watchers,
        entering: Tasks,
        settle: Callable[..., None],
    ) -> None:
        self._connections = connections
        self._database = database
        self._clock = clock
        self._pulse = pulse
        self._gates = gates
        self._runner = runner
        self._watchers = watchers
        self._entering = entering
        self._settle = settle
        self.given_up = asyncio.Event()
        """Nobody waits any longer: the service stops."""

    async def run(self, news: list[NewTransfer], wait_seconds: float) -> list[Outcome]:
        """Each transfer's outcome, in order; what has not ended in `wait_seconds` is promised, and goes on.

        What certainly begins later is promised at once. Raises NotTaking.
        """
        deadline = self._clock.monotonic() + wait_seconds
        with self._watchers.watching() as watch:
            entered = await asyncio.shield(self._entering.start(self._accept(news, watch, deadline)))
            return await self._outcomes(entered, deadline)

    async def rerun(self, transfer: Stored, wait_seconds: float, by: By | None) -> Outcome | None:
        """Run a failed, cancelled or waiting transfer again, now. None = it is in no such state."""
        deadline = self._clock.monotonic() + wait_seconds
        with self._watchers.watching() as watch:
            entered = await asyncio.shield(self._entering.start(self._rerun(transfer, watch, deadline, by)))
            return (await self._outcomes([entered], deadline))[0] if entered else None

    def begin(
        self,
        entered: Entered,
        deadline: float,
        reservation: Reservation | None,
        progress: Progress | None = None,
    ) -> None:
        """What its trigger came to is under way from here on."""
        if entered.claim is not None:
            calls = reservation or self._gates.at(entered.transfer.connection).hand_out(0)
            self._runner.attempt(entered.claim, deadline, calls, progress)
        elif reservation is not None:
            reservation.close()
        if entered.loads:
            self._runner.load(entered.transfer, deadline)
        if entered.ended or entered.transfer.status == "accepted":
            self._settle(*entered.ended)

    async def _turn(self, scope: str, deadline: float, *, calls: bool) -> _Turn:
        """`calls`: whether it begins with an attempt. Raises LookupError."""
        left = deadline - self._clock.monotonic()
        if left <= 0 or self._gates.is_late(scope, left):
            return _LATER
        if not calls:
            return _Turn(self._pulse.replica)
        reservation = None
        with suppress(DatabaseGone):  # or another replica stands still at the gate; what comes next will tell
            reservation = await self._gates.reserve(scope)
        return _Turn(self._pulse.replica if reservation else None, reservation=reservation)

    async def _accept(self, news: list[NewTransfer], watch: _Look, deadline: float) -> list[tuple[Entered, Watch]]:
        """Those of a customer one after the other, different ones side by side, so that they share commits."""
        if len(news) == 1:  # as nearly always: no task for it
            return await self._accept_in_turn(news, watch, deadline)
        lines: dict[object, list[int]] = {}
        for place, new in enumerate(news):
            lines.setdefault(new.customer_id or place, []).append(place)
        each_line = [[news[place] for place in line] for line in lines.values()]
        done = await asyncio.gather(
            *(self._accept_in_turn(each, watch, deadline) for each in each_line), return_exceptions=True
        )  # all of them, before anybody is told of a fault: what is entered must be known to be
        entered: dict[int, tuple[Entered, Watch]] = {}
        for line, each in zip(lines.values(), done, strict=True):
            if isinstance(each, BaseException):
                raise each
            entered.update(zip(line, each, strict=True))
        return [entered[place] for place in range(len(news))]

    async def _accept_in_turn(
        self, news: list[NewTransfer], watch: _Look, deadline: float
    ) -> list[tuple[Entered, Watch]]:
        try:
            return [await self._accept_one(new, watch, deadline) for new in news]
        except (DatabaseGone, LookupError) as why:  # the latter: its connection has left while the request arrived
            raise NotTaking from why

    async def _accept_one(self, new: NewTransfer, watch: _Look, deadline: float) -> tuple[Entered, Watch]:
        mapping = self._connections.of(new.connection).mapping
        consent = mapping.readable_consent(new.record) if new.record else None
        calls = new.skip_reason is None and not new.is_loaded_first
        turn = await self._turn(new.connection, deadline, calls=calls)
        mine = traces.here().traceparent
        complete = replace(new, promised=turn.promised, consent=consent, traceparent=mine)
        entered = await self._enter(turn, triggers.accept, complete, turn.owner, self._pulse.now())
        return entered, self._go_on(entered, watch, deadline, turn)

    async def _rerun(
        self, transfer: Stored, watch: _Look, deadline: float, by: By | None
    ) -> tuple[Entered, Watch] | None:
        fetches = self._connections.fetches()
        if transfer.connection not in fetches:
            return None
        try:
            turn = await self._turn(transfer.connection, deadline, calls=True)
            terms = (transfer.seq, turn.owner, self._pulse.now())
            more = {"fetch": fetches, "promised": turn.promised, "by": by}
            entered = await self._enter(turn, triggers.rerun, *terms, **more)
        except (DatabaseGone, LookupError):
            raise NotTaking from None
        if entered is None:
            return None
        return entered, self._go_on(entered, watch, deadline, turn)

    async def _enter(self, turn: _Turn, work: Callable[..., T], *args: Any, **more: Any) -> T:
        """What is not entered needs no calls."""
        entered: T | None = None
        try:
            entered = found = await self._database.run(work, *args, **more)
        finally:
            if entered is None and turn.reservation is not None:
                turn.reservation.close()
        return found

    def _go_on(self, entered: Entered, watch: _Look, deadline: float, turn: _Turn) -> Watch:
        """It is watched from the first moment on; what somebody else may change is looked at once more."""
        look = watch(entered.transfer)
        if entered.claim is None and not entered.loads:
            look.tell(None)
        self.begin(entered, deadline, turn.reservation)
        return look

    async def _outcomes(self, entered: list[tuple[Entered, Watch]], deadline: float) -> list[Outcome]:
        """What nobody waits for any more is promised, all of a request in one transaction."""
        try:
            if len(entered) == 1:  # as nearly always: no task for it
                found = [await self._wait(*entered[0], deadline)]
            else:
                found = list(await asyncio.gather(*(self._wait(*each, deadline) for each in entered)))
            asked = [
                each.seq for each in found if not each.is_final and (not each.promised or each.rank == Rank.CALLER)
            ]
            promised = await self._database.run(triggers.promise_all, asked) if asked else {}
        except DatabaseGone as why:
            raise NotTaking from why
        return [
            Outcome(each, replayed=True)
            if begun.replayed
            else Outcome(self._gates.explain(promised.get(each.seq, each)))
            for (begun, _), each in zip(entered, found, strict=True)
        ]

    async def _wait(self, entered: Entered, watch: Watch, deadline: float) -> Stored:
        """Until it ended, waits for its next try, is certain to begin later, or the deadline came."""
        transfer = entered.transfer
        while not entered.replayed and not transfer.is_final and transfer.status != "waiting":
            left = deadline - self._clock.monotonic()
            is_late = transfer.status == "accepted" and self._gates.is_late(transfer.connection, left)
            if left <= 0 or is_late or self.given_up.is_set():
                break
            here = self._runner.runs(transfer)
            await wait_at_most(watch.changed, left if here else min(left, _ELSEWHERE_SECONDS))
            news = watch.take()
            if news is None and self._clock.monotonic() >= deadline:
                break  # who promises it looks at it once more
            transfer = news if news is not None else await self._database.read(reports.by_seq, transfer.seq)
        return transfer
