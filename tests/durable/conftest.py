"""Real processes: the stand-in for Stamped.io, and bridges on either database."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest

from tests.durable.support import SHORT, Bridge, Nursery, StandIn, environment_of, open_stand_in
from tests.postgres import fresh_database, server_url


class BridgeFactory(Protocol):
    """Starts a replica on this database and waits until it is ready."""

    async def __call__(
        self, database_url: str, options: dict[str, Any] | None = None, **environment: str
    ) -> Bridge: ...


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    opened = Nursery()
    yield opened
    opened.close()


@pytest.fixture
async def stand_in(nursery: Nursery, tmp_path: Path) -> AsyncIterator[StandIn]:
    opened = await open_stand_in(nursery, tmp_path / "stand_in.log")
    yield opened
    await opened.client.aclose()


@pytest.fixture
async def start_bridge(nursery: Nursery, stand_in: StandIn, tmp_path: Path) -> AsyncIterator[BridgeFactory]:
    started: list[Bridge] = []

    async def start(database_url: str, options: dict[str, Any] | None = None, **environment: str) -> Bridge:
        log = tmp_path / f"bridge{len(started)}.log"
        values = environment_of(database_url, stand_in.url, **environment)
        bridge = Bridge(nursery, log, values, SHORT if options is None else options)
        started.append(bridge)
        bridge.start()
        await bridge.wait_ready()
        return bridge

    yield start
    for bridge in started:
        bridge.kill()
        await bridge.client.aclose()


@pytest.fixture
def postgresql_url() -> Iterator[str]:
    with fresh_database(server_url()) as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/bridge.db"
        return
    with fresh_database(server_url()) as url:
        yield url
