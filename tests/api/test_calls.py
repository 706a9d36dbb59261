"""`attempts[].calls`: what `GET /transfers/{id}` tells of each call."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.api.operating import Operator
from tests.conftest import BridgeFactory
from tests.postgres import fresh_database, server_url
from tests.support import (
    EMAIL,
    GUID,
    IPAAS,
    IPAAS_TOKEN,
    IPAAS_URL,
    PRIVATE_KEY,
    PUBLIC_KEY,
    RECORD,
    STAMPED_URL,
    WEBHOOK,
    FakeClock,
    Wire,
    customer,
    envelope,
    notification,
    raising,
    reply,
    with_consent,
)

WHOM = f"{RECORD['first_name']} {RECORD['last_name'].upper()} ({EMAIL})"
NEVER_TOLD = (EMAIL, RECORD["first_name"], "QUISLING", PRIVATE_KEY, PUBLIC_KEY, IPAAS_TOKEN, GUID)


@pytest.fixture(scope="module")
def postgresql() -> Iterator[str]:
    with fresh_database(server_url()) as url:
        yield url


async def last_attempt(client: httpx.AsyncClient, **by: str) -> dict[str, Any]:
    """Of the newest transfer."""
    operator = Operator(client)
    (newest, *_) = (await operator.get("/transfers", **by))["items"]
    attempt: dict[str, Any] = (await operator.get(f"/transfers/{newest['transfer_id']}"))["attempts"][-1]
    return attempt


@pytest.mark.parametrize("where", ["sqlite", "postgresql"])
async def test_each_call_of_an_attempt_is_a_line_of_its_own(
    bridge: BridgeFactory, where: str, request: pytest.FixtureRequest
) -> None:
    busy = reply(503, {"message": f"{WHOM} cannot be saved with {PRIVATE_KEY} at present."})
    unknown = reply(body=customer(isSubscribed=None))
    wire = Wire(load=[busy, reply(body=with_consent("yes"))], add=[busy, unknown], get=unknown)
    clock = FakeClock()

    def late(_request: httpx.Request) -> httpx.Response:
        clock.advance(1)
        return httpx.Response(200)

    wire.script(subscribe=late)
    database = {"database_url": request.getfixturevalue(where)} if where == "postgresql" else {}
    async with bridge(wire, clock=clock, subscription_field="Consent", **IPAAS, **database) as client:
        answer = await client.post(WEBHOOK, json=envelope(notification(customer=...)))
        assert answer.status_code == 200
        attempt = await last_attempt(client)
    said = "… … (a…@example.com) cannot be saved with *** at present."
    assert [
        (each["system"], each["operation"], each["try"], each["status"], each["outcome"], each["message"])
        for each in attempt["calls"]
    ] == [
        ("ipaas", "load", 1, 503, "unavailable", said),
        ("ipaas", "load", 2, 200, "ok", None),
        ("ipaas", "look up the external ID", 1, 404, "ok", "NFND-1: no link"),
        ("stamped", "create", 1, 503, "unavailable", said),
        ("stamped", "create", 2, 200, "ok", None),
        ("ipaas", "write back", 1, 200, "ok", None),
        ("stamped", "read", 1, 200, "ok", None),
        ("stamped", "subscribe", 1, 200, "ok", None),
    ]
    first, *_, last = attempt["calls"]
    assert list(first) == ["system", "operation", "try", "status", "outcome", "started_at", "seconds", "message"]
    began, *rest = (datetime.fromisoformat(each["started_at"]) for each in (attempt, first, last))
    after = [(each - began).total_seconds() for each in (*rest, datetime.fromisoformat(attempt["finished_at"]))]
    assert after == pytest.approx([0, 0.75, 1.75], abs=0.002), "the database's clock is the attempt's and theirs"
    text = str(attempt)
    assert not [word for word in (*NEVER_TOLD, STAMPED_URL, IPAAS_URL) if word in text]


async def test_calls_that_failed_are_told_with_the_failure(bridge: BridgeFactory) -> None:
    clock = FakeClock()

    def late(request: httpx.Request) -> httpx.Response:
        clock.advance(1.25)
        return reply(400, {"message": f"{WHOM} is not valid."})(request)  # type: ignore[return-value]

    async with bridge(Wire(add=late), clock=clock) as client:
        assert (await client.post(WEBHOOK, json=envelope())).status_code == 422
        attempt = await last_attempt(client)
    assert attempt["calls"] == [
        {
            "system": "stamped",
            "operation": "create",
            "try": 1,
            "status": 400,
            "outcome": "refused",
            "started_at": attempt["started_at"],
            "seconds": 1.25,
            "message": "… … (a…@example.com) is not valid.",
        }
    ]
    assert attempt["stamped"]["message"] == attempt["calls"][0]["message"]


async def test_a_person_whose_record_cannot_be_mapped_is_not_named_either(bridge: BridgeFactory) -> None:
    """A "no" is applied all the same, by calls of its own."""
    wire = Wire(get=reply(401, {"message": f"{WHOM} may not be read."}))
    async with bridge(wire, subscription_field="Consent") as client:
        assert (await client.post(WEBHOOK, json=envelope())).status_code == 200
        refused = notification(customer=with_consent("no", email_address="nobody"), tracking_guid=GUID[::-1])
        assert (await client.post(WEBHOOK, json=envelope(refused))).status_code == 422
        attempt = await last_attempt(client)
    (call,) = attempt["calls"]
    assert (call["operation"], call["message"]) == ("read", "… … (a…@example.com) may not be read.")


@pytest.mark.parametrize("status", [401, 500])
async def test_loads_that_fail_are_told(bridge: BridgeFactory, status: int) -> None:
    wire = Wire(load=reply(status, {"message": f"No customer with {EMAIL}."}))
    async with bridge(wire, **IPAAS) as client:
        assert (await client.post(WEBHOOK, json=envelope(notification(customer=...)))).status_code == 502
        attempt = await last_attempt(client)
    tries = [1] if status == 401 else [1, 2, 3]
    assert [each["try"] for each in attempt["calls"]] == tries
    assert {each["message"] for each in attempt["calls"]} == {"No customer with a…@example.com."}
    assert {each["system"] for each in attempt["calls"]} == {"ipaas"}


async def test_where_nobody_was_asked_there_is_no_call(bridge: BridgeFactory) -> None:
    async with bridge() as client:
        await client.post(WEBHOOK, json=envelope(notification(customer=RECORD | {"email_address": "nobody"})))
        assert (await last_attempt(client))["calls"] == []


async def test_what_a_verification_reads_is_told(bridge: BridgeFactory) -> None:
    clock, wire = FakeClock(), Wire(add=raising(httpx.ReadTimeout("")))
    async with bridge(wire, clock=clock) as client:
        assert (await client.post(WEBHOOK, json=envelope())).status_code == 504
        failed = await last_attempt(client)
        assert [(each["outcome"], each["status"]) for each in failed["calls"]] == [("timeout", None)] * 3
        found = customer(firstName="Annabell", lastName="Quisling", externalId="C-1001")
        wire.script(search=reply(body={"results": [found]}), get=reply(body=found))
        clock.advance(60)
        async with asyncio.timeout(10):
            while not (await Operator(client).get("/transfers", status="succeeded"))["items"]:  # noqa: ASYNC110
                await asyncio.sleep(0.002)  # the engine works in the background
        attempt = await last_attempt(client, status="succeeded")
    assert [(each["operation"], each["try"], each["outcome"]) for each in attempt["calls"]] == [
        ("find", 1, "ok"),
        ("read", 1, "ok"),
    ]


async def test_a_load_that_came_to_nothing_names_nobody_either(bridge: BridgeFactory) -> None:
    newer, older = (RECORD | {"updated_datetime": f"2026-11-2{day}T10:00:00Z"} for day in (4, 3))
    wire = Wire(load=[reply(503, {"message": f"{WHOM} is locked."}), reply(body=older)])
    async with bridge(wire, **IPAAS) as client:
        assert (await client.post(WEBHOOK, json=envelope(notification(customer=newer)))).status_code == 200
        loads = notification(customer=..., tracking_guid=GUID[::-1])
        assert (await client.post(WEBHOOK, json=envelope(loads))).json()["results"][0]["status"] == "skipped"
        attempt = await last_attempt(client)
    assert attempt["outcome"] == "skipped"
    assert [(each["operation"], each["message"]) for each in attempt["calls"]] == [
        ("load", "… … (a…@example.com) is locked."),
        ("load", None),
    ]


async def test_names_of_ones_own_mapping_are_not_told_either(bridge: BridgeFactory, tmp_path: Path) -> None:
    mapping = tmp_path / "mapping.toml"
    mapping.write_text('[customer]\nemail = "email_address"\nfirstName = "custom_field(\'Consent\')"\n')
    wire = Wire(add=reply(400, {"message": "Bea is refused."}))
    async with bridge(wire, mapping_file=mapping) as client:
        refused = notification(customer=with_consent("Bea"))
        assert (await client.post(WEBHOOK, json=envelope(refused))).status_code == 422
        (call,) = (await last_attempt(client))["calls"]
    assert call["message"] == "… is refused."
