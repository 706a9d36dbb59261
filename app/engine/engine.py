"""The engine itself: accepts transfers, waits for them, looks for due ones, and lives beside other replicas."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import structlog

from app.engine.dispatcher import Dispatcher
from app.engine.entry import Entry
from app.engine.runner import Runner
from app.engine.tasks import Tasks, Watchers, wait_at_most
from app.engine.upkeep import Upkeep
from app.ledger import endings, moves, replicas, reports
from app.ledger.database import DatabaseGone
from app.metrics import Metrics

if TYPE_CHECKING:
    from app.clock import Clock
    from app.connection import Connection
    from app.ledger.database import Database
    from app.ledger.endings import Finished
    from app.ledger.moves import Entered, NewTransfer
    from app.ledger.stored import Stored

log = structlog.stdlib.get_logger("engine")

_DATABASE_SECONDS = 1.0  # between tries while it is away
_ELSEWHERE_SECONDS = 0.25  # how often a caller looks for what another replica runs
_LEAK_SECONDS = 5.0


class NotTaking(Exception):
    """The engine is starting, stopping or cut off from its database, and takes no new transfers."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """A transfer as its caller learns of it; `replayed`: it had ended before this call."""

    transfer: Stored
    replayed: bool = False


class Engine:
    """Runs transfers in this replica. A caller that stops waiting never cancels its transfer."""

    def __init__(  # noqa: PLR0913 - each is a setting
        self,
        connection: Connection,
        database: Database,
        clock: Clock,
        *,
        wait_seconds: float,
        background: int,
        retention_days: float,
        metrics: Metrics | None = None,
        sandbox: bool = False,
    ) -> None:
        self._sandbox = sandbox
        self._database = database
        self.upkeep = Upkeep(database, clock, retention_days)
        self._fetch = connection.ipaas is not None
        self.entry = Entry(database, clock, self.settle, fetch=self._fetch)
        self._clock = clock
        self._wait_seconds = wait_seconds
        self._runner = Runner(
            connection, database, clock, metrics or Metrics(), self._ended, self._lost, self._is_cut_off
        )
        self._tasks = Tasks()
        self._entering = Tasks()
        self._watchers = Watchers()
        self._dispatcher = Dispatcher(database, clock, background, self._claim, self._entering, sandbox=sandbox)
        self._given_up = asyncio.Event()
        self._last_beat = clock.monotonic()
        self.taking = False
        self.started = False

    @property
    def running(self) -> int:
        """Transfers under way in this replica."""
        return len(self._runner.running)

    def start(self) -> None:
        """Open the database in the background, take over what was left, then take transfers."""
        self._tasks.start(self._live())

    async def drain(self, seconds: float) -> None:
        """Take no more; let running ones end within `seconds`; leave the rest to the next start. Idempotent."""
        self.taking = False
        self._dispatcher.stop()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._entering.settle()
                await self._runner.settle()
        self._given_up.set()
        await self._runner.give_up()
        await self._entering.cancel()
        await self._tasks.cancel()
        with suppress(DatabaseGone):
            if self.started:
                await self.upkeep.flush()
                await self._database.run(replicas.leave, self._runner.replica)

    async def run(self, news: list[NewTransfer], wait_seconds: float | None = None) -> list[Outcome]:
        """Each transfer's outcome, in order; what has not ended in `wait_seconds` is promised, and goes on.

        Default: the response timeout. With 0 nothing is waited for. Raises NotTaking.
        """
        deadline, owner = self._patience(wait_seconds)
        entered = await asyncio.shield(self._entering.start(self._accept(news, deadline, owner)))
        return list(await asyncio.gather(*(self._outcome(each, deadline) for each in entered)))

    async def rerun(self, seq: int, wait_seconds: float | None = None) -> Outcome | None:
        """Run a failed, cancelled or waiting transfer again, now. None = it is in no such state."""
        deadline, owner = self._patience(wait_seconds)
        entered = await asyncio.shield(self._entering.start(self._rerun(seq, deadline, owner)))
        return await self._outcome(entered, deadline) if entered else None

    def settle(self, *ended: Stored) -> None:
        """These ended without an attempt: say so, and look for what is due now."""
        for transfer in ended:
            self._runner.report(transfer)
            self._watchers.tell(transfer.seq)
        self._dispatcher.wake()

    def _patience(self, wait_seconds: float | None) -> tuple[float, str | None]:
        """When the caller's patience ends, and who runs the transfer at once: nobody if the caller has none."""
        if not self.taking:
            raise NotTaking
        seconds = self._wait_seconds if wait_seconds is None else wait_seconds
        return self._clock.monotonic() + seconds, self._runner.replica if seconds > 0 else None

    async def _accept(self, news: list[NewTransfer], deadline: float, owner: str | None) -> list[Entered]:
        now = self._clock.now().timestamp()
        entered = []
        try:
            for new in news:
                promised = replace(new, promised=owner is None)
                each = await self._database.run(moves.accept, promised, owner, now)
                self._go_on(each, deadline)
                entered.append(each)
        except DatabaseGone:
            raise NotTaking from None
        return entered

    async def _rerun(self, seq: int, deadline: float, owner: str | None) -> Entered | None:
        now = self._clock.now().timestamp()
        try:
            entered = await self._database.run(
                moves.rerun, seq, owner, now, promised=owner is None, sandbox=self._sandbox
            )
        except DatabaseGone:
            raise NotTaking from None
        if entered is not None:
            self._go_on(entered, deadline)
        return entered

    def _go_on(self, entered: Entered, deadline: float) -> None:
        if entered.claimed:
            self._runner.execute(entered, deadline)
        if entered.ended or entered.transfer.status == "accepted":
            self.settle(*entered.ended)

    async def _outcome(self, entered: Entered, deadline: float) -> Outcome:
        if entered.replayed:
            return Outcome(entered.transfer, replayed=True)
        try:
            transfer = await self._wait(entered.transfer, deadline)
            if not transfer.is_final and not transfer.promised:
                transfer = await self._database.run(moves.promise, transfer.seq)
        except DatabaseGone:
            raise NotTaking from None
        return Outcome(transfer)

    async def _wait(self, transfer: Stored, deadline: float) -> Stored:
        """Until it ended, waits for its next try, or the deadline came."""
        with self._watchers.watching(transfer.seq) as changed:
            changed.set()  # what happened before anybody watched has told nobody
            while not transfer.is_final and transfer.status != "waiting":
                left = deadline - self._clock.monotonic()
                if left <= 0 or self._given_up.is_set():
                    break
                task = self._runner.running.get(transfer.seq)
                if task is None:
                    await wait_at_most(changed, min(left, _ELSEWHERE_SECONDS))
                    changed.clear()
                else:
                    await asyncio.wait({task}, timeout=left)
                    if task.done() and not task.cancelled() and task.exception() is None:
                        return task.result()
                transfer = await self._database.read(reports.by_seq, transfer.seq)
        return transfer

    def _ended(self, finished: Finished) -> None:
        self._watchers.tell(finished.transfer.seq)
        if finished.ended:
            self.settle(*finished.ended)
        following = finished.next_seq
        if following is None:
            return
        if self.taking and following in self._watchers:
            self._entering.start(self._claim(following))  # somebody waits for it: not in the background's line
        else:
            self._dispatcher.wake()

    def _lost(self, transfer: Stored) -> None:
        self._entering.start(self._repair(transfer))

    async def _repair(self, lost: Stored) -> None:
        while self.taking:
            now = self._clock.now().timestamp()
            try:
                entered = await self._database.run(moves.repair, lost, now, fetch=self._fetch)
            except DatabaseGone:
                await self._clock.sleep(_DATABASE_SECONDS)
                continue
            if entered is not None:
                log.warning("the newest change is sent again", transfer_id=entered.transfer.id)
                self.settle(*entered.ended)
            return

    async def _live(self) -> None:
        """From the start of this replica to its end."""
        while not self.started:
            try:
                await self._database.migrate()
                if self._database.is_sqlite:
                    await self._database.run(replicas.leave)
                self.started = True
            except DatabaseGone as gone:
                log.warning("waiting for the database", error=str(gone))
            except Exception:
                log.exception("the database cannot be prepared")
            if not self.started:
                await self._clock.sleep(_DATABASE_SECONDS)
        self._last_beat = self._clock.monotonic()
        await self._beat()
        self.taking = True
        self._tasks.start(self._dispatcher.live())
        self._tasks.start(self.upkeep.live())
        self._tasks.start(self.entry.live())
        while True:
            await self._clock.sleep(replicas.HEARTBEAT_SECONDS)
            await self._beat()

    def _is_cut_off(self) -> bool:
        """Whether others may have taken over what runs here. SQLite has no others."""
        silent = self._clock.monotonic() - self._last_beat
        return not self._database.is_sqlite and silent > replicas.FENCE_SECONDS

    async def _beat(self) -> None:
        """Say that this replica lives, and take over what nobody runs any more."""
        if self._is_cut_off():
            self._runner.fence()
        now, own = self._clock.now().timestamp(), self._runner.replica
        seen_at = now if self._database.is_sqlite else None
        try:
            for seq, owner, started_at in await self._database.run(replicas.beat, own, seen_at):
                leaked = seq not in self._runner.running and started_at < now - _LEAK_SECONDS
                if owner != own or leaked:
                    entered = await self._database.run(endings.give_up, seq, owner, now)
                    if entered is not None:
                        log.warning("taking over a transfer", transfer_id=entered.transfer.id)
                        self._watchers.tell(seq)
                        self.settle(*entered.ended)
        except DatabaseGone as gone:
            log.warning("the database does not answer", error=str(gone))
            if self._clock.monotonic() - self._last_beat > replicas.FENCE_SECONDS:
                self._runner.fence()
                self._last_beat = self._clock.monotonic()
        except Exception:  # a replica that stops beating would lose its work to the others
            log.exception("heartbeat broke")
        else:
            self._last_beat = self._clock.monotonic()

    async def _claim(self, seq: int) -> None:
        """Run a pending transfer, if it still is one and its customer has none running."""
        if not self.taking:
            return  # a drain has begun; the next start or another replica runs it
        with suppress(DatabaseGone):
            now = self._clock.now().timestamp()
            entered = await self._database.run(moves.claim, seq, self._runner.replica, now)
            if entered is None:
                return
            if entered.claimed:
                task = self._runner.execute(entered, self._clock.monotonic() + self._wait_seconds)
                self._watchers.tell(seq)
                await asyncio.wait({task})
            else:
                self.settle(*entered.ended)
