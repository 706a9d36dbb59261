"""Opening a database, its transactions, and everything that goes wrong with them."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import func, insert, select, text, update
from sqlalchemy.exc import DBAPIError, IntegrityError

from app.ledger import engines as module
from app.ledger.database import Database
from app.ledger.database_url import read_url
from app.ledger.faults import DatabaseBusy, DatabaseFault, DatabaseGone
from app.ledger.session import Session
from app.ledger.tables import replicas
from tests.ledger.support import mark

ROOT = Path(__file__).parents[2]

PASSES = ["25006", "25P03", "40001", "40P01", "53300", "55P03", "57014", "57P01", "57P02", "57P03", "57P04"]
PASSES += ["08000", "08003", "08006", "08P01"]

on_postgresql = pytest.mark.parametrize("empty_url", ["postgresql"], indirect=True)
on_a_postgresql_of_its_own = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)


def one(connection: Session) -> int:
    return int(connection.execute(text("SELECT 1")).scalar_one())


def add(connection: Session, name: str = "a") -> None:
    connection.execute(insert(replicas).values(id=name, seen_at=1.0))


def touch(connection: Session, name: str = "a") -> None:
    connection.execute(update(replicas).where(replicas.c.id == name).values(seen_at=replicas.c.seen_at + 1))


def count(connection: Session) -> int:
    return int(connection.execute(select(func.count()).select_from(replicas)).scalar_one())


def limit(connection: Session, name: str) -> str:
    return str(connection.execute(text(f"SHOW {name}")).scalar_one())


def fail(connection: Session, code: str) -> None:
    """As the server would with this SQLSTATE."""
    connection.connection.exec_driver_sql(
        f"DO $$ BEGIN RAISE EXCEPTION 'so it is' USING ERRCODE = '{code}'; END $$"
    )


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Database]:
    """With all tables."""
    database = Database(read_url(url))
    await database.migrate()
    yield database
    await database.aclose()


@asynccontextmanager
async def row_held(url: str, name: str = "a") -> AsyncIterator[psycopg.AsyncConnection]:
    """Somebody else has this row to themselves."""
    async with await psycopg.AsyncConnection.connect(url) as holder:
        await holder.execute("UPDATE replicas SET seen_at = 0 WHERE id = %s", [name])
        yield holder


async def set_for_database(url: str, setting: str) -> None:
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute("SET default_transaction_read_only = off")
        await connection.execute(f"ALTER DATABASE {connection.info.dbname} {setting}".encode())


async def end_others(url: str) -> None:
    """As a restart of the server does."""
    ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute(f"{ended} AND pid <> pg_backend_pid()".encode())


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
        "import sys\nfrom app.ledger.database import Database\n"
        "from app.ledger.database_url import read_url\nfrom app.ledger.faults import DatabaseFault\n"
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
    database = Database(read_url("postgresql://postgres@127.0.0.1:1/bridge"))
    for call in (database.migrate(), database.read(one), database.run(one), database.beat(one)):
        with pytest.raises(DatabaseGone):
            await call
    await database.aclose()


async def test_a_closed_database_is_gone(database_url: str) -> None:
    async with opened(database_url) as database:
        await database.aclose()
        for call in (database.migrate(), database.read(one), database.run(one), database.beat(one)):
            with pytest.raises(DatabaseGone):
                await call


async def test_sqlite_keeps_a_commit_through_a_power_cut(tmp_path: Path) -> None:
    database = Database(read_url(f"sqlite:///{tmp_path}/bridge.db"))

    def settings(connection: Session) -> tuple[str, int]:
        journal, full = (
            connection.connection.exec_driver_sql(f"PRAGMA {name}") for name in ("journal_mode", "synchronous")
        )
        return journal.scalar_one(), full.scalar_one()

    for call in (database.run, database.read, database.beat):
        assert await call(settings) == ("wal", 2)
    await database.aclose()


async def test_what_fails_leaves_nothing_behind(database: Database) -> None:
    def half(connection: Session) -> None:
        add(connection)
        raise ZeroDivisionError

    for call in (database.run, database.beat):
        with pytest.raises(ZeroDivisionError):
            await call(half)
    assert await database.read(count) == 0


async def test_an_error_of_the_work_itself_is_not_taken_for_a_database_that_is_gone(database: Database) -> None:
    def broken(_connection: Session) -> None:
        message = "dictionary changed size during iteration"
        raise RuntimeError(message)

    for call in (database.run, database.read, database.beat):
        with pytest.raises(RuntimeError, match="changed size"):
            await call(broken)


@on_postgresql
async def test_a_connection_that_the_server_ended_is_gone_once_and_then_replaced(
    database: Database, empty_url: str
) -> None:
    def end_this(connection: Session) -> None:
        connection.connection.exec_driver_sql("SELECT pg_terminate_backend(pg_backend_pid())")
        connection.connection.exec_driver_sql("SELECT 1")

    for call in (database.run, database.beat):
        with pytest.raises(DatabaseGone):
            await call(end_this)
    await asyncio.gather(*(database.read(one) for _ in range(4)))
    await end_others(empty_url)
    assert await asyncio.gather(*(database.run(one) for _ in range(8))) == [1] * 8
    assert await database.beat(one) == 1


@on_postgresql
@pytest.mark.parametrize("code", PASSES)
async def test_what_may_pass_by_itself_is_gone(database: Database, code: str) -> None:
    for call in (database.run, database.read, database.beat):
        with pytest.raises(DatabaseGone, match=r"^so it is$") as caught:
            await call(fail, code)
        assert isinstance(caught.value, DatabaseBusy) == (code == "55P03")
        assert await call(one) == 1


@on_postgresql
@pytest.mark.parametrize("code", ["23505", "23502", "42P01", "42501", "22P02", "25P02"])
async def test_what_does_not_pass_is_raised_as_it_is(database: Database, code: str) -> None:
    with pytest.raises(DBAPIError) as caught:
        await database.run(fail, code)
    assert getattr(caught.value.orig, "sqlstate", None) == code


@on_postgresql
@pytest.mark.parametrize("code", ["40P01", "40001"])
async def test_what_the_server_wants_repeated_is_tried_three_times(database: Database, code: str) -> None:
    tries = 0

    def work(connection: Session, failures: int) -> None:
        nonlocal tries
        tries += 1
        add(connection, str(failures))
        if tries <= failures:
            fail(connection, code)

    await database.run(work, 2)
    assert (tries, await database.read(count)) == (3, 1)
    tries = 0
    with pytest.raises(DatabaseGone):
        await database.run(work, 3)
    assert (tries, await database.read(count)) == (3, 1)


@on_postgresql
async def test_a_deadlock_ends_well_for_both(database: Database) -> None:
    await database.run(add, "a")
    await database.run(add, "b")
    both_hold_one = threading.Barrier(2)
    lock = threading.Lock()
    begun: list[str] = []

    def work(connection: Session, first: str, second: str) -> None:
        with lock:
            begun.append(first)
            again = begun.count(first) > 1
        touch(connection, first)
        if not again:
            both_hold_one.wait(5)
        touch(connection, second)

    await asyncio.gather(database.run(work, "a", "b"), database.run(work, "b", "a"))
    assert len(begun) == 3

    def seen(connection: Session) -> list[float]:
        return list(connection.execute(select(replicas.c.seen_at)).scalars())

    assert await database.read(seen) == [3.0, 3.0]


async def test_no_error_shows_what_was_to_be_kept(database: Database) -> None:
    """PostgreSQL's texts name the key, or the whole row."""
    secret = "grace-hopper"
    await database.run(add, secret)

    def half_a_row(connection: Session) -> None:
        connection.execute(text("INSERT INTO replicas (id, seen_at) VALUES (:id, NULL)"), {"id": secret})

    for work, arguments in ((add, (secret,)), (half_a_row, ())):
        with pytest.raises(IntegrityError) as caught:
            await database.run(work, *arguments)
        assert secret not in "".join(traceback.format_exception(caught.value))
        assert secret not in repr(caught.value) + repr(caught.value.orig)
        assert "constraint" in str(caught.value)


@on_postgresql
async def test_every_connection_has_limits_at_the_server(database: Database) -> None:
    for call, statement in ((database.run, "15s"), (database.read, "15s"), (database.beat, "5s")):
        assert await call(limit, "statement_timeout") == statement
        assert await call(limit, "idle_in_transaction_session_timeout") == "10s"
        assert await call(limit, "lock_timeout") == "12s"
    assert module.LOCK_MS > module.IDLE_MS


@on_a_postgresql_of_its_own
async def test_who_waits_behind_a_frozen_transaction_gets_through(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "IDLE_MS", 300)
    holds, thaw = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def freeze(connection: Session) -> None:
        touch(connection)
        loop.call_soon_threadsafe(holds.set)
        thaw.wait(30)
        touch(connection)

    async with opened(database_url) as frozen, opened(database_url) as living:
        await living.run(add)
        lost = asyncio.create_task(frozen.run(freeze))
        await holds.wait()
        try:
            async with asyncio.timeout(5):
                await living.run(touch)
        finally:
            thaw.set()
        with pytest.raises(DatabaseGone):
            await lost
        assert await frozen.run(one) == 1


@on_a_postgresql_of_its_own
async def test_a_database_that_turned_read_only_is_gone_and_comes_back(database_url: str) -> None:
    async with opened(database_url) as database:
        await set_for_database(database_url, "SET default_transaction_read_only = on")
        await end_others(database_url)
        for _ in range(2):
            for call in (database.run, database.beat):
                with pytest.raises(DatabaseGone, match="read-only transaction"):
                    await call(add)
        assert await database.read(count) == 0
        await database.migrate()
        await set_for_database(database_url, "RESET default_transaction_read_only")
        await asyncio.gather(*(database.run(add, f"run-{number}") for number in range(8)))
        await database.beat(add, "beat")
        assert await database.read(count) == 9


@on_a_postgresql_of_its_own
async def test_a_connection_that_was_read_only_is_not_used_again(database_url: str) -> None:
    """The server stays, its sessions too: who keeps one writes nothing for ever."""

    def freeze(connection: Session) -> None:
        connection.connection.exec_driver_sql("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY")

    async with opened(database_url) as database:
        for number, call in enumerate((database.run, database.beat)):
            await call(freeze)
            with pytest.raises(DatabaseGone):
                await call(add, str(number))
            await call(add, str(number))
        assert await database.read(count) == 2


async def test_a_file_that_turned_read_only_is_gone_and_comes_back(tmp_path: Path) -> None:
    async with opened(f"sqlite:///{tmp_path}/bridge.db") as database:

        def read_only(connection: Session) -> None:
            connection.connection.exec_driver_sql("PRAGMA query_only = ON")

        for call in (database.run, database.beat):
            await database.run(read_only)
            with pytest.raises(DatabaseGone, match="attempt to write a readonly database"):
                await call(add)
        await database.beat(add)
        assert await database.read(count) == 1


async def test_a_disk_that_is_full_is_gone_and_comes_back(tmp_path: Path) -> None:
    def pages(connection: Session, most: int) -> None:
        connection.connection.exec_driver_sql(f"PRAGMA max_page_count = {most}")

    async with opened(f"sqlite:///{tmp_path}/bridge.db") as database:
        await database.run(pages, 1)  # as many as there are
        with pytest.raises(DatabaseGone, match="database or disk is full"):
            await database.run(add, "a" * 100_000)
        await database.run(pages, 100_000)
        await database.run(add, "a" * 100_000)


async def test_a_beat_is_a_transaction(database: Database) -> None:
    await database.beat(add)
    assert await database.read(count) == 1


@on_postgresql
async def test_a_heart_beats_while_all_others_wait(database: Database, empty_url: str) -> None:
    await database.run(add)
    loop, begun, go = asyncio.get_running_loop(), asyncio.Event(), threading.Event()
    waiting = threading.Semaphore(7)  # so many may begin before the last one

    def wait(connection: Session) -> None:
        one(connection)
        if not waiting.acquire(blocking=False):
            loop.call_soon_threadsafe(begun.set)
        go.wait(30)

    others = [asyncio.create_task(database.run(wait)) for _ in range(6 + 4)]
    others += [asyncio.create_task(database.read(wait)) for _ in range(2 + 4)]
    try:
        async with asyncio.timeout(5):
            await begun.wait()
            await database.beat(add, "heart")
        async with await psycopg.AsyncConnection.connect(empty_url) as eye:
            seen = await (await eye.execute("SELECT count(*) FROM replicas WHERE id = 'heart'")).fetchone()
        assert seen == (1,)
        assert not any(task.done() for task in others)
    finally:
        go.set()
        await asyncio.gather(*others)


@on_a_postgresql_of_its_own
@pytest.mark.parametrize("size", [4, 10])
async def test_a_replica_has_no_more_connections_than_it_may(database_url: str, size: int) -> None:
    """Whatever comes at once; and all of them are used."""
    go = threading.Event()

    def wait(connection: Session) -> None:
        one(connection)
        go.wait(30)

    database = Database(read_url(database_url), size)
    await database.migrate()
    works = [
        asyncio.create_task(call(wait)) for _ in range(12) for call in (database.run, database.read, database.beat)
    ]
    shared = [asyncio.create_task(database.run(mark, str(number), [])) for number in range(12)]
    used = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    try:
        async with (
            asyncio.timeout(10),
            await psycopg.AsyncConnection.connect(database_url, autocommit=True) as eye,
        ):
            while (found := await (await eye.execute(used)).fetchone()) != (size,):
                assert found is not None
                assert found[0] < size
    finally:
        go.set()
        await asyncio.gather(*works, *shared)
    await database.aclose()


@on_a_postgresql_of_its_own
async def test_a_beat_does_not_wait_long(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BEAT_MS", 500)
    async with opened(database_url) as database:
        await database.run(add)
        async with row_held(database_url), asyncio.timeout(3):
            with pytest.raises(DatabaseGone, match="statement timeout"):
                await database.beat(touch)
        await database.beat(touch)


@on_a_postgresql_of_its_own
async def test_a_lock_that_is_not_given_is_gone(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOCK_MS", 100)
    async with opened(database_url) as database:
        await database.run(add)
        async with row_held(database_url), asyncio.timeout(3):
            with pytest.raises(DatabaseBusy, match="lock timeout"):
                await database.run(touch)
        await database.run(touch)


async def test_a_reader_sees_one_moment(database: Database) -> None:
    loop = asyncio.get_running_loop()

    def twice(session: Session) -> tuple[int, int]:
        before = count(session)
        asyncio.run_coroutine_threadsafe(database.run(add), loop).result(10)
        return before, count(session)

    assert await database.read(twice) == (0, 0)
    assert await database.read(count) == 1
