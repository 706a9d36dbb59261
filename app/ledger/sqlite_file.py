"""Whether a SQLite file can be the database, before anybody opens it."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_SECONDS = 5


def fault_of(path: Path) -> str | None:
    """What keeps it from that; None = nothing. Changes nothing."""
    try:
        if path.is_file():
            return _unreadable(path) or _unwritable(path, path.parent)
        if path.exists():
            return "it is no file"
        folder = next(each for each in path.absolute().parents if each.exists())
        return _unwritable(folder) if folder.is_dir() else "its folder is a file"
    except (OSError, ValueError) as error:
        return getattr(error, "strerror", None) or "this is no path"


def _unwritable(*paths: Path) -> str | None:
    return None if all(os.access(path, os.W_OK) for path in paths) else "the file or its folder cannot be written"


def _unreadable(path: Path) -> str | None:
    reads = f"{path.absolute().as_uri()}?mode=ro"
    try:
        with closing(sqlite3.connect(reads, uri=True, timeout=_SECONDS)) as connection:
            connection.execute("SELECT count(*) FROM sqlite_master")
    except sqlite3.OperationalError:  # somebody holds it at the moment
        return None
    except sqlite3.DatabaseError:
        return "the file is no database that SQLite can read"
    return None
