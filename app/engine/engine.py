"""The engine itself: accepts transfers, waits for them, looks for due ones, and lives beside other replicas."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

import structlog

from app.engine.callers import Callers, NotTaking
from app.engine.dispatcher import Dispatcher
from app.engine.entry import Entry
from app.engine.first_calls import FirstCalls
from app.engine.gates import Gates
from app.engine.opening import Opening
from app.engine.pulse import Pulse
from app.engine.report import report
from app.engine.runner import Ports, Runner
from app.engine.tasks import Tasks, Watchers
from app.engine.upkeep import Upkeep
from app.ledger import attempts, claims, replicas
from app.ledger.faults import DatabaseBusy, DatabaseGone
from app.ledger.hints import hint_of
from app.telemetry.metrics import Metrics
from app.telemetry.quiet import Quiet

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from app.attempt import Progress
    from app.clock import Clock
    from app.connections import Connections
    from app.engine.callers import Outcome
    from app.engine.runner import Key
    from app.engine.turnstile import Reservation
    from app.ledger.claims import Claim
    from app.ledger.database import Database
    from app.ledger.stored import Stored
    from app.ledger.trail import By
    from app.ledger.triggers import Entered, NewTransfer

log = structlog.stdlib.get_logger("engine")

_DATABASE_SECONDS = 1.0  # between tries while it is away
_REFUSED_SECONDS = 10.0  # then it may be tried again, as `Retry-After` says


class Engine:
    """Runs transfers in this replica. A caller that stops waiting never cancels its transfer."""

    def __init__(  # noqa: PLR0913 - each is a setting
        self,
        connections: Connections,
        database: Database,
        clock: Clock,
        *,
        wait_seconds: float,
        retention_days: float,
        retry_unit_seconds: float = 600.0,
        metrics: Metrics | None = None,
    ) -> None:
        self.connections = connections
        self._database = database
        self._clock = clock
        self._wait_seconds = wait_seconds
        self._metrics = metrics = metrics or Metrics()
        self.pulse = Pulse(database, clock)
        self.upkeep = Upkeep(database, clock, retention_days, metrics)
        self._tasks = Tasks()
        self._entering = Tasks()
        self._watchers = Watchers()
        self.gates = Gates(connections, database, clock, self.pulse, self._tasks, self._gate_changed)
        self._first_calls = FirstCalls(connections, self.gates, clock)
        self.entry = Entry(database, self.pulse, self.settle, connections)
        ports = Ports(self._changed, self._due, self._loaded, self.gates.reserve, self._lost)
        self._runner = Runner(
            connections,
            database,
            clock,
            self.pulse,
            metrics,
            ports,
            unit_seconds=retry_unit_seconds,
        )
        self._callers = Callers(
            connections,
            database,
            clock,
            self.pulse,
            self.gates,
            self._runner,
            self._watchers,
            self._entering,
            self.settle,
        )
        self._dispatcher = Dispatcher(self._begin_due, self.gates.opens_in, self._entering)
        self._unknown: set[tuple[Key, str]] = set()
        self.draining = False
        self.started = False
        self.opening = Opening(database, clock, self.pulse, self._take_over)
        self._quiet = Quiet(clock.monotonic)
        self._refused: tuple[float, str] | None = None

    @property
    def running(self) -> int:
        """Attempts and loads under way in this replica."""
        return len(self._runner.running)

    @property
    def taking(self) -> bool:
        """Whether new transfers are taken: it has started, does not stop, and the database took its heartbeats."""
        return self.started and not self.draining and self.pulse.is_well

    def is_idle(self, scope: str) -> bool:
        """Whether nothing of this scope runs, or is about to, in this replica."""
        running = self._runner.keys()
        return self._entering.is_idle and not any(isinstance(key, int) or key[0] == scope for key in running)

    def start(self) -> None:
        """Open the database in the background, take over what was left, then take transfers."""
        self._tasks.start(self._live())

    def connections_changed(self) -> None:
        """What is new is called once, and what waited for it may be due."""
        self.settle()
        self._tasks.start(self._first_calls.make())

    async def drain(self, seconds: float) -> None:
        """Take no more; let running ones end within `seconds`; leave the rest to the next start. Idempotent."""
        self.draining = True
        self._dispatcher.stop()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._entering.settle()
                await self._runner.settle()
        self._callers.given_up.set()
        await self._runner.give_up()
        self._watchers.look_again()
        await self._entering.cancel()
        await self._tasks.cancel()
        with suppress(DatabaseGone):
            if self.started:
                await self.upkeep.flush()
                await self.gates.leave()
                await self._database.run(replicas.leave, self.pulse.replica)

    async def run(self, news: list[NewTransfer], wait_seconds: float | None = None) -> list[Outcome]:
        """Each transfer's outcome, in order; what has not ended in `wait_seconds` is promised, and goes on.

        Default: the response timeout. With 0 nothing is waited for. Raises NotTaking.
        """
        patience = self._patience(wait_seconds)
        try:
            outcomes = await self._callers.run(news, patience)
        except NotTaking as refused:
            why = refused.__cause__
            if isinstance(why, DatabaseGone) and not isinstance(why, DatabaseBusy):
                self._refused = self._clock.monotonic(), hint_of(str(why))
            raise
        self._refused = None
        return outcomes

    @property
    def refusal(self) -> str | None:
        """Why the database did not take the last transfers; None = it did, or that was a while ago."""
        if self._refused is None or self._clock.monotonic() - self._refused[0] > _REFUSED_SECONDS:
            return None
        return self._refused[1]

    async def rerun(
        self, transfer: Stored, wait_seconds: float | None = None, by: By | None = None
    ) -> Outcome | None:
        """Run a failed, cancelled or waiting transfer again, now. None = it is in no such state."""
        return await self._callers.rerun(transfer, self._patience(wait_seconds), by)

    def settle(self, *changed: Stored) -> None:
        """These changed without an attempt: say so, and look for what is due now."""
        for transfer in changed:
            if transfer.is_final:
                report(self._metrics, transfer)
        self._changed(changed)
        self._dispatcher.wake()

    def _patience(self, wait_seconds: float | None) -> float:
        if not self.taking:
            raise NotTaking
        return self._wait_seconds if wait_seconds is None else wait_seconds

    async def _begin_due(self, running: Mapping[str, int]) -> list[tuple[str, asyncio.Task[None]]]:
        """Claim what is due, and let it run."""
        if self.draining or not self.gates.has_room(running):
            return []
        try:
            work, reservations = await self.gates.work(running)
        except DatabaseGone:
            raise
        except Exception:
            log.exception("claiming broke")  # again, without those that break it
            work, reservations = await self.gates.work(running, careful=True)
        begun = [
            (claim.customer.connection, self._attempt(claim, calls))
            for claim, calls in zip(work.claims, reservations, strict=True)
        ]
        return begun + [(claimed.connection, self._load(claimed)) for claimed in work.loads]

    def _attempt(self, claim: Claim, calls: Reservation) -> asyncio.Task[None]:
        self._changed(claim.covered)
        return self._runner.attempt(claim, self._clock.monotonic() + self._wait_seconds, calls)

    def _load(self, claimed: Stored) -> asyncio.Task[None]:
        self._changed([claimed])
        return self._runner.load(claimed, self._clock.monotonic() + self._wait_seconds)

    def _gate_changed(self, scope: str) -> None:
        """Whoever waits for a turn there may wait for another time now."""
        self._watchers.look_again_in(scope)
        self._dispatcher.wake()

    def _changed(self, transfers: Iterable[Stored]) -> None:
        self._watchers.tell(transfers)
        self.entry.tell(transfers)

    def _loaded(self, entered: Entered, progress: Progress, calls: Reservation | None) -> None:
        """Its record is in hand: the attempt goes on here, or it waits for its turn."""
        self._changed([entered.transfer])
        self._callers.begin(entered, self._clock.monotonic() + self._wait_seconds, calls, progress)
        if entered.claim is None:
            self._claim_if_watched(entered.transfer)

    def _due(self, ended: Claim) -> None:
        self._claim_if_watched(ended.lead)

    def _claim_if_watched(self, one: Stored) -> None:
        """What somebody waits for does not stand in the background's line."""
        if not self.draining and self._watchers.wait_for(one):
            self._entering.start(self._claim(one.connection, one.customer_id))
        else:
            self._dispatcher.wake()

    async def _claim(self, name: str, customer_id: str | None) -> None:
        owner, now = self.pulse.replica, self.pulse.now()
        claim = calls = None
        try:
            calls = await self.gates.reserve(name)
            if calls is not None:
                claim = await self._database.run(claims.claim, name, customer_id, owner, now)
        except Exception as error:
            if not isinstance(error, DatabaseGone | LookupError):
                log.exception("claiming broke")
        if calls is not None and claim is not None:
            self._attempt(claim, calls)
            return
        if calls is not None:
            calls.close()
        self._dispatcher.wake()

    def _lost(self, transfer: Stored, claim: Claim | None) -> None:
        self._watchers.look_again(transfer)
        if claim is not None:
            self._entering.start(self._doubt(claim))

    async def _doubt(self, lost: Claim) -> None:
        """What was sent here may have come after what others sent: it is looked at once more."""
        while not self.draining:
            try:
                await self._database.run(
                    attempts.doubt, lost, self.pulse.now(), self._runner.terms(lost.customer.connection)
                )
            except DatabaseGone:
                await self._clock.sleep(_DATABASE_SECONDS)
            except Exception:
                log.exception("a doubt cannot be recorded")
                await self._clock.sleep(_DATABASE_SECONDS)
            else:
                log.warning("a customer is verified, for what this replica sent late", transfer_id=lost.lead.id)
                return

    async def _live(self) -> None:
        """From the start of this replica to its end."""
        await self.opening.done()
        self.started = True
        beside = (self._dispatcher.live(), self.upkeep.live(), self.entry.live(), self._guard())
        for work in (*beside, self._first_calls.make()):
            self._tasks.start(work)
        while True:
            await self._clock.sleep(replicas.HEARTBEAT_SECONDS)
            await self._beat()

    async def _guard(self) -> None:
        """Beside the heartbeat, which must not wait for what others hold."""
        while True:
            await self._clock.sleep(replicas.HEARTBEAT_SECONDS)
            try:
                await self._take_over()
            except DatabaseGone:
                continue
            except Exception:
                log.exception("taking over broke")

    async def _beat(self) -> None:
        """Say that this replica lives; one that could not for too long stops its own work."""
        if self.pulse.is_cut_off:
            self._fence()
        try:
            await self.pulse.beat()
            self._quiet.forget()
        except DatabaseGone as gone:
            if self._quiet.passes(hint_of(str(gone))):
                log.warning("the database does not answer", error=str(gone))
            if self.pulse.age > replicas.FENCE_SECONDS:
                self._fence()
        except Exception:  # a replica that stops beating would lose its work to the others
            log.exception("heartbeat broke")

    def _fence(self) -> None:
        self._runner.fence()
        self._watchers.look_again()

    async def _take_over(self) -> None:
        """One that cannot be taken over, for somebody holds its row, keeps nobody from the others."""
        found = await self._database.run(replicas.bury, self.pulse.replica, self.pulse.now())
        keys: list[tuple[Key, str]] = [
            ((name, customer_id), owner) for name, customer_id, owner in found.customers
        ]
        keys += found.loads
        running = self._runner.keys()
        here = {(key, owner) for key, owner in keys if owner == self.pulse.replica and key not in running}
        for key, owner in keys:
            if owner == self.pulse.replica and (key, owner) not in self._unknown & here:
                continue  # it runs here; or it may just be about to begin
            try:
                released = await self._runner.release(key, owner)
            except Exception as error:
                log.warning("cannot be taken over yet", error=type(error).__name__, exc_info=_unknown(error))
                continue
            if released is not None:
                log.warning("taking over", transfers=[each.id for each in released])
                self.settle(*released)
        self._unknown = here


def _unknown(error: Exception) -> Exception | None:
    """For the log: an error that says nothing by its name alone."""
    return None if isinstance(error, DatabaseGone) else error
