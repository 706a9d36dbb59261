"""Two real processes on one real PostgreSQL, with the times of `SHORT`; the product's own are checked once."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from datetime import datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from app.ledger import replicas
from app.lifespan import DRAIN_SECONDS
from app.server.limits import Limits
from tests.durable.conftest import BridgeFactory
from tests.durable.story import STORY, Story, look
from tests.durable.support import ASYNC, SHORT, Bridge, StandIn, until


def change(customer: int, version: int, *, dated: bool = True, guid: str | None = None) -> dict[str, Any]:
    record: dict[str, Any] = {
        "id": customer,
        "customer_number": f"C-{customer}",
        "first_name": f"version {version}",
        "email_address": f"person{customer}@example.com",
    }
    if dated:
        record["updated_datetime"] = f"2026-11-24T10:{version // 60:02}:{version % 60:02}Z"
    return {
        "id": customer,
        "scope": "customer/updated",
        "tracking_guid": guid or str(uuid4()),
        "customer": record,
    }


async def until_running(bridge: Bridge, count: int = 1) -> list[dict[str, Any]]:
    async def running() -> list[dict[str, Any]]:
        found = [each async for each in bridge.transfers(status="running")]
        return found if len(found) >= count else []

    found: list[dict[str, Any]] = await until(running, f"{count} transfers run")
    return found


async def all_ended(bridge: Bridge) -> dict[str, dict[str, Any]]:
    await until(bridge.all_ended, "every transfer ended")
    return {each["transfer_id"]: each async for each in bridge.transfers()}


@pytest.fixture
async def both(start_bridge: BridgeFactory, postgresql_url: str) -> tuple[Bridge, Bridge]:
    """They start at the same time, and so migrate at the same time."""
    first, second = await asyncio.gather(start_bridge(postgresql_url), start_bridge(postgresql_url))
    return first, second


async def test_the_same_notification_at_both_runs_once(both: tuple[Bridge, Bridge], stand_in: StandIn) -> None:
    changes = [change(number, 1) for number in range(20)]
    answers = await asyncio.gather(*(bridge.post(each) for each in changes for bridge in both))
    assert [answer.status_code for answer in answers] == [200] * 40
    for first, second in zip(answers[::2], answers[1::2], strict=True):
        assert first.json() == second.json()
        assert first.json()["results"][0]["action"] == "created"
    assert (await stand_in.seen())["calls"] == 20
    again = await both[1].post(changes[0])
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.json() == answers[0].json()
    assert (await stand_in.seen())["calls"] == 20


@pytest.mark.parametrize("dated", [True, False])
async def test_one_customers_changes_never_overlap_and_the_newest_wins(
    both: tuple[Bridge, Bridge], stand_in: StandIn, *, dated: bool
) -> None:
    """Dated changes come in any order at both replicas at once; for others the order of receipt is the order."""
    rng = random.Random(7)  # noqa: S311 - not for secrets
    customers, versions = 6, 15

    async def tell(customer: int) -> None:
        order = list(range(1, versions + 1))
        if dated:
            rng.shuffle(order)
        for version in order:
            answer = await rng.choice(both).post(change(customer, version, dated=dated), **ASYNC)
            assert answer.status_code in {200, 202}, "200: too old already"

    await asyncio.gather(*(tell(customer) for customer in range(1, customers + 1)))
    transfers = await all_ended(both[0])
    assert len(transfers) == customers * versions
    assert {each["status"] for each in transfers.values()} <= {"succeeded", "skipped"}
    seen = await stand_in.seen()
    assert seen["overlaps"] == []
    assert customers <= seen["calls"] <= customers * versions
    held = {each["externalId"]: each["firstName"] for each in await stand_in.customers()}
    assert held == {f"C-{customer}": f"version {versions}" for customer in range(1, customers + 1)}


async def test_two_changes_at_the_same_moment_do_not_overlap(
    both: tuple[Bridge, Bridge], stand_in: StandIn
) -> None:
    pairs = [(change(number, 1), change(number, 2)) for number in range(10)]
    posts = [bridge.post(each) for pair in pairs for bridge, each in zip(both, pair, strict=True)]
    answers = await asyncio.gather(*posts)
    assert {answer.status_code for answer in answers} == {200}
    assert (await stand_in.seen())["overlaps"] == []
    assert {each["firstName"] for each in await stand_in.customers()} == {"version 2"}
    newer = [answer.json()["results"][0] for answer in answers[1::2]]
    assert {result["status"] for result in newer} == {"succeeded"}


async def test_the_living_take_over_from_a_killed_one(both: tuple[Bridge, Bridge], stand_in: StandIn) -> None:
    """Shortened: dead after 3 s, looked for every 0.25 s; the product's own times are checked below."""
    dying, living = both
    await stand_in.answers_after(2)
    waiting = [asyncio.create_task(dying.post(change(number, 1))) for number in range(3)]
    running = await until_running(living, 3)
    follow_up = await living.post(change(0, 2), **ASYNC)
    assert follow_up.status_code == 202
    dying.kill()
    await stand_in.answers_after(0)
    for task in waiting:
        with pytest.raises(httpx.TransportError):
            await task
    transfers = await all_ended(living)
    for each in running:
        ended = transfers[each["transfer_id"]]
        if each["customer_id"] != "0":
            assert ended["status"] == "succeeded"
            everything = (await living.operate("GET", f"/transfers/{each['transfer_id']}")).json()
            assert [one["outcome"] for one in everything["attempts"]] == ["interrupted", "succeeded"]
            assert everything["promised"], "nobody was told how it ended, so it is the service's from here on"
    newest = transfers[follow_up.json()["results"][0]["transfer_id"]]
    assert newest["status"] == "succeeded"
    held = {each["externalId"]: each["firstName"] for each in await stand_in.customers()}
    assert held == {"C-0": "version 2", "C-1": "version 1", "C-2": "version 1"}


def test_the_products_own_times_keep_the_promise() -> None:
    """Taken over within 60 s, and never while a replica that is only cut off may still be at work."""
    worst = replicas.DEAD_AFTER_SECONDS + 2 * replicas.HEARTBEAT_SECONDS
    assert worst < 60
    assert replicas.FENCE_SECONDS + replicas.HEARTBEAT_SECONDS < replicas.DEAD_AFTER_SECONDS
    assert SHORT["fence"] + SHORT["heartbeat"] < SHORT["dead_after"]
    assert 20 - Limits().stopping_seconds > DRAIN_SECONDS


async def test_sigterm_ends_running_ones_and_leaves_the_rest_to_the_other(
    both: tuple[Bridge, Bridge], stand_in: StandIn
) -> None:
    leaving, staying = both
    await stand_in.answers_after(3)
    caller = asyncio.create_task(leaving.post(change(1, 1)))
    (running,) = await until_running(staying)
    patient = asyncio.create_task(leaving.post(change(1, 2)))  # waits for the first

    async def accepted() -> bool:
        return [each async for each in staying.transfers(status="accepted")] != []

    await until(accepted, "the second waits")
    assert leaving.process is not None
    leaving.process.send(signal.SIGTERM)

    async def not_ready() -> bool:
        return await leaving.readyz() == HTTPStatus.SERVICE_UNAVAILABLE

    await until(not_ready, "readyz fails while it drains", 2)
    refused = await leaving.post(change(3, 1))
    assert refused.status_code == 503
    assert refused.headers["Content-Type"] == "application/problem+json"
    assert int(refused.headers["Retry-After"]) > 0
    assert (await staying.post(change(4, 1))).status_code == 200
    answered = await caller
    assert answered.status_code == 200
    assert answered.json()["results"][0]["transfer_id"] == running["transfer_id"]
    later = await patient
    assert later.status_code in {200, 202}
    await leaving.process.end(DRAIN_SECONDS)
    transfers = await all_ended(staying)
    assert transfers[later.json()["results"][0]["transfer_id"]]["status"] == "succeeded"
    held = {each["externalId"]: each["firstName"] for each in await stand_in.customers()}
    assert held == {"C-1": "version 2", "C-4": "version 1"}
    assert (await stand_in.seen())["overlaps"] == []


async def test_a_replica_that_left_is_not_waited_for(both: tuple[Bridge, Bridge], stand_in: StandIn) -> None:
    """What it had promised and not begun is run by the other."""
    leaving, staying = both
    await stand_in.answers_after(0.3)
    answers = await asyncio.gather(*(leaving.post(change(number, 1), **ASYNC) for number in range(30)))
    assert {answer.status_code for answer in answers} == {202}
    assert leaving.process is not None
    leaving.process.send(signal.SIGTERM)
    await leaving.process.end(DRAIN_SECONDS)
    transfers = await all_ended(staying)
    assert [each["status"] for each in transfers.values()] == ["succeeded"] * 30
    assert {each["attempts_made"] for each in transfers.values()} == {1}, "none was broken off"
    assert (await stand_in.seen())["calls"] == 30


async def test_nothing_is_lost_where_replicas_are_killed_in_turn(
    start_bridge: BridgeFactory, postgresql_url: str, stand_in: StandIn
) -> None:
    """Whatever is sent, fetched, synced or cancelled at either of them meanwhile."""
    seed = int(os.environ.get("CRASH_SEED") or random.SystemRandom().getrandbits(32))
    print(f"CRASH_SEED={seed}")  # noqa: T201 - pytest shows it when the test fails
    rng = random.Random(seed)  # noqa: S311 - not for secrets
    starts = [start_bridge(postgresql_url, **STORY, **stand_in.ipaas) for _ in range(2)]
    bridges = await asyncio.gather(*starts)
    story = Story(bridges, stand_in, rng, patience=1)
    for _ in range(40):
        story.add_person()
    over = asyncio.Event()

    async def live() -> None:
        while not over.is_set():
            await story.act()

    lives = [asyncio.create_task(live()) for _ in range(12)]
    for number in range(3):
        told = len(story.promised)

        async def goes_on(told: int = told) -> bool:
            return len(story.promised) >= told + 40

        await until(goes_on, "callers are served")
        dying = bridges[number % 2]
        dying.kill()
        dying.start()
        await dying.wait_ready()
    over.set()
    await asyncio.gather(*lives)
    await story.rest()
    findings = await story.compare()
    assert findings.transfers >= 150
    assert findings.verified > 0, "kills leave customers in doubt"
    assert findings.wrong == {}


async def test_clocks_may_differ_by_minutes(
    start_bridge: BridgeFactory, postgresql_url: str, stand_in: StandIn, tmp_path: Path
) -> None:
    """Ten minutes fast and ten minutes slow: what one takes, the other does at once; retries come when due.

    The one that only takes is told to begin nothing by itself.
    """
    starts = []
    for name, clock_off in (("fast", 600), ("slow", -600)):
        (tmp_path / name).mkdir()
        options = SHORT | {"clock_off": clock_off, "flags": str(tmp_path / name)}
        starts.append(start_bridge(postgresql_url, options, RETRY_UNIT_SECONDS="0.75"))
    fast, slow = await asyncio.gather(*starts)
    names = set(look(postgresql_url, "SELECT id FROM replicas"))
    assert len(names) == 2
    for taking, working, first in ((fast, slow, 0), (slow, fast, 10)):
        idle = tmp_path / ("fast" if taking is fast else "slow") / "idle"
        idle.touch()
        await stand_in.fails(operation="add", email=f"person{first}@example.com", status=500, times=3)
        posts = [taking.post(change(number, 1), **ASYNC) for number in range(first, first + 10)]
        assert {answer.status_code for answer in await asyncio.gather(*posts)} == {202}
        transfers = await all_ended(working)
        assert {each["status"] for each in transfers.values()} == {"succeeded"}
        failing = next(each for each in transfers.values() if each["customer_id"] == str(first))
        everything = (await working.operate("GET", f"/transfers/{failing['transfer_id']}")).json()
        failed, succeeded = everything["attempts"]
        assert (failed["outcome"], succeeded["outcome"]) == ("failed", "succeeded")
        pause = datetime.fromisoformat(succeeded["started_at"]) - datetime.fromisoformat(failed["finished_at"])
        assert 1.5 <= pause.total_seconds() < 10, "two units, a tenth more, and its turn"
        idle.unlink()
    seconds = look(postgresql_url, "SELECT max(finished_at - created_at) FROM transfers WHERE attempts = 1")
    assert seconds[0][0] < 10
    assert set(look(postgresql_url, "SELECT id FROM replicas")) == names, "nobody was taken for dead, or fenced"


@pytest.mark.parametrize("count", [1, 4])
async def test_more_replicas_do_not_cost_more_transactions(
    start_bridge: BridgeFactory, postgresql_url: str, stand_in: StandIn, count: int
) -> None:
    """With the product's own times, and with what it costs to start.

    The pool's ping before each transaction counts as one at the server, too; sessions tell theirs when they end.
    """
    bridges = await asyncio.gather(*(start_bridge(postgresql_url, {"leaving": 0}) for _ in range(count)))
    posts = (bridges[number % count].post(change(number, 1), **ASYNC) for number in range(300))
    assert {answer.status_code for answer in await asyncio.gather(*posts)} == {202}

    async def all_sent() -> bool:
        return int((await stand_in.seen())["calls"]) == 300

    await until(all_sent, "all were sent")
    for bridge in bridges:
        assert bridge.process is not None
        bridge.process.send(signal.SIGTERM)
    for bridge in bridges:
        assert bridge.process is not None
        await bridge.process.end()

    async def alone() -> bool:
        others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        return look(postgresql_url, others) == [(1,)]

    await until(alone, "their sessions have ended")
    commits = "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()"
    spent = look(postgresql_url, commits)[0][0] / 2
    print(f"300 transfers, {count} replicas: {spent:g} transactions")  # noqa: T201 - shown with -s
    assert look(postgresql_url, "SELECT count(*) FROM transfers WHERE status = 'succeeded'") == [(300,)]
    assert spent < 3 * 300, "a webhook is two or three transactions, and most of them share theirs"
