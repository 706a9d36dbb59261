"""Request bodies: plain JSON up to 1 MiB of real bytes."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.conftest import BridgeFactory, Shared
from tests.support import OPERATOR_KEY, RECORD, WEBHOOK, WEBHOOK_KEY

pytestmark = pytest.mark.asyncio(loop_scope="module")

MIB = 1024 * 1024
BODY = json.dumps(RECORD).encode()
JSON = {"Content-Type": "application/json"}


async def post(shared: Shared, content: bytes, **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await shared.client.post(WEBHOOK, content=content, headers=JSON | named)


def assert_problem(answer: httpx.Response, status: int, slug: str) -> None:
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["type"] == f"/errors/{slug}"
    assert answer.json()["status"] == status


@pytest.mark.parametrize(
    "media_type",
    [
        "application/json",
        "application/json; charset=utf-8",
        "APPLICATION/JSON",
        "application/json;charset=UTF-8",
        "application/vnd.ipaas+json",
    ],
)
async def test_media_types_of_json(shared: Shared, media_type: str) -> None:
    answer = await post(shared, BODY, Content_Type=media_type)
    assert answer.status_code == 200


async def test_a_missing_media_type_is_taken_for_json(shared: Shared) -> None:
    answer = await shared.client.post(WEBHOOK, content=BODY)
    assert "Content-Type" not in answer.request.headers
    assert answer.status_code == 200


@pytest.mark.parametrize(
    "media_type",
    [
        "text/plain",
        "text/json",
        "application/xml",
        "multipart/form-data; boundary=x",
        "application/x-www-form-urlencoded",
        "json",
        "application/a/b+json",
        "",
    ],
)
async def test_other_media_types_are_415(shared: Shared, media_type: str) -> None:
    assert_problem(await post(shared, BODY, Content_Type=media_type), 415, "unsupported-media-type")


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate", "identity", "GZIP", ""])
async def test_any_content_encoding_is_415(shared: Shared, encoding: str) -> None:
    answer = await post(shared, gzip.compress(BODY), Content_Encoding=encoding)
    assert_problem(answer, 415, "unsupported-media-type")


async def test_exactly_1_mib_passes(shared: Shared) -> None:
    assert (await post(shared, BODY.ljust(MIB))).status_code == 200


async def test_one_byte_more_is_413(shared: Shared) -> None:
    answer = await post(shared, BODY.ljust(MIB + 1))
    assert_problem(answer, 413, "payload-too-large")
    assert answer.headers["Connection"] == "close"


async def test_an_announced_size_is_refused_after_the_client_could_send(shared: Shared) -> None:
    """Many clients look for an answer only when they have sent everything."""
    sent = []

    async def body() -> AsyncIterator[bytes]:
        async for chunk in chunks(8 * MIB):
            sent.append(len(chunk))
            yield chunk

    answer = await shared.client.post(WEBHOOK, content=body(), headers=JSON | {"Content-Length": str(8 * MIB)})
    assert_problem(answer, 413, "payload-too-large")
    assert sum(sent) == 8 * MIB


async def test_nobody_is_listened_to_for_ever(shared: Shared) -> None:
    async def body() -> AsyncIterator[bytes]:
        while True:
            yield b" " * MIB

    assert_problem(await shared.client.post(WEBHOOK, content=body(), headers=JSON), 413, "payload-too-large")


@pytest.mark.parametrize(
    ("path", "media_type", "key"),
    [
        (WEBHOOK, "application/json", WEBHOOK_KEY),
        ("/syncs", "application/json", OPERATOR_KEY),
        ("/login", "application/x-www-form-urlencoded", ""),
    ],
)
async def test_a_caller_that_leaves_before_the_end_is_no_fault_of_ours(
    bridge: BridgeFactory, capsys: pytest.CaptureFixture[str], path: str, media_type: str, key: str
) -> None:
    """By ASGI, as httpx always sends what it has announced."""
    sent: list[dict[str, Any]] = []
    parts: list[dict[str, Any]] = [{"type": "http.request", "body": b"{", "more_body": True}]
    messages = iter([*parts, {"type": "http.disconnect"}])

    async def receive() -> dict[str, Any]:
        return next(messages)

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    headers = [(b"authorization", f"Bearer {key}".encode()), (b"content-type", media_type.encode())]
    scope = {"type": "http", "method": "POST", "path": path, "headers": headers, "query_string": b""}
    async with bridge() as client:
        app = client._transport.app  # type: ignore[attr-defined]
        await app(scope, receive, send)
    assert sent[0]["status"] == 400
    assert '"error"' not in {*capsys.readouterr().out.split('"level": ')}


async def chunks(size: int) -> AsyncIterator[bytes]:
    yield BODY
    left = size - len(BODY)
    while left:
        part = min(left, 65_536)
        left -= part
        yield b" " * part


@pytest.mark.parametrize(("size", "status"), [(MIB, 200), (MIB + 1, 413), (3 * MIB, 413)])
async def test_chunks_are_counted(shared: Shared, size: int, status: int) -> None:
    answer = await shared.client.post(WEBHOOK, content=chunks(size), headers=JSON)
    assert "Content-Length" not in answer.request.headers
    assert answer.status_code == status


async def test_an_announced_size_that_is_too_small_is_not_believed(shared: Shared) -> None:
    answer = await shared.client.post(WEBHOOK, content=chunks(MIB + 1), headers=JSON | {"Content-Length": "10"})
    assert answer.status_code == 413


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"   ", id="blank"),
        pytest.param(b"{", id="cut"),
        pytest.param(b"{'id': 1}", id="single quotes"),
        pytest.param(b"<xml/>", id="xml"),
        pytest.param(b'{"id": 1,}', id="comma at the end"),
        pytest.param(b'{"id": NaN}', id="NaN"),
        pytest.param(b'{"id": Infinity}', id="infinity"),
        pytest.param(b'{"id": -Infinity}', id="minus infinity"),
        pytest.param(b'{"id": 1} {"id": 2}', id="two values"),
        pytest.param(b'{"first_name": "\\ud800"}', id="lone high surrogate"),
        pytest.param(b'{"first_name": "\\udc00"}', id="lone low surrogate"),
        pytest.param(b'{"first_name": "\xed\xa0\x80"}', id="encoded surrogate"),
        pytest.param(b'{"first_name": "\xff"}', id="not utf-8"),
        pytest.param('{"id": 1}'.encode("utf-16"), id="utf-16"),
        pytest.param(b"[" * 100_000 + b"]" * 100_000, id="deep list"),
        pytest.param(b'{"a":' * 50_000 + b"1" + b"}" * 50_000, id="deep object"),
        pytest.param(b'{"id": ' + b"9" * 5000 + b"}", id="endless number"),
        pytest.param(b"\xef\xbb\xbf\xef\xbb\xbf{}", id="two byte order marks"),
    ],
)
async def test_what_is_not_json_is_400(shared: Shared, content: bytes) -> None:
    answer = await post(shared, content)
    assert_problem(answer, 400, "invalid-request")
    assert "not JSON" in answer.json()["detail"]


async def test_a_byte_order_mark_is_tolerated(shared: Shared) -> None:
    assert (await post(shared, b"\xef\xbb\xbf" + BODY)).status_code == 200


async def test_of_a_duplicate_key_the_last_one_counts(shared: Shared) -> None:
    content = BODY.replace(b'"id": 150713', b'"id": 150713, "id": 7')
    answer = await post(shared, content)
    assert answer.json()["results"][0]["customer_id"] == "7"


async def test_a_pair_of_surrogates_is_a_character(shared: Shared) -> None:
    content = BODY.replace(b"Annabell", b"\\ud83d\\ude00")
    assert (await post(shared, content)).status_code == 200


async def test_depth_within_reason_passes(shared: Shared) -> None:
    deep = b"[" * 100 + b"]" * 100
    content = BODY[:-1] + b', "extension_fields": ' + deep + b"}"
    assert (await post(shared, content)).status_code == 200
