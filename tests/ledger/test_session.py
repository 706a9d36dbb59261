"""What a session finds and writes: at once, or later and together; and by which plans."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import (
    BigInteger,
    Boolean,
    Engine,
    Float,
    Integer,
    String,
    Table,
    bindparam,
    func,
    literal,
    null,
    select,
    text,
)
from sqlalchemy.dialects import postgresql, sqlite

from app.ledger import customers, engines, rows
from app.ledger.database import Database
from app.ledger.database_url import read_url
from app.ledger.pipeline import GroupSession
from app.ledger.session import About, Query, Session
from app.ledger.tables import attempts as attempts_table
from app.ledger.tables import customers as customers_table
from app.ledger.tables import replicas as replicas_table
from app.ledger.tables import transfers as transfers_table
from tests.ledger.support import NOT_LOADED, Ledger, bare, change
from tests.postgres import fresh_database, server_url
from tests.support import SCOPE, migrate

# queries


async def test_a_row_has_its_columns_names_and_kinds(ledger: Ledger) -> None:
    """SQLite has numbers in place of truth."""
    claim = await ledger.begun(change(1, consent=False))
    assert (await ledger.customer()).told is None
    await ledger.finish(claim)
    customer, transfer = await ledger.customer(), await ledger.row(claim.lead)
    assert (customer.told, customer.written_back) == (False, False)
    assert (transfer.consent, transfer.debug, transfer.promised, transfer.fetched) == (False,) * 4
    for one, table in ((customer, customers_table), (transfer, transfers_table)):
        for column in table.columns:
            value = getattr(one, column.name)
            assert column.name == "wanted" or value is None or type(value) is column.type.python_type


async def test_names_truth_and_constants_of_any_query(ledger: Ledger) -> None:
    yes = literal(value=True).label("yes")
    none_of_both = null().cast(Boolean).label("none_of_both")
    query = Query(
        select(
            yes,
            none_of_both,
            (bindparam("given", type_=Integer) + 40).label("sum"),
            literal("it's 100 %").label("text"),
        )
    )

    def find(session: Session) -> list[Any]:
        return [session.rows(query, {"given": given}) for given in (1, 2)]

    found = await ledger.database.read(find)
    assert found == [
        [{"yes": True, "none_of_both": None, "sum": given + 40, "text": "it's 100 %"}] for given in (1, 2)
    ]
    assert type(found[0][0]["yes"]) is bool


async def test_constants_of_what_is_not_given_are_kept_and_what_is_given_is_never_kept(ledger: Ledger) -> None:
    query = Query(
        {
            name: dialect.insert(replicas_table)
            .values(id=bindparam("id"), seen_at=bindparam("seen_at"))
            .on_conflict_do_update(index_elements=["id"], set_={"seen_at": replicas_table.c.seen_at + 7})
            .returning(replicas_table.c.seen_at, func.length(replicas_table.c.id).label("size"))
            for name, dialect in (("sqlite", sqlite), ("postgresql", postgresql))
        }
    )

    def write(session: Session, name: str, at: float) -> list[Any]:
        return session.rows(query, {"id": name, "seen_at": at})

    assert await ledger.do(write, "a", 1.0) == [{"seen_at": 1.0, "size": 1}]
    assert await ledger.do(write, "a", 2.0) == [{"seen_at": 8.0, "size": 1}]
    assert await ledger.do(write, "bb", 3.0) == [{"seen_at": 3.0, "size": 2}]


async def test_a_query_that_finds_nothing(ledger: Ledger) -> None:
    assert await ledger.database.read(customers.look, SCOPE, "nobody") is None
    assert await ledger.database.read(customers.look, SCOPE, None) is None
    assert await ledger.database.read(rows.by_id, "nobody's") is None


async def test_an_update_changes_one_row_and_its_named_columns_only(ledger: Ledger) -> None:
    """Even where it changes the key itself."""

    def write(session: Session) -> None:
        for name in "ab":
            session.insert(replicas_table, {"id": name, "seen_at": 1.0})
        session.update(replicas_table, {"id": "a"}, {"seen_at": 2.0})
        session.update(replicas_table, {"id": "nobody"}, {"seen_at": 3.0})

    def read(session: Session) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in session.execute(select(replicas_table).order_by(replicas_table.c.id))]

    await ledger.do(write)
    assert await ledger.database.read(read) == [("a", 2.0), ("b", 1.0)]


# what is written later is what is written at once

TABLES = (transfers_table, customers_table, attempts_table)
ALL_OF = {table: Query(select(table).order_by(*table.primary_key)) for table in TABLES}
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8) | st.sampled_from(
    [
        "",
        "'",
        '"',
        "\\",
        "\\\\u0000",
        '{"a": "\\u0000\\n"}',
        "null",
        "[]",
        "%s",
        "%(name)s",
        "{}",
        "é\u2028😀\x01\x7f",
    ]
)


def values_of(kind: Any) -> st.SearchStrategy[Any]:
    if isinstance(kind, Boolean):
        return st.booleans()
    if isinstance(kind, Float):
        return st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from(
            [1e308, 5e-324, -0.0, 0.1, 2**53]
        )
    if isinstance(kind, Integer):
        most = 2**63 if isinstance(kind, BigInteger) else 2**31
        return st.integers(-most, most - 1)
    return TEXTS


def least(table: Table, key: int) -> dict[str, Any]:
    """A row of which nothing is known but its key."""
    row = {column.name: None if column.nullable else usual(column.type) for column in table.columns}
    names = [column.name for column in table.primary_key]
    row |= dict(zip(names, (SCOPE, str(key)) if table is customers_table else (key, 1), strict=False))
    return row | ({"id": str(key)} if table is transfers_table else {})


def usual(kind: Any) -> Any:
    return {Boolean: False, Float: 0.0, Integer: 0}.get(type(kind), "" if isinstance(kind, String) else 0)


def changes_of(table: Table) -> st.SearchStrategy[dict[str, Any]]:
    columns = [each for each in table.columns if not each.primary_key and each.name not in {"id", "repeat_key"}]
    kinds = {
        each.name: values_of(each.type) | st.none() if each.nullable else values_of(each.type) for each in columns
    }
    return st.dictionaries(st.sampled_from(sorted(kinds)), st.none(), min_size=1, max_size=6).flatmap(
        lambda names: st.fixed_dictionaries({name: kinds[name] for name in names})
    )


CHANGES = {table: changes_of(table) for table in TABLES}
WRITES = st.sampled_from(TABLES).flatmap(
    lambda table: st.tuples(st.just(table), st.integers(1, 4), CHANGES[table] | CHANGES[table] | st.none())
)


Writes = list[tuple[Table, int, dict[str, Any] | None]]
OLD = [(table, key) for table in TABLES for key in (1, 2)]  # rows that were there before


def play(session: Session, writes: Writes) -> list[Any]:
    """Insert, then update; None = read. What was read, and all that is there in the end."""
    there = set(OLD)
    for table, key in OLD:
        session.insert(table, least(table, key))
    found = [session.rows(ALL_OF[table], {}) for table in TABLES]
    for table, key, values in writes:
        row = least(table, key)
        if values is None:
            found.append(session.rows(ALL_OF[table], {}))
        elif (table, key) in there:
            session.update(table, {column.name: row[column.name] for column in table.primary_key}, dict(values))
        else:
            session.insert(table, row | values)
            there.add((table, key))
    return [*found, *(session.rows(ALL_OF[table], {}) for table in TABLES)]


@pytest.fixture(scope="module")
def engine(migrated_postgresql: str) -> Iterator[Engine]:
    opened = engines.postgresql_group(read_url(migrated_postgresql))
    yield opened
    opened.dispose()


@settings(max_examples=60)
@given(st.lists(WRITES, min_size=1, max_size=12))
def test_what_is_written_later_is_what_is_written_at_once(engine: Engine, writes: Writes) -> None:
    found = []
    limits = engines.group_settings(engine.url)
    for is_later in (False, True):
        with engine.connect() as connection:
            transaction = connection.begin()
            session = GroupSession(connection, limits, [About(SCOPE)]) if is_later else Session(connection)
            found.append(repr(play(session, writes)))
            transaction.rollback()
    assert found[0] == found[1]


# plans


async def test_no_statement_of_a_group_reads_more_than_its_rows_however_many_there_are() -> None:
    """Though all of them were prepared, each with one plan for ever, while the tables were empty."""
    with fresh_database(server_url()) as url:
        await asyncio.to_thread(migrate, url)
        ledger = Ledger(Database(read_url(url)))
        for number in range(12):  # a driver prepares what it saw five times
            await all_works(ledger, f"before {number}")
        async with await psycopg.AsyncConnection.connect(url, autocommit=True) as session:
            for many in (MANY_CUSTOMERS, MANY_TRANSFERS, MANY_ATTEMPTS):
                await session.execute(many.encode())
            before = await read_so_far(session)
        for number in range(3):
            await all_works(ledger, f"after {number}")
        prepared = await ledger.database._group.run(plans, About(SCOPE))
        await ledger.database.aclose()  # where the server is told what its sessions have read
        async with await psycopg.AsyncConnection.connect(url, autocommit=True) as session:
            after = await read_so_far(session)
    assert prepared > 10, "with plans that know nothing of the values"
    rows = {name: number - before[name] for name, number in after.items()}
    assert all(number < 400 for number in rows.values()), {k: v for k, v in rows.items() if v > 50}
    assert rows["transfers_pkey"]


async def all_works(ledger: Ledger, name: str) -> None:
    """Each kind of work that shares a transaction, each way that reads something of its own."""
    new = change(1, customer=name, promised=True)
    claim = await ledger.begun(new)
    await ledger.accept(change(2, customer=name))
    await ledger.accept(new)
    await ledger.do(customers.take, claim.customer, f"9{name}", ledger.now)
    await ledger.finish(claim, NOT_LOADED)
    again = await ledger.begun(change(3, customer=f"{name}, too"))
    await ledger.finish(again, external_id=f"8{name}")
    loading = [await ledger.loading(bare(customer=f"{name} {number}")) for number in range(2)]
    await ledger.loaded(loading[0], 1)
    await ledger.not_loaded(loading[1])


def plans(session: Session) -> int:
    found = session.execute(text("SELECT sum(generic_plans) FROM pg_prepared_statements"))
    return int(found.scalar_one())


async def read_so_far(session: psycopg.AsyncConnection) -> dict[str, int]:
    """Rows, or entries of indexes."""
    await session.execute("SELECT pg_stat_clear_snapshot()")
    found = await session.execute(
        "SELECT relname::text, seq_tup_read::int FROM pg_stat_user_tables "
        "UNION SELECT indexrelname::text, idx_tup_read::int FROM pg_stat_user_indexes"
    )
    return dict(await found.fetchall())


# copies of a row that is there, so that new columns matter to nobody
MANY = """
INSERT INTO {table} SELECT copy.*
FROM (SELECT whole FROM {table} AS whole LIMIT 1) AS one, generate_series(1, 20000) AS n,
LATERAL jsonb_populate_record(one.whole, jsonb_build_object({values})) AS copy"""
MANY_CUSTOMERS = MANY.format(
    table="customers", values="'customer_id', 'many ' || n, 'external_id', 'x' || n, 'due_at', n"
)
MANY_TRANSFERS = MANY.format(
    table="transfers",
    values="""
'seq', nextval('transfers_seq_seq'), 'id', 'many ' || n, 'customer_id', 'many ' || n, 'tracking_guid', 'g' || n,
'repeat_key', 'g' || n, 'status', CASE WHEN n % 2 = 0 THEN 'waiting' ELSE 'failed' END, 'next_attempt_at', n""",
)
MANY_ATTEMPTS = MANY.format(table="attempts", values="'transfer_seq', 1000000 + n")
