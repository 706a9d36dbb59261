"""Repeats, patience and promises: what a caller of the webhook may rely on."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from app.clock import Clock
from tests.api.operating import ASYNC, AWAY, REFUSED, SYNC, Gate, Operator, person
from tests.conftest import BridgeFactory
from tests.support import (
    RECORD,
    WEBHOOK,
    Answer,
    FakeClock,
    Wire,
    customer,
    envelope,
    notification,
    reply,
    sent,
)


async def test_a_repeat_after_success_is_replayed(bridge: BridgeFactory) -> None:
    wire = Wire()
    async with bridge(wire) as client:
        first = await client.post(WEBHOOK, json=envelope())
        again = await client.post(WEBHOOK, json=envelope())
        mixed = await client.post(WEBHOOK, json=envelope(notification(), person(2)))
    assert "Idempotent-Replayed" not in first.headers
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.json() == first.json()
    assert "Idempotent-Replayed" not in mixed.headers, "only one of the two is a repeat"
    assert mixed.json()["results"][0] == first.json()["results"][0]
    assert wire.operations == ["add", "add"]


async def test_a_repeat_while_it_runs_waits_for_it(bridge: BridgeFactory) -> None:
    gate = Gate()
    wire = Wire(add=gate)
    async with bridge(wire) as client:
        first = asyncio.create_task(client.post(WEBHOOK, json=envelope()))
        await gate.reached.wait()
        second = asyncio.create_task(client.post(WEBHOOK, json=envelope()))
        promised = await client.post(WEBHOOK, json=envelope(), headers=ASYNC)
        assert promised.status_code == 202
        gate.opened.set()
        answers = await asyncio.gather(first, second)
    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].json() == answers[1].json()
    assert wire.operations == ["add"]


@pytest.mark.parametrize("answer", [REFUSED, AWAY])
async def test_a_repeat_after_failure_runs_again(bridge: BridgeFactory, answer: Answer) -> None:
    wire = Wire(add=answer)
    async with bridge(wire) as client:
        (transfer_id,) = [(await client.post(WEBHOOK, json=envelope())).json()["instance"]]
        wire.script(add=reply(200, customer()))
        again = await client.post(WEBHOOK, json=envelope())
    assert again.status_code == 200
    assert "Idempotent-Replayed" not in again.headers
    assert f"/transfers/{again.json()['results'][0]['transfer_id']}" == transfer_id


async def test_respond_async(bridge: BridgeFactory) -> None:
    gate = Gate()
    async with bridge(Wire(add=gate)) as client:
        answer = await client.post(WEBHOOK, json=envelope(), headers=ASYNC)
        assert answer.status_code == 202
        assert answer.headers["Preference-Applied"] == "respond-async"
        (result,) = answer.json()["results"]
        assert answer.headers["Location"] == f"/transfers/{result['transfer_id']}"
        assert (result["status"], result["action"], result["external_id"]) == ("accepted", None, None)
        gate.opened.set()
        await Operator(client).until(answer.headers["Location"], status="succeeded")


@pytest.mark.parametrize("prefer", [None, "wait=1"])
async def test_patience_that_ends_is_answered_202(bridge: BridgeFactory, prefer: str | None) -> None:
    gate = Gate()
    overrides: dict[str, Any] = {} if prefer else {"response_timeout_seconds": 0.05}
    async with bridge(Wire(add=gate), clock=Clock(), **overrides) as client:
        answer = await client.post(WEBHOOK, json=envelope(), headers={"Prefer": prefer} if prefer else {})
        assert answer.status_code == 202
        assert answer.headers.get("Preference-Applied") == prefer
        operator = Operator(client)
        shown = await operator.get(answer.headers["Location"])
        assert (shown["status"], shown["promised"]) == ("running", True)
        gate.opened.set()
        await operator.until(answer.headers["Location"], status="succeeded")


async def test_a_caller_with_more_patience_than_is_needed(bridge: BridgeFactory) -> None:
    async with bridge() as client:
        answer = await client.post(WEBHOOK, json=envelope(), headers={"Prefer": "wait=500"})
        assert answer.status_code == 200
        assert answer.headers["Preference-Applied"] == "wait=120"


async def test_a_caller_that_was_told_the_error_leaves_no_schedule(bridge: BridgeFactory) -> None:
    clock, wire = FakeClock(), Wire(add=AWAY)
    async with bridge(wire, clock=clock) as client:
        operator = Operator(client)
        answer = await client.post(WEBHOOK, json=envelope())
        assert answer.status_code == 502
        assert answer.json()["retryable"]
        made = len(wire.requests)
        shown = await operator.get(answer.json()["instance"])
        assert (shown["status"], shown["next_attempt_at"], shown["promised"]) == ("failed", None, False)
        clock.advance(24 * 3600)
        promised = await client.post(WEBHOOK, json=envelope(person(2)), headers=ASYNC)
        await operator.until(promised.headers["Location"], status="waiting")
        assert {sent(request)["email"] for request in wire.requests[made:]} == {"person2@example.com"}
        clock.advance(21 * 60 + 1)
        wire.script(add=reply(200, customer()))
        await operator.until(promised.headers["Location"], status="succeeded")


@pytest.mark.parametrize("again", ["by its caller", "by hand"])
async def test_a_promised_one_that_is_run_again_and_fails_stays_promised(
    bridge: BridgeFactory, again: str
) -> None:
    clock = FakeClock()
    async with bridge(Wire(add=AWAY), clock=clock) as client:
        operator = Operator(client)
        where = (await client.post(WEBHOOK, json=envelope(), headers=ASYNC)).headers["Location"]
        before = await operator.until(where, status="waiting")
        clock.advance(60)
        if again == "by hand":
            answer = await operator.post(f"{where}/retry")
        else:
            answer = await client.post(WEBHOOK, json=envelope())
        assert (answer.status_code, answer.headers["Location"]) == (202, where)
        shown = await operator.get(where)
        assert (shown["status"], shown["promised"]) == ("waiting", True)
        assert shown["next_attempt_at"] > before["next_attempt_at"]


async def test_a_manual_sync_shares_the_promise_of_what_it_covers(bridge: BridgeFactory) -> None:
    wire = Wire(add=AWAY)
    async with bridge(wire) as client:
        operator = Operator(client)
        where = (await client.post(WEBHOOK, json=envelope(), headers=ASYNC)).headers["Location"]
        await operator.until(where, status="waiting")
        answer = await operator.post(SYNC)
        assert answer.status_code == 202
        manual = answer.headers["Location"]
        for each in (where, manual):
            shown = await operator.get(each)
            assert (shown["status"], shown["promised"]) == ("waiting", True)
        wire.script(add=reply(200, customer()))
        assert (await operator.post(f"{manual}/retry")).status_code == 200
        for each in (where, manual):
            assert (await operator.get(each))["status"] == "succeeded"
        assert wire.operations.count("add") == 7, "one attempt for both"


async def test_what_a_failed_newer_one_precedes_is_superseded_at_once(bridge: BridgeFactory) -> None:
    wire = Wire(add=AWAY)
    async with bridge(wire) as client:
        operator = Operator(client)
        newer, older = (
            notification(tracking_guid=guid, customer=RECORD | {"updated_datetime": moment})
            for guid, moment in (
                ("3c90c3cc-0d44-4b50-8888-000000000002", "2026-11-24T10:02:00Z"),
                ("3c90c3cc-0d44-4b50-8888-000000000001", "2026-11-24T10:01:00Z"),
            )
        )
        failed = (await client.post(WEBHOOK, json=envelope(newer))).json()["instance"]
        late = await client.post(WEBHOOK, json=envelope(older), headers=ASYNC)
        assert (late.status_code, late.json()["results"][0]["status"]) == (200, "skipped")
        shown = await operator.get(f"/transfers/{late.json()['results'][0]['transfer_id']}")
        assert shown["superseded_by"] == failed.removeprefix("/transfers/")
        assert wire.operations.count("add") == 3, "nothing was sent for it"
        assert (await operator.get(failed))["status"] == "failed"
