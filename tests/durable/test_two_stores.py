"""Two stores under mixed load with faults, whose customers have the same ids: nothing of them ever mixes."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_OID, uuid5

import httpx

from app.sandbox import SANDBOX_STORE_HASH
from tests.durable.conftest import BridgeFactory
from tests.durable.support import ASYNC, SHORT, Nursery, StandIn, open_stand_in, until
from tests.support import WEBHOOK

CUSTOMERS, CHANGES = 30, 3
STORES = ("1796", "1797")
SETTINGS = {"RETRY_UNIT_SECONDS": "0.2", "STAMPED_TIMEOUT_SECONDS": "1", "SUBSCRIPTION_FIELD": "Consent"}
_CONNECTION = """
[connections.{id}]
ipaas_webhook_api_key = "hook-{id}-0123456789"
stamped_api_url = "{url}"
stamped_api_store_hash = "{store}"
"""


def change(store: str, customer: int, version: int) -> dict[str, Any]:
    """The same customer, GUID and date at both stores; name, e-mail and consent are the store's."""
    consent = "yes" if store == STORES[0] else "no"
    return {
        "id": customer,
        "scope": "customer/updated",
        "tracking_guid": str(uuid5(NAMESPACE_OID, f"{customer} {version}")),
        "customer": {
            "id": customer,
            "customer_number": f"C-{customer}",
            "first_name": f"{store} {version}",
            "email_address": f"person{customer}@{store}.example.com",
            "updated_datetime": f"2026-11-24T10:{version:02}:00Z",
            "custom_fields": [{"custom_field_name": "Consent", "value": consent}],
        },
    }


async def test_nothing_of_two_stores_ever_mixes(
    start_bridge: BridgeFactory, database_url: str, stand_in: StandIn, nursery: Nursery, tmp_path: Path
) -> None:
    second = await open_stand_in(nursery, tmp_path / "second.log", store_hash="another")
    there = dict(zip(STORES, (stand_in, second), strict=True))
    file = tmp_path / "connections.toml"
    hashes = {STORES[0]: SANDBOX_STORE_HASH, STORES[1]: "another"}
    file.write_text(
        "".join(_CONNECTION.format(id=store, url=there[store].url, store=hashes[store]) for store in STORES)
    )
    bridge = await start_bridge(database_url, SHORT, CONNECTIONS_FILE=str(file), **SETTINGS)
    for each in there.values():
        await each.answers_after(0.01, permille=150, late=0.2)

    async def tell(store: str, customer: int, version: int) -> httpx.Response:
        headers = {"Authorization": f"Bearer hook-{store}-0123456789"} | (ASYNC if version % 2 else {})
        body = {"notifications": [change(store, customer, version)]}
        return await bridge.client.post(WEBHOOK, json=body, headers=headers)

    for version in range(CHANGES):
        numbers = [(store, customer) for customer in range(CUSTOMERS) for store in STORES]
        answers = await asyncio.gather(*(tell(*number, version) for number in numbers))
        for (store, _), answer in zip(numbers, answers, strict=True):
            told = answer.json().get("results") or [{"connection": store}]
            assert told[0]["connection"] == store
    for each in there.values():
        await each.answers_after(0.0)
    for store in STORES:
        answer = await bridge.operate("POST", "/transfers/retry", json={"connection": store})
        assert answer.is_success
    await until(bridge.all_ended, "every transfer ended", 60)
    for store, at in there.items():
        held = await at.customers()
        assert len(held) == CUSTOMERS
        assert {each["firstName"] for each in held} == {f"{store} {CHANGES - 1}"}
        assert {each["email"].partition("@")[2] for each in held} == {f"{store}.example.com"}
        assert {each["isSubscribed"] for each in held} == {store == STORES[0]}
        listed = [each async for each in bridge.transfers(connection=store)]
        assert {each["connection"] for each in listed} == {store}
        assert len(listed) >= CUSTOMERS * CHANGES
    await second.client.aclose()
