"""`POST /webhooks/customers`: what became of each notification."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from app.error_catalog import Slug
from tests.conftest import BridgeFactory, Sandbox
from tests.support import (
    EMAIL,
    GUID,
    IPAAS,
    RECORD,
    WEBHOOK,
    FakeClock,
    Wire,
    customer,
    envelope,
    notification,
    operation_of,
    reply,
    sent,
    with_consent,
)

RESULT = {
    "transfer_id",
    "tracking_guid",
    "customer_id",
    "connection",
    "status",
    "action",
    "external_id",
    "subscription",
    "reason",
}
LINK = {"external_ids": [{"system_id": "1796", "external_id": "143491"}]}
GUIDS = [f"3c90c3cc-0d44-4b50-8888-00000000000{number}" for number in range(10)]


def person(number: int, **fields: Any) -> dict[str, Any]:
    """A notification about another customer."""
    record = RECORD | {"id": number, "email_address": f"person{number}@example.com"} | fields
    return notification(id=str(number), tracking_guid=GUIDS[number], customer=record)


async def test_a_result_has_everything_and_ids_are_text(bridge: BridgeFactory) -> None:
    async with bridge() as client:
        answer = await client.post(WEBHOOK, json=envelope())
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "application/json"
    (result,) = answer.json()["results"]
    assert set(result) == RESULT
    assert result.pop("transfer_id")
    assert result == {
        "tracking_guid": GUID,
        "customer_id": "150713",
        "connection": "default",
        "status": "succeeded",
        "action": "created",
        "external_id": "143491",
        "subscription": "not_mapped",
        "reason": None,
    }


async def test_results_stand_in_the_order_of_the_notifications(bridge: BridgeFactory) -> None:
    """Whatever the order in which Stamped.io answers."""
    second_is_done = asyncio.Event()

    async def add(request: httpx.Request) -> httpx.Response:
        email = sent(request)["email"]
        if email.startswith("person1"):
            await second_is_done.wait()
        else:
            second_is_done.set()
        return httpx.Response(200, json=customer(int(email[6]), email))

    async with bridge(Wire(add=add)) as client:
        answer = await client.post(WEBHOOK, json=envelope(person(1), person(2), person(3)))
    results = answer.json()["results"]
    assert [result["customer_id"] for result in results] == ["1", "2", "3"]
    assert [result["external_id"] for result in results] == ["1", "2", "3"]
    assert [result["tracking_guid"] for result in results] == GUIDS[1:4]
    assert len({result["transfer_id"] for result in results}) == 3


def refuse_some(request: httpx.Request) -> httpx.Response:
    email = sent(request)["email"]
    status = {"person2@example.com": 400, "person3@example.com": 401}.get(email, 200)
    return httpx.Response(status, json=customer(email=email) if status == 200 else {"message": f"No {status}."})


async def test_of_several_failures_the_first_is_the_problem_and_all_results_follow(bridge: BridgeFactory) -> None:
    async with bridge(Wire(add=refuse_some)) as client:
        notifications = [person(1), person(2), person(3), notification(scope="customer/deleted", id="4")]
        answer = await client.post(WEBHOOK, json=envelope(*notifications))
    problem = answer.json()
    assert (answer.status_code, problem["customer_id"]) == (422, "2")
    assert problem["tracking_guid"] == GUIDS[2]
    assert problem["stamped"]["message"] == "No 400."
    results = problem["results"]
    assert [result["status"] for result in results] == ["succeeded", "failed", "failed", "skipped"]
    assert all(set(result) == RESULT for result in results)
    assert problem["instance"] == f"/transfers/{results[1]['transfer_id']}"
    assert results[1]["reason"] == problem["detail"]
    assert "HTTP status 401" in results[2]["reason"]


async def test_a_single_failure_has_no_results(bridge: BridgeFactory) -> None:
    async with bridge(Wire(add=reply(400))) as client:
        answer = await client.post(WEBHOOK, json=envelope())
    assert answer.status_code == 422
    assert "results" not in answer.json()


async def test_skipped_and_succeeded_together_are_a_200(bridge: BridgeFactory) -> None:
    async with bridge() as client:
        answer = await client.post(WEBHOOK, json=envelope(person(1), notification(scope="customer/deleted")))
    assert answer.status_code == 200
    assert [result["status"] for result in answer.json()["results"]] == ["succeeded", "skipped"]


async def test_a_hook_without_a_record_fetches_it(bridge: BridgeFactory) -> None:
    wire = Wire()
    async with bridge(wire, **IPAAS) as client:
        answer = await client.post(WEBHOOK, json=envelope(notification(customer=...)))
    assert answer.json()["results"][0]["action"] == "created"
    assert wire.operations == ["load", "lookup", "add", "write_back"]
    assert dict(wire.last("load").url.params) == {"trackingGuid": GUID}


async def test_a_record_sent_along_is_used_as_it_is(bridge: BridgeFactory) -> None:
    wire = Wire()
    async with bridge(wire, **IPAAS) as client:
        await client.post(WEBHOOK, json=envelope(notification(customer=RECORD | {"first_name": "Sent"})))
    assert "load" not in wire.operations
    assert sent(wire.last("add"))["firstName"] == "Sent"


@pytest.mark.parametrize("scope", ["customer/created", "customer/updated"])
@pytest.mark.parametrize(("link", "action"), [({}, "created"), (LINK, "updated")], ids=["no link", "link"])
async def test_the_link_decides_and_not_the_scope(
    bridge: BridgeFactory, scope: str, link: dict[str, Any], action: str
) -> None:
    async with bridge() as client:
        answer = await client.post(WEBHOOK, json=envelope(notification(scope=scope, customer=RECORD | link)))
    assert answer.json()["results"][0]["action"] == action


async def test_a_passing_failure_is_repeated_within_the_callers_time(bridge: BridgeFactory) -> None:
    wire, clock = Wire(add=[reply(500), reply(302), reply(body=customer())]), FakeClock()
    async with bridge(wire, clock=clock) as client:
        answer = await client.post(WEBHOOK, json=envelope())
    assert answer.status_code == 200
    assert wire.operations == ["add"] * 3


async def test_a_failed_subscription_keeps_the_customer_and_the_re_run_is_an_update(bridge: BridgeFactory) -> None:
    wire = Wire(subscribe=reply(400, {"message": "No."}))
    body = envelope(notification(customer=with_consent("yes")))
    async with bridge(wire, subscription_field="Consent") as client:
        failed = await client.post(WEBHOOK, json=body)
        wire.script(subscribe=reply())
        again = await client.post(WEBHOOK, json=body)
    assert (failed.status_code, failed.json()["type"]) == (422, Slug.SUBSCRIPTION.type)
    assert failed.json()["external_id"] == "143491"
    (result,) = again.json()["results"]
    assert (result["action"], result["subscription"]) == ("updated", "subscribed")
    assert wire.operations.count("add") == 1


async def test_a_failed_write_back_is_told_and_no_error(bridge: BridgeFactory) -> None:
    async with bridge(Wire(write_back=reply(400, {"message": "VALD-1: no"})), **IPAAS) as client:
        answer = await client.post(WEBHOOK, json=envelope())
    (result,) = answer.json()["results"]
    assert result["status"] == "succeeded"
    assert "VALD-1" in result["reason"]


async def test_a_link_is_written_back_once_to_each_destination(bridge: BridgeFactory) -> None:
    wire = Wire()
    async with bridge(wire, **IPAAS) as client:
        for guid, destination in zip(GUIDS, ["1796", "1796", None, "1797", "1797"], strict=False):
            await client.post(WEBHOOK, json=envelope(notification(tracking_guid=guid, destination=destination)))
    assert wire.operations == ["lookup", "add", "write_back", *["update"] * 3, "write_back", "update"]
    written = [sent(request) for request in wire.requests if operation_of(request) == "write_back"]
    assert [(body["system_id"], body["external_id"]) for body in written] == [(1796, "143491"), (1797, "143491")]


async def test_a_web_page_is_no_write_back_and_the_next_transfer_writes_it_back(bridge: BridgeFactory) -> None:
    wire = Wire(write_back=reply(text="<h1>We'll be right back</h1>"))
    reasons = []
    async with bridge(wire, **IPAAS) as client:
        for guid in GUIDS[:3]:
            answer = await client.post(WEBHOOK, json=envelope(notification(tracking_guid=guid)))
            assert answer.status_code == 200
            reasons.append(answer.json()["results"][0]["reason"])
            wire.script(write_back=reply())
    assert "could not be written back" in reasons[0]
    assert "web page" in reasons[0]
    assert reasons[1:] == [None, None]
    assert wire.operations == ["lookup", "add", *["write_back"] * 3, "update", "write_back", "update"]


FLOW_STYLES = ["flat", "nested", "text_id", "no_subscribed"]
ALL_STYLES = [*FLOW_STYLES, "data", "result", "list", "null_subscribed", "no_id", "empty", "null", "true", "text"]
# action: (seeded state or None, linked, consent or none, expected action, subscription, state after)
ACTIONS: dict[str, tuple[bool | None, bool, Any, str, str, bool]] = {
    "create": (None, False, ..., "created", "not_mapped", False),
    "update": (False, True, ..., "updated", "not_mapped", False),
    "subscribe": (False, True, "yes", "updated", "subscribed", True),
    "unsubscribe": (True, True, "no", "updated", "unsubscribed", False),
    "unchanged": (True, True, "yes", "updated", "unchanged", True),
}


async def run_action(bridge: BridgeFactory, sandbox: Sandbox, style: str, action: str) -> list[str]:
    """Runs one through the whole product, checks answer and state, and gives the calls that were made."""
    seeded, linked, consent, done, subscription, after = ACTIONS[action]
    if style == "no_subscribed" and action == "unchanged":
        subscription = "subscribed"  # this style never tells the state: unknown, so the call is made
    if seeded is not None:
        await sandbox.seed(email=EMAIL, firstName="Old", isSubscribed=seeded)
    await sandbox.style(style)
    record = with_consent(consent) | (LINK if linked else {})
    async with bridge(sandbox.transport, subscription_field="Consent") as client:
        answer = await client.post(WEBHOOK, json=envelope(notification(customer=record)))
    assert answer.status_code == 200, answer.text
    (result,) = answer.json()["results"]
    assert (result["action"], result["external_id"], result["subscription"]) == (done, "143491", subscription)
    (stored,) = await sandbox.customers()
    expected = {"firstName": "Annabell", "lastName": "Quisling", "externalId": "C-1001", "isSubscribed": after}
    assert {name: stored[name] for name in expected} == expected
    return await sandbox.operations()


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("style", FLOW_STYLES)
async def test_every_action_in_every_style(
    bridge: BridgeFactory, sandbox: Sandbox, style: str, action: str
) -> None:
    operations = await run_action(bridge, sandbox, style, action)
    first = "update" if ACTIONS[action][1] else "add"
    asked = ["get"] if style == "no_subscribed" and action not in {"create", "update"} else []
    called = {"subscribe": ["subscribe"], "unsubscribe": ["unsubscribe"]}.get(
        action, ["subscribe"] if asked else []
    )
    assert operations == [first, *asked, *called]


@pytest.mark.parametrize("style", ALL_STYLES)
async def test_creating_in_every_style_takes_one_add(bridge: BridgeFactory, sandbox: Sandbox, style: str) -> None:
    operations = await run_action(bridge, sandbox, style, "create")
    assert operations.count("add") == 1
    assert set(operations) <= {"add", "search"}
