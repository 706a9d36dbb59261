"""Opens the database and runs transactions off the event loop: SQLite by one writer, PostgreSQL by a pool."""

from __future__ import annotations

import asyncio
import fcntl
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar
from weakref import finalize

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, create_engine, event, text
from sqlalchemy.engine import URL, Engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
T = TypeVar("T")

_POSTGRESQL_WRITERS = 8
_READERS = 2
_DEADLOCK, _DEADLOCK_TRIES = "40P01", 3
_MIGRATION_LOCK = 7_205_112_431  # any number, but the same in every replica
_POSTGRESQL_LIMITS = {
    "connect_timeout": 5,
    "tcp_user_timeout": 15_000,
    "options": "-c statement_timeout=15000 -c lock_timeout=10000",
}


class DatabaseFault(Exception):
    """DATABASE_URL cannot be used; the text says why, without user name and password."""


class DatabaseGone(Exception):
    """The database does not answer at the moment."""


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
    """One database; `run` and `read` are transactions. Raises DatabaseFault for a SQLite path without access."""

    def __init__(self, url: URL) -> None:
        self.is_sqlite = url.get_backend_name() == "sqlite"
        self._url = url
        writers = 1 if self.is_sqlite else _POSTGRESQL_WRITERS
        if self.is_sqlite:
            self._unlock = finalize(self, os.close, _own_file(Path(url.database or "")))
            self._engine = _sqlite(url, "BEGIN IMMEDIATE", writers)
            self._reading = _sqlite(url, "BEGIN", _READERS)
        else:
            self._engine = self._reading = create_engine(
                url,
                pool_size=writers + _READERS,
                max_overflow=0,
                pool_pre_ping=True,
                hide_parameters=True,  # records are parameters, and error texts reach the log
                connect_args=dict(_POSTGRESQL_LIMITS),
            )
        self._writers = ThreadPoolExecutor(writers, thread_name_prefix="ledger-write")
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="ledger-read")

    async def run(self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """`work` in one transaction, durable when this returns. Raises DatabaseGone; may have run then."""
        return await self._call(self._writers, self._engine, work, *args, **kwargs)

    async def read(self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """`work` that only reads, beside the writers. Raises DatabaseGone."""
        return await self._call(self._readers, self._reading, work, *args, **kwargs)

    async def migrate(self) -> None:
        """Bring the schema to the present version; replicas take turns. Raises DatabaseGone."""
        await self.run(_migrate)

    async def aclose(self) -> None:
        """Finish what runs, then close. Idempotent."""
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        self._writers.shutdown()
        self._readers.shutdown()
        self._engine.dispose()
        self._reading.dispose()
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
        def transaction(tries: int = _DEADLOCK_TRIES) -> T:
            try:
                with engine.begin() as connection:
                    return work(connection, *args, **kwargs)
            except OperationalError as error:
                if getattr(error.orig, "sqlstate", None) == _DEADLOCK and tries > 1:
                    return transaction(tries - 1)
                raise DatabaseGone(str(error.orig).partition("\n")[0]) from None
            except DBAPIError as error:
                if error.connection_invalidated:
                    raise DatabaseGone(type(error.orig).__name__) from None
                raise

        try:
            under_way = asyncio.get_running_loop().run_in_executor(threads, transaction)
        except RuntimeError as error:  # the pool of threads is shut down
            raise DatabaseGone(str(error)) from None
        return await under_way


def lock_customer(connection: Connection, *key: str | None) -> None:
    """From here to the end of the transaction nobody else decides about this customer. SQLite has one writer."""
    if connection.dialect.name == "postgresql":
        statement = text("SELECT pg_advisory_xact_lock(hashtextextended(:key, 0))")
        connection.execute(statement, {"key": "\n".join(part or "" for part in key)})


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


def _migrate(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(text("SET LOCAL statement_timeout = 0"))
        connection.execute(text("SET LOCAL lock_timeout = 0"))
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
