"""`migrate` and `backup`, and that a backup is one."""

from __future__ import annotations

import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

from app.ledger import schema
from app.ledger.database import Database
from app.ledger.database_url import read_url
from app.ledger.tables import metadata
from tests.cli.conftest import Run, free_port
from tests.ledger.support import Ledger, change

ELSEWHERE = "postgresql://bridge:s3cret-word@127.0.0.1:{}/bridge"


@pytest.fixture
def database_url(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path}/bridge.db"
    monkeypatch.setenv("DATABASE_URL", url)
    return url


def test_migrate_needs_no_key(run: Run, database_url: str) -> None:
    for _ in range(2):
        ran = run("migrate")
        assert (ran.code, ran.out) == (0, f"{database_url}: the schema is {schema.known()[-1]}.\n")
    with closing(sqlite3.connect(database_url.removeprefix("sqlite:///"))) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [(schema.known()[-1],)]
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()
    ran = run("migrate")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith("Schema 9999 is of a newer version of this product")


def test_migrate_without_a_database_touches_none(run: Run, tmp_path: Path) -> None:
    ran = run("migrate")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("DATABASE_URL is missing")
    assert list(tmp_path.glob("**/*.db")) == []


@pytest.mark.parametrize(
    ("command", "url", "code", "words"),
    [
        (["migrate"], ELSEWHERE, 1, "No PostgreSQL answers at the address of DATABASE_URL"),
        (["migrate"], "mysql://bridge:s3cret-word@h/bridge", 2, "DATABASE_URL is not usable"),
        (["backup", "b.db"], ELSEWHERE, 2, "pg_dump"),
        (["backup", "b.db"], "sqlite:///none.db", 1, "none.db cannot be copied (unable to open database file)."),
        (["backup", "b.db"], "sqlite:///letter.db", 1, "letter.db cannot be copied (file is not a database)."),
        (["backup", "none/b.db"], "sqlite:///letter.db", 1, "none/b.db.part cannot be written"),
    ],
)
def test_what_cannot_be_done_is_a_readable_line(
    run: Run, monkeypatch: pytest.MonkeyPatch, command: list[str], url: str, code: int, words: str
) -> None:
    Path("letter.db").write_text("This is a letter to my grandmother, and no database at all. " * 20)
    monkeypatch.setenv("DATABASE_URL", url.format(free_port()))
    ran = run(*command)
    assert (ran.code, ran.out) == (code, "")
    assert words in ran.err
    assert ran.err.count("\n") == 1
    assert "s3cret-word" not in ran.err
    assert sorted(each.name for each in Path().iterdir()) == ["letter.db"]


def restore(kept: Path, lost: Path) -> None:
    """As docs/databases.md says it."""
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert not list(kept.parent.glob("kept.db?*")), "one file, with nothing beside it"
    for left in lost.parent.glob("bridge.db*"):
        left.unlink()
    kept.rename(lost)


async def test_a_backup_is_whole_while_the_service_writes_and_can_be_restored(
    run: Run, database_url: str, tmp_path: Path
) -> None:
    ledger = Ledger(Database(read_url(database_url)))
    await ledger.database.migrate()
    await ledger.succeeded(change(customer="1"))
    ran = run("backup", "kept.db")
    assert (ran.code, ran.err) == (0, "")
    await ledger.succeeded(change(customer="2"))
    again = run("backup", "kept.db")
    assert (again.code, again.err) == (1, "No backup: kept.db cannot be written (File exists).\n")
    assert await ledger.statuses() == ["succeeded"] * 2
    await ledger.database.aclose()

    restore(tmp_path / "kept.db", tmp_path / "bridge.db")
    restored = Ledger(Database(read_url(database_url)))
    await restored.database.migrate()
    assert await restored.statuses() == ["succeeded"]
    await restored.succeeded(change(customer="3"))
    await restored.database.aclose()
    with closing(sqlite3.connect(tmp_path / "bridge.db")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        found = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert found >= metadata.tables.keys()
