"""What nobody has called is called once after the start; what came of it is a warning until a call succeeds."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import BridgeFactory
from tests.support import IPAAS, RECORD, WEBHOOK, WEBHOOK_KEY, FakeClock, Wire, reply

DENIED = reply(401, {"message": "AUTH-1: expired"})


async def until(wire: Wire, *operations: str) -> None:
    async with asyncio.timeout(5):
        while wire.operations != list(operations):  # noqa: ASYNC110 - they come from a task of their own
            await asyncio.sleep(0.001)


async def warned(client: httpx.AsyncClient, most: int = 0) -> dict[str, str]:
    """The hints; with `most`, as soon as there are so many."""
    async with asyncio.timeout(5):
        while len(found := await _warned(client)) < most:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.001)
    return found


async def _warned(client: httpx.AsyncClient) -> dict[str, str]:
    checks: list[dict[str, Any]] = (await client.get("/readyz")).json()["checks"]
    return {each["name"]: each["hint"] for each in checks if each["status"] == "warn"}


async def test_wrong_keys_are_a_warning_until_a_transfer_succeeds(bridge: BridgeFactory) -> None:
    wire, clock = Wire(search=[DENIED, reply(200, {"results": []})], load=DENIED), FakeClock()
    async with bridge(wire, clock=clock, **IPAAS) as client:
        assert wire.requests == []
        clock.advance(2)
        await until(wire, "search", "load")
        found = await warned(client, most=2)
        assert "Check STAMPED_API_PUBLIC_KEY" in found["stamped"]
        assert "Renew IPAAS_API_TOKEN." in found["ipaas"]
        assert (await client.post(WEBHOOK, json=RECORD)).status_code == 200
        assert "stamped" not in await warned(client)


@pytest.mark.parametrize("load", [reply(404, {"message": "NFND-1: no such customer"}), reply(200, {"id": 0})])
async def test_keys_that_are_right_are_none(bridge: BridgeFactory, load: Any) -> None:
    wire, clock = Wire(load=load), FakeClock()
    async with bridge(wire, clock=clock, **IPAAS) as client:
        clock.advance(2)
        await until(wire, "search", "load")
        assert await warned(client) == {}


async def test_who_was_called_already_is_not_called_again(bridge: BridgeFactory) -> None:
    wire, clock = Wire(), FakeClock()
    async with bridge(wire, clock=clock, **IPAAS) as client:
        await client.post(WEBHOOK, json={"notifications": [{"id": "150713", "scope": "customer/updated"}]})
        before = wire.operations
        assert "load" in before
        clock.advance(2)
        for _ in range(50):  # many more turns of the loop than a call takes
            await asyncio.sleep(0.001)
        assert wire.operations == before


async def test_an_address_that_is_none_of_ipaas_is_a_warning(bridge: BridgeFactory) -> None:
    wire, clock = Wire(load=reply(404, text="<h1>Not here</h1>")), FakeClock()
    async with bridge(wire, clock=clock, **IPAAS) as client:
        clock.advance(2)
        assert "Check IPAAS_API_URL; it ends in /customers" in (await warned(client, most=1))["ipaas"]


async def test_what_is_new_after_a_reload_is_called_too(bridge: BridgeFactory, tmp_path: Path) -> None:
    file = tmp_path / "connections.toml"
    file.write_text(f'[connections.1]\nipaas_webhook_api_key = "{WEBHOOK_KEY}"\n', encoding="utf-8")
    wire, clock = Wire(search=DENIED), FakeClock()
    async with bridge(wire, clock=clock, connections_file=file):
        clock.advance(2)
        await until(wire, "search")
        table = '[connections.2]\nipaas_webhook_api_key = "hook-0123456789abc"\nstamped_api_store_hash = "2"\n'
        file.write_text(file.read_text(encoding="utf-8") + table, encoding="utf-8")
        os.kill(os.getpid(), signal.SIGHUP)
        async with asyncio.timeout(5):
            while len(wire.operations) < 2:
                await asyncio.sleep(0.001)
                clock.advance(2)
        assert "/2/" in wire.requests[1].url.path
