"""Opens databases: what SQLite and PostgreSQL are told before the first statement."""

from __future__ import annotations

import fcntl
import os
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, create_engine, event
from sqlalchemy.engine import URL, Engine, make_url
from sqlalchemy.exc import ArgumentError

from app.ledger.faults import LOST, DatabaseFault, code_of, hide_rows
from app.settings import Settings, SettingsFault

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from sqlalchemy.engine import ExceptionContext

    from app.telemetry.redaction import Redactor

_CONNECT_SECONDS = 5
_NETWORK_MS = 15_000
STATEMENT_MS = 15_000
IDLE_MS = 10_000  # a replica that froze in a transaction lets go of its rows
LOCK_MS = 12_000  # longer, so that who waits for those rows gets them
BEAT_MS = 5_000
# A group waits for nobody: its rows are locked in advance, or not at all. It knows its rows by their keys, so it
# never scans, and one plan for ever will do: made while a table was empty, too.
GROUP_OPTIONS = {
    "lock_timeout": 200,
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
}


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


def url_of(settings: Settings, redactor: Redactor) -> URL:
    """DATABASE_URL, its password known to the redactor. Raises SettingsFault."""
    try:
        url = read_url(settings.database_url)
    except DatabaseFault as fault:
        reason = f"DATABASE_URL is not usable: {fault}; set {Settings.model_fields['database_url'].description}."
        raise SettingsFault([reason]) from None
    redactor.learn(str(url.password or ""))
    return url


def postgresql(
    url: URL, statement_ms: int, size: int, options: Mapping[str, object] = MappingProxyType({})
) -> Engine:
    """A pool of that many connections; `options` are settings of their sessions."""
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
            "options": " ".join(f"-c {name}={value}" for name, value in {**limits, **options}.items()),
        },
    )
    event.listen(engine, "handle_error", _on_error)
    return engine


def _on_error(context: ExceptionContext) -> None:
    """Connects anew after `LOST`, and drops what shows rows."""
    origin = context.original_exception
    if code_of(origin) in LOST:
        context.is_disconnect = True
    hide_rows(origin, context.sqlalchemy_exception)


def sqlite(url: URL, begin: str, size: int) -> Engine:
    """A pool of that many connections, whose transactions begin by this statement."""
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
            "cache_size=-6144",  # KiB a connection: the pages that each webhook changes stay in memory
            "wal_autocheckpoint=4000",  # pages: one that many webhooks changed is copied back once
        ):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def on_begin(connection: Connection) -> None:
        driver: Any = connection.connection.driver_connection
        driver.execute(begin)

    return engine


def own_file(path: Path) -> int:
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
