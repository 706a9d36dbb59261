"""Two real processes share one throttle, counted by the stand-in, which answers 429 to what is too much."""

from __future__ import annotations

import asyncio
import os
import time
from typing import Any

import pytest

from tests.durable.conftest import BridgeFactory
from tests.durable.support import ASYNC, SHORT, Bridge, StandIn, until
from tests.durable.test_replicas import change

LIMIT = int(os.environ.get("THROTTLE_LIMIT", "50"))
SECONDS = float(os.environ.get("THROTTLE_SECONDS", "1"))
TRANSFERS = int(os.environ.get("THROTTLE_TRANSFERS", "90"))
_PATIENCE = 30 + 2 * TRANSFERS * 2 / LIMIT * SECONDS


def consenting(customer: int) -> dict[str, Any]:
    sends = change(customer, 1)
    sends["customer"]["custom_fields"] = [{"custom_field_name": "Consent", "value": "yes"}]
    return sends


async def throttled(start_bridge: BridgeFactory, url: str, stand_in: StandIn, **more: str) -> Bridge:
    limits = {"STAMPED_API_THROTTLE_LIMIT": str(LIMIT), "STAMPED_API_THROTTLE_SECONDS": str(SECONDS)}
    await stand_in.throttles(LIMIT, SECONDS)
    return await start_bridge(url, SHORT, SUBSCRIPTION_FIELD="Consent", **limits, **more)


async def all_ended(bridge: Bridge) -> list[dict[str, Any]]:
    await until(bridge.all_ended, "every transfer ended", _PATIENCE)
    return [each async for each in bridge.transfers()]


async def test_two_replicas_never_pass_it_and_nothing_is_half_done(
    start_bridge: BridgeFactory, postgresql_url: str, stand_in: StandIn
) -> None:
    """What one sends, the other counts; no 429, no failure, nobody created whose consent was not set."""
    both = await asyncio.gather(*(throttled(start_bridge, postgresql_url, stand_in) for _ in range(2)))
    await asyncio.gather(*(both[number % 2].post(consenting(number), **ASYNC) for number in range(TRANSFERS)))
    ended = await all_ended(both[0])
    seen = await stand_in.throttle()
    assert (len(ended), {each["status"] for each in ended}) == (TRANSFERS, {"succeeded"})
    assert (seen["refused"], seen["most"] <= LIMIT) == (0, True), seen
    customers = await stand_in.customers()
    assert (len(customers), all(each["isSubscribed"] for each in customers)) == (TRANSFERS, True)
    assert {len(each["attempts"]) for each in [await _shown(both[0], each) for each in ended]} == {1}


@pytest.mark.parametrize("kills", [2])
async def test_what_a_killed_one_had_reserved_counts(
    start_bridge: BridgeFactory, postgresql_url: str, stand_in: StandIn, kills: int
) -> None:
    first, second = await asyncio.gather(*(throttled(start_bridge, postgresql_url, stand_in) for _ in range(2)))
    await asyncio.gather(*(first.post(consenting(number), **ASYNC) for number in range(TRANSFERS)))
    for _ in range(kills):
        calls = (await stand_in.seen())["calls"]

        async def went_on(before: int = calls) -> bool:
            return int((await stand_in.seen())["calls"]) >= before + LIMIT // 2

        await until(went_on, "calls are made")
        second.kill()
        second.start()
        await second.wait_ready()
    ended = await all_ended(first)
    assert {each["status"] for each in ended} == {"succeeded"}
    assert (await stand_in.throttle())["refused"] == 0


async def test_a_caller_is_answered_while_bulk_runs(
    start_bridge: BridgeFactory, database_url: str, stand_in: StandIn
) -> None:
    """Within two windows, however much waits."""
    bridge = await throttled(start_bridge, database_url, stand_in)
    for number in range(TRANSFERS):
        assert (await bridge.post(consenting(number))).status_code in {200, 202}
        if number == 20:
            break
    ids = [str(number) for number in range(20)] * 1
    for _ in range(TRANSFERS // 20):
        answer = await bridge.operate("POST", "/syncs", json={"customer_ids": ids})
        assert answer.status_code == 202
    for number in range(1000, 1010):
        began = time.monotonic()
        answer = await bridge.post(consenting(number))
        assert answer.status_code == 200, answer.text
        assert time.monotonic() - began < 2 * SECONDS
    await all_ended(bridge)
    assert (await stand_in.throttle())["refused"] == 0


async def _shown(bridge: Bridge, item: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = (await bridge.operate("GET", f"/transfers/{item['transfer_id']}")).json()
    return found
