"""Every test of the ledger runs on both databases."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psycopg
import pytest

from app.ledger.database import Database
from app.ledger.database_url import read_url
from app.ledger.tables import metadata
from tests.ledger.support import Ledger
from tests.postgres import fresh_database, server_url
from tests.support import migrate

BOTH = ["sqlite", "postgresql"]


@pytest.fixture(params=BOTH)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a database without any table."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/ledger.db"
        return
    with fresh_database(server_url()) as url:
        yield url


@pytest.fixture(scope="session")
def migrated_postgresql() -> Iterator[str]:
    """Made once, since that takes longer than a test; emptied after each."""
    with fresh_database(server_url()) as url:
        migrate(url)
        yield url


@pytest.fixture(params=BOTH)
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a database with nothing in it, but maybe with tables."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/ledger.db"
        return
    url: str = request.getfixturevalue("migrated_postgresql")
    yield url
    with psycopg.connect(url) as connection:  # quicker than TRUNCATE where there are few rows
        for table in metadata.tables:
            connection.execute(f"DELETE FROM {table}".encode())  # noqa: S608 - names of ours
        for sequence in ("transfers_seq_seq", "rejections_seq_seq", "trail_seq_seq"):
            connection.execute(f"ALTER SEQUENCE {sequence} RESTART".encode())


@pytest.fixture
async def database(empty_url: str, empty_file: Path) -> AsyncIterator[Database]:
    """With all tables and nothing in them."""
    url = read_url(empty_url)
    if url.get_backend_name() == "sqlite":
        shutil.copy(empty_file, url.database or "")
    opened = Database(url)
    yield opened
    await opened.aclose()


@pytest.fixture
def ledger(database: Database) -> Ledger:
    return Ledger(database)
