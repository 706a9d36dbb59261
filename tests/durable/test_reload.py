"""The file of connections is read again on SIGHUP, by the real process, while it works."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

from app.sandbox import SANDBOX_STORE_HASH
from tests.durable.conftest import BridgeFactory
from tests.durable.support import Bridge, StandIn, until
from tests.durable.test_replicas import change, until_running
from tests.support import OPERATOR_KEY

ONE = f"""
[connections.1796]
ipaas_webhook_api_key = "hook-one-000000001"
stamped_api_store_hash = "{SANDBOX_STORE_HASH}"
"""
TWO = """
[connections.1797]
ipaas_webhook_api_key = "hook-two-000000001"
stamped_api_store_hash = "another"
"""
FIRST, SECOND = ({"Authorization": f"Bearer hook-{name}-000000001"} for name in ("one", "two"))


async def reload(bridge: Bridge, path: Path, text: str, sign: str) -> None:
    """Until the log says what became of it."""
    before = bridge.log_text().count(sign)
    path.write_text(text, encoding="utf-8")  # noqa: ASYNC240 - a few bytes
    assert bridge.process is not None
    os.kill(bridge.process.pid, signal.SIGHUP)

    async def is_told() -> bool:
        return bridge.log_text().count(sign) > before

    await until(is_told, f"{sign} is in the log")


async def warnings(bridge: Bridge) -> list[str]:
    checks = (await bridge.client.get("/readyz")).json()["checks"]
    return [check["hint"] for check in checks if check["name"] == "connections"]


async def test_connections_come_and_go_while_it_works(
    start_bridge: BridgeFactory, stand_in: StandIn, tmp_path: Path
) -> None:
    path = tmp_path / "connections.toml"
    path.write_text(ONE, encoding="utf-8")
    database = f"sqlite:///{tmp_path}/bridge.db"
    bridge = await start_bridge(database, {}, CONNECTIONS_FILE=str(path))
    assert (await bridge.post(change(1, 1), **SECOND)).status_code == 401
    await reload(bridge, path, ONE + TWO, '"event": "connection"')
    assert (await bridge.post(change(1, 1), **FIRST)).status_code == 200
    elsewhere = await bridge.post(change(1, 1), **SECOND)
    assert elsewhere.json()["stamped"]["status"] == 404  # the stand-in has no such store, so it went there

    await reload(bridge, path, ONE + TWO + "nonsense = 1\n", "is not taken over")
    (hint,) = await warnings(bridge)
    assert "[connections.1797] nonsense is no setting of a connection." in hint
    assert (await bridge.post(change(1, 2), **FIRST)).status_code == 200
    assert (await bridge.post(change(1, 2), **SECOND)).status_code == 502

    await stand_in.answers_after(1.0)
    caller = asyncio.create_task(bridge.post(change(2, 1), **FIRST))
    await until_running(bridge)
    await reload(bridge, path, TWO, '"event": "connection"')
    answer = await caller  # what runs ends with what it began with
    assert (answer.status_code, answer.json()["results"][0]["connection"]) == (200, "1796")
    assert (await bridge.post(change(2, 2), **FIRST)).status_code == 401
    assert await warnings(bridge) == []
    await stand_in.answers_after(0)
    listed = await bridge.operate("GET", "/transfers", params={"connection": "1796"})
    assert len(listed.json()["items"]) == 3  # its history stays
    for key in ("hook-one", "hook-two", OPERATOR_KEY):
        assert key not in bridge.log_text()
