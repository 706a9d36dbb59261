"""Opening a database: its schema, a previous version of it, and everything that makes it unusable."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, text

import app.ledger
from app.ledger import bulk, endings, moves, reports
from app.ledger.database import Database, DatabaseFault, DatabaseGone, read_url
from app.ledger.tables import metadata
from tests.durable.support import ROOT, free_port
from tests.ledger.support import OWNER, START, change
from tests.postgres import server_url

MIGRATIONS = Path(app.ledger.__file__).parent / "migrations"


def differences(connection: Connection) -> list[str]:
    context = MigrationContext.configure(connection, opts={"compare_type": True})
    return [str(each) for each in compare_metadata(context, metadata)]


def indexes(connection: Connection) -> dict[str, str | None]:
    """Each index and for which rows it is, which `compare_metadata` does not look at."""
    found: dict[str, str | None] = {}
    for table in metadata.tables:
        for index in inspect(connection).get_indexes(table):
            options = index.get("dialect_options", {})
            where = options.get("sqlite_where", options.get("postgresql_where"))
            found[str(index["name"])] = None if where is None else " ".join(str(where).split())
    return found


async def test_migrations_lead_to_the_tables_of_the_code(database_url: str) -> None:
    database = Database(read_url(database_url))
    await database.migrate()
    assert await database.read(differences) == []
    migrated = await database.read(indexes)

    def from_the_code(connection: Connection) -> None:
        metadata.drop_all(connection)
        metadata.create_all(connection)

    await database.run(from_the_code)
    assert migrated == await database.read(indexes)
    await database.aclose()


async def test_replicas_that_start_together_take_turns(database_url: str) -> None:
    databases = [Database(read_url(database_url))]
    if not databases[0].is_sqlite:
        databases += [Database(read_url(database_url)) for _ in range(3)]
    await asyncio.gather(*(database.migrate() for database in databases))
    for database in databases:
        await database.migrate()
        assert await database.read(differences) == []
        await database.aclose()


async def test_a_database_with_data_of_the_first_version_starts(database_url: str) -> None:
    """Of each older revision, with a transfer of each kind in it; nothing of it is lost."""

    def first_version(connection: Connection) -> None:
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        usual = (
            "INSERT INTO transfers (id, connection, customer_id, tracking_guid, scope, trigger, debug, fetched,"
            " status, promised, tries, attempts, created_at, started_at, next_attempt_at, owner, repeat_key)"
            " VALUES "
        )
        for number, status in enumerate(("running", "waiting", "succeeded")):
            values = f"('id-{number}', 'default', '{number}', 'guid', 'customer/updated', 'webhook', false, false,"
            values += f" '{status}', true, 1, 1, {START}, {START}, {START}, 'gone', 'key-{number}')"
            connection.execute(text(usual + values))
        connection.execute(
            text("INSERT INTO links (connection, customer_id, written_back) VALUES ('default', '2', false)")
        )
        todo = json.dumps([str(number) for number in range(100, 100 + bulk.BLOCK + 1)])
        sync = "INSERT INTO syncs (id, connection, kind, total, todo, created_at) VALUES "
        connection.execute(text(sync + f"('sync-1', 'default', 'customers', {bulk.BLOCK + 1}, '{todo}', {START})"))

    database = Database(read_url(database_url))
    await database.run(first_version)
    await database.migrate()
    assert await database.read(differences) == []
    first = await database.run(endings.give_up, 1, "gone", START)
    assert first is not None
    assert first.transfer.status == "accepted"
    second = await database.run(moves.claim, 2, OWNER, START)
    assert second is not None
    assert second.claimed
    third = await database.run(moves.accept, change(customer="2"), OWNER, START)
    assert third.claimed
    assert third.transfer.seq == 4
    while await database.run(bulk.enter_some, START, fetch=True) is not None:
        pass
    counts = await database.read(reports.sync_counts, "sync-1")
    assert counts is not None
    assert (counts["total"], counts["remaining"]) == (bulk.BLOCK + 1, bulk.BLOCK + 1)
    assert len(await database.read(reports.listed, reports.Filter(), 200)) == 4 + bulk.BLOCK + 1
    await database.aclose()


def test_there_is_one_line_of_versions() -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    script = ScriptDirectory.from_config(config)
    assert len(script.get_heads()) == 1
    assert script.get_base() == "0001"


def test_folders_are_made(tmp_path: Path) -> None:
    path = tmp_path / "not" / "there" / "yet.db"
    asyncio.run(Database(read_url(f"sqlite:///{path}")).aclose())
    assert path.exists()


@pytest.mark.parametrize("where", ["/proc/bridge.db", "/dev/null/bridge.db", "{tmp}"])
def test_a_path_that_cannot_be_written_is_a_readable_fault(tmp_path: Path, where: str) -> None:
    path = where.replace("{tmp}", str(tmp_path))
    with pytest.raises(DatabaseFault) as caught:
        Database(read_url(f"sqlite:///{path}"))
    assert str(caught.value).startswith(f"{path} cannot be written (")


@pytest.mark.parametrize(
    "url",
    [
        "nonsense",
        "",
        "sqlite://",
        "sqlite:///:memory:",
        "mysql://localhost/bridge",
        "postgresql://localhost",
        "postgresql://localhost:port/bridge",
        "postgresql://somebody:s3cret-word@localhost:99999999999999999999x/bridge",
    ],
)
def test_a_url_that_is_none_is_a_readable_fault(url: str) -> None:
    with pytest.raises(DatabaseFault) as caught:
        read_url(url)
    assert "s3cret-word" not in str(caught.value)
    assert str(caught.value).startswith(("it is no database URL", "only sqlite:///"))


@pytest.mark.parametrize("scheme", ["postgres://", "postgresql://"])
def test_both_names_of_postgresql(scheme: str) -> None:
    assert read_url(f"{scheme}host/bridge").drivername == "postgresql+psycopg"


async def test_a_second_process_on_one_file_is_told_so(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/bridge.db"
    database = Database(read_url(url))
    second = (
        "import sys\nfrom app.ledger.database import Database, DatabaseFault, read_url\n"
        "try:\n    Database(read_url(sys.argv[1]))\nexcept DatabaseFault as fault:\n    print(fault)\n"
    )
    arguments = [sys.executable, "-c", second, url]
    told = await asyncio.to_thread(subprocess.run, arguments, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "is in use by another process" in told.stdout
    assert "postgresql://" in told.stdout
    with pytest.raises(DatabaseFault):
        Database(read_url(url))
    await database.aclose()
    again = await asyncio.to_thread(
        subprocess.run, arguments, cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert again.stdout == ""


async def test_a_server_that_is_not_there_is_gone_and_no_fault() -> None:
    """It may come later; the service waits for it."""
    database = Database(read_url(f"postgresql://postgres@127.0.0.1:{free_port()}/bridge"))
    for call in (database.migrate(), database.read(reports.oldest_open), database.run(reports.oldest_open)):
        with pytest.raises(DatabaseGone):
            await call
    await database.aclose()


async def test_a_closed_database_is_gone(tmp_path: Path) -> None:
    database = Database(read_url(f"sqlite:///{tmp_path}/bridge.db"))
    await database.migrate()
    await database.aclose()
    await database.aclose()
    with pytest.raises(DatabaseGone):
        await database.run(reports.oldest_open)


async def test_sqlite_keeps_a_commit_through_a_power_cut(tmp_path: Path) -> None:
    database = Database(read_url(f"sqlite:///{tmp_path}/bridge.db"))

    def settings(connection: Connection) -> tuple[str, int]:
        journal, full = (connection.exec_driver_sql(f"PRAGMA {name}") for name in ("journal_mode", "synchronous"))
        return journal.scalar_one(), full.scalar_one()

    for call in (database.run, database.read):
        assert await call(settings) == ("wal", 2)
    await database.aclose()


async def test_what_fails_leaves_nothing_behind(database: Database) -> None:
    def half(connection: Connection) -> None:
        moves.accept(connection, change(), OWNER, START)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await database.run(half)
    assert await database.read(reports.oldest_open) is None


async def test_an_error_of_the_work_itself_is_not_taken_for_a_database_that_is_gone(database: Database) -> None:
    def broken(_connection: Connection) -> None:
        message = "dictionary changed size during iteration"
        raise RuntimeError(message)

    for call in (database.run, database.read):
        with pytest.raises(RuntimeError, match="changed size"):
            await call(broken)


@pytest.mark.parametrize("empty_url", ["postgresql"], indirect=True)
async def test_a_connection_that_the_server_ended_is_gone_once_and_then_replaced(database: Database) -> None:
    def end_all_others(connection: Connection) -> None:
        ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
        connection.exec_driver_sql(f"{ended} AND pid <> pg_backend_pid()")

    def end_this(connection: Connection) -> None:
        connection.exec_driver_sql("SELECT pg_terminate_backend(pg_backend_pid())")
        connection.exec_driver_sql("SELECT 1")

    assert server_url()
    with pytest.raises(DatabaseGone):
        await database.run(end_this)
    await asyncio.gather(*(database.read(reports.oldest_open) for _ in range(4)))
    await database.run(end_all_others)
    assert await asyncio.gather(*(database.run(reports.oldest_open) for _ in range(8))) == [None] * 8
