"""Real processes: the stand-in for Stamped.io, and bridges on either database."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest

from tests.durable.support import SHORT, Bridge, Nursery, StandIn, environment_of, free_port, until
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
    port = free_port()
    process = nursery.start("stand_in", port, tmp_path / "stand_in.log", delay_seconds=0.02)
    opened = StandIn(f"http://127.0.0.1:{port}")

    async def answers() -> bool:
        assert not process.has_ended(), (tmp_path / "stand_in.log").read_text()
        try:
            return await opened.customers() == []
        except OSError:
            return False
        except Exception as error:
            if type(error).__module__.startswith("httpx"):
                return False
            raise

    await until(answers, "the stand-in answers")
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
