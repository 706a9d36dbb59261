"""The command itself, stopped as an orchestrator stops it; and a replica that sleeps while others go on."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.durable.conftest import BridgeFactory
from tests.durable.support import ASYNC, SHORT, Bridge, Nursery, Process, StandIn, environment_of, until
from tests.durable.test_replicas import all_ended, change, until_running

COMMAND = Path(sysconfig.get_path("scripts")) / "ipaas-stamped"


@pytest.fixture
def served(
    nursery: Nursery, stand_in: StandIn, tmp_path: Path
) -> Iterator[tuple[Bridge, subprocess.Popen[bytes]]]:
    """`ipaas-stamped serve` on an embedded database."""
    environment = environment_of(f"sqlite:///{tmp_path}/data/bridge.db", stand_in.url)
    bridge = Bridge(nursery, tmp_path / "served.log", environment, {})
    with bridge.log.open("wb") as log:
        command = subprocess.Popen(  # noqa: S603 - the product itself
            [COMMAND, "serve", "--port", str(bridge.port)],
            cwd=tmp_path,
            env=os.environ | environment,
            stdout=log,
            stderr=log,
        )
    bridge.process = Process(command.pid)
    yield bridge, command
    command.kill()
    command.wait()


async def test_sigterm_ends_the_command_after_its_work(
    served: tuple[Bridge, subprocess.Popen[bytes]], stand_in: StandIn
) -> None:
    bridge, command = served
    await bridge.wait_ready()
    await stand_in.answers_after(0.6)
    caller = asyncio.create_task(bridge.post(change(1, 1)))
    await until_running(bridge)
    left = await bridge.post(change(1, 2), **ASYNC)
    assert left.status_code == 202
    command.send_signal(signal.SIGTERM)
    answer = await caller
    assert (answer.status_code, answer.json()["results"][0]["status"]) == (200, "succeeded")
    code = await asyncio.to_thread(command.wait, 20)
    assert code in {0, -signal.SIGTERM}
    assert "Traceback" not in bridge.log_text()
    assert '"event": "stopped"' in bridge.log_text()
    await stand_in.answers_after(0)
    bridge.start()  # the same database again
    await bridge.wait_ready()
    transfers = await all_ended(bridge)
    assert transfers[left.json()["results"][0]["transfer_id"]]["status"] == "succeeded"
    assert [each["firstName"] for each in await stand_in.customers()] == ["version 2"]
    bridge.kill()
    await bridge.client.aclose()


async def test_a_replica_that_slept_too_long_finds_its_work_done(
    start_bridge: BridgeFactory, postgresql_url: str, stand_in: StandIn
) -> None:
    """As on a machine that stood still: it is not dead, but everybody had to think so."""
    sleeping, awake = await asyncio.gather(start_bridge(postgresql_url), start_bridge(postgresql_url))
    await stand_in.answers_after(3)
    callers = [asyncio.create_task(sleeping.post(change(number, 1))) for number in (1, 2)]
    running = await until_running(awake, 2)

    async def called() -> bool:
        return int((await stand_in.seen())["calls"]) == len(running)

    await until(called, "their calls have left")
    assert sleeping.process is not None
    sleeping.process.send(signal.SIGSTOP)
    try:
        newer = await awake.post(change(1, 2), **ASYNC)
        await stand_in.answers_after(0)
        transfers = await all_ended(awake)
    finally:
        sleeping.process.send(signal.SIGCONT)
    assert transfers[newer.json()["results"][0]["transfer_id"]]["status"] == "succeeded"
    for answer in await asyncio.gather(*callers):
        assert answer.status_code in {200, 202}
        assert answer.json()["results"][0]["transfer_id"] in {each["transfer_id"] for each in running}
    held = {each["externalId"]: each["firstName"] for each in await stand_in.customers()}
    assert held == {"C-1": "version 2", "C-2": "version 1"}
    assert len(await stand_in.customers()) == 2
    await until(sleeping.is_ready, "it goes on")
    again = await sleeping.post(change(3, 1))
    assert again.json()["results"][0]["status"] == "succeeded"
    assert await all_ended(sleeping) == await all_ended(awake)
    assert SHORT["dead_after"] > SHORT["fence"]
