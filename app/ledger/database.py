"""Opens the database and runs transactions off the event loop: SQLite by one writer, PostgreSQL by a pool."""

from __future__ import annotations

import asyncio
import fcntl
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar
from weakref import finalize

from sqlalchemy import Connection, create_engine, event
from sqlalchemy.engine import URL, Engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError

from app.ledger import schema

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.engine import ExceptionContext

P = ParamSpec("P")
T = TypeVar("T")

_POSTGRESQL_WRITERS = 8
_READERS = 2
_CONNECT_SECONDS = 5
_NETWORK_MS = 15_000
STATEMENT_MS = 15_000
IDLE_MS = 10_000  # a replica that froze in a transaction lets go of its rows
LOCK_MS = 12_000  # longer, so that who waits for those rows gets them
BEAT_MS = 5_000
_TRIES = 3
_REPEATED = frozenset({"40P01", "40001"})  # deadlock, serialization failure: the server asks for it
_LOCKED = "55P03"
# psycopg has no OperationalError of these: the server turned read-only (a failover), a frozen session was ended
_LOST = frozenset({"25006", "25P03"})


class DatabaseFault(Exception):
    """DATABASE_URL cannot be used; the text says why, without user name and password."""


class SchemaFault(DatabaseFault):
    """What is in the database is nothing that this version can use; the text says what, and what to do."""


class DatabaseGone(Exception):
    """The database does not answer at the moment."""


class DatabaseBusy(DatabaseGone):
    """Somebody else has held a lock for too long."""


def read_url(value: str) -> URL:
    """The URL with the driver that the product brings. Raises DatabaseFault."""
    try:
        url = make_url(value.replace("postgres://", "postgresql://", 1))
    except (ArgumentError, ValueError):  # the latter for a port that is no number
        message = "it is no database URL"
        raise DatabaseFault(message) from None
    kind = url.get_backend_name()
    if kind == "sqlite" and url.database and url.database != ":memory:":
        return url.set(drivername="sqlite")
    if kind == "postgresql" and url.database:
        return url.set(drivername="postgresql+psycopg")
    message = "only sqlite:///path/to/file.db and postgresql://host/database are known"
    raise DatabaseFault(message)


class Database:
    """One database; `run`, `read`, `beat` are transactions. Raises DatabaseFault for a SQLite path without access.

    `schema_note` is what a person should know of the schema after `migrate`; None = nothing.
    """

    def __init__(self, url: URL) -> None:
        self.schema_note: str | None = None
        self.is_sqlite = url.get_backend_name() == "sqlite"
        self._url = url
        writers = 1 if self.is_sqlite else _POSTGRESQL_WRITERS
        if self.is_sqlite:
            self._unlock = finalize(self, os.close, _own_file(Path(url.database or "")))
            self._engine = self._beating = _sqlite(url, "BEGIN IMMEDIATE", writers)
            self._reading = _sqlite(url, "BEGIN", _READERS)
        else:
            self._engine = self._reading = _postgresql(url, STATEMENT_MS, writers + _READERS)
            self._beating = _postgresql(url, BEAT_MS, 1)
        self._writers = ThreadPoolExecutor(writers, thread_name_prefix="ledger-write")
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="ledger-read")
        self._heart = self._writers if self.is_sqlite else ThreadPoolExecutor(1, thread_name_prefix="ledger-beat")

    async def run(self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """`work` in one transaction, durable when this returns. Raises DatabaseGone; may have run then."""
        return await self._call(self._writers, self._engine, work, *args, **kwargs)

    async def read(self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """`work` that only reads, beside the writers. Raises DatabaseGone."""
        return await self._call(self._readers, self._reading, work, *args, **kwargs)

    async def beat(self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """As `run`, but short, and not behind the writers; SQLite has but one. Raises DatabaseGone."""
        return await self._call(self._heart, self._beating, work, *args, **kwargs)

    async def migrate(self) -> None:
        """Bring the schema to the present version; replicas take turns. Raises SchemaFault, DatabaseGone."""
        try:
            state = await self.read(schema.look)
            while state.usable and state.behind:
                state = await self._step()
        except DBAPIError as error:
            message = f"The schema could not be brought to {schema.known()[-1]}: {_first_line(error.orig)}."
            raise SchemaFault(message) from None
        if not state.usable:
            raise SchemaFault(state.words)
        self.schema_note = state.words

    async def _step(self) -> schema.SchemaState:
        """Who does not get a lock in time lets the others pass, then tries again."""
        for _ in range(schema.TRIES - 1):
            with suppress(DatabaseBusy):
                return await self.run(schema.step)
            await asyncio.sleep(schema.PAUSE_SECONDS)
        return await self.run(schema.step)

    async def aclose(self) -> None:
        """Finish what runs, then close. Idempotent."""
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        for threads in (self._writers, self._readers, self._heart):
            threads.shutdown()
        for engine in (self._engine, self._reading, self._beating):
            engine.dispose()
        if self.is_sqlite:
            self._unlock()

    async def _call(
        self,
        threads: ThreadPoolExecutor,
        engine: Engine,
        work: Callable[Concatenate[Connection, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        def transaction(tries: int = _TRIES) -> T:
            try:
                with engine.begin() as connection:
                    return work(connection, *args, **kwargs)
            except DBAPIError as error:
                if _code(error.orig) in _REPEATED and tries > 1:
                    return transaction(tries - 1)
                if isinstance(error, OperationalError) or error.connection_invalidated:
                    gone = DatabaseBusy if _code(error.orig) == _LOCKED else DatabaseGone
                    raise gone(_first_line(error.orig)) from None
                raise

        try:
            under_way = asyncio.get_running_loop().run_in_executor(threads, transaction)
        except RuntimeError as error:  # the pool of threads is shut down
            raise DatabaseGone(str(error)) from None
        return await under_way


def _code(error: BaseException | None) -> str | None:
    return getattr(error, "sqlstate", None)


def _first_line(error: BaseException | None) -> str:
    return str(error).partition("\n")[0]


def _postgresql(url: URL, statement_ms: int, size: int) -> Engine:
    limits = {
        "statement_timeout": statement_ms,
        "lock_timeout": LOCK_MS,
        "idle_in_transaction_session_timeout": IDLE_MS,
    }
    engine = create_engine(
        url,
        pool_size=size,
        max_overflow=0,
        pool_pre_ping=True,
        hide_parameters=True,  # records are parameters, and error texts reach the log
        connect_args={
            "connect_timeout": _CONNECT_SECONDS,
            "tcp_user_timeout": _NETWORK_MS,
            "options": " ".join(f"-c {name}={value}" for name, value in limits.items()),
        },
    )
    event.listen(engine, "handle_error", _on_error)
    return engine


def _on_error(context: ExceptionContext) -> None:
    """Connects anew after `_LOST`, and drops the lines of PostgreSQL's texts that show keys and whole rows."""
    origin = context.original_exception
    if _code(origin) in _LOST:
        context.is_disconnect = True
    for error in (origin, context.sqlalchemy_exception):
        if error is not None:
            error.args = tuple(str(each).partition("\n")[0] for each in error.args)


def _sqlite(url: URL, begin: str, size: int) -> Engine:
    engine = create_engine(
        url,
        pool_size=size,
        max_overflow=0,
        hide_parameters=True,
        connect_args={"check_same_thread": False},
    )

    @event.listens_for(engine, "connect")
    def on_connect(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # transactions begin where SQLAlchemy says so
        for pragma in (
            "journal_mode=WAL",
            "synchronous=FULL",  # a commit is on the disk when it returns: a 202 survives a power cut
            "busy_timeout=10000",
            "foreign_keys=ON",
        ):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def on_begin(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine


def _own_file(path: Path) -> int:
    """SQLite serves one process; the kernel drops this lock with the process, however that ends."""
    lock_path = path.with_name(path.name + ".lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640))  # records are nobody else's business
    except OSError as error:
        message = f"{path} cannot be written ({error.strerror})"
        raise DatabaseFault(message) from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        message = f"{path} is in use by another process; several replicas need postgresql://"
        raise DatabaseFault(message) from None
    return lock
