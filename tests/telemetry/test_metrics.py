"""Metrics: what they count, and that they name nobody."""

from __future__ import annotations

import asyncio
import os
import re
from pathlib import Path
from unittest.mock import AsyncMock

import pytest
from prometheus_client.parser import text_string_to_metric_families

from app.engine.gates import Gates
from app.gauges import FRESH_SECONDS
from app.ledger import bulk, statistics
from app.ledger.database import Database
from app.ledger.database_url import read_url
from app.ledger.faults import DatabaseGone
from app.server import Observed
from app.stamped.client import StampedAccount, StampedClient
from app.telemetry.collectors import Processes
from app.telemetry.metrics import Metrics
from app.telemetry.redaction import Redactor
from tests.api.operating import ASYNC, Gate, Operator
from tests.conftest import BridgeFactory
from tests.support import (
    EMAIL,
    PRIVATE_KEY,
    PUBLIC_KEY,
    SCOPE,
    STAMPED_URL,
    STORE,
    WEBHOOK,
    FakeClock,
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


async def test_what_waits_is_told_by_connection_and_status(bridge: BridgeFactory) -> None:
    clock = FakeClock()
    async with bridge(Wire(add=reply(302)), clock=clock) as client:
        promised = await client.post(WEBHOOK, json=envelope(notification()), headers=ASYNC)
        await Operator(client).until(promised.headers["Location"], status="waiting")
        await client.get("/metrics")
        clock.advance(90)
        samples = _samples((await client.get("/metrics")).text)
        assert samples["ipaas_stamped_backlog", "connection=default", "status=waiting"] == 1
        assert samples["ipaas_stamped_backlog", "connection=default", "status=running"] == 0
        assert samples["ipaas_stamped_oldest_waiting_seconds", "connection=default"] == pytest.approx(90, abs=3)
        assert samples["ipaas_stamped_throttle_calls_left", "connection=default"] > 400
        await Operator(client).post("/connections/default/pause")
        stale = _samples((await client.get("/metrics")).text)
        clock.advance(FRESH_SECONDS)
        fresh = _samples((await client.get("/metrics")).text)
    by_hand = ("ipaas_stamped_paused", "connection=default", "kind=paused")
    assert (stale[by_hand], fresh[by_hand]) == (0, 1), "the database is not asked each time"
    assert fresh["ipaas_stamped_paused", "connection=default", "kind=down"] == 0
    assert fresh["ipaas_stamped_database_up",] == 1


async def test_while_the_database_is_silent_no_old_number_is_told(
    bridge: BridgeFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = FakeClock()
    gone = AsyncMock(side_effect=DatabaseGone("it left"))
    async with bridge(clock=clock) as client:
        assert 'ipaas_stamped_backlog{connection="default"' in (await client.get("/metrics")).text
        clock.advance(FRESH_SECONDS)
        with monkeypatch.context() as patch:
            patch.setattr(Gates, "see", gone)
            texts = [(await client.get("/metrics")).text for _ in range(3)]
    assert all("ipaas_stamped_database_up 0.0" in text and "ipaas_stamped_backlog{" not in text for text in texts)
    assert gone.await_count == 1


async def test_what_a_sync_has_still_to_enter_is_backlog(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/bridge.db"
    database = Database(read_url(url))
    await database.migrate()
    await database.run(bulk.open_sync, "sync-1", SCOPE, "customers", [str(number) for number in range(70)], 1.0)
    found = await database.read(statistics.backlog, [SCOPE, "another@1"])
    await database.aclose()
    assert found[SCOPE].totals == {"entering": 70}
    assert found["another@1"] == statistics.Backlog({})


async def test_answers_are_told_by_route_and_class_of_status(bridge: BridgeFactory) -> None:
    async with bridge() as client:
        await client.post(WEBHOOK, json=envelope(notification()))
        await client.post(WEBHOOK, json=[])
        for path in ("/transfers/1", "/transfers/2", f"/nobody/{EMAIL}"):
            await client.get(path)
        await client.request("BREW", "/livez")
        text = (await client.get("/metrics")).text
    counts = {
        key[1:]: number for key, number in _samples(text).items() if key[0] == "ipaas_stamped_http_seconds_count"
    }
    readyz = ("method=GET", "route=/readyz")
    assert {key: number for key, number in counts.items() if key[:2] != readyz} == {
        ("method=POST", f"route={WEBHOOK}", "status=2xx"): 1,
        ("method=POST", f"route={WEBHOOK}", "status=4xx"): 1,
        ("method=GET", "route=/transfers/{transfer_id}", "status=4xx"): 2,
        ("method=GET", "route=other", "status=4xx"): 1,
        ("method=other", "route=/livez", "status=4xx"): 1,
    }


async def test_what_breaks_is_an_answer_of_5xx() -> None:
    async def breaks(_scope: object, _receive: object, _send: object) -> None:
        raise LookupError

    metrics = Metrics()
    scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
    with pytest.raises(LookupError):
        await Observed(breaks, metrics)(scope, AsyncMock(), AsyncMock())
    samples = _samples(metrics.exposition().decode())
    assert samples["ipaas_stamped_http_seconds_count", "method=GET", "route=other", "status=5xx"] == 1


def test_of_several_processes_each_is_told_once() -> None:
    mine = os.getpid()
    samples = [each for metric in Processes({mine, os.getppid()}).collect() for each in metric.samples]
    cpu = [each.labels for each in samples if each.name == "process_cpu_seconds_total"]
    assert sorted(int(each["pid"]) for each in cpu) == sorted((mine, os.getppid()))


async def test_no_metric_names_anybody(bridge: BridgeFactory) -> None:
    async with bridge() as client:
        await client.post(WEBHOOK, json=envelope(notification()))
        text = (await client.get("/metrics")).text
    assert EMAIL not in text
    assert not re.search(r"@|key-", text)
