"""Looks at the database without changing it: reachable, its schema, and who has it open."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from sqlalchemy import create_engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from app.ledger import schema
from app.ledger.database_url import shown
from app.ledger.engines import postgresql
from app.ledger.hints import hint_of

if TYPE_CHECKING:
    from sqlalchemy.engine import URL, Engine

    from app.telemetry.redaction import Redactor

Found = tuple[Literal["ok", "warn", "fail"], str, str]
_SECONDS = 5


def check_database(url: URL, redactor: Redactor) -> Found:
    """State, what was found, what to do."""
    told = shown(url)
    if url.get_backend_name() == "sqlite":
        return _check_file(Path(url.database or ""), told, redactor)
    engine = postgresql(url, _SECONDS * 1000, 1)
    try:
        return _check_schema(engine, told, redactor, None)
    finally:
        engine.dispose()


def _check_file(path: Path, shown: str, redactor: Redactor) -> Found:
    if not path.exists():
        folder = next(parent for parent in path.absolute().parents if parent.exists())
        if not os.access(folder, os.W_OK):
            return "fail", f"{shown}: {folder} cannot be written", "Set DATABASE_URL to a place that can."
        return "ok", f"{shown}: is created at the first start", ""
    if not os.access(path, os.W_OK) or not os.access(path.parent, os.W_OK):
        return "fail", f"{shown}: the file or its folder cannot be written", "Give this user the right to."
    engine = create_engine(
        "sqlite://",
        poolclass=NullPool,
        creator=lambda: sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=_SECONDS),
    )
    status, detail, hint = _check_schema(engine, shown, redactor, "Restore the file, or set another DATABASE_URL.")
    if status != "fail" and _is_open(path):
        detail += "; a running service has it open"
    return status, detail, hint


def _check_schema(engine: Engine, shown: str, redactor: Redactor, hint: str | None) -> Found:
    try:
        with engine.connect() as connection:
            state = schema.look(connection)
    except DBAPIError as error:
        reason = redactor.text(str(error.orig).strip().partition("\n")[0])
        return "fail", f"{shown}: {reason}", hint or hint_of(reason)
    if not state.usable:
        return "fail", f"{shown}: {state.text}", state.advice
    if state.text is None:
        return "ok", f"{shown}: reachable, schema {schema.known()[-1]}", ""
    return "warn" if state.advice else "ok", f"{shown}: {state.text}", state.advice


def _is_open(path: Path) -> bool:
    """Whether a service holds the file's lock (app.ledger.database); it is let go of at once."""
    try:
        with path.with_name(path.name + ".lock").open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
