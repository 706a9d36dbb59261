"""One transaction, as the functions of the ledger see it. What every webhook runs goes to the driver itself.

SQLAlchemy says what these statements are, once; running them by it costs several times what SQLite needs.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, TypeVar

from sqlalchemy import Boolean, bindparam, insert, update

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import Connection, CursorResult, Dialect, NestedTransaction, Table
    from sqlalchemy.sql.base import Executable

W = TypeVar("W", bound="Callable[..., Any]")
Row = dict[str, Any]
_OLD: Final = "of_"  # before the names of the key in an UPDATE


@dataclass(frozen=True, slots=True)
class About:
    """What a work will look at: rows that it locks, and keys that it looks for.

    Works that are about different things may share one transaction (`shared`).
    """

    connection: str
    customer_id: str | None = None  # whose row it locks
    repeat: tuple[str | None, str] | None = None  # customer and repeat key of the transfer that it may add
    adds: bool = False
    seq: int | None = None  # of the transfer that it locks
    external_id: str | None = None  # the link that it takes

    @property
    def keys(self) -> set[tuple[str, object]]:
        """Two works that have one of these in common are not run side by side."""
        own = {
            "customer": self.customer_id or (self.repeat[0] if self.repeat else None),
            "link": self.external_id,
        }
        found: set[tuple[str, object]] = {(kind, (self.connection, key)) for kind, key in own.items() if key}
        return found if self.seq is None else {*found, ("transfer", self.seq)}


@dataclass(slots=True)
class Ahead:
    """What was locked and read for all works of a group at once, by key; numbers for new transfers."""

    customers: dict[tuple[str, str], Row | None] = field(default_factory=dict)
    repeats: dict[tuple[str, str | None, str], Row] = field(default_factory=dict)
    transfers: dict[int, Row] = field(default_factory=dict)
    numbers: list[int] = field(default_factory=list)


_SHARED: dict[Callable[..., Any], Callable[..., About]] = {}


def shared(about: Callable[..., About]) -> Callable[[W], W]:
    """A work that may share its transaction with others, for it reads and writes nothing but its session.

    So it may run twice: where another one of its group fails, each is done once more, alone. `about` takes the
    work's arguments, but for the session.
    """

    def remember(work: W) -> W:
        _SHARED[work] = about
        return work

    return remember


def about_of(work: Callable[..., Any]) -> Callable[..., About] | None:
    """What a work is about, by its arguments; None = it has a transaction of its own."""
    return _SHARED.get(work)


class Query:
    """A statement that answers rows; `statement` as it is, or one for each dialect."""

    def __init__(self, statement: Any) -> None:
        self._statement = statement
        one: Any = next(iter(statement.values())) if isinstance(statement, dict) else statement
        columns = list(one.exported_columns)
        self._names = tuple(column.name for column in columns)
        self._flags = tuple(column.name for column in columns if isinstance(column.type, Boolean))
        self._compiled: dict[str, _Compiled] = {}

    def compiled(self, dialect: Dialect, names: Sequence[str]) -> _Compiled:
        """For this database; `names` of its values are always the same."""
        found = self._compiled.get(dialect.name)
        if found is None:
            statement = self._statement
            chosen = statement[dialect.name] if isinstance(statement, dict) else statement
            keys = None if chosen.is_select else list(names)
            found = self._compiled[dialect.name] = _Compiled.of(chosen.compile(dialect=dialect, column_keys=keys))
        return found

    def row(self, found: Sequence[Any]) -> Row:
        """With its columns' names; SQLite has numbers in place of truth."""
        row = dict(zip(self._names, found, strict=True))
        for name in self._flags:
            if row[name] is not None:
                row[name] = bool(row[name])
        return row


@dataclass(frozen=True, slots=True)
class _Compiled:
    text: str
    order: tuple[str, ...] | None
    fixed: Row  # what the statement itself says

    @classmethod
    def of(cls, compiled: Any) -> _Compiled:
        order = tuple(compiled.positiontup) if compiled.positional else None
        fixed = {name: value for name, value in compiled.params.items() if value is not None}
        return cls(str(compiled), order, fixed)

    def run(self, driver: Any, values: Row) -> Any:
        if self.fixed:
            values = self.fixed | values
        return driver.execute(self.text, values if self.order is None else [values[name] for name in self.order])


@lru_cache(maxsize=500)
def _insert(dialect: Dialect, table: Table, names: tuple[str, ...]) -> _Compiled:
    return _Compiled.of(insert(table).compile(dialect=dialect, column_keys=list(names)))


@lru_cache(maxsize=500)
def _update(dialect: Dialect, table: Table, names: tuple[str, ...]) -> _Compiled:
    mine = (column == bindparam(_OLD + column.name) for column in table.primary_key)
    return _Compiled.of(update(table).where(*mine).compile(dialect=dialect, column_keys=list(names)))


class Session:
    """Runs each statement at once. `ahead`: what was read for this transaction's works before they began."""

    ahead: Ahead | None = None

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.is_sqlite = connection.dialect.name == "sqlite"
        self.driver: Any = connection.connection.driver_connection

    def execute(self, statement: Executable, values: Any = None) -> CursorResult[*tuple[Any, ...]]:
        """By SQLAlchemy."""
        return self.connection.execute(statement, values)

    def begin_nested(self) -> NestedTransaction:
        """A savepoint."""
        return self.connection.begin_nested()

    def rows(self, query: Query, values: Row) -> list[Row]:
        """What a query finds."""
        found = query.compiled(self.connection.dialect, tuple(values)).run(self.driver, values)
        return [query.row(each) for each in found.fetchall()]

    def insert(self, table: Table, values: Row) -> None:
        """One row."""
        _insert(self.connection.dialect, table, tuple(values)).run(self.driver, values)

    def update(self, table: Table, key: Row, values: Row) -> None:
        """Some columns of the row with this primary key."""
        old = {_OLD + name: value for name, value in key.items()}
        _update(self.connection.dialect, table, tuple(values)).run(self.driver, values | old)
