"""A replica that is frozen at the worst moment (SIGSTOP, as by a machine that stood still) stops nobody else.

The moments are the nursery's (`_obey`), so that each of these is the same every time.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any

import psycopg
import pytest

from app.ledger import engines, replicas
from tests.durable.conftest import BridgeFactory
from tests.durable.story import look
from tests.durable.support import ASYNC, SHORT, Bridge, StandIn, until
from tests.durable.test_replicas import all_ended, change

TIMES = SHORT | {"idle_ms": 1000, "lock_ms": 1300}
OWNERS = "SELECT id FROM replicas"
SIGNS = ("stood still", "does not answer", "heartbeat broke", "verified, for what this replica sent late")


@dataclass
class Pair:
    """Two replicas, of which one can be frozen."""

    freezing: Bridge
    living: Bridge
    flags: Path
    url: str

    async def until_frozen(self) -> None:
        async def stopped() -> bool:
            assert self.freezing.process is not None
            return self.freezing.process.is_stopped()

        await until(stopped, "it froze where it was told to")

    def go_on(self) -> None:
        assert self.freezing.process is not None
        self.freezing.process.send(signal.SIGCONT)

    def freeze_at(self, moment: str) -> None:
        (self.flags / moment).touch()

    @asynccontextmanager
    async def unharmed(self) -> AsyncIterator[None]:
        """Meanwhile the living one is ready at each look, and keeps its name, which it would lose by fencing."""
        seen: list[int | None] = []
        names = set(look(self.url, OWNERS))
        over = asyncio.Event()

        async def watch() -> None:
            while not over.is_set():
                seen.append(await self.living.readyz())

        watching = asyncio.create_task(watch())
        try:
            yield
        finally:
            over.set()
            await watching
        assert set(seen) == {HTTPStatus.OK}
        kept = names & set(look(self.url, OWNERS))
        assert len(kept) == 1, "the living one's name; the other was declared dead"
        assert [sign for sign in SIGNS if sign in self.living.log_text()] == []

    async def attempts(self, customer: int) -> list[list[str]]:
        """What became of each attempt at each of a customer's transfers but verifications, oldest first."""
        found = [each async for each in self.living.transfers(customer_id=str(customer))]
        told = []
        for each in reversed(found):
            if each["trigger"] != "verify":
                shown = (await self.living.operate("GET", f"/transfers/{each['transfer_id']}")).json()
                told.append([one["outcome"] for one in shown["attempts"]])
        return told

    def seconds_of(self, *customers: int) -> list[float]:
        """From receipt to end, by the database's clock."""
        ids = ", ".join(f"'{each}'" for each in customers)
        wanted = f"SELECT finished_at - created_at FROM transfers WHERE customer_id IN ({ids})"  # noqa: S608 - numbers
        return [row[0] for row in look(self.url, wanted)]


@pytest.fixture
async def pair(start_bridge: BridgeFactory, postgresql_url: str, tmp_path: Path) -> Pair:
    flags = tmp_path / "flags"
    flags.mkdir()
    freezing = await start_bridge(postgresql_url, TIMES | {"flags": str(flags)}, STAMPED_TIMEOUT_SECONDS="1")
    living = await start_bridge(postgresql_url, TIMES, STAMPED_TIMEOUT_SECONDS="1")
    return Pair(freezing, living, flags, postgresql_url)


@pytest.fixture
def callers() -> Iterator[list[asyncio.Task[Any]]]:
    started: list[asyncio.Task[Any]] = []
    yield started
    for each in started:
        each.cancel()


def test_the_products_own_times_let_go_of_rows_before_anybody_gives_up() -> None:
    assert engines.IDLE_MS < engines.LOCK_MS < engines.STATEMENT_MS
    assert engines.IDLE_MS < replicas.DEAD_AFTER_SECONDS * 1000
    assert TIMES["idle_ms"] < TIMES["lock_ms"] < TIMES["dead_after"] * 1000


async def test_frozen_in_a_transaction_it_keeps_nothing(
    pair: Pair, stand_in: StandIn, callers: list[asyncio.Task[Any]]
) -> None:
    """Customer 1's row is locked by the frozen one; it was at work on 2 and 3, too."""
    await stand_in.answers_after(30)
    callers += [asyncio.create_task(pair.freezing.post(change(number, 1))) for number in (2, 3)]

    async def called() -> bool:
        return int((await stand_in.seen())["calls"]) == 2

    await until(called, "their calls have left")
    await stand_in.answers_after(0.02)
    pair.freeze_at("row-1")
    callers.append(asyncio.create_task(pair.freezing.post(change(1, 1))))
    await pair.until_frozen()
    with psycopg.connect(pair.url) as connection, pytest.raises(psycopg.errors.LockNotAvailable):
        connection.execute("SELECT 1 FROM customers WHERE customer_id = '1' FOR UPDATE NOWAIT")
    others = range(10, 40)
    async with pair.unharmed():
        posts = [pair.living.post(change(number, 1), **ASYNC) for number in others]
        newer = [pair.living.post(change(1, version), **ASYNC) for version in range(2, 5)]
        answers = await asyncio.gather(*posts, *newer, pair.living.post(change(2, 2), **ASYNC))
        assert {answer.status_code for answer in answers} <= {200, 202}, "200: too old already"
        transfers = await all_ended(pair.living)
    assert {each["status"] for each in transfers.values()} == {"succeeded", "skipped"}
    assert len(transfers) == 3 + len(others) + 4
    assert max(pair.seconds_of(*others)) < TIMES["dead_after"], "others wait for nobody's death"
    assert max(pair.seconds_of(1, 2, 3)) < 60 / replicas.DEAD_AFTER_SECONDS * TIMES["dead_after"] + 5
    assert await pair.attempts(3) == [["interrupted", "succeeded"]]
    assert (await pair.attempts(1))[0] == ["interrupted"]
    held = {each["externalId"]: each["firstName"] for each in await stand_in.customers()}
    assert held == {"C-1": "version 4", "C-2": "version 2"} | {
        f"C-{number}": "version 1" for number in (3, *others)
    }


async def test_frozen_while_it_beats_it_is_dead_all_the_same(
    pair: Pair, stand_in: StandIn, callers: list[asyncio.Task[Any]]
) -> None:
    """The row that says that it lives is locked by itself."""
    await stand_in.answers_after(30)
    callers.append(asyncio.create_task(pair.freezing.post(change(1, 1))))

    async def called() -> bool:
        return int((await stand_in.seen())["calls"]) == 1

    await until(called, "its call has left")
    await stand_in.answers_after(0.02)
    pair.freeze_at("beat")
    await pair.until_frozen()
    with psycopg.connect(pair.url) as connection, pytest.raises(psycopg.errors.LockNotAvailable):
        connection.execute("SELECT 1 FROM replicas FOR UPDATE NOWAIT")
    async with pair.unharmed():
        assert (await pair.living.post(change(2, 1))).status_code == 200
        transfers = await all_ended(pair.living)
    assert {each["status"] for each in transfers.values()} == {"succeeded"}
    assert await pair.attempts(1) == [["interrupted", "succeeded"]]
    held = {each["externalId"]: each["firstName"] for each in await stand_in.customers()}
    assert held == {"C-1": "version 1", "C-2": "version 1"}


async def test_what_it_sends_late_does_not_last(
    pair: Pair, stand_in: StandIn, callers: list[asyncio.Task[Any]]
) -> None:
    """Frozen for longer than the others wait, just before a call, which then leaves: a verification mends that."""
    assert (await pair.freezing.post(change(1, 1))).status_code == 200
    pair.freeze_at("call-C-1")
    caller = asyncio.create_task(pair.freezing.post(change(1, 2)))
    callers.append(caller)
    await pair.until_frozen()
    assert (await pair.living.post(change(1, 3), **ASYNC)).status_code == 202

    async def verified(times: int = 1) -> bool:
        found = [each["trigger"] async for each in pair.living.transfers(customer_id="1", status="succeeded")]
        return found.count("verify") == times

    async with pair.unharmed():
        await until(verified, "what may have been sent before it froze is looked for")
        transfers = await all_ended(pair.living)
    assert (await stand_in.seen())["written"] == [["C-1", "version 1"], ["C-1", "version 3"]]
    pair.go_on()

    async def sent_late() -> bool:
        written: list[list[str]] = (await stand_in.seen())["written"]
        return ["C-1", "version 2"] in written

    await until(sent_late, "the old one arrives, after all others")
    answer = await caller
    assert answer.status_code in {200, 202}, answer.text
    assert answer.json()["results"][0]["transfer_id"] in transfers
    await until(partial(verified, 2), "it is looked at once more")
    assert [each["firstName"] for each in await stand_in.customers()] == ["version 3"]
    await until(pair.freezing.is_ready, "it goes on")
    assert (await pair.freezing.post(change(4, 1))).json()["results"][0]["status"] == "succeeded"
    assert sorted(each["firstName"] for each in await stand_in.customers()) == ["version 1", "version 3"]
