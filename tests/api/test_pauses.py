"""Pauses as callers and operators meet them (contract, "Pauses"), in faked time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import partial
from typing import Any

import httpx
import pytest

from app.engine import dispatcher
from tests.api.operating import Operator, person
from tests.conftest import BridgeFactory
from tests.support import VIEWER_KEY, WEBHOOK, FakeClock, Wire, customer, envelope, raising, reply, sent

BROKEN = reply(503, {"message": "Down."})
FINE = reply(200, customer())
WHERE = "/connections"


@pytest.fixture(autouse=True)
def _looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatcher, "_LOOK_SECONDS", 0.003)


async def hook(client: httpx.AsyncClient, number: int = 1, **headers: str) -> httpx.Response:
    return await client.post(WEBHOOK, json=envelope(person(number)), headers=headers)


async def state(operator: Operator) -> dict[str, Any]:
    (found,) = (await operator.get(WHERE))["items"]
    return dict(found)


async def until(holds: Callable[[], Awaitable[Any]]) -> None:
    async with asyncio.timeout(10):
        while not await holds():  # noqa: ASYNC110 - over HTTP only
            await asyncio.sleep(0.002)


def waits(shown: dict[str, Any], clock: FakeClock) -> float:
    """Seconds until it is tried."""
    return (datetime.fromisoformat(shown["next_attempt_at"]) - clock.now()).total_seconds()


# ---- 429


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, 60),
        ("", 60),
        ("0", 1),
        ("-5", 60),
        ("1.5", 1.5),
        ("soon", 60),
        ("1e9", 60),
        ("90", 90),
        ("3601", 3600),
        ("9" * 400, 3600),
        ("Tue, 24 Nov 1999 10:00:00 GMT", 1),
        ("Tue, 24 Nov 2099 10:00:00 GMT", 3600),
    ],
)
async def test_a_429_is_a_wait_and_no_error(bridge: BridgeFactory, value: str | None, seconds: float) -> None:
    """As long as `Retry-After` says, within a second and an hour."""
    clock = FakeClock()
    slow = reply(429, {"message": "Slow."}, headers={} if value is None else {"Retry-After": value})
    async with bridge(Wire(add=[slow, FINE]), clock=clock, response_timeout_seconds=0.5) as client:
        operator = Operator(client)
        answer = await hook(client)
        (result,) = answer.json()["results"]
        assert (answer.status_code, result["status"]) == (202, "accepted")
        shown = await operator.get(answer.headers["Location"])
        assert waits(shown, clock) == pytest.approx(seconds, abs=0.01)
        assert result["reason"] == shown["reason"]
        assert shown["reason"].startswith("Waits for the throttle")
        assert (shown["error"], shown["attempts"][0]["outcome"]) == (None, "throttled")
        assert shown["attempts"][0]["calls"][0]["status"] == 429
        clock.advance(seconds + 0.01)
        await operator.until(answer.headers["Location"], status="succeeded")


async def test_who_can_wait_for_it_gets_a_200_and_who_cannot_a_202_at_once(bridge: BridgeFactory) -> None:
    clock, wire = FakeClock(), Wire(add=[reply(429, headers={"Retry-After": "20"}), FINE])
    async with bridge(wire, clock=clock) as client:
        operator = Operator(client)
        patient = asyncio.create_task(hook(client, 1))
        await until(lambda: _is(operator, "throttled"))
        impatient = await hook(client, 2, Prefer="wait=5")
        assert (impatient.status_code, len(wire.requests)) == (202, 1)
        waiting = asyncio.create_task(hook(client, 3))
        await until(lambda: _waiting(operator, callers=2))
        clock.advance(20.1)
        assert [(await each).status_code for each in (patient, waiting)] == [200, 200]
        await operator.until(impatient.headers["Location"], status="succeeded")


async def test_no_number_of_waits_uses_up_a_try(bridge: BridgeFactory) -> None:
    clock = FakeClock()
    slow = reply(429, headers={"Retry-After": "600"})
    async with bridge(Wire(add=[*[slow] * 12, FINE]), clock=clock) as client:
        operator = Operator(client)
        where = (await hook(client, Prefer="respond-async")).headers["Location"]
        for number in range(12):
            await operator.until(where, attempts_made=number + 1, status="accepted")
            clock.advance(601)
        shown = await operator.until(where, status="succeeded")
    assert [each["outcome"] for each in shown["attempts"]] == ["throttled"] * 12 + ["succeeded"]


async def test_between_upsert_and_subscription_it_waits_too_and_ends_whole(bridge: BridgeFactory) -> None:
    clock = FakeClock()
    wire = Wire(subscribe=[reply(429, headers={"Retry-After": "90"}), reply(200, {})])
    async with bridge(wire, clock=clock, subscription_field="Consent") as client:
        operator = Operator(client)
        fields = {"custom_fields": [{"custom_field_name": "Consent", "value": "yes"}]}
        notification = person(1)
        notification["customer"] |= fields
        answer = await client.post(WEBHOOK, json=envelope(notification))
        assert answer.status_code == 202
        clock.advance(91)
        shown = await operator.until(answer.headers["Location"], status="succeeded")
    assert shown["subscription"] == "subscribed"
    assert wire.operations.count("add") == 1, "the customer was linked before"


# ---- the window's calls are spent


async def test_what_the_window_has_no_call_for_waits_for_its_end(bridge: BridgeFactory) -> None:
    """An attempt may need two, and three are allowed."""
    clock, wire = FakeClock(), Wire(add=FINE)
    limits: dict[str, Any] = {"stamped_api_throttle_limit": 3, "stamped_api_throttle_seconds": 60}
    async with bridge(wire, clock=clock, **limits) as client:
        operator = Operator(client)
        assert [(await hook(client, number)).status_code for number in (1, 2)] == [200, 200]
        late = await hook(client, 3)
        assert late.status_code == 202
        shown = await operator.get(late.headers["Location"])
        assert waits(shown, clock) == pytest.approx(60, abs=1.5)
        patient = asyncio.create_task(hook(client, 4, Prefer="wait=100"))
        await until(lambda: _waiting(operator, callers=1, promised=1))
        found = await state(operator)
        assert (found["state"], found["calls_left"]) == ("throttled", 0)
        assert len(wire.requests) == 2
        clock.advance(61.5)
        assert (await patient).status_code == 200
        await operator.until(late.headers["Location"], status="succeeded")


# ---- down


@pytest.mark.parametrize(("failures", "expected"), [(4, "flowing"), (5, "down")])
@pytest.mark.parametrize("broken", [BROKEN, raising(httpx.ConnectError("x")), raising(httpx.ReadTimeout("x"))])
async def test_five_failures_in_a_row_are_an_outage(
    bridge: BridgeFactory, failures: int, expected: str, broken: Any
) -> None:
    wire = Wire(add=[broken] * 3 + [broken] * (failures - 3) + [reply(302, text="")])
    async with bridge(wire) as client:
        assert (await hook(client, 1)).status_code in {502, 504}
        await hook(client, 2)
        assert (await state(Operator(client)))["state"] == expected


async def test_an_outage_is_probed_and_ends_with_a_success(bridge: BridgeFactory) -> None:
    clock, wire = FakeClock(), Wire(add=BROKEN, search=BROKEN)
    async with bridge(wire, clock=clock) as client:
        operator = Operator(client)
        await hook(client, 1)
        places = [(await hook(client, number)).headers["Location"] for number in (2, 3, 4)]
        assert len(wire.requests) == 5
        probes = []
        for seconds in (5, 10, 20, 40, 80, 160, 300, 300):
            before = len(wire.requests)
            clock.advance(seconds - 0.5)
            await asyncio.sleep(0.02)
            assert len(wire.requests) == before, "not before its time"
            clock.advance(0.6)
            await until(partial(_more, wire, before))
            probes.append(wire.operations[before:])
            await until(lambda: _running(operator, 0))
        assert all(len(each) == 1 for each in probes), probes
        assert probes[-1] == ["search"], "each transfer was tried once"
        wire.script(add=FINE, search=reply(body={"results": []}))
        clock.advance(301)
        for where in places:
            shown = await operator.until(where, status="succeeded")
            assert {each["outcome"] for each in shown["attempts"]} == {"down", "succeeded"}
        assert (await state(operator))["state"] == "flowing"


async def test_one_that_breaks_stamped_each_time_keeps_nobody_else_out(bridge: BridgeFactory) -> None:
    def some(request: httpx.Request) -> httpx.Response:
        breaks = sent(request)["email"] == "person1@example.com"
        return httpx.Response(500) if breaks else httpx.Response(200, json=customer())

    clock = FakeClock()
    async with bridge(Wire(add=some), clock=clock) as client:
        operator = Operator(client)
        poison = (await hook(client, 1, Prefer="respond-async")).headers["Location"]
        await operator.until(poison, status="waiting")
        assert (await operator.post(f"{poison}/retry")).status_code == 202
        assert (await state(operator))["state"] == "down"
        others = [(await hook(client, number)).headers["Location"] for number in (2, 3)]
        clock.advance(5.1)
        for where in others:
            await operator.until(where, status="succeeded")


# ---- by hand


async def test_a_pause_by_hand_holds_everything_until_it_is_resumed(bridge: BridgeFactory) -> None:
    clock, wire = FakeClock(), Wire(add=FINE)
    async with bridge(wire, clock=clock, viewer_api_key=VIEWER_KEY) as client:
        operator, viewer = Operator(client), Operator(client, VIEWER_KEY)
        await hook(client, 1)
        made = len(wire.requests)
        assert (await viewer.post(f"{WHERE}/default/pause")).status_code == 403
        paused = (await operator.post(f"{WHERE}/default/pause", {"reason": "Stock-taking"})).json()
        assert (paused["state"], paused["reason"], paused["until"]) == ("paused", "Stock-taking", None)
        answer = await hook(client, 2)
        assert (answer.status_code, answer.json()["results"][0]["reason"][-13:]) == (202, "Stock-taking.")
        bulk = (await operator.post("/syncs", {"customer_ids": ["1"]})).headers["Location"]
        assert (await operator.post("/customers/1/sync")).status_code == 202
        clock.advance(24 * 3600)
        await asyncio.sleep(0.03)
        assert len(wire.requests) == made
        assert (await viewer.get("/readyz"))["status"] == "warn"
        resumed = (await operator.post(f"{WHERE}/default/resume")).json()
        assert (resumed["state"], resumed["since"]) == ("flowing", None)
        shown = await operator.until(answer.headers["Location"], status="succeeded")
        assert [deed["what"] for deed in shown["trail"][:2]] == ["paused", "resumed"]
        await operator.until(bulk, remaining=0)


@pytest.mark.parametrize("action", ["pause", "resume"])
async def test_another_connection_is_none(bridge: BridgeFactory, action: str) -> None:
    async with bridge() as client:
        answer = await Operator(client).post(f"{WHERE}/1796/{action}")
    assert (answer.status_code, answer.json()["type"]) == (404, "/errors/not-found")


async def _is(operator: Operator, wanted: str) -> bool:
    return bool((await state(operator))["state"] == wanted)


async def _waiting(operator: Operator, **counts: int) -> bool:
    found = (await state(operator))["waiting"]
    return all(found[rank] == count for rank, count in counts.items())


async def _more(wire: Wire, before: int) -> bool:
    return len(wire.requests) > before


async def _running(operator: Operator, count: int) -> bool:
    return bool((await operator.get("/readyz"))["checks"][0]["running"] == count)
