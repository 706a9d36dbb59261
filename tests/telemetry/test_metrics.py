"""Metrics: what they count, and that they name nobody."""

from __future__ import annotations

import asyncio
import re

import pytest
from prometheus_client.parser import text_string_to_metric_families

from app.stamped.client import StampedAccount, StampedClient
from app.telemetry.metrics import Metrics
from app.telemetry.redaction import Redactor
from tests.api.operating import Gate
from tests.conftest import BridgeFactory
from tests.support import (
    EMAIL,
    PRIVATE_KEY,
    PUBLIC_KEY,
    STAMPED_URL,
    STORE,
    WEBHOOK,
    Wire,
    envelope,
    notification,
    reply,
)


def _samples(text: str) -> dict[tuple[str, ...], float]:
    return {
        (
            sample.name,
            *sorted(f"{name}={value}" for name, value in sample.labels.items()),
        ): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def test_transfers_calls_and_rejections_are_counted(bridge: BridgeFactory) -> None:
    async with bridge() as client:
        await client.post(WEBHOOK, json=envelope(notification(), notification(id="2", scope="customer/deleted")))
        await client.post(WEBHOOK, json=[])
        answer = await client.get("/metrics", headers={"Authorization": ""})
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    samples = _samples(answer.text)
    assert (
        samples[
            "ipaas_stamped_transfers_total", "action=created", "connection=default", "error=", "status=succeeded"
        ]
        == 1
    )
    assert (
        samples["ipaas_stamped_transfers_total", "action=", "connection=default", "error=", "status=skipped"] == 1
    )
    create = ("connection=default", "operation=create", "outcome=ok", "system=stamped")
    assert samples["ipaas_stamped_call_seconds_count", *create] == 1
    assert samples["ipaas_stamped_rejections_total", "error=invalid-request"] == 1
    assert samples["ipaas_stamped_running",] == 0


async def test_failures_are_counted_by_kind(bridge: BridgeFactory) -> None:
    async with bridge(Wire(add=reply(401))) as client:
        await client.post(WEBHOOK, json=envelope(notification()))
        text = (await client.get("/metrics")).text
    samples = _samples(text)
    failed = ("action=", "connection=default", "error=customer-create-or-update-failed", "status=failed")
    assert samples["ipaas_stamped_transfers_total", *failed] == 1
    denied = ("connection=default", "operation=create", "outcome=denied", "system=stamped")
    assert samples["ipaas_stamped_call_seconds_count", *denied] == 1


async def test_a_call_that_is_cancelled_is_no_success() -> None:
    gate, metrics = Gate(), Metrics()
    account = StampedAccount(STAMPED_URL, PUBLIC_KEY, PRIVATE_KEY, STORE)
    client = StampedClient(account, Redactor(), Wire(add=gate), metrics.of("1796"))
    call = asyncio.create_task(client.add({"email": EMAIL}))
    await gate.reached.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    counted = [key for key in _samples(metrics.exposition().decode()) if key[0].endswith("call_seconds_count")]
    labels = ("connection=1796", "operation=create", "outcome=cancelled", "system=stamped")
    assert counted == [("ipaas_stamped_call_seconds_count", *labels)]


async def test_no_metric_names_anybody(bridge: BridgeFactory) -> None:
    async with bridge() as client:
        await client.post(WEBHOOK, json=envelope(notification()))
        text = (await client.get("/metrics")).text
    assert EMAIL not in text
    assert not re.search(r"@|key-", text)
