"""The schema: how it comes about, beside replicas at work, and which versions of it this code runs on."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Table, delete, func, insert, inspect, select, text, update
from sqlalchemy.engine import make_url

from app.ledger import schema
from app.ledger.database import Database
from app.ledger.database_url import read_url
from app.ledger.faults import DatabaseBusy, DatabaseGone, SchemaFault
from app.ledger.schema import Found, judge
from app.ledger.session import Session
from app.ledger.tables import customers, metadata
from tests.ledger.support import Ledger

MIGRATION = """
from alembic import op
import sqlalchemy as sa

revision, down_revision, branch_labels, depends_on = {version!r}, {before!r}, None, None


def upgrade() -> None:
    op.add_column({table!r}, sa.Column("of_the_next_release", sa.String(), nullable=True))
"""
SET_VERSION = "UPDATE alembic_version SET version_num = '{}'"
COMPLETE = {name: frozenset(table.columns.keys()) for name, table in metadata.tables.items()}
RESTORE = "Restore the database from a backup, or set DATABASE_URL to an empty one."
UPDATE = "Update the product here, too."
NOT_USED = "and this one ({newest}) cannot use it."
NO_VERSION = f"but alembic_version names no version. {RESTORE}"

on_postgresql = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)


def later(by: int) -> str:
    """The version that comes after the code's newest."""
    return f"{int(schema.known()[-1]) + by:04}"


def released(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *tables: str) -> None:
    """From here on the code is of a later release, with a migration for each of `tables`."""
    folder = tmp_path / "migrations"
    shutil.copytree(schema.MIGRATIONS, folder)
    for number, table in enumerate(tables, 1):
        script = MIGRATION.format(version=later(number), before=later(number - 1), table=table)
        (folder / "versions" / f"{later(number)}_wider.py").write_text(script)
    monkeypatch.setattr(schema, "MIGRATIONS", folder)


async def migrate(url: str) -> str | None:
    """As a replica that starts; its note."""
    database = Database(read_url(url))
    try:
        await database.migrate()
        return database.schema_note
    finally:
        await database.aclose()


async def execute(url: str, *statements: str) -> None:
    def work(connection: Session) -> None:
        for statement in statements:
            connection.execute(text(statement))

    database = Database(read_url(url))
    await database.run(work)
    await database.aclose()


async def version(url: str) -> str:
    async with await psycopg.AsyncConnection.connect(url) as connection:
        row = await (await connection.execute("SELECT version_num FROM alembic_version")).fetchone()
        assert row is not None
        return str(row[0])


async def waits_for(url: str, table: str, mode: str = "AccessExclusiveLock") -> None:
    """Until a migration waits for a lock. The server tells nobody, so it is asked."""
    query = "SELECT 1 FROM pg_locks WHERE relation = %s::regclass AND mode = %s AND NOT granted"
    async with asyncio.timeout(10), await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        while await (await connection.execute(query, [table, mode])).fetchone() is None:
            pass


def look(session: Session) -> schema.SchemaState:
    return schema.look(session.connection)


def differences(connection: Session) -> list[str]:
    context = MigrationContext.configure(connection.connection, opts={"compare_type": True})
    return [str(each) for each in compare_metadata(context, metadata)]


def indexes(connection: Session) -> dict[str, str | None]:
    """Each index and for which rows it is, which `compare_metadata` does not look at."""
    found: dict[str, str | None] = {}
    for table in metadata.tables:
        for index in inspect(connection.connection).get_indexes(table):
            options = index.get("dialect_options", {})
            where = options.get("sqlite_where", options.get("postgresql_where"))
            found[str(index["name"])] = None if where is None else " ".join(str(where).split())
    return found


def row_of(table: Table, number: int) -> dict[str, Any]:
    """A value in every column."""
    return {each.name: each.type.python_type(number) for each in table.columns}


async def test_migrations_lead_to_the_tables_of_the_code(database_url: str) -> None:
    database = Database(read_url(database_url))
    await database.migrate()
    assert await database.read(differences) == []
    assert database.schema_note is None
    migrated = await database.read(indexes)

    def from_the_code(connection: Session) -> None:
        metadata.drop_all(connection.connection)
        metadata.create_all(connection.connection)

    await database.run(from_the_code)
    assert migrated == await database.read(indexes)
    await database.aclose()


def test_there_is_one_line_of_versions_and_they_count() -> None:
    config = Config()
    config.set_main_option("script_location", str(schema.MIGRATIONS))
    script = ScriptDirectory.from_config(config)
    assert len(script.get_heads()) == 1
    assert schema.known() == [f"{number:04}" for number in range(1, len(schema.known()) + 1)]


async def test_replicas_that_start_together_take_turns(database_url: str) -> None:
    databases = [Database(read_url(database_url))]
    if not databases[0].is_sqlite:
        databases += [Database(read_url(database_url)) for _ in range(3)]
    await asyncio.gather(*(database.migrate() for database in databases))
    for database in databases:
        await database.migrate()
        assert await database.read(differences) == []
        await database.aclose()


@on_postgresql
async def test_a_start_takes_turns_with_who_creates_the_first_table(database_url: str) -> None:
    """Two that both see no alembic_version: the second one waits for the first, and goes on."""
    async with await psycopg.AsyncConnection.connect(database_url) as first:
        await first.execute("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)")
        second = asyncio.create_task(migrate(database_url))
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = %s"
        async with (
            asyncio.timeout(10),
            await psycopg.AsyncConnection.connect(database_url, autocommit=True) as eye,
        ):
            while (await (await eye.execute(waiting, ["transactionid"])).fetchone()) == (0,):
                assert not second.done()
        await first.commit()
        assert await second is None
    assert await version(database_url) == schema.known()[-1]


@on_postgresql
async def test_a_start_waits_for_who_migrates(
    database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    await migrate(database_url)
    released(monkeypatch, tmp_path, "customers")
    async with await psycopg.AsyncConnection.connect(database_url) as first:
        await first.execute("LOCK TABLE alembic_version IN EXCLUSIVE MODE")
        second = asyncio.create_task(migrate(database_url))
        await waits_for(database_url, "alembic_version", "ExclusiveLock")
        await first.execute("ALTER TABLE customers ADD COLUMN of_the_next_release VARCHAR")
        await first.execute(SET_VERSION.format(later(0)).encode())
        await first.commit()
        assert await second is None


@on_postgresql
async def test_a_look_is_at_one_moment(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a start beside a migration could see no version, and then tables."""
    really = schema._look

    def late(connection: Connection) -> schema.SchemaState:
        connection.execute(text("SELECT 1"))
        monkeypatch.setattr(schema, "_look", really)
        asyncio.run(migrate(database_url))
        return really(connection)

    monkeypatch.setattr(schema, "_look", late)
    database = Database(read_url(database_url))
    assert (await database.read(look)).words == "The schema is created at the first start."
    assert (await database.read(look)).words is None
    await database.aclose()


@on_postgresql
async def test_a_start_on_the_present_schema_waits_for_nobody(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await migrate(database_url)
    monkeypatch.setattr(schema, "LOCK_MS", 100)
    monkeypatch.setattr(schema, "TRIES", 1)
    async with await psycopg.AsyncConnection.connect(database_url) as busy:
        await busy.execute("LOCK TABLE alembic_version IN EXCLUSIVE MODE")
        for table in metadata.tables:
            await busy.execute(f"LOCK TABLE {table} IN EXCLUSIVE MODE".encode())
        assert await migrate(database_url) is None


@on_postgresql
@pytest.mark.parametrize("use", ["SELECT count(*) FROM customers", "DELETE FROM customers"])
async def test_a_migration_lets_others_pass_and_tries_again(
    database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, use: str
) -> None:
    await migrate(database_url)
    released(monkeypatch, tmp_path, "customers")
    monkeypatch.setattr(schema, "LOCK_MS", 200)
    monkeypatch.setattr(schema, "PAUSE_SECONDS", 0.02)
    monkeypatch.setattr(schema, "TRIES", 200)
    async with await psycopg.AsyncConnection.connect(database_url) as long:
        await long.execute(use.encode())
        migration = asyncio.create_task(migrate(database_url))
        for _ in range(2):
            await waits_for(database_url, "customers")
            options = "-c statement_timeout=2000"
            async with await psycopg.AsyncConnection.connect(database_url, options=options) as webhook:
                await webhook.execute("SELECT count(*) FROM customers")
        assert not migration.done()
        await long.rollback()
        assert await migration is None
    assert await version(database_url) == later(0) == schema.known()[-1]


@on_postgresql
async def test_a_migration_that_gets_no_lock_keeps_what_is_done_and_goes_on_later(
    database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    await migrate(database_url)
    first = later(1)
    released(monkeypatch, tmp_path, "replicas", "customers")
    monkeypatch.setattr(schema, "LOCK_MS", 50)
    monkeypatch.setattr(schema, "TRIES", 3)
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    async with await psycopg.AsyncConnection.connect(database_url) as long:
        await long.execute("SELECT count(*) FROM customers")
        with pytest.raises(DatabaseBusy, match="lock timeout") as caught:
            await migrate(database_url)
        assert isinstance(caught.value, DatabaseGone)
        assert pauses == [schema.PAUSE_SECONDS] * 2
        assert await version(database_url) == first
    await migrate(database_url)
    assert await version(database_url) == schema.known()[-1] > first


@pytest.fixture
def servant(database_url: str) -> Iterator[str]:
    """The URL of a role that may read and write, and no more."""
    role = f"servant_{uuid4().hex[:12]}"
    granted = (
        f"CREATE ROLE {role} LOGIN PASSWORD 'servant'",
        "REVOKE CREATE ON SCHEMA public FROM PUBLIC",
        f"ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {role}",
        f"ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT USAGE ON SEQUENCES TO {role}",
    )
    with psycopg.connect(database_url, autocommit=True) as connection:
        for statement in granted:
            connection.execute(statement.encode())
    yield make_url(database_url).set(username=role, password="servant").render_as_string(hide_password=False)
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(f"DROP OWNED BY {role}".encode())
        connection.execute(f"DROP ROLE {role}".encode())


@on_postgresql
async def test_a_role_that_may_not_migrate_waits_for_one_that_may(
    database_url: str, servant: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(
        SchemaFault, match=r"permission denied .* Run `ipaas-stamped migrate` with a role that may"
    ):
        await migrate(servant)
    await migrate(database_url)
    assert await migrate(servant) is None
    ledger = Ledger(Database(read_url(servant)))
    await ledger.succeeded()
    assert await ledger.statuses() == ["succeeded"]
    await ledger.database.aclose()
    released(monkeypatch, tmp_path, "customers")
    with pytest.raises(SchemaFault, match="permission denied"):
        await migrate(servant)
    await migrate(database_url)
    assert await migrate(servant) is None


async def test_an_older_schema_is_brought_forward(
    database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    await migrate(database_url)
    released(monkeypatch, tmp_path, "customers", "replicas")
    database = Database(read_url(database_url))
    assert (await database.read(look)).behind
    await database.migrate()
    assert database.schema_note is None
    added = await database.read(differences)
    assert [each.count("of_the_next_release") for each in added] == [1, 1]
    await database.aclose()


async def test_the_code_of_the_previous_release_runs_on_what_the_next_one_expands(database_url: str) -> None:
    await migrate(database_url)
    wider = [f"ALTER TABLE {table} ADD COLUMN of_the_next_release VARCHAR" for table in metadata.tables]
    await execute(
        database_url,
        *wider,
        "ALTER TABLE transfers ADD COLUMN filled BOOLEAN NOT NULL DEFAULT false",
        "CREATE TABLE of_the_next_release (id VARCHAR PRIMARY KEY)",
        "CREATE INDEX ix_of_the_next_release ON customers (of_the_next_release)",
        SET_VERSION.format(later(1)),
    )
    database = Database(read_url(database_url))
    await database.migrate()
    assert database.schema_note == (
        f"Schema {later(1)} is of a newer version of this product, and this one ({later(0)}) can still use it."
        f" {UPDATE}"
    )

    def use(connection: Session, table: Table) -> None:
        names = [each.name for each in table.columns]
        connection.execute(insert(table), [row_of(table, 1), row_of(table, 2)])
        connection.execute(update(table).values({names[-1]: row_of(table, 3)[names[-1]]}))
        connection.execute(delete(table).where(table.columns[names[0]] == row_of(table, 2)[names[0]]))
        [row] = connection.execute(select(table)).mappings()
        assert dict(row) == row_of(table, 1) | {names[-1]: row_of(table, 3)[names[-1]]}

    for table in metadata.tables.values():
        await database.run(use, table)
    await database.aclose()


@pytest.mark.parametrize(
    ("statements", "words"),
    [
        (
            [SET_VERSION.format("{two_later}")],
            f"Schema {{two_later}} is of a newer version of this product, {NOT_USED} {UPDATE}",
        ),
        (
            [SET_VERSION.format("ae1027a6acf")],
            f"Schema 'ae1027a6acf' is none of this product. {RESTORE}",
        ),
        (
            ["INSERT INTO alembic_version VALUES ('{one_later}')"],
            f"Schema '{{newest}}, {{one_later}}' is none of this product. {RESTORE}",
        ),
        (
            ["DROP TABLE replicas", "ALTER TABLE syncs DROP COLUMN cancelled_at"],
            f"Schema {{newest}} lacks replicas, syncs.cancelled_at. {RESTORE}",
        ),
        (
            ["DROP TABLE customers", SET_VERSION.format("{one_later}")],
            f"Schema {{one_later}} lacks customers. {RESTORE}",
        ),
        (
            ["DROP TABLE alembic_version"],
            f"There are tables (acknowledged, alerts, attempts, customers, gates and 8 more), {NO_VERSION}",
        ),
        (
            ["DELETE FROM alembic_version", "DROP TABLE transfers", "DROP TABLE syncs", "DROP TABLE sync_items"],
            f"There are tables (acknowledged, alerts, attempts, customers, gates and 5 more), {NO_VERSION}",
        ),
    ],
)
async def test_what_cannot_be_used_is_a_readable_fault_and_stays_as_it_is(
    database_url: str, statements: list[str], words: str
) -> None:
    await migrate(database_url)
    versions = {"newest": later(0), "one_later": later(1), "two_later": later(2)}
    await execute(database_url, *(statement.format(**versions) for statement in statements))

    def tables(connection: Session) -> set[str]:
        return set(inspect(connection.connection).get_table_names())

    database = Database(read_url(database_url))
    before = await database.read(tables)
    for _ in range(2):
        with pytest.raises(SchemaFault) as caught:
            await database.migrate()
        assert str(caught.value) == words.format(**versions)
    assert await database.read(tables) == before
    assert (await database.read(look)).words == words.format(**versions)
    await database.aclose()


async def test_an_empty_alembic_version_is_a_start_that_was_interrupted(database_url: str) -> None:
    await execute(database_url, "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)")
    assert await migrate(database_url) is None
    database = Database(read_url(database_url))
    assert await database.read(differences) == []
    await database.aclose()


@on_postgresql
async def test_a_server_that_refuses_the_migration_is_a_readable_fault(database_url: str) -> None:
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
        name = connection.info.dbname
        await connection.execute(f"ALTER DATABASE {name} SET search_path = nowhere".encode())
    with pytest.raises(SchemaFault) as caught:
        await migrate(database_url)
    assert str(caught.value) == (
        f"The schema could not be brought to {later(0)}: no schema has been selected to create in."
    )


async def test_a_file_that_is_no_database_is_a_readable_fault(tmp_path: Path) -> None:
    path = tmp_path / "letter.db"
    path.write_text("This is a letter to my grandmother, and no database at all. " * 20)
    with pytest.raises(SchemaFault, match=r"brought to \d+: file is not a database\.$"):
        await migrate(f"sqlite:///{path}")


@on_postgresql
async def test_a_migration_that_breaks_leaves_nothing_of_itself(
    database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    await migrate(database_url)
    released(monkeypatch, tmp_path, "customers")
    [script] = (schema.MIGRATIONS / "versions").glob("*_wider.py")
    whole = script.read_text()
    script.write_text(f'{whole}    op.execute("SELECT 1 / 0")\n')
    with pytest.raises(SchemaFault, match=r"division by zero\.$"):
        await migrate(database_url)
    script.write_text(whole)
    await migrate(database_url)
    assert await version(database_url) == schema.known()[-1]


@pytest.mark.parametrize(
    ("version", "usable", "behind", "says"),
    [
        ("0007", True, True, "older version"),
        ("0008", True, True, "older version"),
        ("0009", True, False, None),
        ("0010", True, False, "can still use it"),
        ("0011", False, False, "cannot use it"),
        ("9999", False, False, "cannot use it"),
        ("0000", False, False, "none of this product"),
        ("9", False, False, "none of this product"),
        ("10", False, False, "none of this product"),
        ("00010", False, False, "none of this product"),
        ("001x", False, False, "none of this product"),
        ("\u0661" * 4, False, False, "none of this product"),
        ("", True, True, "first start"),
    ],
)
def test_a_version_is_judged(version: str, *, usable: bool, behind: bool, says: str | None) -> None:
    found = Found((version,), COMPLETE) if version else Found()
    state = judge(found, ["0007", "0008", "0009"])
    assert (state.usable, state.behind) == (usable, behind)
    assert (says is None) == (state.words is None)
    assert (says or "") in (state.words or "")


@pytest.mark.parametrize("version", ["0009", "0010"])
@pytest.mark.parametrize("table", sorted(metadata.tables))
def test_a_schema_without_one_of_the_columns_is_not_usable(version: str, table: str) -> None:
    for column in metadata.tables[table].columns:
        half = COMPLETE | {table: COMPLETE[table] - {column.name}}
        state = judge(Found((version,), half), ["0009"])
        assert not state.usable
        assert state.text == f"schema {version} lacks {table}.{column.name}"


def test_columns_of_an_older_schema_are_not_judged() -> None:
    assert judge(Found(("0008",), {"customers": frozenset()}), ["0008", "0009"]).usable


async def test_a_look_changes_nothing(database_url: str) -> None:
    database = Database(read_url(database_url))
    state = await database.read(look)
    assert state.words == "The schema is created at the first start."
    assert not await database.read(lambda connection: inspect(connection.connection).get_table_names())
    await database.migrate()
    counted = select(func.count()).select_from(customers)
    assert await database.read(lambda connection: connection.execute(counted).scalar_one()) == 0
    await database.aclose()
