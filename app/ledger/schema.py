"""The version of the schema: which ones this code runs on, in which words, and how it is brought forward.

A release only expands the schema; what it no longer needs goes one release later. So code that knows version N
runs on N + 1, too, and replicas of two releases share a database while they are replaced one by one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, text
from sqlalchemy.exc import IntegrityError, ProgrammingError

from app.ledger.tables import metadata

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Connection

MIGRATIONS = Path(__file__).parent / "migrations"
# who waits for a table keeps all others waiting for it, webhooks of older replicas too: shorter than the time that
# these wait in a group (engines.GROUP_OPTIONS), and for each lock that a migration takes
LOCK_MS = 150
TRIES, PAUSE_SECONDS = 20, 0.5
_SHOWN = 5
_RESTORE = "Restore the database from a backup, or set DATABASE_URL to an empty one."
NEEDS_MIGRATE = "Run `ipaas-stamped migrate` with a role that may change it; this service then goes on by itself."
_UPDATE = "Update the product here, too."


@dataclass(frozen=True, slots=True)
class Found:
    """What is in a database: all rows of alembic_version, and which columns our tables have."""

    versions: tuple[str, ...] = ()
    columns: Mapping[str, frozenset[str]] = field(default_factory=dict)

    @property
    def missing(self) -> list[str]:
        """Tables and columns of the code that are not there."""
        lost: list[str] = []
        for name, table in metadata.tables.items():
            there = self.columns.get(name)
            if there is None:
                lost.append(name)
            else:
                lost += [f"{name}.{column.name}" for column in table.columns if column.name not in there]
        return sorted(lost)


@dataclass(frozen=True, slots=True)
class SchemaState:
    """Whether this code runs on what is there, and what a person should know of it (None = nothing)."""

    usable: bool
    text: str | None = None
    advice: str = ""
    behind: bool = False  # a migration is due

    @property
    def words(self) -> str | None:
        """Text and advice as sentences."""
        if self.text is None:
            return None
        return f"{self.text[0].upper()}{self.text[1:]}. {self.advice}".strip()


def judge(found: Found, known: Sequence[str]) -> SchemaState:
    """What the code whose migrations are `known`, oldest first, makes of what it found."""
    version, newest = ", ".join(found.versions), known[-1]
    if not version:
        return _without_version(found)
    if version in known[:-1]:
        older = f"schema {version} is of an older version of this product"
        return SchemaState(usable=True, text=older, advice=f"The next start brings it to {newest}.", behind=True)
    if version != newest and not _is_newer(version, newest):
        return SchemaState(usable=False, text=f"schema {version!r} is none of this product", advice=_RESTORE)
    return _not_behind(found, version, newest)


def known() -> list[str]:
    """The versions that this code knows, oldest first."""
    return [each.revision for each in ScriptDirectory(str(MIGRATIONS)).walk_revisions()][::-1]


def look(connection: Connection) -> SchemaState:
    """What is there, as the first thing in a transaction. Waits for nobody who only reads or writes."""
    if connection.dialect.name == "postgresql":
        # else a migration of another replica could end between two looks
        connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
    return _look(connection)


def step(connection: Connection) -> SchemaState:
    """One migration further, so that no lock is held for two; replicas take turns. What is there then."""
    if connection.dialect.name == "postgresql":
        _take_turn(connection)
    state = _look(connection)
    if state.usable and state.behind:
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
        config.attributes["connection"] = connection
        command.upgrade(config, "+1")
        state = _look(connection)
    return state


def _look(connection: Connection) -> SchemaState:
    inspector = inspect(connection)
    versions: tuple[str, ...] = ()
    if inspector.has_table("alembic_version"):
        versions = tuple(connection.execute(text("SELECT version_num FROM alembic_version ORDER BY 1")).scalars())
    columns = inspector.get_multi_columns(filter_names=list(metadata.tables))
    there = {name: frozenset(each["name"] for each in found) for (_, name), found in columns.items() if found}
    return judge(Found(versions, there), known())


def _without_version(found: Found) -> SchemaState:
    if found.columns:
        there = f"there are tables ({_some(sorted(found.columns))}), but alembic_version names no version"
        return SchemaState(usable=False, text=there, advice=_RESTORE)
    return SchemaState(usable=True, text="the schema is created at the first start", behind=True)


def _not_behind(found: Found, version: str, newest: str) -> SchemaState:
    newer = f"schema {version} is of a newer version of this product"
    if int(version) > int(newest) + 1:
        return SchemaState(usable=False, text=f"{newer}, and this one ({newest}) cannot use it", advice=_UPDATE)
    if found.missing:
        return SchemaState(usable=False, text=f"schema {version} lacks {_some(found.missing)}", advice=_RESTORE)
    if version == newest:
        return SchemaState(usable=True)
    return SchemaState(usable=True, text=f"{newer}, and this one ({newest}) can still use it", advice=_UPDATE)


def _is_newer(version: str, newest: str) -> bool:
    """Versions are numbers, all of one width."""
    return version.isascii() and version.isdecimal() and len(version) == len(newest) and version > newest


def _some(names: list[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _take_turn(connection: Connection) -> None:
    connection.execute(text(f"SET LOCAL lock_timeout = {int(LOCK_MS)}"))
    connection.execute(text("SET LOCAL statement_timeout = 0"))  # an index on a large table takes its time
    create = (
        "CREATE TABLE IF NOT EXISTS alembic_version"
        " (version_num VARCHAR(32) NOT NULL CONSTRAINT alembic_version_pkc PRIMARY KEY)"
    )
    try:
        with connection.begin_nested():
            connection.execute(text(create))
    except (IntegrityError, ProgrammingError) as error:
        if getattr(error.orig, "sqlstate", None) not in {"23505", "42P07"}:
            raise
        # another replica has created it in the meantime
    connection.execute(text("LOCK TABLE alembic_version IN EXCLUSIVE MODE"))
