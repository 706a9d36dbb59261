"""Who may call what."""

from __future__ import annotations

import pytest

from tests.conftest import BridgeFactory, Shared
from tests.support import OPERATOR_KEY, RECORD, WEBHOOK, WEBHOOK_KEY, Wire

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize(
    "header",
    [
        pytest.param("", id="empty"),
        pytest.param(WEBHOOK_KEY, id="no scheme"),
        pytest.param("Bearer", id="no key"),
        pytest.param("Bearer ", id="blank key"),
        pytest.param(f"Basic {WEBHOOK_KEY}", id="other scheme"),
        pytest.param(f"Bearer {WEBHOOK_KEY}x", id="longer"),
        pytest.param(f"Bearer {WEBHOOK_KEY[:-1]}", id="shorter"),
        pytest.param(f"Bearer {WEBHOOK_KEY.upper()}", id="other case"),
        pytest.param(f"Bearer {WEBHOOK_KEY},{OPERATOR_KEY}", id="two keys"),
        pytest.param("Bearer ÿ", id="not ascii"),
    ],
)
async def test_a_wrong_key_is_401(shared: Shared, header: str) -> None:
    answer = await shared.client.post(WEBHOOK, json=RECORD, headers=[(b"Authorization", header.encode("latin-1"))])
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["type"] == "/errors/unauthorized"
    assert WEBHOOK_KEY not in answer.text


async def test_no_key_is_401_whatever_the_body(shared: Shared) -> None:
    before = len(shared.wire.requests)
    del shared.client.headers["Authorization"]
    try:
        answers = [
            await shared.client.post(WEBHOOK, content=content) for content in (b"{", b"x" * 2_000_000, b"{}")
        ]
    finally:
        shared.client.headers["Authorization"] = f"Bearer {WEBHOOK_KEY}"
    assert [answer.status_code for answer in answers] == [401, 401, 401]
    assert len(shared.wire.requests) == before


async def test_an_operators_key_does_not_open_the_webhook(shared: Shared) -> None:
    answer = await shared.post(RECORD, Authorization=f"Bearer {OPERATOR_KEY}")
    assert answer.status_code == 403
    assert answer.json()["type"] == "/errors/forbidden"
    assert "WWW-Authenticate" not in answer.headers


@pytest.mark.parametrize("header", [f"bearer {WEBHOOK_KEY}", f"BEARER {WEBHOOK_KEY}", f"Bearer   {WEBHOOK_KEY} "])
async def test_the_scheme_has_no_case(shared: Shared, header: str) -> None:
    assert (await shared.post(RECORD, Authorization=header)).status_code == 200


async def test_each_key_of_a_rotation_opens(bridge: BridgeFactory) -> None:
    async with bridge(Wire(), ipaas_webhook_api_key="old-key-0000000001, new-key-0000000002") as client:
        statuses = [
            (await client.post(WEBHOOK, json=RECORD, headers={"Authorization": f"Bearer {key}"})).status_code
            for key in ("old-key-0000000001", "new-key-0000000002", "old-key-0000000001, new-key-0000000002")
        ]
    assert statuses == [200, 200, 401]


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/startupz", "/errors", "/openapi.json", "/docs"])
async def test_what_is_open_to_all(shared: Shared, path: str) -> None:
    answer = await shared.client.get(path, headers={"Authorization": "Bearer wrong-key"})
    assert answer.status_code == 200


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/startupz"])
async def test_health_may_be_asked_without_the_answers_body(shared: Shared, path: str) -> None:
    """As some load balancers and watchers do."""
    answer = await shared.client.head(path)
    assert answer.status_code == 200
