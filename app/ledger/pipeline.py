"""A group of works on PostgreSQL in two round trips: lock and read for all of them, then write all, and commit."""

from __future__ import annotations

import json
from contextlib import ExitStack, suppress
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from app.ledger.session import Ahead, Session
from app.ledger.tables import customers, transfers

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy import Connection, CursorResult, Table
    from sqlalchemy.sql.base import Executable

    from app.ledger.session import About, Query, Row


def _columns(table: Table, alias: str) -> str:
    """Each by its name: a newer release may have added others."""
    return ", ".join(f'{alias}."{column.name}"' for column in table.columns)


# one that somebody else has locked is there, and yet not found
_CUSTOMERS = f"""
SELECT w.a, w.b, EXISTS (SELECT FROM customers c WHERE c.connection = w.a AND c.customer_id = w.b),
  {_columns(customers, "l")}
FROM unnest(%s::text[], %s::text[]) AS w(a, b) LEFT JOIN LATERAL (
  SELECT * FROM customers c WHERE c.connection = w.a AND c.customer_id = w.b FOR UPDATE SKIP LOCKED
) AS l ON true"""
_TRANSFERS = f"SELECT {_columns(transfers, 't')} FROM transfers t WHERE t.seq = ANY(%s) FOR UPDATE SKIP LOCKED"
_REPEATS = f"""
SELECT {_columns(transfers, "t")} FROM unnest(%s::text[], %s::text[], %s::text[]) AS w(a, b, c)
JOIN transfers t ON t.connection = w.a AND t.customer_id = w.b AND t.repeat_key = w.c"""
_LINKS = """
SELECT c.connection, c.external_id, c.customer_id FROM unnest(%s::text[], %s::text[]) AS w(a, b)
JOIN customers c ON c.connection = w.a AND c.external_id = w.b"""
_NUMBERS = "SELECT nextval('transfers_seq_seq') FROM generate_series(1, %s)"


def look_ahead(driver: Any, pipeline: Any, about: Sequence[About]) -> tuple[Ahead, list[bool]]:
    """Lock and read what these works are about, in one round trip; of each, whether it was free.

    What was locked by somebody else, or is another customer's link, is not: it is to be waited for elsewhere.
    """
    whose = [(each.connection, each.customer_id) for each in about if each.customer_id is not None]
    repeats = [(each.connection, *each.repeat) for each in about if each.repeat is not None]
    links = [(each.connection, each.external_id) for each in about if each.external_id is not None]
    seqs = [each.seq for each in about if each.seq is not None]
    adds = sum(each.adds for each in about)
    ask_customers = _ask(driver, _CUSTOMERS, whose)
    ask_transfers = driver.execute(_TRANSFERS, [seqs]) if seqs else ()
    ask_repeats = _ask(driver, _REPEATS, repeats)
    ask_links = _ask(driver, _LINKS, links)
    ask_numbers = driver.execute(_NUMBERS, [adds]) if adds else ()
    pipeline.sync()
    ahead, busy = Ahead(numbers=[number for (number,) in ask_numbers]), set()
    for name, customer_id, is_there, *found in ask_customers:
        is_mine = found[0] is not None
        ahead.customers[name, customer_id] = _row(customers, found) if is_mine else None
        if is_there and not is_mine:
            busy.add((name, customer_id))
    ahead.transfers = {row["seq"]: row for row in (_row(transfers, found) for found in ask_transfers)}
    for row in (_row(transfers, found) for found in ask_repeats):
        ahead.repeats[row["connection"], row["customer_id"], row["repeat_key"]] = row
    owners = {(name, external_id): customer_id for name, external_id, customer_id in ask_links}

    def is_free(each: About) -> bool:
        owner = owners.get((each.connection, each.external_id), each.customer_id)
        locked = each.seq is None or each.seq in ahead.transfers
        return locked and (each.connection, each.customer_id) not in busy and owner == each.customer_id

    return ahead, [is_free(each) for each in about]


def _ask(driver: Any, statement: str, wanted: Sequence[Sequence[str | None]]) -> Iterable[Any]:
    """A cursor that has its rows after the next sync."""
    cursor: Iterable[Any] = (
        driver.execute(statement, [list(each) for each in zip(*wanted, strict=True)]) if wanted else ()
    )
    return cursor


def _row(table: Table, found: Sequence[Any]) -> Row:
    return dict(zip((column.name for column in table.columns), found, strict=True))


class GroupSession(Session):
    """Keeps what is written until somebody reads, or the works have ended: one statement for many rows.

    All of it is one pipeline, unless somebody reads: leaving it and entering it again would end with a message to
    the server behind its last answer, which turns `idle_in_transaction_session_timeout` off (seen with psycopg 3.3
    and PostgreSQL 15), and a replica that froze then would keep its rows.
    """

    def __init__(self, connection: Connection, about: Sequence[About]) -> None:
        super().__init__(connection)
        self._new: dict[Table, dict[tuple[Any, ...], Row]] = {}
        self._changed: dict[Table, dict[tuple[Any, ...], Row]] = {}
        self._pipeline = ExitStack()
        pipeline = self._pipeline.enter_context(self.driver.pipeline())
        self.ahead, self.free = look_ahead(self.driver, pipeline, about)

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
        self.driver.execute("COMMIT")
        self._pipeline.close()

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
        new = self._new.get(table, {}).get(mine)
        if new is not None:
            new |= values
        else:
            self._changed.setdefault(table, {}).setdefault(mine, dict(key)).update(values)

    def _flush(self) -> None:
        for kept, statement in ((self._new, _insert_all), (self._changed, _update_all)):
            for table, rows in kept.items():
                alike: dict[tuple[str, ...], list[Row]] = {}
                for row in rows.values():
                    alike.setdefault(tuple(row), []).append(row)
                for names, some in alike.items():
                    self.driver.execute(statement(table, names), [json.dumps(some, ensure_ascii=False)])
            kept.clear()


@lru_cache(maxsize=500)
def _insert_all(table: Table, names: tuple[str, ...]) -> str:
    columns = ", ".join(f'"{name}"' for name in names)
    return f"INSERT INTO {table.name} ({columns}) SELECT {columns} FROM {_given(table)} AS n"


@lru_cache(maxsize=500)
def _update_all(table: Table, names: tuple[str, ...]) -> str:
    key = [column.name for column in table.primary_key]
    new = ", ".join(f'"{name}" = n."{name}"' for name in names if name not in key)
    same = " AND ".join(f't."{name}" = n."{name}"' for name in key)
    return f"UPDATE {table.name} AS t SET {new} FROM {_given(table)} AS n WHERE {same}"


def _given(table: Table) -> str:
    return f"json_populate_recordset(NULL::{table.name}, %s::json)"
