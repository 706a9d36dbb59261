"""A world on each database."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path

import pytest

from app.engine import dispatcher
from app.ledger import replicas
from app.ledger.session import Session
from tests.postgres import fresh_database, server_url
from tests.sequences.world import World, open_world
from tests.support import FakeClock, make_settings, migrate

Worlds = Callable[..., AbstractAsyncContextManager[World]]


@pytest.fixture(scope="session")
def migrated() -> Iterator[str]:
    """The name of a database to copy: migrating takes longer than a test."""
    with fresh_database(server_url()) as url:
        migrate(url)
        yield url.rsplit("/", 1)[-1]


@pytest.fixture(params=["sqlite", "postgresql"])
def world(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Worlds]:
    """Opens one; `ipaas=True`: records can be fetched."""
    monkeypatch.setattr(dispatcher, "_LOOK_SECONDS", 0.005)
    clock, beat = FakeClock(), replicas.beat
    if request.param == "sqlite":
        yield partial(open_world, partial(make_settings, tmp_path), clock)
        return

    def beat_at(connection: Session, replica: str, _at: float | None) -> float:
        """PostgreSQL's clock would go on by itself."""
        return beat(connection, replica, clock.now().timestamp())

    monkeypatch.setattr(replicas, "beat", beat_at)
    with fresh_database(server_url(), request.getfixturevalue("migrated")) as url:
        yield partial(open_world, partial(make_settings, tmp_path, database_url=url), clock)
