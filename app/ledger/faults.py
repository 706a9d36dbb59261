"""What can go wrong with the database, whoever notices: SQLAlchemy, or a driver that was used directly."""

from __future__ import annotations

import sqlite3

import psycopg
from sqlalchemy.exc import DBAPIError

# to be tried again: deadlock, serialization failure; and somebody else was first, whom one finds the next time
_REPEATED = frozenset({"40P01", "40001", "23505"})
_LOCKED = "55P03"
NOT_ALLOWED = "42501"
# psycopg has no OperationalError of these: the server turned read-only (a failover), a frozen session was ended
LOST = frozenset({"25006", "25P03"})


class DatabaseFault(Exception):
    """DATABASE_URL cannot be used; the text says why, without user name and password."""


class SchemaFault(DatabaseFault):
    """What is in the database is nothing that this version can use; the text says what, and what to do."""


class DatabaseGone(Exception):
    """The database does not answer at the moment."""


class DatabaseBusy(DatabaseGone):
    """Somebody else has held a lock for too long."""


def gone(error: BaseException) -> DatabaseGone | None:
    """What an error says of the database itself; None = it is the statement's fault, or the work's."""
    origin = error.orig if isinstance(error, DBAPIError) else error
    is_lost = isinstance(error, DBAPIError) and error.connection_invalidated
    if not isinstance(origin, sqlite3.OperationalError | psycopg.OperationalError) and not is_lost:
        return DatabaseGone(first_line(origin)) if code_of(error) in LOST else None
    return (DatabaseBusy if code_of(error) == _LOCKED else DatabaseGone)(first_line(origin))


def is_repeatable(error: BaseException) -> bool:
    """Whether the server undid the transaction, and asks for it once more."""
    return code_of(error) in _REPEATED


def code_of(error: BaseException | None) -> str | None:
    """PostgreSQL's SQLSTATE."""
    return getattr(error.orig if isinstance(error, DBAPIError) else error, "sqlstate", None)


def is_undone(error: BaseException | None) -> bool:
    """Whether the server answered, and so has undone the transaction for certain."""
    code = code_of(error)
    return code is not None and code not in LOST and not code.startswith(("08", "57P"))


def first_line(error: object) -> str:
    """The other lines of PostgreSQL's texts show keys and whole rows."""
    return str(error).partition("\n")[0]


def hide_rows(*errors: BaseException | None) -> None:
    """Drop those other lines."""
    for error in errors:
        if error is not None:
            error.args = tuple(map(first_line, error.args))


def told(error: BaseException) -> BaseException:
    """What whoever waits is told of an error: no rows, and DatabaseGone where it was the database."""
    if isinstance(error, psycopg.Error):
        hide_rows(error)
    return gone(error) or error
