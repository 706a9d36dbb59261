"""PostgreSQL dies under load and comes back: nothing answered is lost, and the service needs no help."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from http import HTTPStatus
from uuid import uuid4

import pytest

from tests.durable.conftest import BridgeFactory
from tests.durable.support import ASYNC, Bridge, StandIn, until
from tests.postgres import OwnServer

CALLERS = 6


@pytest.fixture(scope="module")
def server() -> Iterator[OwnServer]:
    opened = OwnServer()
    yield opened
    opened.close()


@dataclass
class Load:
    """Callers that send one change after the other; what they were told."""

    bridge: Bridge
    stopped: asyncio.Event = field(default_factory=asyncio.Event)
    told: dict[str, str] = field(default_factory=dict)
    newest: dict[str, int] = field(default_factory=dict)
    answers: list[tuple[int, str | None]] = field(default_factory=list)

    async def call(self, customer: int) -> None:
        version = 0
        while not self.stopped.is_set():
            version += 1
            record = {
                "id": customer,
                "customer_number": f"C-{customer}",
                "first_name": f"version {version}",
                "email_address": f"person{customer}@example.com",
                "updated_datetime": f"2026-11-24T10:{version // 60:02}:{version % 60:02}Z",
            }
            guid = str(uuid4())
            change = {"id": customer, "scope": "customer/updated", "tracking_guid": guid, "customer": record}
            await self._tell(change, f"C-{customer}", version)

    async def _tell(self, change: dict[str, object], number: str, version: int) -> None:
        """Repeats the same notification until the answer is none of 503."""
        while not self.stopped.is_set():
            headers = ASYNC if version % 2 else {}
            answer = await self.bridge.post(change, **headers)
            self.answers.append((answer.status_code, answer.headers.get("Retry-After")))
            if answer.status_code == HTTPStatus.SERVICE_UNAVAILABLE:
                assert answer.headers["Content-Type"] == "application/problem+json", answer.text
                assert answer.json()["type"] == "/errors/service-unavailable", answer.text
                await asyncio.sleep(0.02)  # a caller that honours Retry-After, in small
                continue
            assert answer.status_code in {200, 202}, answer.text
            (result,) = answer.json()["results"]
            self.told[result["transfer_id"]] = result["status"]
            self.newest[number] = version
            return

    def count(self, status: int) -> int:
        return sum(code == status for code, _ in self.answers)


async def test_postgresql_is_restarted_under_load(
    server: OwnServer, start_bridge: BridgeFactory, stand_in: StandIn
) -> None:
    bridge = await start_bridge(server.url)
    load = Load(bridge)
    callers = [asyncio.create_task(load.call(number)) for number in range(CALLERS)]

    async def enough(more: int = 0) -> bool:
        return load.count(200) + load.count(202) >= 60 + more

    await until(enough, "some load")
    for _ in range(2):
        before = load.count(200) + load.count(202)
        refused = load.count(503)
        await asyncio.to_thread(server.stop_at_once)

        async def says_no() -> bool:
            return await bridge.readyz() == HTTPStatus.SERVICE_UNAVAILABLE

        async def callers_are_refused(refused: int = refused) -> bool:
            return load.count(503) >= refused + CALLERS

        await until(says_no, "readyz tells")
        await until(callers_are_refused, "callers are refused")
        assert (await bridge.client.get("/livez")).status_code == 200, "no reason to restart the process"
        await asyncio.to_thread(server.start)
        await until(bridge.is_ready, "it comes back by itself")

        async def goes_on(before: int = before) -> bool:
            return load.count(200) + load.count(202) >= before + 60

        await until(goes_on, "callers are served again")
    load.stopped.set()
    await asyncio.gather(*callers)
    assert all(retry_after for status, retry_after in load.answers if status == HTTPStatus.SERVICE_UNAVAILABLE)
    assert {status for status, _ in load.answers} == {200, 202, 503}
    await until(bridge.all_ended, "every transfer ended")
    transfers = {each["transfer_id"]: each["status"] async for each in bridge.transfers()}
    for transfer_id, told in load.told.items():
        ended = transfers[transfer_id]
        assert ended in {"succeeded", "skipped"}, (told, ended)
        assert told in {"accepted", ended}, (told, ended)
    held = {each["externalId"]: each["firstName"] for each in await stand_in.customers()}
    for number, version in load.newest.items():
        kept = int(held[number].removeprefix("version "))
        assert kept in {version, version + 1}, "the last one may have been sent and not answered"
    assert (await stand_in.seen())["overlaps"] == []


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
