"""Two releases on one PostgreSQL, under webhooks: the next one migrates beside a long reader, and goes again."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator
from http import HTTPStatus
from pathlib import Path

import psycopg
import pytest

from app.ledger import schema
from tests.durable.conftest import BridgeFactory
from tests.durable.support import ASYNC, ROOT, Bridge, Nursery, Process, StandIn, environment_of, until
from tests.durable.test_replicas import change

NEXT = f"{int(schema.known()[-1]) + 1:04}"
MIGRATION = f"""
from alembic import op
import sqlalchemy as sa

revision, down_revision, branch_labels, depends_on = {NEXT!r}, {schema.known()[-1]!r}, None, None


def upgrade() -> None:
    op.create_table("of_the_next", sa.Column("id", sa.String(), primary_key=True))
    op.add_column("customers", sa.Column("of_the_next", sa.String(), nullable=True))
    op.add_column("transfers", sa.Column("of_the_next", sa.String(), nullable=True))
"""
WAITING = (
    "SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND NOT granted AND relation = %s::regclass"
)


@pytest.fixture
async def next_release(
    nursery: Nursery, stand_in: StandIn, postgresql_url: str, tmp_path: Path
) -> AsyncIterator[Bridge]:
    """The code as it is, and one migration more; not started."""
    shutil.copytree(ROOT / "app", tmp_path / "app", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "app" / "ledger" / "migrations" / "versions" / f"{NEXT}_wider.py").write_text(MIGRATION)
    environment = environment_of(postgresql_url, stand_in.url)
    bridge = Bridge(nursery, tmp_path / "next.log", environment, {})
    yield bridge
    if bridge.process is not None:
        bridge.kill()
    await bridge.client.aclose()


def start(bridge: Bridge, folder: Path) -> subprocess.Popen[bytes]:
    with bridge.log.open("wb") as log:
        command = subprocess.Popen(  # noqa: S603 - the product itself
            [sys.executable, "-m", "uvicorn", "app.main:app", "--port", str(bridge.port)],
            cwd=folder,
            env=os.environ | bridge.environment,
            stdout=log,
            stderr=log,
        )
    bridge.process = Process(command.pid)
    return command


class Webhooks:
    """One after the other, to each replica that is there; half of them are to be answered at once."""

    def __init__(self, *replicas: Bridge) -> None:
        self.replicas = list(replicas)
        self.answers: Counter[int] = Counter()
        self._under_way: Counter[int] = Counter()  # by port
        self._over = False
        self._callers = [asyncio.create_task(self._call(number)) for number in range(4)]

    async def _call(self, caller: int) -> None:
        minute = 0
        while not self._over:
            minute += 1
            replica = self.replicas[minute % len(self.replicas)]
            self._under_way[replica.port] += 1
            headers = ASYNC if minute % 3 else {}
            self.answers[(await replica.post(change(caller, minute), **headers)).status_code] += 1
            self._under_way[replica.port] -= 1

    async def leave(self, replica: Bridge) -> None:
        """As a load balancer does, before it is stopped."""
        self.replicas.remove(replica)

        async def none() -> bool:
            return self._under_way[replica.port] == 0

        await until(none, "no webhook is under way there")

    async def goes_on(self, by: int = 40) -> None:
        enough = self.answers.total() + by

        async def answered() -> bool:
            return self.answers.total() >= enough

        await until(answered, "webhooks are answered")

    async def end(self) -> None:
        self._over = True
        await asyncio.gather(*self._callers)


async def test_the_next_release_comes_and_goes_under_webhooks(
    start_bridge: BridgeFactory, next_release: Bridge, postgresql_url: str, tmp_path: Path
) -> None:
    old = await start_bridge(postgresql_url, {})
    webhooks = Webhooks(old)
    await webhooks.goes_on()
    async with await psycopg.AsyncConnection.connect(postgresql_url, autocommit=True) as eye:
        async with await psycopg.AsyncConnection.connect(postgresql_url) as reader:
            await reader.execute("SELECT count(*) FROM transfers")
            command = start(next_release, tmp_path)

            async def waits() -> bool:
                return (await (await eye.execute(WAITING, ["transfers"])).fetchone()) == (1,)

            async def waits_no_more() -> bool:
                return not await waits()

            for _ in range(2):
                await until(waits, "the migration waits for the reader")
                assert await old.is_ready()  # it reads what is waited for, and gives up after 2 s
                await until(waits_no_more, "it lets the others pass")
            await webhooks.goes_on()
        await next_release.wait_ready()
        webhooks.replicas.append(next_release)
        await webhooks.goes_on()
        await webhooks.leave(next_release)
        command.send_signal(signal.SIGTERM)  # back again

        async def says_that_it_leaves() -> bool:
            return await next_release.readyz() == HTTPStatus.SERVICE_UNAVAILABLE

        await until(says_that_it_leaves, "a balancer learns of it, though nothing is under way")
        await asyncio.to_thread(command.wait, 30)
    again = await start_bridge(postgresql_url, {})
    assert f"schema {NEXT} is of a newer version" in (await again.client.get("/readyz")).text.lower()
    webhooks.replicas.append(again)
    await webhooks.goes_on()
    await webhooks.end()
    assert set(webhooks.answers) == {200, 202}
    await until(again.all_ended, "nothing is left")
