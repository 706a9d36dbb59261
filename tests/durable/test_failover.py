"""The primary dies under load and its standby takes over: nothing answered is lost, nobody restarts anything."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from tests.durable.conftest import BridgeFactory
from tests.durable.story import STORY
from tests.durable.support import StandIn, until
from tests.durable.test_database_restart import Load, unready
from tests.postgres import OwnServer, Standby


@pytest.fixture
def servers() -> Iterator[tuple[OwnServer, Standby]]:
    primary = OwnServer()
    standby = Standby(primary)
    yield primary, standby
    standby.close()
    primary.close()


async def test_a_standby_takes_over_under_load(
    servers: tuple[OwnServer, Standby], start_bridge: BridgeFactory, stand_in: StandIn
) -> None:
    """Over Unix sockets, with both servers in DATABASE_URL."""
    primary, standby = servers
    url = f"postgresql://postgres@/postgres?host={primary.sockets},{standby.sockets}&port=5432,5433"
    bridge = await start_bridge(url, **STORY, **stand_in.ipaas)
    load = Load(bridge, stand_in)
    await load.goes_on()
    await asyncio.to_thread(primary.stop_at_once)
    await unready(bridge)
    await load.is_refused()
    await asyncio.to_thread(standby.promote)
    await until(bridge.is_ready, "it goes on by itself")
    for _ in range(2):
        await load.goes_on()
    await load.end()
