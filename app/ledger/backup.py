"""A copy of a SQLite file while the service writes to it."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

from app.ledger.faults import DatabaseFault, first_line

if TYPE_CHECKING:
    from pathlib import Path

_BUSY_SECONDS = 10
_MODE = 0o600  # records are nobody else's business


def copy_file(source: Path, target: Path) -> None:
    """Whole and on the disk when this returns, and never in the place of another file. Raises DatabaseFault.

    What is written meanwhile is not in it, and does not wait.
    """
    part = target.with_name(target.name + ".part")
    try:
        os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _MODE))
    except OSError as error:
        message = f"{part} cannot be written ({error.strerror})"
        raise DatabaseFault(message) from None
    try:
        _copy(source, part)
        _keep(part, target)
    except OSError as error:
        message = f"{target} cannot be written ({error.strerror})"
        raise DatabaseFault(message) from None
    except sqlite3.Error as error:
        message = f"{source} cannot be copied ({first_line(error)})"
        raise DatabaseFault(message) from None
    finally:
        part.unlink(missing_ok=True)


def _copy(source: Path, part: Path) -> None:
    at = f"{source.absolute().as_uri()}?mode=ro"
    with (
        closing(sqlite3.connect(at, uri=True, timeout=_BUSY_SECONDS)) as here,
        closing(sqlite3.connect(part)) as there,
    ):
        here.backup(there)  # in one step: one moment of the database
        there.execute("PRAGMA journal_mode=DELETE")  # one file, with nothing beside it
        [found] = there.execute("PRAGMA quick_check").fetchone()
    if found != "ok":
        message = f"{source} is damaged ({first_line(found)})"
        raise DatabaseFault(message)


def _keep(part: Path, target: Path) -> None:
    _sync(part)
    os.link(part, target)  # not by a rename, which would replace what is there
    _sync(target.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
