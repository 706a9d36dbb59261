"""What OpenAPI shows is what happens, in a document that tools can read."""

from __future__ import annotations

import re
from collections.abc import Iterator
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

NAME = re.compile(r"[a-zA-Z0-9._-]+")
OPERATORS = [
    ("post", "/customers/{customer_id}/sync"),
    ("post", "/syncs"),
    ("get", "/syncs/{sync_id}"),
    ("post", "/syncs/{sync_id}/cancel"),
    ("post", "/syncs/{sync_id}/continue"),
    ("get", "/transfers"),
    ("post", "/transfers/retry"),
    ("post", "/transfers/cancel"),
    ("get", "/transfers/export"),
    ("post", "/transfers/reveal"),
    ("get", "/errors/groups"),
    ("get", "/transfers/{transfer_id}"),
    ("post", "/transfers/{transfer_id}/retry"),
    ("post", "/transfers/{transfer_id}/cancel"),
    ("get", "/rejections"),
    ("post", "/errors/groups/{group}/acknowledge"),
    ("post", "/errors/groups/{group}/unacknowledge"),
    ("get", "/connections"),
    ("post", "/connections/{connection_id}/pause"),
    ("post", "/connections/{connection_id}/resume"),
    ("get", "/verdict"),
    ("post", "/alerts/test"),
]
OPEN = ["/livez", "/startupz", "/readyz", "/metrics", "/errors", "/errors/{slug}"]
STATUSES = {"200", "202", "400", "401", "403", "413", "415", "422", "502", "503", "504"}


async def document(client: httpx.AsyncClient) -> dict[str, Any]:
    found: dict[str, Any] = (await client.get("/openapi.json")).json()
    return found


def operations(schema: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in schema["paths"].items():
        for method, operation in methods.items():
            yield method, path, operation


async def webhook_of(client: httpx.AsyncClient) -> dict[str, Any]:
    webhook: dict[str, Any] = (await document(client))["paths"][WEBHOOK]["post"]
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
        if status >= "400":  # and "default"
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
        if "400" <= status < "default"
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


async def test_names_are_such_as_the_specification_allows(bridge: BridgeFactory) -> None:
    async with bridge() as client:
        schema = await document(client)
    for kind, named in schema["components"].items():
        for name in named:
            assert NAME.fullmatch(name), (kind, name)
    ids = [operation["operationId"] for _, _, operation in operations(schema)]
    assert len(ids) == len(set(ids))


async def test_every_reference_leads_somewhere(bridge: BridgeFactory) -> None:
    async with bridge() as client:
        schema = await document(client)
    seen = 0

    def walk(value: Any) -> None:
        nonlocal seen
        if isinstance(value, list):
            for each in value:
                walk(each)
        if isinstance(value, dict):
            if isinstance(value.get("$ref"), str):
                root, *parts = value["$ref"].split("/")
                assert root == "#"
                found: Any = schema
                for part in parts:
                    found = found[part]
                seen += 1
            for each in value.values():
                walk(each)

    walk(schema)
    assert seen > 20


async def test_every_operation_says_which_key_opens_it(bridge: BridgeFactory) -> None:
    async with bridge() as client:
        schema = await document(client)
    schemes = schema["components"]["securitySchemes"]
    told = {(method, path): operation.get("security") for method, path, operation in operations(schema)}
    assert told == (
        {("post", WEBHOOK): [{"webhookKey": []}]}
        | {key: [{"operatorKey": []}] for key in OPERATORS if key[0] == "post"}
        | {key: [{"operatorKey": []}, {"viewerKey": []}] for key in OPERATORS if key[0] == "get"}
        | {("get", "/access"): [{"webhookKey": []}, {"operatorKey": []}, {"viewerKey": []}]}
        | {("get", path): None for path in OPEN}
    )
    assert set(schemes) == {"webhookKey", "operatorKey", "viewerKey"}
    assert all((each["type"], each["scheme"]) == ("http", "bearer") for each in schemes.values())
    assert all("_API_KEY" in each["description"] for each in schemes.values())


async def test_every_operation_names_other_problems_and_has_an_example_of_each(
    bridge: BridgeFactory,
) -> None:
    async with bridge() as client:
        schema = await document(client)
        answer = await client.delete("/errors")
    assert (answer.status_code, answer.headers["Allow"]) == (405, "GET")
    for method, path, operation in operations(schema):
        responses = operation["responses"]
        assert list(responses) == sorted(responses)
        assert "Allow" in responses["default"]["headers"]
        for status, response in responses.items():
            for media_type, content in response.get("content", {}).items():
                assert content["schema"], (method, path, status)
                if "problem" in media_type:
                    assert content["examples"], (method, path, status)


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
        sources = re.findall(r'<(?:script|link)\b[^>]* (?:src|href)="([^"]+)"', page)
        assert sources
        assert not [source for source in sources if not source.startswith("/")]
        for source in sources:
            assert (await client.get(source)).status_code == 200
