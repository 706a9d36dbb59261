"""Problems: what Stamped.io did → what the caller gets (contract, the two tables under "Problems")."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from app.error_catalog import CATALOG, Slug
from tests.conftest import BridgeFactory
from tests.support import (
    GUID,
    IPAAS,
    RECORD,
    WEBHOOK,
    Answer,
    Wire,
    envelope,
    never,
    notification,
    raising,
    reply,
    with_consent,
)

MEMBERS = {
    "type",
    "title",
    "status",
    "detail",
    "instance",
    "description",
    "resolution",
    "retryable",
    "tracking_guid",
    "customer_id",
    "external_id",
    "stamped",
}
BAD_KEY = "The API key you supplied is not valid."
ROWS = [
    pytest.param(
        reply(401, {"message": BAD_KEY}),
        502,
        False,
        401,
        f"HTTP status 401 Unauthorized: {BAD_KEY}",
        id="401 keys",
    ),
    pytest.param(reply(403, {"message": "No."}), 502, False, 403, "HTTP status 403 Forbidden: No.", id="403 keys"),
    pytest.param(
        reply(404, {"message": "No store."}),
        502,
        False,
        404,
        "HTTP status 404 Not Found: No store.",
        id="404 store",
    ),
    pytest.param(
        reply(400, {"error": "Bad."}), 422, False, 400, "HTTP status 400 Bad Request: Bad.", id="400 data"
    ),
    pytest.param(
        reply(409, {"errors": ["Taken."]}), 422, False, 409, "HTTP status 409 Conflict: Taken.", id="409 data"
    ),
    pytest.param(
        reply(422, text="<b>Odd.</b>"),
        422,
        False,
        422,
        "HTTP status 422 Unprocessable Entity: Odd.",
        id="422 data",
    ),
    pytest.param(reply(418, text=""), 422, False, 418, "HTTP status 418 I'm a Teapot.", id="other 4xx"),
    pytest.param(reply(500, text=""), 502, True, 500, "HTTP status 500 Internal Server Error.", id="500"),
    pytest.param(
        reply(503, {"message": "Down."}), 502, True, 503, "HTTP status 503 Service Unavailable: Down.", id="503"
    ),
    pytest.param(
        raising(httpx.ConnectError("x")),
        502,
        True,
        None,
        "No answer: no connection (ConnectError).",
        id="no connection",
    ),
    pytest.param(
        reply(302, text="", headers={"Location": "/"}), 502, True, 302, "HTTP status 302 Found.", id="nonsense"
    ),
    pytest.param(
        reply(text="x" * 1_100_000),
        502,
        True,
        200,
        "HTTP status 200 OK: the answer is longer than 1 MiB",
        id="endless",
    ),
    pytest.param(
        reply(body={"httpStatusCode": 401}), 502, False, 401, "HTTP status 401 Unauthorized: ", id="401 in a 200"
    ),
    pytest.param(
        reply(body={"success": False, "message": "No."}),
        422,
        False,
        200,
        "HTTP status 200 OK: No.",
        id="no success",
    ),
    pytest.param(never, 504, True, None, "No answer: timed out after 0.02 s.", id="no answer in time"),
]
STEPS = {
    "create": (Slug.CUSTOMER, "add", None, False),
    "update": (Slug.CUSTOMER, "update", "143491", True),
    "subscribe": (Slug.SUBSCRIPTION, "subscribe", "143491", False),
    "unsubscribe": (Slug.SUBSCRIPTION, "unsubscribe", "143491", False),
}
LINK = {"external_ids": [{"system_id": 1796, "external_id": "143491"}]}


async def problem_of(
    bridge: BridgeFactory, wire: Wire, record: dict[str, Any], **settings: Any
) -> tuple[httpx.Response, dict[str, Any]]:
    async with bridge(wire, stamped_timeout_seconds=0.02, **settings) as client:
        answer = await client.post(WEBHOOK, json=envelope(notification(customer=record)))
    assert answer.headers["Content-Type"] == "application/problem+json"
    problem: dict[str, Any] = answer.json()
    assert problem["status"] == answer.status_code
    return answer, problem


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize(("reaction", "status", "retryable", "told", "after"), ROWS)
async def test_what_stamped_did_and_what_the_caller_gets(
    bridge: BridgeFactory,
    reaction: Answer,
    status: int,
    told: int | None,
    after: str,
    step: str,
    *,
    retryable: bool,
) -> None:
    slug, operation, external_id, linked = STEPS[step]
    wire = Wire(**{operation: reaction})
    if step == "update":
        wire.script(add=reaction)  # a stale link falls back to adding
    if step == "unsubscribe":
        wire.script(add=reply(body={"id": 143491, "isSubscribed": True}))
    record = with_consent("no" if step == "unsubscribe" else "yes") | (LINK if linked else {})
    answer, problem = await problem_of(bridge, wire, record, subscription_field="Consent")
    entry = CATALOG[slug]
    assert answer.status_code == status
    assert set(problem) == MEMBERS
    assert problem["detail"].startswith(f"{entry.sentence} {after}")
    assert problem["retryable"] is retryable
    gone = step == "update" and told == 404
    assert problem["external_id"] == (None if gone else external_id)
    assert problem["stamped"]["operation"] == ("create" if gone else step), "the last failure counts"
    assert problem["stamped"]["status"] == told
    assert problem["instance"].startswith("/transfers/")
    expected = (slug.type, entry.title, entry.description, entry.resolution, GUID, "150713")
    members = ("type", "title", "description", "resolution", "tracking_guid", "customer_id")
    assert tuple(problem[member] for member in members) == expected
    assert ("Retry-After" in answer.headers) is (status == 503)


@pytest.mark.parametrize("email", [None, "", "anna", "anna@example", "anna@@example.com"], ids=repr)
async def test_no_valid_email_is_a_422_found_before_any_call(bridge: BridgeFactory, email: str | None) -> None:
    wire = Wire()
    _, problem = await problem_of(bridge, wire, RECORD | {"email_address": email}, **IPAAS)
    assert (problem["status"], problem["type"]) == (422, Slug.CUSTOMER.type)
    assert problem["detail"].startswith(CATALOG[Slug.CUSTOMER].sentence)
    assert problem["stamped"] == {"operation": None, "status": None, "message": None}
    assert (problem["retryable"], problem["external_id"]) == (False, None)
    assert wire.operations == []


async def test_unreadable_consent_is_a_422_that_names_the_value(bridge: BridgeFactory) -> None:
    wire = Wire()
    _, problem = await problem_of(bridge, wire, with_consent("perhaps"), subscription_field="Consent")
    assert (problem["status"], problem["type"]) == (422, Slug.SUBSCRIPTION.type)
    assert "'perhaps'" in problem["detail"]
    assert problem["external_id"] == "143491"
    assert wire.operations == ["add"]


async def test_a_record_that_cannot_be_loaded(bridge: BridgeFactory) -> None:
    wire = Wire(load=reply(401, {"message": "AUTH-7: expired"}))
    async with bridge(wire, **IPAAS) as client:
        answer = await client.post(WEBHOOK, json=envelope(notification(customer=...)))
    problem = answer.json()
    assert (answer.status_code, problem["type"]) == (502, Slug.NOT_LOADED.type)
    assert set(problem) == MEMBERS
    assert (
        problem["detail"] == f"{CATALOG[Slug.NOT_LOADED].sentence} HTTP status 401 Unauthorized: AUTH-7: expired"
    )


@pytest.mark.parametrize(
    ("method", "path", "status", "slug"),
    [
        ("GET", "/nowhere", 404, Slug.NOT_FOUND),
        ("POST", "/webhooks", 404, Slug.NOT_FOUND),
        ("GET", WEBHOOK, 405, Slug.METHOD_NOT_ALLOWED),
        ("DELETE", WEBHOOK, 405, Slug.METHOD_NOT_ALLOWED),
        ("POST", "/livez", 405, Slug.METHOD_NOT_ALLOWED),
    ],
)
async def test_the_routers_own_errors_are_problems(
    bridge: BridgeFactory, method: str, path: str, status: int, slug: Slug
) -> None:
    async with bridge() as client:
        answer = await client.request(method, path)
    assert (answer.status_code, answer.json()["type"]) == (status, slug.type)
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["title"] == CATALOG[slug].title
    assert answer.headers.get("Allow") == ({WEBHOOK: "POST", "/livez": "GET"}[path] if status == 405 else None)


async def test_a_service_that_has_not_started_says_when_to_come_back(bridge: BridgeFactory) -> None:
    async with bridge(started=False) as client:
        answer = await client.post(WEBHOOK, json=RECORD)
    assert (answer.status_code, answer.json()["type"]) == (503, Slug.SERVICE_UNAVAILABLE.type)
    assert int(answer.headers["Retry-After"]) > 0


async def test_a_fault_of_its_own_is_a_500_without_a_trace(bridge: BridgeFactory) -> None:
    async with bridge(Wire(add=raising(RuntimeError("Vq7 /srv/app secret")))) as client:
        answer = await client.post(WEBHOOK, json=RECORD)
    assert answer.status_code == 500
    assert answer.json()["type"] == Slug.INTERNAL_ERROR.type
    for word in ("Vq7", "Traceback", "RuntimeError", ".py", "/app"):
        assert word not in answer.text
