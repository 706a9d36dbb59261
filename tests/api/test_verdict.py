"""`GET /verdict` over the whole product: what this replica and the database know, and how it turns by itself."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from tests.conftest import BridgeFactory
from tests.monitoring.support import person
from tests.support import (
    IPAAS,
    OPERATOR_KEY,
    RECORD,
    SCOPE,
    VIEWER_KEY,
    WEBHOOK,
    FakeClock,
    Wire,
    envelope,
    notification,
    raising,
    reply,
    with_consent,
)

REFUSED = reply(401, {"message": "The API key you supplied is not valid."})
SAVED = reply(200, {"id": 7})
MEMBERS = {"state", "headline", "causes", "at"}
OF_A_CAUSE = {"code", "connection", "text", "since", "count", "action"}


async def verdict(
    client: httpx.AsyncClient, clock: FakeClock, query: str = "", key: str = OPERATOR_KEY, after: float = 4.1
) -> Any:
    """As it is now: not the one that was kept."""
    clock.advance(after)
    answer = await client.get(f"/verdict{query}", headers={"Authorization": f"Bearer {key}"})
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert found.keys() == MEMBERS
    assert all(each.keys() == OF_A_CAUSE for each in found["causes"])
    return found


def codes(found: Any) -> list[str]:
    return [each["code"] for each in found["causes"]]


async def send(client: httpx.AsyncClient, *people: dict[str, Any], key: str | None = None) -> httpx.Response:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    return await client.post(WEBHOOK, json=envelope(*people), headers=headers)


async def test_from_nothing_to_well_to_keys_that_are_refused_and_back(bridge: BridgeFactory) -> None:
    clock, wire = FakeClock(), Wire(add=[SAVED, REFUSED, REFUSED, SAVED])
    async with bridge(wire, clock=clock, viewer_api_key=VIEWER_KEY) as client:
        assert (await verdict(client, clock))["headline"] == "Nothing has come yet"
        await send(client, person(1))
        assert (await verdict(client, clock))["headline"] == "All well: 1 today, the last 4 s ago"
        await send(client, person(2))
        await send(client, person(3))
        found = await verdict(client, clock, key=VIEWER_KEY)
        assert (found["state"], codes(found)) == ("fail", ["stamped-keys", "failures"])
        assert found["headline"] == "Stamped.io refuses our keys since 10:00 UTC: 2 transfers failed"
        assert (found["causes"][0]["action"], found["causes"][0]["count"]) == ("test-keys", 2)
        assert (found["causes"][1]["action"], found["causes"][1]["count"]) == ("re-run", 2)
        await send(client, person(4))
        found = await verdict(client, clock)
        assert (found["state"], codes(found)) == ("warn", ["failures"])
        again = {"since": found["causes"][0]["since"], "connection": found["causes"][0]["connection"]}
        headers = {"Authorization": f"Bearer {OPERATOR_KEY}"}
        counted = await client.post("/transfers/retry", json=again | {"dry_run": True}, headers=headers)
        assert counted.json()["total"] == found["causes"][0]["count"]


async def test_a_test_of_the_keys_is_a_later_success(bridge: BridgeFactory) -> None:
    clock, wire = FakeClock(), Wire(add=REFUSED)
    async with bridge(wire, clock=clock) as client:
        await send(client, person(1))
        assert codes(await verdict(client, clock)) == ["stamped-keys", "failures"]
        await client.post("/login", data={"key": OPERATOR_KEY}, headers={"Accept": "text/html"})
        page = await client.get("/monitoring", headers={"Accept": "text/html"})
        token = page.text.partition('name="form_token" value="')[2].partition('"')[0]
        form = {"connection": "default", "form_token": token}
        await client.post("/monitoring/settings/test", data=form, headers={"Accept": "text/html"})
        assert codes(await verdict(client, clock)) == ["failures"]


async def test_what_another_replica_heard_counts(bridge: BridgeFactory) -> None:
    """The database outlives this one, which has called nobody yet."""
    clock = FakeClock()
    async with bridge(Wire(add=REFUSED), clock=clock) as client:
        await send(client, person(1))
    async with bridge(Wire(), clock=clock) as client:
        assert codes(await verdict(client, clock, after=0)) == ["stamped-keys", "failures"]
        async with asyncio.timeout(10):  # it calls each system once
            while codes(await verdict(client, clock)) != ["failures"]:  # noqa: ASYNC110 - over HTTP only
                await asyncio.sleep(0)


async def test_a_webhook_key_that_is_refused(bridge: BridgeFactory) -> None:
    clock = FakeClock()
    async with bridge(clock=clock) as client:
        await send(client, person(1), key="nobody")
        found = await verdict(client, clock)
        assert (found["state"], codes(found)) == ("fail", ["webhook-key"])
        assert found["headline"] == "iPaaS.com's key is refused: 1 webhook in 4 s"
        await send(client, person(1))
        found = await verdict(client, clock)
        assert (found["state"], codes(found)) == ("warn", ["webhook-key"])
        clock.advance(7200)
        assert (await verdict(client, clock))["state"] == "ok"


async def test_webhooks_that_are_refused(bridge: BridgeFactory) -> None:
    clock = FakeClock()
    async with bridge(clock=clock) as client:
        await client.post(WEBHOOK, json={"notifications": [{}]})
        found = await verdict(client, clock)
    assert (found["state"], codes(found)) == ("warn", ["webhooks-refused"])


async def test_stamped_that_does_not_answer(bridge: BridgeFactory) -> None:
    clock = FakeClock()
    away = Wire(add=raising(httpx.ConnectError("away")), search=raising(httpx.ConnectError("away")))
    async with bridge(away, clock=clock) as client:
        for number in range(1, 4):
            await client.post(WEBHOOK, json=envelope(person(number)), headers={"Prefer": "wait=60"})
        found = await verdict(client, clock)
    assert codes(found)[0] == "stamped-down"
    assert found["headline"].startswith("Stamped.io does not answer since 10:00 UTC: ")


async def test_a_pause_by_hand(bridge: BridgeFactory) -> None:
    clock, headers = FakeClock(), {"Authorization": f"Bearer {OPERATOR_KEY}"}
    async with bridge(clock=clock) as client:
        await client.post("/connections/default/pause", json={"reason": "Ada moves it."}, headers=headers)
        await send(client, person(1))
        found = await verdict(client, clock)
        assert (found["state"], codes(found)) == ("warn", ["paused"])
        assert found["headline"] == "Paused by hand since 10:00 UTC: 1 transfer waits"
        clock.advance(1800)
        assert codes(await verdict(client, clock)) == ["paused", "waiting"]


async def test_a_throttle_that_is_too_tight(bridge: BridgeFactory) -> None:
    clock = FakeClock()
    async with bridge(clock=clock, stamped_api_throttle_limit=2, stamped_api_throttle_seconds=600) as client:
        for number in range(1, 4):
            await client.post(WEBHOOK, json=envelope(person(number)), headers={"Prefer": "respond-async"})
        found = await verdict(client, clock)
    assert (found["state"], codes(found)) == ("warn", ["throttled"])
    assert found["headline"].startswith(
        "The throttle of 2 calls in 600 s makes 2 transfers wait, the last for about "
    )


async def test_a_token_that_is_refused_until_it_is_renewed(bridge: BridgeFactory) -> None:
    clock = FakeClock()
    wire = Wire(load=[reply(401, {"message": "AUTH-001 expired"}), reply(200, RECORD)])
    async with bridge(wire, clock=clock, **IPAAS) as client:
        await send(client, notification(customer=...))
        found = await verdict(client, clock)
        assert found["headline"] == (
            "iPaaS.com refuses our token: HTTP status 401 Unauthorized; 1 transfer failed"
        )
        await send(client, notification(customer=...))
        assert (await verdict(client, clock))["state"] == "ok"


async def test_consent_that_cannot_be_read_is_told_by_name_and_class(bridge: BridgeFactory) -> None:
    clock = FakeClock()
    async with bridge(clock=clock, subscription_field="Consent") as client:
        await send(client, notification(customer=with_consent("Quisling said perhaps")))
        found = await verdict(client, clock)
    assert found["headline"] == "1 of 1 failed in 24 h: Consent holds a text that is neither yes nor no"
    assert "Quisling" not in str(found)


async def test_a_service_that_takes_nothing_says_so(bridge: BridgeFactory) -> None:
    async with bridge(started=False) as client:
        found = await verdict(client, FakeClock())
    assert (found["state"], codes(found)) == ("fail", ["service", "database"])


@pytest.mark.parametrize("query", ["", "?connection=", "?connection=default"])
async def test_it_is_looked_at_once_in_four_seconds(bridge: BridgeFactory, query: str) -> None:
    clock = FakeClock()
    async with bridge(clock=clock) as client:
        before = await verdict(client, clock, query)
        await send(client, person(1))
        headers = {"Authorization": f"Bearer {OPERATOR_KEY}"}
        assert (await client.get(f"/verdict{query}", headers=headers)).json() == before
        assert (await verdict(client, clock, query))["headline"].startswith("All well: 1 today")


@pytest.mark.parametrize(
    ("query", "key", "status"),
    [("?connection=nobody", OPERATOR_KEY, 404), ("?what=1", OPERATOR_KEY, 422), ("", "nobody", 401)],
)
async def test_what_is_refused(bridge: BridgeFactory, query: str, key: str, status: int) -> None:
    async with bridge() as client:
        answer = await client.get(f"/verdict{query}", headers={"Authorization": f"Bearer {key}"})
    assert answer.status_code == status
    assert SCOPE not in answer.text
