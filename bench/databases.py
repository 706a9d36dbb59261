"""The databases of the measured services: new ones, on this machine's PostgreSQL or one that ends with us."""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Protocol

import psycopg
from sqlalchemy.engine import make_url

from bench.processes import cpu_seconds
from tests.postgres import fresh_database, server_url

if TYPE_CHECKING:
    from collections.abc import Iterator

_ROUND_TRIPS = 200


class Store(Protocol):
    """One database of our own."""

    kind: str
    url: str
    has_processes: bool

    def pin(self, core: int) -> None:
        """Its own processes, if it has any, those that are there now."""

    def cpu_seconds(self) -> float:
        """Of its own processes so far."""

    def bytes(self) -> int:
        """On the disk, indexes included."""

    def value(self, statement: str) -> Any:
        """The one value that this SELECT finds."""

    def tidy(self) -> None:
        """What the server does by itself some time after many rows came."""


class SQLite:
    """A file, opened by the service itself."""

    kind = "SQLite"
    has_processes = False

    def __init__(self, folder: Path) -> None:
        self._path = folder / f"bench-{len(list(folder.glob('bench-*.db')))}.db"
        self._path.touch()
        self.url = f"sqlite:///{self._path}"

    def pin(self, core: int) -> None:
        """It has no process."""

    def cpu_seconds(self) -> float:
        """It has no process."""
        return 0.0

    def bytes(self) -> int:
        """The file, and what waits beside it to be written into it."""
        return sum(each.stat().st_size for each in self._path.parent.glob(self._path.name + "*"))

    def value(self, statement: str) -> Any:
        """Beside the service."""
        with closing(sqlite3.connect(self._path, timeout=20)) as connection:
            return connection.execute(statement).fetchone()[0]

    def tidy(self) -> None:
        """It does nothing by itself."""


class PostgreSQL:
    """A database of a server, and what that knows of it."""

    kind = "PostgreSQL"
    has_processes = True

    def __init__(self, url: str, admin: psycopg.Connection[Any]) -> None:
        self.url = url
        self._admin = admin
        self._name = make_url(url).database

    def pin(self, core: int) -> None:
        """Its backends, if they are on this machine and ours to move; else they stay where they are."""
        for pid in self._backends():
            with suppress(PermissionError, ProcessLookupError):
                os.sched_setaffinity(pid, {core})

    def cpu_seconds(self) -> float:
        """Of its backends."""
        return sum(cpu_seconds(pid) for pid in self._backends())

    def transactions(self) -> int:
        """Committed so far, by backends that told the statistics."""
        return int(self._of_server("SELECT xact_commit FROM pg_stat_database WHERE datname = %s"))

    def bytes(self) -> int:
        """As the server counts it."""
        return int(self._of_server("SELECT pg_database_size(%s)"))

    def value(self, statement: str) -> Any:
        """By a connection of its own."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            return _value(connection, statement)

    def tidy(self) -> None:
        """Autovacuum's work and, where we may, the checkpointer's."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute("VACUUM (ANALYZE)")
            with suppress(psycopg.errors.InsufficientPrivilege):
                connection.execute("CHECKPOINT")

    def _backends(self) -> list[int]:
        statement = "SELECT pid FROM pg_stat_activity WHERE datname = %s AND backend_type = 'client backend'"
        found = self._admin.execute(statement, (self._name,)).fetchall()
        return [pid for (pid,) in found if _is_here(pid)]

    def _of_server(self, statement: str) -> Any:
        return _value(self._admin, statement, self._name)


@contextmanager
def fresh_postgresql() -> Iterator[PostgreSQL]:
    """Dropped at the end."""
    server = server_url()
    with fresh_database(server) as url, psycopg.connect(server, autocommit=True) as admin:
        yield PostgreSQL(url, admin)


def postgresql_facts() -> tuple[str, float]:
    """The version of the server that is used, and the milliseconds of a round trip to it, in the median."""
    with psycopg.connect(server_url(), autocommit=True) as connection:
        version = connection.info.server_version
        costs = []
        for _ in range(_ROUND_TRIPS):
            began = time.perf_counter()
            connection.execute("SELECT 1")
            costs.append((time.perf_counter() - began) * 1000)
    return f"{version // 10000}.{version % 10000}", median(costs)


def _value(connection: psycopg.Connection[Any], statement: str, *values: object) -> Any:
    found = connection.execute(statement.encode(), values or None).fetchone()
    return found[0] if found else None


def _is_here(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/comm").read_text(encoding="utf-8").startswith("postgres")
    except OSError:
        return False
