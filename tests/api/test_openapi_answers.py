"""Every operation documents what it answers."""

from __future__ import annotations

import json
import re
from typing import Any

import httpx
import pytest
from pydantic import BaseModel

from app.api import answers as models
from app.api.results import Results
from app.error_catalog import Entry
from app.groups import ErrorGroups
from app.health import Readiness
from tests.api.operating import ASYNC, OPERATOR, REFUSED, SYNC, Gate, Operator, failed
from tests.api.test_openapi import OPERATORS, document
from tests.conftest import BridgeFactory
from tests.support import IPAAS, RECORD, WEBHOOK, WEBHOOK_KEY, Wire, envelope, notification, reply

UNKNOWN = "6d1f0b52-90ab-4f61-9d27-1f0c7e5b8a43"
HEADERS = (
    "Location",
    "Allow",
    "Retry-After",
    "WWW-Authenticate",
    "Idempotent-Replayed",
    "Preference-Applied",
)
WITH_BODY = [("post", "/customers/{customer_id}/sync"), ("post", "/syncs"), ("post", "/transfers/retry")]
TELLS = [("get", "/verdict"), ("post", "/alerts/test")]  # whatever the service takes
NOTHING = [each for each in OPERATORS if "{" in each[1]]


def check(schema: dict[str, Any], method: str, path: str, answer: httpx.Response) -> Any:
    """What is documented for this answer: its status, media type and headers; examples of problems."""
    responses = schema["paths"][path][method]["responses"]
    response = responses[str(answer.status_code)]
    media_type = answer.headers["Content-Type"].partition(";")[0]
    content = response["content"][media_type]
    assert content["schema"]
    for header in HEADERS:
        if header in answer.headers:
            assert header in response.get("headers", {}), (method, path, answer.status_code, header)
    if answer.is_error and media_type != "application/json":
        assert content["schema"] == {"$ref": "#/components/schemas/Problem"}
    return [example["value"] for example in content.get("examples", {}).values()]


@pytest.mark.parametrize(("method", "path"), OPERATORS)
async def test_keys_are_documented(bridge: BridgeFactory, method: str, path: str) -> None:
    async with bridge() as client:
        schema = await document(client)
        for key, status in (("nobody", 401), (WEBHOOK_KEY, 403)):
            answer = await client.request(method, path, headers={"Authorization": f"Bearer {key}"})
            assert answer.status_code == status
            assert check(schema, method, path, answer)


@pytest.mark.parametrize(("method", "path"), [each for each in OPERATORS if each not in TELLS])
async def test_a_service_that_takes_nothing_is_documented(bridge: BridgeFactory, method: str, path: str) -> None:
    many: dict[str, Any] = {f"/transfers/{what}": {} for what in ("retry", "cancel", "reveal")}
    bodies = {"/syncs": {"customer_ids": [1]}, SYNC: RECORD, **many}
    async with bridge(started=False) as client:
        schema = await document(client)
        filled = re.sub("{customer_id}", "150713", re.sub("{(sync|transfer)_id}", UNKNOWN, path))
        filled = filled.replace("{group}", "0" * 12)
        answer = await client.request(method, filled, headers=OPERATOR, json=bodies.get(filled))
    assert answer.status_code == 503
    assert "Retry-After" in answer.headers
    assert check(schema, method, path, answer)


@pytest.mark.parametrize(("method", "path"), NOTHING)
async def test_an_unknown_id_is_documented(bridge: BridgeFactory, method: str, path: str) -> None:
    async with bridge() as client:
        schema = await document(client)
        answer = await client.request(method, re.sub("{.*}", UNKNOWN, path), headers=OPERATOR)
    assert answer.status_code == 404
    assert answer.json()["detail"] in [example["detail"] for example in check(schema, method, path, answer)]


@pytest.mark.parametrize(("method", "path"), WITH_BODY)
@pytest.mark.parametrize(
    ("status", "request_"),
    [
        (400, {"content": b"{"}),
        (413, {"content": b" " * 1_100_000}),
        (415, {"content": b"{}", "headers": {"Content-Type": "text/plain"}}),
        (422, {"json": {"status": 1, "customer_ids": [], "email_address": []}}),
    ],
)
async def test_faults_of_a_body_are_documented(
    bridge: BridgeFactory, method: str, path: str, status: int, request_: dict[str, Any]
) -> None:
    async with bridge() as client:
        schema = await document(client)
        headers = OPERATOR | request_.get("headers", {})
        filled = path.replace("{customer_id}", "150713")
        if status == 413 and path.startswith("/customers"):
            request_ = {"content": b"[" * 1_100_000}
        answer = await client.request(method, filled, **(request_ | {"headers": headers}))
    assert answer.status_code == status, answer.text
    assert check(schema, method, path, answer)


async def test_what_operators_read_looks_as_documented(bridge: BridgeFactory) -> None:
    async with bridge(Wire(add=REFUSED, load=reply(404)), **IPAAS) as client:
        schema = await document(client)
        operator = Operator(client)
        (transfer_id,) = await failed(client, 1)
        await client.post(WEBHOOK, json={"notifications": [{}]})
        started = await operator.post("/syncs", {"customer_ids": ["7"]})
        where = started.headers["Location"]
        await operator.until(where, remaining=0)
        dry = {"status": "failed", "dry_run": True}
        answers: list[tuple[str, str, httpx.Response, type[BaseModel]]] = [
            ("post", "/syncs", started, models.SyncStarted),
            ("get", "/syncs/{sync_id}", await operator.call("GET", where), models.SyncCounts),
            ("post", "/syncs/{sync_id}/cancel", await operator.post(f"{where}/cancel"), models.SyncCounts),
            ("get", "/transfers", await operator.call("GET", "/transfers"), models.TransferPage),
            (
                "get",
                "/transfers/{transfer_id}",
                await operator.call("GET", f"/transfers/{transfer_id}"),
                models.Transfer,
            ),
            ("get", "/errors/groups", await operator.call("GET", "/errors/groups"), ErrorGroups),
            ("post", "/transfers/retry", await operator.post("/transfers/retry", dry), models.RetryCount),
            ("post", "/transfers/cancel", await operator.post("/transfers/cancel", {}), models.CancelCount),
            ("post", "/transfers/retry", await operator.post("/transfers/retry", {}), models.SyncStarted),
            ("get", "/rejections", await operator.call("GET", "/rejections"), models.Rejections),
            ("get", "/readyz", await client.get("/readyz"), Readiness),
            ("get", "/livez", await client.get("/livez"), models.Phase),
            ("get", "/startupz", await client.get("/startupz"), models.Phase),
            ("get", "/errors", await client.get("/errors"), models.Catalog),
            ("get", "/errors/{slug}", await client.get("/errors/not-found"), Entry),
        ]
    assert {answer.status_code for _, _, answer, _ in answers} == {200, 202}
    for method, path, answer, model in answers:
        check(schema, method, path, answer)
        shown = model.model_validate(answer.json())
        assert json.loads(shown.model_dump_json(exclude_unset=True)) == answer.json()


async def test_a_cancelled_one_looks_as_documented(bridge: BridgeFactory) -> None:
    gate = Gate()
    async with bridge(Wire(add=gate)) as client:
        schema = await document(client)
        operator = Operator(client)
        await client.post(WEBHOOK, json=envelope(), headers=ASYNC)
        await gate.reached.wait()  # the next one of this customer has to wait
        second = envelope(notification(tracking_guid=UNKNOWN))
        accepted = await client.post(WEBHOOK, json=second, headers=ASYNC)
        answer = await operator.post(f"{accepted.headers['Location']}/cancel")
        gate.opened.set()
    check(schema, "post", WEBHOOK, accepted)
    check(schema, "post", "/transfers/{transfer_id}/cancel", answer)
    assert Results.model_validate(accepted.json()).results[0].status == "accepted"
    assert models.Transfer.model_validate(answer.json()).status == "cancelled"


async def test_not_started_looks_as_documented(bridge: BridgeFactory) -> None:
    async with bridge(started=False) as client:
        schema = await document(client)
        shapes: dict[str, type[BaseModel]] = {"/readyz": Readiness, "/startupz": models.Phase}
        for path, model in shapes.items():
            answer = await client.get(path)
            assert answer.status_code == 503
            check(schema, "get", path, answer)
            model.model_validate(answer.json())


async def test_answers_for_people_are_documented(bridge: BridgeFactory) -> None:
    async with bridge() as client:
        schema = await document(client)
        for path, where in (("/errors", "/errors"), ("/errors/{slug}", "/errors/not-found"), ("/metrics",) * 2):
            answer = await client.get(where, headers={"Accept": "text/html"})
            assert answer.status_code == 200
            check(schema, "get", path, answer)
        answer = await client.get("/errors/unheard-of")
    assert answer.status_code == 404
    assert check(schema, "get", "/errors/{slug}", answer)


async def test_a_repeat_and_a_re_run_answer_as_documented(bridge: BridgeFactory) -> None:
    async with bridge(Wire(add=[REFUSED, reply(302), reply(302), reply(302), REFUSED])) as client:
        schema = await document(client)
        operator = Operator(client)
        (transfer_id,) = await failed(client, 1)
        for path, where in (
            ("/transfers/{transfer_id}/retry", f"/transfers/{transfer_id}/retry"),
            ("/customers/{customer_id}/sync", "/customers/1/sync"),
        ):
            answer = await operator.post(where)
            assert answer.is_error
            assert check(schema, "post", path, answer)
    async with bridge() as client:
        first = await client.post(WEBHOOK, json=envelope())
        again = await client.post(WEBHOOK, json=envelope())
        transfer_id = first.json()["results"][0]["transfer_id"]
        conflicts = [
            (path, await Operator(client).post(path.replace("{transfer_id}", transfer_id)))
            for path in ("/transfers/{transfer_id}/retry", "/transfers/{transfer_id}/cancel")
        ]
    assert again.headers["Idempotent-Replayed"] == "true"
    check(schema, "post", WEBHOOK, again)
    for path, answer in conflicts:
        assert answer.status_code == 409
        assert check(schema, "post", path, answer)
