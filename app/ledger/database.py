"""One database: transactions off the event loop, those that may share one in groups."""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar
from weakref import finalize

from sqlalchemy.exc import DBAPIError

from app.ledger import engines, hints, schema
from app.ledger.faults import NOT_ALLOWED, DatabaseBusy, SchemaFault, code_of, first_line
from app.ledger.group import Group, PipelinedGroup, Refused
from app.ledger.pool import Pool
from app.ledger.session import about_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.engine import URL

    from app.ledger.session import Session

P = ParamSpec("P")
T = TypeVar("T")

_READERS = 2
_DEFAULT_POOL = 10
_ONE_MOMENT = "BEGIN ISOLATION LEVEL REPEATABLE READ"  # as on SQLite: what is counted by two statements adds up


class Database:
    """One database; `run`, `read`, `beat` are transactions. Raises DatabaseFault for a SQLite path without access.

    `pool_size`: connections to PostgreSQL at most, 4 or more: the group's, the heart's, readers and writers.
    `schema_note` is what a person should know of the schema after `migrate`; None = nothing. `place`: for the log.
    """

    def __init__(self, url: URL, pool_size: int = _DEFAULT_POOL) -> None:
        self.schema_note: str | None = None
        self.place = hints.place_of(url)
        self.is_sqlite = url.get_backend_name() == "sqlite"
        self._writers: Pool | Group
        self._heart: Pool | Group
        if self.is_sqlite:
            self._unlock = finalize(self, os.close, engines.own_file(Path(url.database or "")))
            self._group = self._writers = self._heart = Group(engines.sqlite(url, "BEGIN IMMEDIATE", 1))
            self._readers = Pool(engines.sqlite(url, "BEGIN", _READERS), _READERS, "ledger-read")
            return
        ms = engines.STATEMENT_MS
        readers = max(1, pool_size // 5)
        writers = pool_size - readers - 2
        self._group = PipelinedGroup(engines.postgresql_group(url), engines.group_settings(url))
        self._readers = Pool(engines.postgresql(url, ms, readers, _ONE_MOMENT), readers, "ledger-read")
        self._writers = Pool(engines.postgresql(url, ms, writers), writers, "ledger-write")
        self._heart = Pool(engines.postgresql(url, engines.BEAT_MS, 1), 1, "ledger-beat")

    async def run(self, work: Callable[Concatenate[Session, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """`work` in one transaction, durable when this returns. Raises DatabaseGone; may have run then."""
        about = about_of(work)

        def bound(session: Session) -> T:
            return work(session, *args, **kwargs)

        if about is not None:
            with suppress(Refused):
                return await self._group.run(bound, about(*args, **kwargs))
        return await self._writers.run(bound)

    async def read(self, work: Callable[Concatenate[Session, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """`work` that only reads, beside the writers, what there was at one moment. Raises DatabaseGone."""
        return await self._readers.run(lambda session: work(session, *args, **kwargs))

    async def beat(self, work: Callable[Concatenate[Session, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """As `run`, but short, and not behind the writers; SQLite has but one. Raises DatabaseGone."""
        return await self._heart.run(lambda session: work(session, *args, **kwargs))

    async def migrate(self) -> None:
        """Bring the schema to the present version; replicas take turns. Raises SchemaFault, DatabaseGone."""
        try:
            state = await self.read(lambda session: schema.look(session.connection))
            while state.usable and state.behind:
                state = await self._step()
        except DBAPIError as error:
            message = f"The schema could not be brought to {schema.known()[-1]}: {first_line(error.orig)}."
            if code_of(error) == NOT_ALLOWED:
                message += f" {schema.NEEDS_MIGRATE}"
            raise SchemaFault(message) from None
        if not state.usable:
            raise SchemaFault(state.words)
        self.schema_note = state.words

    async def _step(self) -> schema.SchemaState:
        """Who does not get a lock soon lets the others pass, then tries again. Raises DatabaseBusy in the end."""
        for _ in range(schema.TRIES - 1):
            with suppress(DatabaseBusy):
                return await self.run(_step)
            await asyncio.sleep(schema.PAUSE_SECONDS)
        return await self.run(_step)

    async def aclose(self) -> None:
        """Finish what runs, then close. Idempotent."""
        await asyncio.to_thread(self._group.stop)  # what it leaves to others is theirs before they are stopped
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        for each in (self._group, self._writers, self._heart, self._readers):
            each.stop()
        if self.is_sqlite:
            self._unlock()


def _step(session: Session) -> schema.SchemaState:
    return schema.step(session.connection)
