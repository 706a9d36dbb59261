"""A group of works on PostgreSQL in two round trips: lock and read for all of them, then write all, and commit."""

from __future__ import annotations

import json
from contextlib import ExitStack, suppress
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from psycopg.errors import InFailedSqlTransaction

from app.ledger.session import Ahead, Session
from app.ledger.tables import customers, transfers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection, CursorResult, Table
    from sqlalchemy.sql.base import Executable

    from app.ledger.session import About, Query, Row


_encode = json.JSONEncoder(ensure_ascii=False).encode


def _columns(table: Table, alias: str) -> str:
    """Each by its name: a newer release may have added others."""
    return ", ".join(f'{alias}."{column.name}"' for column in table.columns)


# one row for each work; a customer that somebody else has locked is there, and yet not found
_LOOK = f"""
SELECT
  (SELECT true FROM customers c WHERE c.connection = w.connection AND c.customer_id = w.locks) IS NOT NULL,
  EXISTS (SELECT FROM customers c WHERE c.connection = w.connection AND c.external_id = w.takes
    AND c.customer_id <> w.locks),
  CASE WHEN w.adds THEN nextval('transfers_seq_seq') END,
  {_columns(customers, "mine")}, {_columns(transfers, "again")}
FROM unnest(%s::text[], %s::text[], %s::text[], %s::bool[], %s::text[], %s::text[])
  WITH ORDINALITY AS w(connection, locks, takes, adds, customer_id, repeat_key, number)
LEFT JOIN LATERAL (
  SELECT * FROM customers c WHERE c.connection = w.connection AND c.customer_id = w.locks FOR UPDATE SKIP LOCKED
) AS mine ON true
LEFT JOIN transfers AS again ON again.connection = w.connection
  AND again.customer_id = w.customer_id AND again.repeat_key = w.repeat_key
ORDER BY w.number"""
_TRANSFERS = f"SELECT {_columns(transfers, 't')} FROM transfers t WHERE t.seq = ANY(%s) FOR UPDATE SKIP LOCKED"


def look_ahead(driver: Any, pipeline: Any, settings: str, about: Sequence[About]) -> tuple[Ahead, list[bool]]:
    """Lock and read what these works are about, in one round trip; of each, whether it was free.

    `settings` is the statement that sets those of the transaction, on the same way.

    What was locked by somebody else, or is another customer's link, is not: it is to be waited for elsewhere.
    """
    keys = [
        (each.connection, each.customer_id, each.external_id, each.adds, *(each.repeat or (None, None)))
        for each in about
    ]
    seqs = [each.seq for each in about if each.seq is not None]
    driver.execute(settings)
    looked = driver.execute(_LOOK, [list(column) for column in zip(*keys, strict=True)])
    locked = driver.execute(_TRANSFERS, [seqs]) if seqs else ()
    pipeline.sync()
    ahead, free = Ahead(), []
    ahead.transfers = {row["seq"]: row for row in (_row(transfers, found) for found in locked)}
    for each, (is_there, is_anothers, number, *found) in zip(about, looked, strict=True):
        mine, again = found[: len(customers.columns)], found[len(customers.columns) :]
        is_mine = mine[0] is not None
        if each.customer_id is not None:
            ahead.customers[each.connection, each.customer_id] = _row(customers, mine) if is_mine else None
        if again[0] is not None and each.repeat is not None:
            ahead.repeats[each.connection, *each.repeat] = _row(transfers, again)
        if number is not None:
            ahead.numbers.append(number)
        has_transfer = each.seq is None or each.seq in ahead.transfers
        free.append((is_mine or not is_there) and not is_anothers and has_transfer)
    return ahead, free


def _row(table: Table, found: Sequence[Any]) -> Row:
    return dict(zip((column.name for column in table.columns), found, strict=True))


class GroupSession(Session):
    """Keeps what is written until somebody reads, or the works have ended: one statement for many rows.

    All of it is one pipeline, unless somebody reads: leaving it and entering it again would end with a message to
    the server behind its last answer, which turns `idle_in_transaction_session_timeout` off (seen with psycopg 3.3
    and PostgreSQL 15), and a replica that froze then would keep its rows.
    """

    def __init__(self, connection: Connection, settings: str, about: Sequence[About]) -> None:
        super().__init__(connection)
        self._new: dict[Table, dict[tuple[Any, ...], Row]] = {}
        self._changed: dict[Table, dict[tuple[Any, ...], Row]] = {}
        self._pipeline = ExitStack()
        pipeline = self._pipeline.enter_context(self.driver.pipeline())
        self.ahead: Ahead
        try:
            self.ahead, self.free = look_ahead(self.driver, pipeline, settings, about)
        except BaseException:
            self.close()
            raise

    def execute(self, statement: Executable, values: Any = None) -> CursorResult[*tuple[Any, ...]]:
        """By SQLAlchemy, after what was to be written."""
        self._stop_keeping()
        return super().execute(statement, values)

    def rows(self, query: Query, values: Row) -> list[Row]:
        """What a query finds, after what was to be written."""
        self._stop_keeping()
        return super().rows(query, values)

    def commit(self) -> None:
        """In the round trip of what is still to be written."""
        self._flush()
        done = self.driver.execute("COMMIT")
        self._pipeline.close()
        if done.statusmessage != "COMMIT":  # a work has swallowed an error
            raise InFailedSqlTransaction

    def close(self) -> None:
        """Leave the pipeline, whatever happened in it."""
        with suppress(Exception):
            self._pipeline.close()

    def _stop_keeping(self) -> None:
        self._flush()
        self._pipeline.close()

    def insert(self, table: Table, values: Row) -> None:
        """One row, later."""
        key = tuple(values[column.name] for column in table.primary_key)
        self._new.setdefault(table, {})[key] = values

    def update(self, table: Table, key: Row, values: Row) -> None:
        """Some columns of the row with this primary key, later."""
        mine = tuple(key.values())
        known = self._read_ahead(table, mine)
        if known is not None:  # who comes next is to find it
            known |= values
        new = self._new.get(table, {}).get(mine)
        if new is not None:
            new |= values
        else:
            self._changed.setdefault(table, {}).setdefault(mine, dict(key)).update(values)

    def _read_ahead(self, table: Table, key: tuple[Any, ...]) -> Row | None:
        if table is customers:
            return self.ahead.customers.get(key)
        return self.ahead.transfers.get(key[0]) if table is transfers else None

    def _flush(self) -> None:
        """In one statement: each would be a message of its own."""
        kinds: list[tuple[Table, bool, tuple[str, ...]]] = []
        values: list[str] = []
        for kept, is_new in ((self._new, True), (self._changed, False)):
            for table, rows in kept.items():
                alike: dict[tuple[str, ...], list[Row]] = {}
                for row in rows.values():
                    alike.setdefault(tuple(row), []).append(row)
                kinds += [(table, is_new, names) for names in alike]
                values += [_encode(some) for some in alike.values()]
            kept.clear()
        if kinds:
            self.driver.execute(_write(tuple(kinds)), values)


@lru_cache(maxsize=500)
def _write(kinds: tuple[tuple[Table, bool, tuple[str, ...]], ...]) -> str:
    """Rows and columns that are apart, so that it does not matter which is written first."""
    *others, last = (_insert(table, names) if is_new else _update(table, names) for table, is_new, names in kinds)
    before = ", ".join(f"w{number} AS ({statement})" for number, statement in enumerate(others))
    return f"WITH {before} {last}" if others else last


def _insert(table: Table, names: tuple[str, ...]) -> str:
    columns = ", ".join(f'"{name}"' for name in names)
    return f"INSERT INTO {table.name} ({columns}) SELECT {columns} FROM {_given(table)} AS n"


def _update(table: Table, names: tuple[str, ...]) -> str:
    key = [column.name for column in table.primary_key]
    new = ", ".join(f'"{name}" = n."{name}"' for name in names if name not in key)
    same = " AND ".join(f't."{name}" = n."{name}"' for name in key)
    return f"UPDATE {table.name} AS t SET {new} FROM {_given(table)} AS n WHERE {same}"


def _given(table: Table) -> str:
    return f"json_populate_recordset(NULL::{table.name}, %s::json)"
