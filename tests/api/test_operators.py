"""What operators do over HTTP: the contract's table, call by call."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from tests.api.operating import (
    ASYNC,
    AWAY,
    OPERATOR,
    REFUSED,
    SYNC,
    Gate,
    Operator,
    consenting,
    failed,
    person,
)
from tests.conftest import BridgeFactory, Sandbox
from tests.support import (
    GUID,
    IPAAS,
    RECORD,
    WEBHOOK,
    WEBHOOK_KEY,
    FakeClock,
    Wire,
    customer,
    envelope,
    notification,
    reply,
    sent,
)

CALLS = [
    ("POST", SYNC),
    ("POST", "/syncs"),
    ("GET", "/syncs/1"),
    ("POST", "/syncs/1/cancel"),
    ("GET", "/transfers"),
    ("GET", "/transfers/1"),
    ("POST", "/transfers/1/retry"),
    ("POST", "/transfers/1/cancel"),
    ("POST", "/transfers/retry"),
    ("GET", "/errors/groups"),
    ("GET", "/rejections"),
]


@pytest.mark.parametrize(("method", "path"), CALLS)
async def test_keys(bridge: BridgeFactory, method: str, path: str) -> None:
    async with bridge() as client:
        for key, status in (("", 401), ("nonsense", 401), (WEBHOOK_KEY, 403)):
            answer = await client.request(method, path, headers={"Authorization": f"Bearer {key}"})
            assert answer.status_code == status
            assert answer.headers["Content-Type"] == "application/problem+json"
            assert ("WWW-Authenticate" in answer.headers) is (status == 401)
        assert (await client.post(WEBHOOK, json=envelope(), headers=OPERATOR)).status_code == 403


async def test_manual_sync_without_any_record_says_what_to_do(bridge: BridgeFactory) -> None:
    async with bridge() as client:
        answer = await Operator(client).post(SYNC)
        assert answer.status_code == 404
        assert "IPAAS_API_URL" in answer.json()["detail"]
        assert "body" in answer.json()["detail"]
        assert (await Operator(client).get("/transfers"))["items"] == []


async def test_manual_sync_always_sends_the_last_record_again(bridge: BridgeFactory) -> None:
    wire = Wire()
    async with bridge(wire) as client:
        first = (await client.post(WEBHOOK, json=envelope())).json()["results"][0]
        answers = [await Operator(client).post(SYNC) for _ in range(2)]
        results = [answer.json()["results"][0] for answer in answers]
        shown = await Operator(client).get(f"/transfers/{results[1]['transfer_id']}")
    assert [answer.status_code for answer in answers] == [200, 200]
    assert [result["action"] for result in results] == ["updated", "updated"]
    assert len({result["tracking_guid"] for result in [first, *results]}) == 3, "a key of its own each time"
    assert all("Idempotent-Replayed" not in answer.headers for answer in answers)
    assert wire.operations == ["add", "update", "update"]
    assert shown["trigger"] == "manual"


async def test_manual_sync_fetches_where_it_can(bridge: BridgeFactory) -> None:
    wire = Wire(load=reply(200, RECORD | {"first_name": "Fresh"}))
    async with bridge(wire, **IPAAS) as client:
        answer = await Operator(client).post(SYNC)
    assert answer.status_code == 200
    assert sent(wire.last("add"))["firstName"] == "Fresh"


async def test_manual_sync_of_a_record_in_the_body_though_it_is_older(bridge: BridgeFactory) -> None:
    wire = Wire()
    async with bridge(wire) as client:
        newer = RECORD | {"updated_datetime": "2026-11-24T10:00:00Z"}
        await client.post(WEBHOOK, json=envelope(notification(customer=newer)))
        older = RECORD | {"first_name": "Older", "updated_datetime": "2020-01-01T00:00:00Z"}
        answer = await Operator(client).post(SYNC, older)
        assert answer.json()["results"][0]["status"] == "succeeded"
        assert sent(wire.last("update"))["firstName"] == "Older"
        wrong = await Operator(client).post(SYNC, {"email_address": ["x"]})
    assert wrong.status_code == 422
    assert wrong.json()["errors"][0]["pointer"].startswith("/email_address")


@pytest.mark.parametrize("customer_id", [2, "2"], ids=["number", "text"])
async def test_manual_sync_of_another_customers_record_sends_nothing(
    bridge: BridgeFactory, customer_id: Any
) -> None:
    wire = Wire()
    async with bridge(wire) as client:
        answer = await Operator(client).post("/customers/1/sync", RECORD | {"id": customer_id})
        assert (await Operator(client).get("/transfers"))["items"] == []
    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json()["errors"]] == ["/id"]
    assert wire.operations == []


@pytest.mark.parametrize("own", [{"id": 1}, {"id": "1"}, {"id": " 1 "}, {"id": None}, {}], ids=str)
async def test_manual_sync_of_the_customers_own_record(bridge: BridgeFactory, own: dict[str, Any]) -> None:
    wire = Wire()
    async with bridge(wire) as client:
        record = {name: value for name, value in RECORD.items() if name != "id"}
        answer = await Operator(client).post("/customers/1/sync", record | own)
    assert answer.status_code == 200
    assert answer.json()["results"][0]["customer_id"] == "1"
    assert wire.operations == ["add"]


async def test_manual_sync_fails_as_the_webhook_does(bridge: BridgeFactory) -> None:
    async with bridge(Wire(add=REFUSED)) as client:
        answer = await Operator(client).post(SYNC, RECORD)
    assert answer.status_code == 422
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["type"] == "/errors/customer-create-or-update-failed"


@pytest.mark.parametrize("customer_id", [".", ".."])
async def test_a_sync_of_ids_that_would_lead_elsewhere_is_refused(bridge: BridgeFactory, customer_id: str) -> None:
    wire = Wire()
    async with bridge(wire, **IPAAS) as client:
        answer = await Operator(client).post("/syncs", {"customer_ids": ["1", customer_id]})
    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json()["errors"]] == ["/customer_ids/1"]
    assert wire.operations == []


async def test_a_sync_of_many_counts(bridge: BridgeFactory) -> None:
    async with bridge(Wire(load=[reply(200, RECORD), reply(404, {"message": "NFND-1"})]), **IPAAS) as client:
        operator = Operator(client)
        answer = await operator.post("/syncs", {"customer_ids": ["1", 2, "1"]})
        assert answer.status_code == 202
        where = answer.headers["Location"]
        assert where == f"/syncs/{answer.json()['sync_id']}"
        counts = await operator.until(where, remaining=0)
        assert (counts["total"], counts["succeeded"], counts["failed"], counts["skipped"]) == (2, 1, 1, 0)
        items = (await operator.get("/transfers"))["items"]
        assert {item["trigger"] for item in items} == {"sync"}
        failed = await operator.get("/transfers", sync_id=answer.json()["sync_id"], status="failed")
        assert [item["error"] for item in failed["items"]] == ["customer-not-loaded"]
        assert (await operator.get("/transfers", sync_id="nobody"))["items"] == []
        assert (await operator.call("GET", "/syncs/nobody")).status_code == 404


async def test_three_thousand_ids_are_taken_and_one_more_is_not(bridge: BridgeFactory) -> None:
    gate = Gate()
    async with bridge(Wire(load=gate), **IPAAS) as client:
        operator = Operator(client)
        too_many = await operator.post("/syncs", {"customer_ids": list(range(1, 3002))})
        assert too_many.status_code == 422
        assert too_many.json()["errors"][0]["pointer"] == "/customer_ids"
        assert (await operator.post("/syncs", {"customer_ids": []})).status_code == 422
        assert (await operator.get("/transfers"))["items"] == []
        answer = await operator.post("/syncs", {"customer_ids": list(range(1, 3001))})
        where = answer.headers["Location"]
        assert (await operator.get(where))["total"] == 3000
        await gate.reached.wait()
        cancelled = (await operator.post(f"{where}/cancel")).json()
        begun = cancelled["remaining"]
        assert 1 <= begun <= 10, "what has begun goes on"
        assert cancelled["cancelled"] == 3000 - begun
        assert (await operator.post(f"{where}/cancel")).json()["cancelled"] == 3000 - begun
        gate.opened.set()
        assert (await operator.until(where, remaining=0))["cancelled"] == 3000 - begun
        assert (await operator.post("/syncs/nobody/cancel")).status_code == 404


async def test_lists_are_filtered_and_paged(bridge: BridgeFactory) -> None:
    clock = FakeClock()
    async with bridge(Wire(add=[REFUSED, reply(200, customer())]), clock=clock) as client:
        operator = Operator(client)
        await failed(client, 1)
        clock.advance(60)
        for number in range(2, 8):
            await client.post(WEBHOOK, json=envelope(person(number)))
        await client.post(WEBHOOK, json=envelope(notification(id="1", scope="customer/deleted", customer=...)))
        pages, cursor = [], None
        while True:
            page = await operator.get("/transfers", limit=3, **({"cursor": cursor} if cursor else {}))
            pages.append([item["customer_id"] for item in page["items"]])
            cursor = page["next"]
            if cursor is None:
                break
        assert pages == [["1", "7", "6"], ["5", "4", "3"], ["2", "1"]]

        async def listed(**query: Any) -> list[str]:
            return [item["status"] for item in (await operator.get("/transfers", **query))["items"]]

        assert await listed(status="failed") == ["failed"]
        assert await listed(customer_id="1") == ["skipped", "failed"]
        assert await listed(error="customer-create-or-update-failed") == ["failed"]
        assert await listed(error="customer-not-loaded") == []
        assert len(await listed(since="2026-11-24T10:00:30Z")) == 7
        assert len(await listed(limit=200)) == 8


@pytest.mark.parametrize(
    ("name", "value"),
    [("limit", "201"), ("limit", "0"), ("status", "lost"), ("error", "x"), ("since", "x"), ("cursor", "x")],
)
async def test_a_list_asked_for_wrongly(bridge: BridgeFactory, name: str, value: str) -> None:
    async with bridge() as client:
        answer = await Operator(client).call("GET", "/transfers", params={name: value})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == f"/{name}"


async def test_one_transfer_with_its_attempts(bridge: BridgeFactory) -> None:
    async with bridge(Wire(add=[REFUSED, reply(200, customer())])) as client:
        operator = Operator(client)
        notified = notification(scope="Customer/Updated")
        transfer_id = (await client.post(WEBHOOK, json=envelope(notified))).json()["instance"]
        shown = await operator.get(transfer_id)
        assert UUID(shown["transfer_id"])
        assert (shown["status"], shown["scope"], shown["trigger"]) == ("failed", "customer/updated", "webhook")
        assert (shown["tracking_guid"], shown["customer_id"]) == (GUID, "150713")
        assert shown["record"]["email_address"] == RECORD["email_address"]
        assert shown["error"]["type"] == "/errors/customer-create-or-update-failed"
        assert shown["next_attempt_at"] is None
        (attempt,) = shown["attempts"]
        assert attempt["outcome"] == "failed"
        assert attempt["stamped"] == {"operation": "create", "status": 422, "message": "Email is not valid."}
        assert attempt["started_at"] <= attempt["finished_at"]
        again = await operator.post(f"{transfer_id}/retry")
        assert again.status_code == 200
        assert again.json()["results"][0]["status"] == "succeeded"
        shown = await operator.get(transfer_id)
        assert [attempt["outcome"] for attempt in shown["attempts"]] == ["failed", "succeeded"]
        assert (shown["status"], shown["error"], shown["external_id"]) == ("succeeded", None, "143491")
        assert (await operator.call("GET", "/transfers/nobody")).status_code == 404


async def test_retry_and_cancel_where_they_make_no_sense(bridge: BridgeFactory) -> None:
    gate = Gate()
    async with bridge(Wire(add=gate)) as client:
        operator = Operator(client)
        caller = asyncio.create_task(client.post(WEBHOOK, json=envelope()))
        await gate.reached.wait()
        (item,) = (await operator.get("/transfers"))["items"]
        path = f"/transfers/{item['transfer_id']}"
        for what in ("retry", "cancel"):
            answer = await operator.post(f"{path}/{what}")
            assert answer.status_code == 409
            assert "running" in answer.json()["detail"]
        gate.opened.set()
        assert (await caller).status_code == 200
        for what in ("retry", "cancel"):
            answer = await operator.post(f"{path}/{what}")
            assert answer.status_code == 409
            assert answer.json()["type"] == "/errors/conflict"
            assert "succeeded" in answer.json()["detail"]
            assert (await operator.post(f"/transfers/nobody/{what}")).status_code == 404


async def test_a_waiting_one_shows_its_next_try_and_can_be_cancelled_and_run_again(
    bridge: BridgeFactory,
) -> None:
    async with bridge(Wire(add=[AWAY, AWAY, AWAY, reply(200, customer())])) as client:
        operator = Operator(client)
        accepted = await client.post(WEBHOOK, json=envelope(), headers=ASYNC)
        path = accepted.headers["Location"]
        waiting = await operator.until(path, status="waiting")
        assert waiting["next_attempt_at"].startswith("2026-11-24T10:21:0"), "20 minutes and half of 10 %"
        assert waiting["error"]["retryable"]
        assert waiting["attempts"][0]["stamped"]["status"] == 302
        listed = await operator.get("/transfers", status="waiting")
        assert listed["items"][0]["next_attempt_at"] == waiting["next_attempt_at"]
        cancelled = await operator.post(f"{path}/cancel")
        assert cancelled.status_code == 200
        assert (cancelled.json()["status"], cancelled.json()["next_attempt_at"]) == ("cancelled", None)
        assert (await operator.post(f"{path}/cancel")).status_code == 409
        assert (await operator.post(f"{path}/retry")).json()["results"][0]["status"] == "succeeded"


async def test_all_failed_ones_again(bridge: BridgeFactory) -> None:
    wire = Wire(add=REFUSED)
    async with bridge(wire) as client:
        operator = Operator(client)
        await failed(client, 1, 2, 3)
        wire.script(add=reply(200, customer()))
        wanted = {"status": "failed", "error": "customer-create-or-update-failed"}
        dry = await operator.post("/transfers/retry", wanted | {"dry_run": True})
        assert (dry.status_code, dry.json()["total"]) == (200, 3)
        assert (await operator.post("/transfers/retry", {"since": "2027-01-01", "dry_run": True})).json()[
            "total"
        ] == 0
        assert len((await operator.get("/transfers", status="failed"))["items"]) == 3
        answer = await operator.post("/transfers/retry", wanted)
        assert answer.status_code == 202
        counts = await operator.until(answer.headers["Location"], remaining=0)
        assert (counts["total"], counts["succeeded"]) == (3, 3)
        assert (await operator.post("/transfers/retry", {"status": "running"})).status_code == 422
        assert (await operator.post("/transfers/retry", {"dry": True})).status_code == 422


async def test_a_rerun_of_a_failed_sync_does_not_bring_back_an_older_consent(
    bridge: BridgeFactory, sandbox: Sandbox
) -> None:
    async with bridge(sandbox.transport, subscription_field="Consent") as client:
        operator = Operator(client)
        await client.post(WEBHOOK, json=consenting("yes", 1))
        await sandbox.fault(operation="update", status=401, times=None)
        sync = await operator.post("/syncs", {"customer_ids": ["150713"]})
        await operator.until(sync.headers["Location"], remaining=0, failed=1)
        await sandbox.mend()
        newer = (await client.post(WEBHOOK, json=consenting("no", 2))).json()["results"][0]
        assert newer["subscription"] == "unsubscribed"
        again = await operator.post("/transfers/retry", {"status": "failed"})
        counts = await operator.until(again.headers["Location"], remaining=0)
        (item,) = (await operator.get("/transfers", sync_id=sync.json()["sync_id"]))["items"]
    assert (counts["total"], counts["succeeded"]) == (1, 1)
    assert (item["status"], item["subscription"]) == ("succeeded", "unchanged"), "it sent the newest"
    assert [each["isSubscribed"] for each in await sandbox.customers()] == [False]


async def test_a_rerun_of_an_old_manual_sync_sends_the_newer_change_that_waits(
    bridge: BridgeFactory, sandbox: Sandbox
) -> None:
    clock = FakeClock()
    async with bridge(sandbox.transport, clock=clock, subscription_field="Consent") as client:
        operator = Operator(client)
        await client.post(WEBHOOK, json=consenting("yes", 1))
        await sandbox.fault(operation="update", status=401)
        manual = (await operator.post(SYNC)).json()["instance"]
        await sandbox.fault(operation="update", status=500, times=None)
        newer = (await client.post(WEBHOOK, json=consenting("no", 2), headers=ASYNC)).headers["Location"]
        await operator.until(newer, status="waiting")
        await sandbox.mend()
        again = await operator.post(f"{manual}/retry")
        assert (again.status_code, again.json()["results"][0]["status"]) == (200, "succeeded")
        assert (await operator.get(newer))["status"] == "succeeded"
    assert [each["isSubscribed"] for each in await sandbox.customers()] == [False]


async def test_what_another_version_has_stored_is_told(bridge: BridgeFactory, tmp_path: Path) -> None:
    """After an upgrade that was taken back there may be errors and triggers that this version does not know."""
    async with bridge(Wire(add=REFUSED)) as client:
        operator = Operator(client)
        (transfer_id,) = await failed(client)
        await client.post(WEBHOOK, json={"notifications": [{}]})
        await operator.get("/rejections")
        with sqlite3.connect(tmp_path / "bridge.db") as database:
            database.execute("UPDATE transfers SET error = 'unheard-of', \"trigger\" = 'moon'")
            database.execute("UPDATE rejections SET error = 'unheard-of'")
        database.close()
        (listed,) = (await operator.get("/transfers"))["items"]
        (refused,) = (await operator.get("/rejections"))["items"]
        shown = await operator.get(f"/transfers/{transfer_id}")
    assert (listed["error"], listed["trigger"], shown["trigger"]) == ("unheard-of", "moon", "moon")
    assert refused["error"] == "unheard-of"


async def test_rejections_show_why_and_never_what(bridge: BridgeFactory) -> None:
    async with bridge() as client:
        secret = "somebody@example.com"
        await client.post(WEBHOOK, content=f'{{"email": "{secret}"'.encode())
        await client.post(WEBHOOK, json={"notifications": secret})
        await client.post(WEBHOOK, json=envelope(), headers={"Authorization": f"Bearer {secret}"})
        await client.post(WEBHOOK, json=envelope())
        found = await Operator(client).get("/rejections")
    assert [item["status"] for item in found["items"]] == [401, 422, 400]
    assert [item["error"] for item in found["items"]] == ["unauthorized", "invalid-request", "invalid-request"]
    for item in found["items"]:
        assert set(item) == {"at", "status", "error", "reason", "address"}
        assert item["at"].startswith("2026-11-24T10:00:0")
        assert item["reason"]
        assert item["address"] == "127.0.0.1"
        assert secret not in str(item)
