"""`kill -9` at random points: nothing that was answered 202 is lost, stays in the middle, or is doubled.

A seed that failed is run again with CRASH_SEED.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any
from uuid import UUID

import httpx

from tests.durable.conftest import BridgeFactory
from tests.durable.support import ASYNC, Bridge, StandIn, until

KILLS = 22
CHANGES_PER_KILL = 24
FIRST_CUSTOMERS = 30
NEW_CUSTOMERS_PER_KILL = 2
LATEST_KILL_SECONDS = 0.25
LATEST_START_SECONDS = 0.15
BEGIN = datetime(2026, 11, 24, 10, tzinfo=UTC)


@dataclass
class Person:
    """A customer of iPaaS.com. Half of them say when they were changed."""

    number: int
    version: int = 0
    email: str = ""
    unanswered: asyncio.Lock = field(default_factory=asyncio.Lock)

    def change(self, rng: random.Random) -> dict[str, Any]:
        """A notification of their next version, which often has another e-mail."""
        self.version += 1
        if not self.email or rng.random() < 0.4:
            self.email = f"person{self.number}.{self.version}@example.com"
        record: dict[str, Any] = {
            "id": self.number,
            "customer_number": f"C-{self.number}",
            "first_name": f"version {self.version}",
            "email_address": self.email,
        }
        if self.number % 2:
            record["updated_datetime"] = (BEGIN + timedelta(seconds=self.version)).isoformat()
        guid = str(UUID(int=rng.getrandbits(128)))
        return {"id": self.number, "scope": "customer/updated", "tracking_guid": guid, "customer": record}


class Run:
    """Callers that insist on an answer, and a bridge that dies again and again."""

    def __init__(self, bridge: Bridge, rng: random.Random) -> None:
        self._bridge = bridge
        self._rng = rng
        self.people = [Person(number) for number in range(1, FIRST_CUSTOMERS + 1)]
        self.promised: set[str] = set()
        self.kills = 0

    async def phase(self) -> None:
        """Some changes are sent while the bridge dies and comes back."""
        self.people += [Person(len(self.people) + 1 + more) for more in range(NEW_CUSTOMERS_PER_KILL)]
        chosen = self._rng.choices(self.people, k=CHANGES_PER_KILL - NEW_CUSTOMERS_PER_KILL)
        chosen += self.people[-NEW_CUSTOMERS_PER_KILL:]
        async with asyncio.TaskGroup() as tasks:
            for person in chosen:
                tasks.create_task(self._tell(person))
            tasks.create_task(self._kill())

    async def _tell(self, person: Person) -> None:
        """One change of a person after the other; each is repeated until it has an answer."""
        async with person.unanswered:
            notification = person.change(self._rng)
            while True:
                await self._bridge.ready.wait()
                try:
                    answer = await self._bridge.post(notification, **ASYNC)
                except httpx.TransportError:
                    await asyncio.sleep(0)
                    continue
                if answer.status_code == HTTPStatus.SERVICE_UNAVAILABLE:
                    continue
                assert answer.status_code in {200, 202}, answer.text
                self.promised.add(answer.json()["results"][0]["transfer_id"])
                return

    async def _kill(self) -> None:
        await asyncio.sleep(self._rng.uniform(0, LATEST_KILL_SECONDS))  # the random point
        self._bridge.kill()
        self.kills += 1
        self._bridge.start()
        if self._rng.random() < 0.2:  # and once more, while it starts
            await asyncio.sleep(self._rng.uniform(0, LATEST_START_SECONDS))
            self._bridge.kill()
            self.kills += 1
            self._bridge.start()
        await self._bridge.wait_ready()


async def test_nothing_is_lost_by_kills(start_bridge: BridgeFactory, stand_in: StandIn, database_url: str) -> None:
    seed = int(os.environ.get("CRASH_SEED") or random.SystemRandom().getrandbits(32))
    print(f"CRASH_SEED={seed}")  # noqa: T201 - pytest shows it when the test fails
    bridge = await start_bridge(database_url)
    run = Run(bridge, random.Random(seed))  # noqa: S311 - not for secrets
    for _ in range(KILLS):
        await run.phase()
    await until(bridge.all_ended, "every transfer ended")
    transfers = {each["transfer_id"]: each async for each in bridge.transfers()}
    assert run.kills >= 20
    assert len(run.promised) >= 500
    assert run.promised <= set(transfers), "a transfer that was promised is gone"
    assert {each["status"] for each in transfers.values()} <= {"succeeded", "skipped"}
    _assert_superseded_by_what_was_sent(transfers)
    held = await stand_in.customers()
    numbers = Counter(each["externalId"] for each in held)
    assert {number: count for number, count in numbers.items() if count > 1} == {}, "created twice"
    newest = {f"C-{person.number}": (f"version {person.version}", person.email) for person in run.people}
    newest = {number: change for number, change in newest.items() if change[1]}
    assert {each["externalId"]: (each["firstName"], each["email"]) for each in held} == newest


def _assert_superseded_by_what_was_sent(transfers: dict[str, dict[str, Any]]) -> None:
    """Who follows `superseded_by` comes to a transfer that was sent."""
    for transfer in transfers.values():
        each = transfer
        while each["status"] == "skipped":
            each = transfers[each["superseded_by"]]
        assert each["status"] == "succeeded"
        assert each["customer_id"] == transfer["customer_id"]
