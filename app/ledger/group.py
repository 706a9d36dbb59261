"""Group commit: one thread runs whatever is queued in one transaction, so that all share its way to the disk."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any, TypeVar

from app.ledger.faults import DatabaseGone, is_undone, told
from app.ledger.pipeline import GroupSession
from app.ledger.session import Session

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import Connection
    from sqlalchemy.engine import Engine

    from app.ledger.session import About

T = TypeVar("T")
_MOST_AT_ONCE = 64  # works that share one transaction


class Refused(Exception):
    """It did not run in the group, and is to run in a transaction of its own."""


@dataclass(slots=True)
class _Job:
    """A work, who waits for it, and what came of it. `about` None: nobody shares its transaction."""

    work: Callable[[Session], Any]
    waiter: asyncio.Future[Any]
    loop: asyncio.AbstractEventLoop
    about: About | None
    result: Any = None
    error: BaseException | None = None

    def tell(self) -> None:
        if self.waiter.done():  # nobody waits any more
            return
        if self.error is None:
            self.waiter.set_result(self.result)
        else:
            ends = isinstance(self.error, StopIteration)  # which no future takes
            self.waiter.set_exception(RuntimeError(str(self.error)) if ends else self.error)


class Group:
    """The one writer of SQLite. Whoever waits for a work learns of its end after the commit.

    Where one of a group fails, all of it is rolled back, and each runs again alone. A failed commit is the end of
    all of them: nobody knows whether it was done.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._queue: SimpleQueue[_Job | None] = SimpleQueue()
        self._connection: Connection | None = None
        self._stopped = False
        self._is_final = False  # what fails now fails for all, and is not tried again
        self._gate = Lock()
        self._thread = Thread(target=self._live, name="ledger-write", daemon=True)
        self._thread.start()

    async def run(self, work: Callable[[Session], T], about: About | None = None) -> T:
        """The result of `work`, durable. Raises DatabaseGone; it may have run then."""
        loop = asyncio.get_running_loop()
        job = _Job(work, loop.create_future(), loop, about)
        with self._gate:  # nothing comes behind the end
            if self._stopped:
                message = "the database is closed"
                raise DatabaseGone(message)
            self._queue.put(job)
        result: T = await job.waiter
        return result

    def stop(self) -> None:
        """Finish what was taken; take no more. Idempotent."""
        with self._gate:
            if not self._stopped:
                self._stopped = True
                self._queue.put(None)
        self._thread.join()
        self._engine.dispose()

    def _live(self) -> None:
        goes_on = True
        while goes_on:
            batch = [self._queue.get()]
            with suppress(Empty):
                while len(batch) < _MOST_AT_ONCE:
                    batch.append(self._queue.get_nowait())
            goes_on = None not in batch
            self._run([job for job in batch if job is not None and not job.waiter.cancelled()])
        if self._connection is not None:
            self._connection.close()

    def _run(self, jobs: Sequence[_Job]) -> None:
        """In the order in which they came."""
        together: list[_Job] = []
        for job in jobs:
            if job.about is None:
                self._settle(together)
                self._settle([job])
                together = []
            else:
                together.append(job)
        self._settle(together)

    def _settle(self, jobs: Sequence[_Job]) -> None:
        """Run, and tell whoever waits."""
        error = self._try(jobs)
        if error is not None:
            self._failed(jobs, error)
        _tell(jobs)

    def _failed(self, jobs: Sequence[_Job], error: BaseException) -> None:
        is_final = self._is_final or len(jobs) == 1
        for job in jobs:
            job.error = error if is_final else self._try([job])

    def _try(self, jobs: Sequence[_Job]) -> BaseException | None:
        """One transaction; what it failed with."""
        self._is_final = True  # until a work begins, it is nobody's fault
        try:
            if jobs:
                self._connection = self._connection or self._engine.connect()
                self._transact(self._connection, jobs)
        except BaseException as error:  # noqa: BLE001 - it is its waiter's
            self._is_final = self._is_final and not is_undone(error)
            self._drop()
            return told(error)
        return None

    def _drop(self) -> None:
        """With all that was not committed."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.invalidate()
            connection.close()

    def _transact(self, connection: Connection, jobs: Sequence[_Job]) -> None:
        transaction = connection.begin()
        self._is_final = False
        for job in jobs:
            job.result = job.work(Session(connection))
        self._is_final = True
        transaction.commit()


class PipelinedGroup(Group):
    """The same on PostgreSQL. It waits for no row that another replica has locked: nobody holds up the others."""

    def __init__(self, engine: Engine, settings: str) -> None:
        self._settings = settings
        super().__init__(engine)

    def _run(self, jobs: Sequence[_Job]) -> None:
        """Each thing once; what is left is another group's."""
        while jobs:
            now: list[_Job] = []
            later: list[_Job] = []
            keys: set[tuple[str, object]] = set()
            for job in jobs:
                mine = job.about.keys if job.about is not None else set()
                (later if mine & keys else now).append(job)
                keys |= mine
            self._settle(now)
            jobs = later

    def _failed(self, jobs: Sequence[_Job], error: BaseException) -> None:
        lost = error if self._is_final and isinstance(error, DatabaseGone) else Refused()
        for job in jobs:
            job.error = lost

    def _transact(self, connection: Connection, jobs: Sequence[_Job]) -> None:
        transaction = connection.begin()
        self._is_final = False
        session = GroupSession(connection, self._settings, [job.about for job in jobs if job.about is not None])
        try:
            for job, is_free in zip(jobs, session.free, strict=True):
                if is_free:
                    job.result = job.work(session)
                else:
                    job.error = Refused()
            self._is_final = True
            session.commit()
        finally:
            session.close()
        transaction.commit()  # for SQLAlchemy, which has not seen it


def _tell(jobs: Sequence[_Job]) -> None:
    """One wake-up of the loop for all of them."""
    for loop in {job.loop for job in jobs}:
        mine = [job for job in jobs if job.loop is loop]
        with suppress(RuntimeError):  # the loop is closed, and with it all that waits
            loop.call_soon_threadsafe(_tell_each, mine)


def _tell_each(jobs: Sequence[_Job]) -> None:
    for job in jobs:
        job.tell()
