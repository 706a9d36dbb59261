"""PostgreSQL dies, or cannot write, under load: nothing answered is lost, and the service comes back by itself."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Iterator
from http import HTTPStatus

import psycopg
import pytest

from tests.durable.conftest import BridgeFactory
from tests.durable.story import STORY, Story
from tests.durable.support import Bridge, StandIn, until
from tests.postgres import OwnServer, server_url

CALLERS = 6


@pytest.fixture(scope="module")
def server() -> Iterator[OwnServer]:
    opened = OwnServer()
    yield opened
    opened.close()


class Load:
    """A story that goes on and on; `told` counts what was taken."""

    def __init__(self, bridge: Bridge, stand_in: StandIn) -> None:
        self._stand_in = stand_in
        seed = int(os.environ.get("CRASH_SEED") or random.SystemRandom().getrandbits(32))
        print(f"CRASH_SEED={seed}")  # noqa: T201 - pytest shows it when the test fails
        self.story = Story([bridge], stand_in, random.Random(seed), patience=1)  # noqa: S311 - not for secrets
        for _ in range(60):
            self.story.add_person()
        self._over = asyncio.Event()
        self._callers = [asyncio.create_task(self._call()) for _ in range(CALLERS)]

    async def _call(self) -> None:
        while not self._over.is_set():
            await self.story.act()

    async def goes_on(self) -> None:
        enough = len(self.story.promised) + 60

        async def served() -> bool:
            return len(self.story.promised) >= enough

        await until(served, "callers are served")

    async def is_refused(self) -> None:
        enough = self.story.answers[503] + CALLERS

        async def refused() -> bool:
            return self.story.answers[503] >= enough

        await until(refused, "callers are refused")

    async def end(self, *, refused: bool = True) -> None:
        """Nothing is lost, and whoever was refused was told when to come again."""
        self._over.set()
        await asyncio.gather(*self._callers)
        expected = {200, 202, 503} if refused else {200, 202}
        assert set(self.story.answers) - {409} == expected, "409: begun before it could be cancelled"
        assert self.story.without_retry_after == []
        await self.story.rest()
        findings = await self.story.compare()
        assert findings.transfers >= 180
        assert findings.wrong == {}
        assert (await self._stand_in.seen())["overlaps"] == []


async def unready(bridge: Bridge) -> None:
    async def says_no() -> bool:
        return await bridge.readyz() == HTTPStatus.SERVICE_UNAVAILABLE

    await until(says_no, "readyz tells")
    assert (await bridge.client.get("/livez")).status_code == 200, "no reason to restart the process"


async def test_postgresql_is_restarted_under_load(
    server: OwnServer, start_bridge: BridgeFactory, stand_in: StandIn
) -> None:
    """Whatever is sent, fetched, synced or cancelled meanwhile."""
    bridge = await start_bridge(server.url, **STORY, **stand_in.ipaas)
    load = Load(bridge, stand_in)
    await load.goes_on()
    for _ in range(2):
        await asyncio.to_thread(server.stop_at_once)
        await unready(bridge)
        await load.is_refused()
        await asyncio.to_thread(server.start)
        await until(bridge.is_ready, "it comes back by itself")
        await load.goes_on()
    await load.end()


async def test_postgresql_turns_read_only_for_a_while(
    start_bridge: BridgeFactory, postgresql_url: str, stand_in: StandIn
) -> None:
    """As in a failover: the sessions end, and new ones cannot write. They need not end for it to come back."""
    bridge = await start_bridge(postgresql_url, **STORY, **stand_in.ipaas)
    load = Load(bridge, stand_in)
    await load.goes_on()
    name = postgresql_url.rpartition("/")[2]
    with psycopg.connect(server_url(), autocommit=True) as admin:

        def let_write(word: str) -> None:
            admin.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = {word}".encode())

        for ended in (True, False):
            let_write("on")
            admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,))
            await unready(bridge)
            await load.is_refused()
            refused = await bridge.post({"id": 1, "scope": "customer/updated", "customer": {"id": 1}})
            assert (refused.status_code, refused.headers["Retry-After"]) == (503, "10")
            let_write("off")
            if ended:
                admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,))
            await until(bridge.is_ready, "it comes back by itself")
            await load.goes_on()
    await load.end()


async def test_it_starts_before_its_database(
    server: OwnServer, start_bridge: BridgeFactory, stand_in: StandIn
) -> None:
    first = await start_bridge(server.url)
    first.kill()
    await asyncio.to_thread(server.stop_at_once)
    first.start()

    async def answers() -> bool:
        return await first.readyz() is not None

    await until(answers, "it serves without a database")
    assert (await first.client.get("/startupz")).status_code == 503
    assert await first.readyz() == 503
    refused = await first.post({"id": 1, "scope": "customer/updated", "customer": {"id": 1}})
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "10")
    await asyncio.to_thread(server.start)
    await first.wait_ready()
    assert (await first.client.get("/startupz")).status_code == 200
    assert await stand_in.customers() == []
