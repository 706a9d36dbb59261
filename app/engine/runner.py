"""Runs what was claimed in this process: attempts at customers, and loads of records; and records how they end."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import uuid4

import structlog

from app.attempt import Change, Consent, Failure, Progress, StampedAnswer, TransferFailed
from app.connections import connection_id
from app.engine import spans
from app.engine.fence import FencedTries
from app.engine.memory import Memory
from app.engine.report import report
from app.error_catalog import Slug
from app.ipaas.models import read_record
from app.ledger import attempts, triggers
from app.ledger.attempts import AttemptResult, Terms
from app.ledger.faults import DatabaseGone
from app.outbound import noting
from app.outbound.pauses import Paused
from app.outbound.tries import Tries
from app.telemetry.logs import lines_about
from app.transfer import Transfer, load_record

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterable

    from app.clock import Clock
    from app.connections import Connections
    from app.engine.pulse import Pulse
    from app.engine.turnstile import Reservation
    from app.ledger.claims import Claim
    from app.ledger.customers import Customer
    from app.ledger.database import Database
    from app.ledger.stored import Stored
    from app.ledger.triggers import Entered
    from app.outbound.calls import CallError
    from app.outbound.noting import Meter
    from app.telemetry.metrics import Metrics

log = structlog.stdlib.get_logger("transfer")

_DATABASE_PAUSE_SECONDS = 0.25
_LONGEST_CALL_SECONDS = 120.0  # where it is not known any more whose
_LATER_SECONDS = 10.0  # what a caller is told to wait, as where nothing was begun
_BROKEN = Failure.of(Slug.INTERNAL_ERROR, 500, retryable=True)
_NO_RECORD = (
    "There is no record to send: none was received, or it was deleted after RETENTION_DAYS. Send it along; where "
    "IPAAS_API_URL is not set, none can be fetched."
)
Key = tuple[str, str | None] | int  # of an attempt: connection and customer; of a load: the transfer's seq
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Ports:
    """Who learns what: transfers changed; a customer is due again; a record was loaded; others took over.

    `reserve`: the calls of an attempt that goes on here after its load, if it is its turn.
    """

    changed: Callable[[Iterable[Stored]], None]
    due: Callable[[Claim], None]
    loaded: Callable[[Entered, Progress, Reservation | None], None]
    reserve: Callable[[str, int], Awaitable[Reservation | None]]
    lost: Callable[[Stored, Claim | None], None]


@dataclass(frozen=True, slots=True)
class _Ending:
    """How an attempt or a load ended: well, with a failure, or for a pause."""

    failure: Failure | None = None
    paused: bool = False


_WELL = _Ending()


class Runner:
    """`pulse` says who this replica is, what time it is, and whether it may still act."""

    def __init__(  # noqa: PLR0913 - what a runner runs on
        self,
        connections: Connections,
        database: Database,
        clock: Clock,
        pulse: Pulse,
        metrics: Metrics,
        ports: Ports,
        *,
        unit_seconds: float,
    ) -> None:
        self._connections = connections
        self._database = database
        self._clock = clock
        self._pulse = pulse
        self._metrics = metrics
        self._ports = ports
        self._unit_seconds = unit_seconds
        self.running: dict[asyncio.Task[None], Key] = {}

    def attempt(
        self, claim: Claim, deadline: float, calls: Reservation, loaded: Progress | None = None
    ) -> asyncio.Task[None]:
        """Run an attempt; `deadline` (monotonic seconds) bounds the repeats of single calls, not the attempt."""
        customer = claim.customer
        progress = loaded or Progress(seconds={"load": 0.0})
        task = self._start(
            (customer.connection, customer.customer_id), self._attempt(claim, progress, deadline, calls)
        )
        task.add_done_callback(lambda _task: calls.close())
        return task

    def load(self, claimed: Stored, deadline: float) -> asyncio.Task[None]:
        """Fetch a transfer's record, then let it take its place in the order."""
        return self._start(claimed.seq, self._load(claimed, deadline))

    def runs(self, transfer: Stored) -> bool:
        """Whether it is under way here."""
        mine = {transfer.seq, (transfer.connection, transfer.customer_id)}
        return transfer.status == "running" and not mine.isdisjoint(self.running.values())

    def keys(self) -> set[Key]:
        """Of all that is under way here."""
        return set(self.running.values())

    def terms(self, scope: str) -> Terms:
        """Those of this moment."""
        connection = self._connections.at(scope)
        timeout = connection.stamped.timeout_seconds if connection else _LONGEST_CALL_SECONDS
        return Terms(self._unit_seconds, timeout, self._clock.random())

    async def settle(self) -> None:
        """Until nothing runs any more."""
        while self.running:
            await asyncio.wait(list(self.running))

    async def give_up(self) -> None:
        """End all that runs here, and leave it to whoever comes next."""
        running = dict(self.running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        for key in running.values():
            with suppress(DatabaseGone):
                await self.release(key, self._pulse.replica)

    async def release(self, key: Key, owner: str) -> list[Stored] | None:
        """End what `owner` runs no more; it is due again. None = it ended meanwhile. Raises DatabaseGone."""
        now = self._pulse.now()
        if isinstance(key, int):
            loaded = await self._database.run(attempts.release_load, key, owner, now)
            return [loaded] if loaded else None
        return await self._database.run(attempts.release, key[0], key[1] or "", owner, now, self.terms(key[0]))

    def fence(self) -> None:
        """Others may already have taken over what runs here: end it, and go on under a new name."""
        for task in self.running:
            task.cancel()
        self._pulse.replica = str(uuid4())

    def _start(self, key: Key, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self.running[task] = key
        self._metrics.running(len(self.running))
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        del self.running[task]
        self._metrics.running(len(self.running))

    async def _attempt(self, claim: Claim, progress: Progress, deadline: float, calls: Reservation) -> None:
        lead = claim.lead
        with spans.begin("attempt", lead, claim.covered) as span, _named(lead):
            began = self._clock.monotonic()
            tries = self._tries(deadline, claim.customer.owner, progress, calls)
            if lead.debug:
                log.info("attempt begins", number=lead.attempts, destination=lead.destination)
            connection = self._connections.of(lead.connection)
            memory = Memory(connection, self._database, claim, tries, self._pulse.now)
            try:
                ending = await self._guarded(self._transfer(claim, tries, progress, memory), progress)
                result = self._result(progress, ending, tries, memory.answered_at)
                spans.tell(span, ending.failure, paused=ending.paused)
                calls.close()
                finished = await self._kept(attempts.finish, claim, lead.connection, result)
            except asyncio.CancelledError:
                if self._pulse.may_be_lost(claim.customer.owner):
                    self._ports.lost(lead, claim)
                raise
            if finished is None:
                log.warning("the transfer was taken over meanwhile")
                self._ports.lost(lead, claim)
                return
            for transfer in finished.settled:
                report(self._metrics, transfer, self._clock.monotonic() - began, progress.seconds)
            self._ports.changed(finished.settled)
            if finished.is_due:
                self._ports.due(claim)

    async def _load(self, claimed: Stored, deadline: float) -> None:
        with spans.begin("load", claimed) as span, _named(claimed):
            began = self._clock.monotonic()
            progress = Progress()
            tries = self._tries(deadline, claimed.owner, progress)
            change = Change(claimed.customer_id or "", claimed.tracking_guid, claimed.destination)
            connection = self._connections.of(claimed.connection)
            found: list[Any] = []

            async def load() -> None:
                with progress.step("load", self._clock):
                    found.append(await load_record(change, connection, tries))

            ending = await self._guarded(load(), progress)
            spans.tell(span, ending.failure, paused=ending.paused)
            if ending == _WELL:
                progress.names = found[0].names
                await self._take_its_place(claimed, found[0], progress)
                return
            seconds = self._clock.monotonic() - began
            await self._not_loaded(claimed, self._result(progress, ending, tries), seconds)

    async def _take_its_place(self, claimed: Stored, record: Any, progress: Progress) -> None:
        consent = self._connections.of(claimed.connection).mapping.readable_consent(record)
        told = self._calls(progress)
        calls: Reservation | None = None

        async def enter() -> Entered | None:
            nonlocal calls
            calls = calls or await self._ports.reserve(claimed.connection, claimed.rank)
            is_mine = calls is not None and claimed.owner == self._pulse.replica
            given = (record, consent, claimed.owner if is_mine else None, self._pulse.now(), told)
            return await self._database.run(triggers.loaded, claimed, *given)

        entered = None
        try:
            entered = await self._until_written(enter)
        except Exception:
            log.exception("a loaded record cannot be kept")
            result = AttemptResult(Progress(), self._pulse.now(), _BROKEN, calls=told)
            await self._not_loaded(claimed, result, progress.seconds["load"])
            return
        finally:  # also where it is cancelled: what nobody goes on with needs no calls
            if entered is None and calls is not None:
                calls.close()
        if entered is None:
            self._ports.lost(claimed, None)
        else:
            self._ports.loaded(entered, progress, calls)

    async def _not_loaded(self, claimed: Stored, result: AttemptResult, seconds: float) -> None:
        failed = await self._kept(attempts.not_loaded, claimed, claimed.connection, result)
        if failed is None:
            self._ports.lost(claimed, None)
            return
        report(self._metrics, failed, seconds, result.progress.seconds)
        self._ports.changed([failed])

    async def _transfer(self, claim: Claim, tries: Tries, progress: Progress, memory: Memory) -> None:
        customer, lead = claim.customer, claim.lead
        record = claim.parsed or read_record(json.loads(claim.record or "{}"))
        transfer = Transfer(
            Change(customer.customer_id, lead.tracking_guid, lead.destination, record),
            record,
            memory.connection,
            memory,
            tries,
            self._clock,
            progress,
            _consent(customer),
            verifies=claim.verifies,
        )
        try:
            await transfer.run()
        except TransferFailed as failed:
            if claim.record is None and failed.failure.slug is Slug.CUSTOMER:  # all but a "no" that was due
                raise TransferFailed(Failure.of(Slug.NOT_LOADED, 422, _NO_RECORD, retryable=False)) from None
            raise
        finally:
            await memory.kept()

    async def _guarded(self, work: Awaitable[None], progress: Progress) -> _Ending:
        """How it ended; nothing that goes wrong leaves it unended."""
        try:
            await work
        except TransferFailed as failed:
            return _Ending(failed.failure)
        except Paused as paused:
            return _Ending(self._told_by(paused.error, progress), paused=True)
        except DatabaseGone:
            failure = Failure.of(Slug.SERVICE_UNAVAILABLE, 503, "The database did not answer.", retryable=True)
            return _Ending(replace(failure, retry_after=_LATER_SECONDS))
        except Exception:
            log.exception("transfer broke")
            return _Ending(_BROKEN)
        return _WELL

    def _told_by(self, error: CallError | None, progress: Progress) -> Failure | None:
        """What the call answered that an attempt had to end with."""
        if error is None:
            return None
        message = self._connections.redactor.text(error.message, names=progress.names)
        error = replace(error, message=message)
        slug = Slug.SUBSCRIPTION if error.operation in {"subscribe", "unsubscribe"} else Slug.CUSTOMER
        return Failure.of_call(slug, error, StampedAnswer(error.operation, error.status, message))

    def _result(
        self, progress: Progress, ending: _Ending, tries: Tries, answered_at: float | None = None
    ) -> AttemptResult:
        now = self._pulse.now()
        unanswered_at = None
        if tries.unanswered_at is not None:
            unanswered_at = now - (self._clock.monotonic() - tries.unanswered_at)
        calls = self._calls(progress)
        return AttemptResult(progress, now, ending.failure, unanswered_at, answered_at, calls, ending.paused)

    def _calls(self, progress: Progress) -> str:
        """As they are kept, by the time that is this replica's."""
        hide = partial(self._connections.redactor.text, names=progress.names)
        return noting.dump(progress.calls, self._pulse.now() - self._clock.monotonic(), hide)

    async def _kept(self, work: Callable[..., T], claimed: Any, scope: str, result: AttemptResult) -> T:
        """Written at last. What cannot be written ends the attempt as an error of ours, in doubt."""

        async def write() -> T:
            return await self._database.run(work, claimed, result, self.terms(scope))

        try:
            return await self._until_written(write)
        except Exception:
            log.exception("the end of an attempt cannot be recorded")
        result = AttemptResult(
            Progress(),
            result.finished_at,
            _BROKEN,
            result.finished_at,
        )
        return await self._until_written(write)

    async def _until_written(self, write: Callable[[], Awaitable[T]]) -> T:
        """Even if the database is away for a while; `fence` ends the waiting."""
        while True:
            try:
                return await write()
            except DatabaseGone:
                await self._clock.sleep(_DATABASE_PAUSE_SECONDS)

    def _tries(self, deadline: float, owner: str | None, progress: Progress, meter: Meter | None = None) -> Tries:
        return FencedTries(deadline, self._clock, progress.calls, meter, self._pulse, owner)


def _named(transfer: Stored) -> Any:
    """Whose log lines these are."""
    return lines_about(
        tracking_guid=transfer.tracking_guid,
        transfer_id=transfer.id,
        connection=connection_id(transfer.connection),
        customer_id=transfer.customer_id,
    )


def _consent(customer: Customer) -> Consent:
    said_no = customer.wanted.consent is False
    return Consent(customer.owes_no, said_no, customer.external_id, in_doubt=customer.doubt is not None)
