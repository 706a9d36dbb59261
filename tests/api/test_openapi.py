"""What OpenAPI shows is what happens."""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest

from tests.conftest import BridgeFactory
from tests.support import (
    EMAIL,
    OPERATOR_KEY,
    RECORD,
    WEBHOOK,
    Wire,
    envelope,
    never,
    notification,
    reply,
    with_consent,
)

STATUSES = {"200", "202", "400", "401", "403", "413", "415", "422", "502", "503", "504"}


async def webhook_of(client: httpx.AsyncClient) -> dict[str, Any]:
    schema: dict[str, Any] = (await client.get("/openapi.json")).json()
    webhook: dict[str, Any] = schema["paths"][WEBHOOK]["post"]
    return webhook


async def test_every_example_request_works_when_it_is_posted(bridge: BridgeFactory) -> None:
    async with bridge(Wire(), subscription_field="SubscribeProfile") as client:
        body = (await webhook_of(client))["requestBody"]["content"]["application/json"]
        examples = [example["value"] for example in body["examples"].values()]
        answers = [await client.post(WEBHOOK, json=example) for example in examples]
    assert len(examples) >= 2
    for answer in answers:
        assert answer.status_code == 200
        (result,) = answer.json()["results"]
        assert (result["status"], result["subscription"]) == ("succeeded", "subscribed")


async def test_every_status_of_the_contract_is_documented(bridge: BridgeFactory) -> None:
    async with bridge() as client:
        responses = (await webhook_of(client))["responses"]
    assert set(responses) >= STATUSES
    for status, response in responses.items():
        assert response["description"]
        if status >= "400":
            (media_type,) = response["content"]
            assert media_type == "application/problem+json"
            assert response["content"][media_type]["schema"] == {"$ref": "#/components/schemas/Problem"}


async def real_problems(bridge: BridgeFactory) -> dict[tuple[int, str], dict[str, Any]]:
    """One real problem for each status and type that the examples show."""
    consent = envelope(notification(id="1", customer=with_consent("yes")))
    requests: list[tuple[Wire, dict[str, Any]]] = [
        (Wire(), {"content": b"{"}),
        (Wire(), {"json": RECORD, "headers": {"Authorization": "Bearer nobody"}}),
        (Wire(), {"json": RECORD, "headers": {"Authorization": f"Bearer {OPERATOR_KEY}"}}),
        (Wire(), {"content": b" " * 1_100_000}),
        (Wire(), {"content": b"{}", "headers": {"Content-Type": "text/plain"}}),
        (Wire(), {"json": {"notifications": [{}]}}),
        (Wire(add=reply(400)), {"json": RECORD | {"id": 2}}),
        (Wire(add=reply(401)), {"json": RECORD | {"id": 3}}),
        (Wire(subscribe=reply(500)), {"json": consent}),
        (Wire(add=reply(429)), {"json": RECORD | {"id": 4}}),
        (Wire(add=never), {"json": RECORD | {"id": 5}}),
    ]
    problems: dict[tuple[int, str], dict[str, Any]] = {}
    for wire, request in requests:
        async with bridge(wire, subscription_field="Consent", stamped_timeout_seconds=0.02) as client:
            answer = await client.post(WEBHOOK, **request)
        problems[answer.status_code, answer.json()["type"]] = answer.json()
    async with bridge(started=False) as client:
        answer = await client.post(WEBHOOK, json=RECORD)
    problems[answer.status_code, answer.json()["type"]] = answer.json()
    return problems


async def test_example_problems_have_the_keys_of_real_ones(bridge: BridgeFactory) -> None:
    async with bridge() as client:
        responses = (await webhook_of(client))["responses"]
    real = await real_problems(bridge)
    shown = {
        (name, int(status)): example["value"]
        for status, response in responses.items()
        if status >= "400"
        for name, example in response["content"]["application/problem+json"]["examples"].items()
    }
    assert len(shown) >= len(STATUSES) - 2
    for (name, status), example in shown.items():
        assert example["status"] == status, name
        assert set(example) == set(real[status, example["type"]]), name
        assert example["title"] == real[status, example["type"]]["title"], name
        if "stamped" in example:
            assert set(example["stamped"]) == {"operation", "status", "message"}, name


async def test_the_schema_of_a_result_has_the_keys_of_a_real_one(bridge: BridgeFactory) -> None:
    async with bridge() as client:
        schemas = (await client.get("/openapi.json")).json()["components"]["schemas"]
        (result,) = (await client.post(WEBHOOK, json=envelope())).json()["results"]
    assert set(schemas["Result"]["properties"]) == set(result)
    assert {"type", "title", "status", "detail"} <= set(schemas["Problem"]["properties"])


async def test_the_webhook_names_its_key(bridge: BridgeFactory) -> None:
    async with bridge() as client:
        schema = (await client.get("/openapi.json")).json()
    (requirement,) = schema["paths"][WEBHOOK]["post"]["security"]
    (scheme,) = [schema["components"]["securitySchemes"][name] for name in requirement]
    assert (scheme["type"], scheme["scheme"]) == ("http", "bearer")


async def test_nothing_of_a_real_person_or_key_is_shown(bridge: BridgeFactory) -> None:
    async with bridge() as client:
        text = (await client.get("/openapi.json")).text
    for word in (EMAIL, OPERATOR_KEY):
        assert word not in text


@pytest.mark.parametrize("path", ["/docs", "/openapi.json"])
async def test_the_documentation_is_served(bridge: BridgeFactory, path: str) -> None:
    async with bridge() as client:
        assert (await client.get(path)).status_code == 200


async def test_the_documentation_page_loads_nothing_from_elsewhere(bridge: BridgeFactory) -> None:
    async with bridge() as client:
        page = (await client.get("/docs")).text
        sources = re.findall(r'(?:src|href)="([^"]+)"', page)
        assert sources
        assert not [source for source in sources if not source.startswith("/")]
        for source in sources:
            assert (await client.get(source)).status_code == 200
