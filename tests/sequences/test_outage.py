"""An hour without Stamped.io, in faked time, with a backlog on two connections of which one is healthy."""

from __future__ import annotations

import asyncio
import os
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from app.engine import dispatcher
from tests.support import OPERATOR_KEY, WEBHOOK, FakeClock, make_settings, open_bridge, sent

WAITING = int(os.environ.get("OUTAGE_TRANSFERS", "400"))  # on both connections together
LIMIT, SECONDS = 500, 60.0
HOUR, STEP, LONG_STEP = 3600.0, 2.5, 15.0
_OPERATOR = {"Authorization": f"Bearer {OPERATOR_KEY}"}
_CONNECTION = """
[connections.{id}]
ipaas_webhook_api_key = "hook-{id}-0123456789"
stamped_api_url = "https://{id}.test"
stamped_api_store_hash = "{id}"
"""
SICK, SOUND = "1796", "1797"


@dataclass
class Worlds:
    """Two stores at Stamped.io, by their hosts; `at`: when each was called, in faked seconds."""

    client: httpx.AsyncClient
    clock: FakeClock
    at: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    saved: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    down: bool = True

    def answer(self, request: httpx.Request) -> httpx.Response:
        store = request.url.host.partition(".")[0]
        self.at[store].append(self.clock.monotonic())
        if store == SICK and self.down:
            return httpx.Response(503, json={"message": "Down."})
        number = (sent(request) or {}).get("externalId", "0")
        self.saved[store].add(number)
        return httpx.Response(200, json={"id": int(number) + 1})

    async def accept(self, connection: str, numbers: range) -> None:
        notifications = [
            {
                "id": str(number),
                "scope": "customer/updated",
                "tracking_guid": str(uuid4()),
                "customer": {"customer_number": str(number), "email_address": f"person{number}@example.com"},
            }
            for number in numbers
        ]
        headers = {"Authorization": f"Bearer hook-{connection}-0123456789", "Prefer": "respond-async"}
        answer = await self.client.post(WEBHOOK, json={"notifications": notifications}, headers=headers)
        assert answer.status_code == 202, answer.text

    async def connections(self) -> dict[str, dict[str, Any]]:
        found = (await self.client.get("/connections", headers=_OPERATOR)).json()["items"]
        return {each["id"]: each for each in found}

    async def at_rest(self) -> bool:
        """Nothing runs, and what waits waits for time to pass."""
        if (await self.client.get("/readyz")).json()["checks"][0]["running"]:
            return False
        found = (await self.connections()).values()
        return all(each["state"] != "flowing" or not any(each["waiting"].values()) for each in found)

    async def pass_time(self, seconds: float, step: float = STEP) -> None:
        end = self.clock.monotonic() + seconds
        while self.clock.monotonic() < end:
            self.clock.advance(step)
            await asyncio.sleep(0.005)  # the dispatcher's look, made short
            async with asyncio.timeout(20):
                while not await self.at_rest():  # noqa: ASYNC110 - over HTTP only
                    await asyncio.sleep(0.002)

    def most_in(self, store: str, seconds: float) -> int:
        """So many calls in the fullest window."""
        times = self.at[store]
        return max(sum(1 for each in times if begin <= each < begin + seconds) for begin in set(times))


@asynccontextmanager
async def two_worlds(directory: Path) -> AsyncIterator[Worlds]:
    file = directory / "connections.toml"
    file.write_text("".join(_CONNECTION.format(id=each) for each in (SICK, SOUND)))
    clock = FakeClock()
    worlds: list[Worlds] = []
    transport = httpx.MockTransport(lambda request: worlds[0].answer(request))  # noqa: PLW0108 - there is none yet
    async with open_bridge(make_settings(directory, connections_file=file), transport, clock) as client:
        worlds.append(Worlds(client, clock))
        yield worlds[0]


async def test_an_hours_outage_loses_nothing_slows_nobody_and_ends_without_a_storm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatcher, "_LOOK_SECONDS", 0.003)
    each = WAITING // 2
    async with two_worlds(tmp_path) as here:
        began = here.clock.monotonic()
        for first in range(0, each, 100):
            for connection in (SICK, SOUND):
                await here.accept(connection, range(first, min(first + 100, each)))
        await here.pass_time(each / LIMIT * SECONDS + SECONDS)
        assert len(here.saved[SOUND]) == each, "the healthy one is as fast as its throttle"
        await here.pass_time(began + HOUR - here.clock.monotonic(), LONG_STEP)
        state = (await here.connections())[SICK]
        assert (state["state"], sum(state["waiting"].values())) == ("down", each)
        assert len(here.at[SICK]) <= 5 + 5 + 17, "five to find out, those under way, and the probes"
        here.down = False
        calls = len(here.at[SICK])
        while len(here.at[SICK]) == calls:
            await here.pass_time(STEP)
        up_at = here.at[SICK][calls]
        await here.pass_time(each / LIMIT * SECONDS + 2 * SECONDS)
        after = here.at[SICK][calls:]
        assert len(here.saved[SICK]) == each
        assert after[1] - up_at <= 5, "work resumes within 5 s"
        assert sum(1 for at in after if at <= up_at + 6) <= LIMIT / SECONDS * 6 + 25, "at the throttle's pace"
        for store in (SICK, SOUND):
            assert here.most_in(store, SECONDS) <= LIMIT
        for status, count in (("succeeded", 2 * each), ("failed", 0), ("waiting", 0), ("accepted", 0)):
            assert await _count(here, status) == count, status


async def _count(here: Worlds, status: str) -> int:
    count, query = 0, f"status={status}&limit=200"
    cursor: str | None = None
    while True:
        more = f"&cursor={cursor}" if cursor else ""
        found = (await here.client.get(f"/transfers?{query}{more}", headers=_OPERATOR)).json()
        count, cursor = count + len(found["items"]), found["next"]
        if cursor is None:
            return count
