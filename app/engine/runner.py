"""Runs attempts of claimed transfers in this process and records how they end."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar
from uuid import uuid4

import structlog

from app.attempt import Change, Failure, Progress, TransferFailed
from app.catalog import CATALOG, Slug
from app.engine.memory import Memory
from app.ledger import endings, moves, reports
from app.ledger.database import DatabaseGone
from app.transfer import Transfer, load_record
from app.tries import Tries

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from sqlalchemy import RowMapping

    from app.clock import Clock
    from app.connection import Connection
    from app.ledger.database import Database
    from app.ledger.endings import AttemptResult, Finished
    from app.ledger.moves import Entered
    from app.ledger.stored import Stored
    from app.metrics import Metrics

log = structlog.stdlib.get_logger("transfer")

_DATABASE_PAUSE_SECONDS = 0.25
T = TypeVar("T")


class Runner:
    """`replica` owns what runs here. `on_end` learns of each attempt's end, `on_lost` of those taken over."""

    def __init__(  # noqa: PLR0913 - what a runner runs on
        self,
        connection: Connection,
        database: Database,
        clock: Clock,
        metrics: Metrics,
        on_end: Callable[[Finished], None],
        on_lost: Callable[[Stored], None],
        is_cut_off: Callable[[], bool],
    ) -> None:
        self._metrics = metrics
        self._connection = connection
        self._database = database
        self._clock = clock
        self._on_end = on_end
        self._on_lost = on_lost
        self._is_cut_off = is_cut_off
        self.replica = str(uuid4())
        self.running: dict[int, asyncio.Task[Stored]] = {}

    def execute(self, entered: Entered, deadline: float) -> asyncio.Task[Stored]:
        """Run an attempt; `deadline` (monotonic seconds) bounds the repeats of single calls, not the attempt."""
        claimed = entered.transfer
        task = asyncio.create_task(self._attempt(claimed, entered.link, deadline))
        self.running[claimed.seq] = task
        task.add_done_callback(lambda ended: self._forget(claimed.seq, ended))
        return task

    async def settle(self) -> None:
        """Until nothing runs any more."""
        while self.running:
            await asyncio.wait(list(self.running.values()))

    async def give_up(self) -> None:
        """End all attempts here, and leave their transfers to whoever comes next."""
        running = dict(self.running)
        for task in running.values():
            task.cancel()
        await asyncio.gather(*running.values(), return_exceptions=True)
        now = self._clock.now().timestamp()
        for seq in running:
            with suppress(DatabaseGone):
                await self._database.run(endings.give_up, seq, self.replica, now)

    def fence(self) -> None:
        """Others may already have taken over what runs here: end it, and go on under a new name."""
        for task in self.running.values():
            task.cancel()
        self.replica = str(uuid4())

    async def _may_go_on(self, claimed: Stored) -> None:
        """Before each call: a replica that stood still may have been taken over, and must not send what is old."""
        if not self._may_be_lost(claimed):
            return
        log.warning("this replica stood still, and may have been taken over")
        self.running[claimed.seq].cancel()
        await asyncio.sleep(0)  # where the cancellation arrives

    def _may_be_lost(self, claimed: Stored) -> bool:
        return claimed.owner != self.replica or self._is_cut_off()

    def _forget(self, seq: int, ended: asyncio.Task[Stored]) -> None:
        if self.running.get(seq) is ended:  # else its next attempt has begun already
            del self.running[seq]

    def report(self, transfer: Stored, seconds: float = 0, steps: dict[str, float] | None = None) -> None:
        """The one line of a transfer, or of an attempt that a next one follows; and its place in the metrics."""
        self._metrics.transfer(transfer.status, transfer.action, transfer.error, seconds)
        write = log.warning if transfer.error else log.info
        write(
            "transfer",
            tracking_guid=transfer.tracking_guid,
            transfer_id=transfer.id,
            customer_id=transfer.customer_id,
            scope=transfer.scope,
            trigger=transfer.trigger,
            status=transfer.status,
            action=transfer.action,
            external_id=transfer.external_id,
            subscription=transfer.subscription,
            reason=transfer.reason,
            error=transfer.error,
            attempts=transfer.attempts,
            seconds=round(seconds, 4),
            steps=steps or {},
        )

    async def _attempt(self, claimed: Stored, link: RowMapping | None, deadline: float) -> Stored:
        with structlog.contextvars.bound_contextvars(
            tracking_guid=claimed.tracking_guid, transfer_id=claimed.id, customer_id=claimed.customer_id
        ):
            began = self._clock.monotonic()
            progress = Progress()
            if claimed.debug:
                log.info("attempt begins", number=claimed.attempts, destination=claimed.destination)
            try:
                failure, newer = await self._flow(claimed, link, deadline, progress)
                finished_at = self._clock.now().timestamp()
                result = endings.AttemptResult(progress, finished_at, failure, newer)
                finished = await self._record(claimed, result)
            except asyncio.CancelledError:
                if self._may_be_lost(claimed):
                    self._on_lost(claimed)
                raise
            if finished is None:
                log.warning("the transfer was taken over meanwhile")
                self._on_lost(claimed)
                return await self._database.read(reports.by_seq, claimed.seq)
            self.report(finished.transfer, self._clock.monotonic() - began, progress.seconds)
            self._on_end(finished)
            return finished.transfer

    async def _flow(
        self, claimed: Stored, link: RowMapping | None, deadline: float, progress: Progress
    ) -> tuple[Failure | None, str | None]:
        """One attempt: its failure, or the id of the newer change that makes it needless."""
        stored = claimed.customer_record()
        if claimed.fetched and self._connection.ipaas is not None:
            stored = None
        change = Change(claimed.customer_id or "", claimed.tracking_guid, claimed.destination, stored)
        tries = _FencedTries(deadline, self._clock, lambda: self._may_go_on(claimed))
        try:
            with progress.step("load", self._clock):
                record = await load_record(change, self._connection, tries)
            if stored is None:
                newer = await self._database.run(moves.keep_loaded, claimed, record)
                if newer is not None:
                    return None, newer
            memory = Memory(self._connection, self._database, claimed, link, record, tries)
            await Transfer(change, record, self._connection, memory, tries, self._clock, progress).run()
        except TransferFailed as failed:
            return failed.failure, None
        except DatabaseGone:
            return _own_failure(Slug.SERVICE_UNAVAILABLE, 503, "The database did not answer."), None
        except Exception:
            log.exception("transfer broke")
            return _own_failure(Slug.INTERNAL_ERROR, 500), None
        return None, None

    async def _record(self, claimed: Stored, result: AttemptResult) -> Finished | None:
        """Written at last even if the database is away for a while; `fence` ends the waiting."""
        while True:
            try:
                return await self._database.run(endings.finish, claimed, result, self._clock.random())
            except DatabaseGone:
                await self._clock.sleep(_DATABASE_PAUSE_SECONDS)


class _FencedTries(Tries):
    """Asks before each try."""

    def __init__(self, deadline: float, clock: Clock, before: Callable[[], Awaitable[None]]) -> None:
        super().__init__(deadline, clock)
        self._before = before

    async def __call__(self, call: Callable[[], Awaitable[T]]) -> T:
        """Raises the last CallError."""

        async def fenced() -> T:
            await self._before()
            return await call()

        return await super().__call__(fenced)


def _own_failure(slug: Slug, status: int, more: str = "") -> Failure:
    return Failure(slug, status, f"{CATALOG[slug].sentence} {more}".rstrip(), retryable=True)
