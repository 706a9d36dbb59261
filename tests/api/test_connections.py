"""Several stores behind one service: each key opens its own, and nothing of two of them mixes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.settings import Settings
from tests.api.operating import ASYNC, Operator
from tests.support import (
    GUID,
    OPERATOR_KEY,
    RECORD,
    STAMPED_URL,
    WEBHOOK,
    FakeClock,
    Wire,
    customer,
    envelope,
    notification,
    open_bridge,
    reply,
    sent,
    with_consent,
)

FILE = """
[connections.1796]
name = "US store"
ipaas_webhook_api_key = "hook-us-0000000001"
stamped_api_public_key = "pub-us"
stamped_api_private_key = "private-us"
stamped_api_store_hash = "1001"
subscription_field = "Consent"

[connections.1797]
ipaas_webhook_api_key = "hook-eu-0000000001"
stamped_api_public_key = "pub-eu"
stamped_api_private_key = "private-eu"
stamped_api_store_hash = "1002"
"""
US, EU = ({"Authorization": f"Bearer hook-{name}-0000000001"} for name in ("us", "eu"))


def file_of(folder: Path, text: str = FILE) -> Path:
    path = folder / "connections.toml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def stores(tmp_path: Path) -> Callable[..., Any]:
    """A factory: the service with two connections."""

    @asynccontextmanager
    async def make(wire: Wire | None = None, **more: Any) -> AsyncIterator[httpx.AsyncClient]:
        settings = Settings(
            _env_file=None,
            connections_file=file_of(tmp_path),
            operator_api_key=OPERATOR_KEY,
            database_url=f"sqlite:///{tmp_path}/bridge.db",
            stamped_api_url=STAMPED_URL,
            **more,
        )
        async with open_bridge(settings, wire or Wire(), FakeClock()) as client:
            yield client

    return make


def stores_asked(wire: Wire) -> list[str]:
    """The store hashes, in the order of calls."""
    return [request.url.path.split("/")[3] for request in wire.requests]


def told(answer: httpx.Response) -> dict[str, Any]:
    assert answer.is_success, answer.text
    (result,) = answer.json()["results"]
    assert isinstance(result, dict)
    return result


async def test_each_key_leads_to_its_store(stores: Callable[..., Any]) -> None:
    wire = Wire()
    async with stores(wire) as client:
        us = told(await client.post(WEBHOOK, json=envelope(notification(destination=...)), headers=US))
        eu = told(await client.post(WEBHOOK, json=envelope(notification(destination="1797")), headers=EU))
    assert (us["connection"], eu["connection"]) == ("1796", "1797")
    assert (us["action"], eu["action"]) == ("created", "created")  # links, and repeats by the same GUID, are apart
    assert us["tracking_guid"] == eu["tracking_guid"] == GUID
    assert set(stores_asked(wire)) == {"1001", "1002"}


async def test_the_mapping_is_each_ones_own(stores: Callable[..., Any]) -> None:
    async with stores() as client:
        body = envelope(notification(destination=..., customer=with_consent("yes")))
        subscribed = [told(await client.post(WEBHOOK, json=body, headers=key))["subscription"] for key in (US, EU)]
    assert subscribed == ["subscribed", "not_mapped"]


@pytest.mark.parametrize("destination", ["1797", "9", 1797])
async def test_a_wrong_destination_is_refused_whole(stores: Callable[..., Any], destination: Any) -> None:
    wire = Wire()
    async with stores(wire) as client:
        mine = notification(destination="1796")
        other = notification(id="2", destination=destination, tracking_guid=None)
        answer = await client.post(WEBHOOK, json=envelope(mine, other), headers=US)
        operator = Operator(client)
        assert (await operator.get("/transfers"))["items"] == []
        (refused,) = (await operator.get("/rejections"))["items"]
    assert answer.status_code == refused["status"] == 403
    assert answer.json()["type"] == "/errors/forbidden"
    assert "destination of another connection" in answer.json()["detail"]
    assert wire.requests == []


async def test_no_other_key_opens(stores: Callable[..., Any]) -> None:
    async with stores() as client:
        for key, status in (("absent", 401), ("hook-us-0000000001,hook-eu-0000000001", 401), (OPERATOR_KEY, 403)):
            answer = await client.post(WEBHOOK, json=envelope(), headers={"Authorization": f"Bearer {key}"})
            assert answer.status_code == status


async def test_lists_are_narrowed_to_a_connection(stores: Callable[..., Any]) -> None:
    async with stores() as client:
        for key in (US, EU, EU):
            body = envelope(notification(destination=..., tracking_guid=None))
            told(await client.post(WEBHOOK, json=body, headers=key))
        operator = Operator(client)
        found = {name: await operator.get("/transfers", connection=name) for name in ("1796", "1797", "179", "%")}
        everything = await operator.get("/transfers")
        shown = await operator.get(f"/transfers/{everything['items'][0]['transfer_id']}")
        metrics = (await client.get("/metrics")).text
    assert {name: len(page["items"]) for name, page in found.items()} == {"1796": 1, "1797": 2, "179": 0, "%": 0}
    assert [item["connection"] for item in everything["items"]] == ["1797", "1797", "1796"]
    assert shown["connection"] == "1797"
    assert (
        'ipaas_stamped_transfers_total{action="created",connection="1796",error="",status="succeeded"} 1.0'
        in metrics
    )
    assert 'connection="1797",operation="create",outcome="ok",system="stamped"' in metrics


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("", "Say which connection is meant: "),
        ("?connection=9", "There is no such connection, but "),
    ],
)
@pytest.mark.parametrize(
    ("path", "body"), [("/customers/1/sync", RECORD | {"id": 1}), ("/syncs", {"customer_ids": [1]})]
)
async def test_a_sync_by_hand_says_whose(
    stores: Callable[..., Any], path: str, body: dict[str, Any], query: str, said: str
) -> None:
    async with stores() as client:
        answer = await Operator(client).post(path + query, body)
    assert answer.status_code == 422
    (fault,) = answer.json()["errors"]
    assert fault["pointer"] == "/connection"
    assert fault["detail"].startswith(said)
    assert "1796, 1797" in fault["detail"]


async def test_a_connection_in_the_wrong_place_is_not_overlooked(stores: Callable[..., Any]) -> None:
    async with stores() as client:
        answer = await Operator(client).post("/syncs", {"customer_ids": [1], "connection": "1797"})
    assert answer.status_code == 422
    assert answer.json()["errors"] == [{"pointer": "/connection", "detail": "Extra inputs are not permitted."}]


async def test_a_sync_by_hand_goes_where_it_is_told(stores: Callable[..., Any]) -> None:
    wire = Wire()
    async with stores(wire) as client:
        operator = Operator(client)
        record = RECORD | {"id": 1}
        result = told(await operator.post("/customers/1/sync?connection=1797", record))
        again = await operator.post("/customers/1/sync?connection=1796")
        started = await operator.post("/syncs?connection=1797", {"customer_ids": [1]})
        counts = await operator.until(started.headers["Location"], remaining=0)
    assert result["connection"] == "1797"
    assert again.status_code == 404  # the other one has no record of this customer
    assert counts["succeeded"] == 1
    assert set(stores_asked(wire)) == {"1002"}


async def test_a_rerun_of_many_reaches_all_or_one(stores: Callable[..., Any]) -> None:
    wire = Wire(add=reply(422, {"message": "Email is not valid."}))
    async with stores(wire) as client:
        for key in (US, EU):
            assert (await client.post(WEBHOOK, json=envelope(notification(destination=...)), headers=key)).is_error
        operator = Operator(client)
        dry = {"status": "failed", "dry_run": True}
        counted = [await operator.post("/transfers/retry", dry | more) for more in ({}, {"connection": "1796"})]
        wire.script(add=lambda request: httpx.Response(200, json=customer(email=sent(request)["email"])))
        one = await operator.post("/transfers/retry", {"connection": "1796"})
        first = await operator.until(one.headers["Location"], remaining=0)
        both = await operator.post("/transfers/retry", {})
        second = await operator.until(both.headers["Location"], remaining=0)
        left = (await operator.get("/transfers", status="failed"))["items"]
    assert [answer.json()["total"] for answer in counted] == [2, 1]
    assert (first["total"], first["succeeded"], second["total"], second["succeeded"]) == (1, 1, 1, 1)
    assert left == []


async def test_health_is_told_of_each(stores: Callable[..., Any]) -> None:
    wire = Wire(add=reply(401, {"message": "The API key you supplied is not valid."}))
    async with stores(wire) as client:
        await client.post(WEBHOOK, json=envelope(notification(destination=...)), headers=EU)
        ready = (await client.get("/readyz")).json()
    stamped = {check["connection"]: check["status"] for check in ready["checks"] if check["name"] == "stamped"}
    assert stamped == {"1796": "ok", "1797": "warn"}


async def test_what_was_promised_to_a_connection_that_left_waits_until_it_is_back(tmp_path: Path) -> None:
    """The file without it, then with it again, over three starts."""

    def settings(text: str) -> Settings:
        values: dict[str, Any] = {"operator_api_key": OPERATOR_KEY, "stamped_api_url": STAMPED_URL}
        database = f"sqlite:///{tmp_path}/bridge.db"
        return Settings(_env_file=None, connections_file=file_of(tmp_path, text), database_url=database, **values)

    without = FILE[: FILE.index("[connections.1797]")]
    async with open_bridge(settings(FILE), Wire(add=reply(500)), FakeClock()) as client:
        body = envelope(notification(destination=...))
        promised = await client.post(WEBHOOK, json=body, headers=EU | ASYNC)
        where = promised.headers["Location"]
        await Operator(client).until(where, status="waiting")
    wire = Wire()
    async with open_bridge(settings(without), wire, FakeClock()) as client:
        operator = Operator(client)
        assert (await client.post(WEBHOOK, json=body, headers=EU)).status_code == 401
        kept = await operator.get(where)
        refused = await operator.post(f"{where}/retry")
    assert (kept["status"], kept["connection"]) == ("waiting", "1797")
    assert refused.status_code == 409
    assert wire.requests == []
    async with open_bridge(settings(FILE), wire, FakeClock()) as client:
        assert told(await Operator(client).post(f"{where}/retry"))["status"] == "succeeded"
