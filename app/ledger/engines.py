"""Opens databases: what SQLite and PostgreSQL are told before the first statement."""

from __future__ import annotations

import fcntl
import os
import re
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, create_engine, event
from sqlalchemy.engine import Engine

from app.ledger.database_url import number
from app.ledger.faults import LOST, DatabaseFault, code_of, hide_rows

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy.engine import URL, ExceptionContext

_WAYS = {"connect_timeout": 5, "tcp_user_timeout": 15_000}  # seconds, milliseconds; where the URL says nothing
_ONE_OF_SEVERAL = {"target_session_attrs": "read-write"}  # the service always writes
_PREPARE_AFTER = 5  # executions on one connection
STATEMENT_MS = 15_000
IDLE_MS = 10_000  # a replica that froze in a transaction lets go of its rows
LOCK_MS = 12_000  # longer, so that who waits for those rows gets them
BEAT_MS = 5_000
_OPTION = re.compile(r"(?:-c\s*|--)([\w.]+)=")
# A group waits for nobody: its rows are locked in advance, or not at all. It knows its rows by their keys, so it
# never scans, and one plan for ever will do: made while a table was empty, too.
GROUP_OPTIONS = {
    "lock_timeout": 200,
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
}


def postgresql(url: URL, statement_ms: int, size: int, begins: str = "BEGIN") -> Engine:
    """A pool of that many connections. Each transaction begins with its limits; sessions have no state.

    So they may be shared, as PgBouncer does: `BEGIN; SET LOCAL …` is one message.
    """
    engine = _of_postgresql(url, size, autocommit=True)
    limits = (f"SET LOCAL {name} = {value}" for name, value in _limits(url, statement_ms).items())
    begin = "; ".join([begins, *limits])

    def do_begin(pooled: Any) -> None:
        pooled.driver_connection.execute(begin, prepare=False)

    dialect: Any = engine.dialect
    dialect.do_begin = do_begin  # not as an event: what fails here is SQLAlchemy's to judge, as a statement is
    return engine


def postgresql_group(url: URL) -> Engine:
    """One connection, whose transactions are told `group_settings` as their first statement."""
    return _of_postgresql(url, 1)


def group_settings(url: URL) -> str:
    """A statement: what else would be `SET LOCAL`, each a message of its own in a pipeline."""
    settings = {**_limits(url, STATEMENT_MS), **GROUP_OPTIONS}
    return "SELECT " + ", ".join(f"set_config('{name}', '{value}', true)" for name, value in settings.items())


def _limits(url: URL, statement_ms: int) -> dict[str, int]:
    """What a transaction may take, in milliseconds; what DATABASE_URL has in `options` is left as it is."""
    own = _OPTION.findall(str(url.query.get("options", "")))
    limits = {
        "statement_timeout": statement_ms,
        "lock_timeout": LOCK_MS,
        "idle_in_transaction_session_timeout": IDLE_MS,
    }
    return {name: value for name, value in limits.items() if name not in own}


def _of_postgresql(url: URL, size: int, *, autocommit: bool = False) -> Engine:
    asked = url.query.get("prepare_threshold")
    hosts = url.query.get("host") or url.host or ""
    ways = _WAYS | (_ONE_OF_SEVERAL if not isinstance(hosts, str) or "," in hosts else {})
    engine = create_engine(
        url.difference_update_query(["prepare_threshold"]),
        pool_size=size,
        max_overflow=0,
        hide_parameters=True,  # records are parameters, and error texts reach the log
        connect_args={
            **{name: value for name, value in ways.items() if name not in url.query},
            "autocommit": autocommit,
            "prepare_threshold": None if asked is None else number(asked) or None,
        },
    )
    event.listen(engine, "handle_error", _on_error)
    if asked is None:
        event.listen(engine, "connect", _prepare_where_possible)
    return engine


def _prepare_where_possible(connection: Any, _record: Any) -> None:
    """Behind a pooler the next transaction may be another server session's, which knows no statement of this one.

    One that shares sessions makes up the process id that it tells its clients.
    """
    autocommit, connection.autocommit = connection.autocommit, True
    [pid] = connection.execute("SELECT pg_backend_pid()").fetchone()
    connection.autocommit = autocommit
    if pid == connection.info.backend_pid:
        connection.prepare_threshold = _PREPARE_AFTER


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
