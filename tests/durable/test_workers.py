"""`uvicorn --workers`: they count together on PostgreSQL, and end for good where they cannot serve."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from http import HTTPStatus
from pathlib import Path

import httpx
import pytest

from tests.durable.support import Bridge, Nursery, Process, StandIn, environment_of, until
from tests.durable.test_replicas import change
from tests.support import WEBHOOK, WEBHOOK_KEY

DONE = re.compile(r'^ipaas_stamped_transfers_total\{.*status="succeeded"} (\d+)', re.MULTILINE)
PIDS = re.compile(r'^process_cpu_seconds_total\{pid="(\d+)"\}', re.MULTILINE)
LONGEST_SECONDS = 20
Served = Callable[[str], tuple[Bridge, subprocess.Popen[bytes]]]


@pytest.fixture
async def served(nursery: Nursery, stand_in: StandIn, tmp_path: Path) -> AsyncIterator[Served]:
    """Two workers on this database; what they share is in the folder of the test."""
    started: list[tuple[Bridge, subprocess.Popen[bytes]]] = []

    def serve(database_url: str) -> tuple[Bridge, subprocess.Popen[bytes]]:
        environment = environment_of(database_url, stand_in.url, TMPDIR=str(tmp_path / "shared"))
        (tmp_path / "shared").mkdir()
        bridge = Bridge(nursery, tmp_path / "served.log", environment, {})
        arguments = ["-m", "uvicorn", "app.main:app", "--workers", "2", "--port", str(bridge.port)]
        with bridge.log.open("wb") as log:
            command = subprocess.Popen(  # noqa: S603 - the product itself
                [sys.executable, *arguments], env=os.environ | environment, stdout=log, stderr=log
            )
        started.append((bridge, command))
        return started[-1]

    yield serve
    for bridge, command in started:
        command.terminate()
        command.wait(LONGEST_SECONDS)
        await bridge.client.aclose()


async def on_new_connections(bridge: Bridge, method: str, path: str, *bodies: object) -> list[httpx.Response]:
    """Each may come to another worker."""
    answers = []
    for body in bodies:
        async with httpx.AsyncClient(headers={"Authorization": f"Bearer {WEBHOOK_KEY}"}) as client:
            answers.append(await client.request(method, f"{bridge.client.base_url}{path}", json=body))
    return answers


def workers_of(parent: int) -> list[Process]:
    """Those that have opened the folder that they share."""
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    lines = {each: Path(f"/proc/{each}/cmdline").read_text() for each in children}
    return [Process(int(each)) for each, line in lines.items() if "spawn_main" in line]


async def test_any_worker_tells_what_all_have_done(served: Served, postgresql_url: str, tmp_path: Path) -> None:
    bridge, command = served(postgresql_url)
    await bridge.wait_ready()

    async def counted() -> set[str]:
        answers = await on_new_connections(bridge, "GET", "/metrics", *[None] * 6)
        assert all("\nipaas_stamped_running 0.0" in answer.text for answer in answers)
        pids = {frozenset(PIDS.findall(answer.text)) for answer in answers}
        assert pids == {frozenset(str(worker.pid) for worker in workers_of(command.pid))}
        return {number for answer in answers for number in DONE.findall(answer.text)}

    async def all_see_the_database() -> bool:
        answers = await on_new_connections(bridge, "GET", "/metrics", *[None] * 6)
        return {answer.text.count("\nipaas_stamped_database_up 1.0") for answer in answers} == {1}

    async def both_serve() -> bool:
        return bridge.log_text().count("Application startup complete") >= 2

    await until(both_serve, "both workers serve")
    for number in range(12):
        body = {"notifications": [change(number, 1)]}

        async def done(body: object = body) -> bool:
            [answer] = await on_new_connections(bridge, "POST", WEBHOOK, body)
            return answer.status_code == HTTPStatus.OK  # 503 of one whose start is not over

        await until(done, "it is transferred")
    assert await counted() == {"12"}
    await until(all_see_the_database, "each worker tells of the database")

    for worker in workers_of(command.pid):
        worker.kill()
        break

    async def is_replaced() -> bool:
        return bridge.log_text().count("Application startup complete") >= 3

    await until(is_replaced, "a worker that died is replaced")
    await until(all_see_the_database, "the new one, too")
    assert await counted() == {"12"}, "what a dead one has done stays done"
    command.send_signal(signal.SIGTERM)
    await asyncio.to_thread(command.wait, LONGEST_SECONDS)
    assert list((tmp_path / "shared").iterdir()) == []


async def test_sqlite_refuses_several_once_and_for_good(served: Served, tmp_path: Path) -> None:
    bridge, command = served(f"sqlite:///{tmp_path}/bridge.db")
    await asyncio.to_thread(command.wait, LONGEST_SECONDS)
    told = [line for line in bridge.log_text().splitlines() if not line.startswith(("INFO", "ERROR"))]
    assert len(told) == 1
    assert told[0].startswith(
        "2 workers are not usable: SQLite serves one process; set DATABASE_URL to postgresql:"
    )
    assert list((tmp_path / "shared").iterdir()) == []
    assert not (tmp_path / "bridge.db").exists()
