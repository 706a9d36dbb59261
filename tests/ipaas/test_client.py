"""Calls to iPaaS.com's Customers API."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from app.ipaas.client import IpaasAccount, IpaasClient, judge
from app.outbound.calls import CallError
from app.outbound.status_table import Kind
from app.telemetry.redaction import Redactor
from tests.support import EMAIL, GUID, IPAAS_TOKEN, IPAAS_URL, RECORD, Answer, Wire, never, raising, reply, sent


def client_of(wire: Wire, *, client_id: str | None = None, timeout: float = 15) -> IpaasClient:
    return IpaasClient(IpaasAccount(IPAAS_URL, IPAAS_TOKEN, client_id, timeout), Redactor(), wire)


async def test_the_record_is_read_from_its_path() -> None:
    wire = Wire()
    record = await client_of(wire).customer("150713", GUID)
    (request,) = wire.requests
    assert str(request.url) == f"{IPAAS_URL}/v2/Customer/150713?trackingGuid={GUID}"
    assert request.method == "GET"
    assert (record.id, record.email_address) == ("150713", EMAIL)


async def test_the_link_is_looked_up_at_its_path() -> None:
    wire = Wire()
    await client_of(wire).external_id("150713", "1796")
    (request,) = wire.requests
    assert str(request.url) == f"{IPAAS_URL}/v2/External/LookupExternal/150713/1796/customer"
    assert request.method == "GET"


@pytest.mark.parametrize(("system", "as_sent"), [("1796", 1796), ("abc", "abc"), ("٣", "٣")])
async def test_the_link_is_written_back(system: str, as_sent: Any) -> None:
    wire = Wire()
    await client_of(wire).write_external_id("150713", system, "143491", GUID)
    (request,) = wire.requests
    assert (request.method, str(request.url)) == ("POST", f"{IPAAS_URL}/v2/External/UpdateExternalId")
    assert sent(request) == {
        "table_name": "customer",
        "system_id": as_sent,
        "external_id": "143491",
        "internal_id": "150713",
        "tracking_guid": GUID,
    }


async def test_a_web_page_is_no_write_back() -> None:
    with pytest.raises(CallError, match="web page") as raised:
        await client_of(Wire(write_back=reply(text=" <h1>Back soon</h1>"))).write_external_id("1", "2", "3", GUID)
    assert (raised.value.kind, raised.value.status) == (Kind.UNAVAILABLE, 200)


async def test_ids_cannot_leave_their_place_in_a_path() -> None:
    wire = Wire()
    await client_of(wire).external_id("../1?x", "a/b")
    assert wire.requests[0].url.raw_path.endswith(b"/LookupExternal/..%2F1%3Fx/a%2Fb/customer")


@pytest.mark.parametrize("client_id", [None, "client-7"])
async def test_token_and_client_id(client_id: str | None) -> None:
    wire = Wire()
    client = client_of(wire, client_id=client_id)
    await client.customer("1", GUID)
    await client.external_id("1", "2")
    await client.write_external_id("1", "2", "3", GUID)
    for request in wire.requests:
        assert request.headers["Authorization"] == f"Bearer {IPAAS_TOKEN}"
        assert request.headers.get("X-Client-Id") == client_id


@pytest.mark.parametrize(
    ("answer", "link"),
    [
        pytest.param(reply(body="143491"), "143491", id="quoted"),
        pytest.param(reply(body='"143491"'), "143491", id="quoted twice"),
        pytest.param(reply(text="143491"), "143491", id="number"),
        pytest.param(reply(text="9" * 40), "9" * 40, id="number of 40"),
        pytest.param(reply(body="x" * 100), "x" * 100, id="text of 100"),
        pytest.param(reply(text="abc-1"), "abc-1", id="bare text"),
        pytest.param(reply(body="DELETED:143491"), None, id="deleted"),
        pytest.param(reply(text="DELETED:143491"), None, id="bare deleted"),
        pytest.param(reply(body=""), None, id="quoted nothing"),
        pytest.param(reply(body=".."), None, id="folder above"),
        pytest.param(reply(text="."), None, id="this folder"),
        pytest.param(reply(body=None), None, id="null"),
        pytest.param(reply(text=""), None, id="empty"),
        pytest.param(reply(404, text=""), None, id="404"),
        pytest.param(reply(404, {"message": "NFND-404: not linked"}), None, id="404 with code"),
    ],
)
async def test_external_id(answer: Answer, link: str | None) -> None:
    assert await client_of(Wire(lookup=answer)).external_id("150713", "1796") == link


@pytest.mark.parametrize(
    "answer",
    [
        reply(body={}),
        reply(body=["143491"]),
        reply(body="x" * 101),
        reply(body="9" * 41),
        reply(text="9" * 41),
        reply(text="9" * 4300),
        reply(text="9" * 100_000),
        reply(body=True),
        reply(text="<h1>Back soon</h1>"),
    ],
    ids=[
        *("object", "list", "too long", "41 digits", "number of 41", "of 4,300", "of 100,000"),
        *("true", "web page"),
    ],
)
async def test_what_is_no_external_id(answer: Answer) -> None:
    with pytest.raises(CallError) as raised:
        await client_of(Wire(lookup=answer)).external_id("150713", "1796")
    assert raised.value.kind is Kind.UNAVAILABLE


@pytest.mark.parametrize(
    "answer",
    [
        reply(text=""),
        reply(body=None),
        reply(body=[]),
        reply(body="x"),
        reply(text="<html>"),
        reply(body=RECORD | {"email_address": 7}),
    ],
    ids=["empty", "null", "list", "text", "web page", "wrong field"],
)
async def test_what_is_no_record(answer: Answer) -> None:
    with pytest.raises(CallError, match="not a customer record") as raised:
        await client_of(Wire(load=answer)).customer("150713", GUID)
    assert (raised.value.kind, raised.value.status) == (Kind.UNAVAILABLE, 200)


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        pytest.param(401, "AUTH-1", Kind.DENIED, id="AUTH"),
        pytest.param(500, "AUTH-1", Kind.DENIED, id="AUTH with 500"),
        pytest.param(403, "AUTZ-2", Kind.DENIED, id="AUTZ"),
        pytest.param(400, "VALD-3", Kind.REFUSED, id="VALD"),
        pytest.param(500, "VALD-3", Kind.REFUSED, id="VALD with 500"),
        pytest.param(400, "BIZL-4", Kind.REFUSED, id="BIZL"),
        pytest.param(404, "NFND-5", Kind.REFUSED, id="NFND"),
        pytest.param(500, "NFND-5", Kind.REFUSED, id="NFND with 500"),
        pytest.param(500, "INTL-6", Kind.UNAVAILABLE, id="INTL"),
        pytest.param(400, "INTL-6", Kind.UNAVAILABLE, id="INTL with 400"),
        pytest.param(401, "", Kind.DENIED, id="401 without a code"),
        pytest.param(404, "", Kind.REFUSED, id="404 without a code"),
        pytest.param(429, "", Kind.THROTTLED, id="429 without a code"),
        pytest.param(500, "", Kind.UNAVAILABLE, id="500 without a code"),
        pytest.param(500, "XAUTH-1", Kind.UNAVAILABLE, id="another word"),
    ],
)
async def test_a_code_says_more_than_the_status(status: int, code: str, kind: Kind) -> None:
    assert judge(status, f"{code}: no") is kind
    with pytest.raises(CallError) as raised:
        await client_of(Wire(load=reply(status, {"message": f"{code}: no"}))).customer("150713", GUID)
    assert (raised.value.kind, raised.value.status) == (kind, status)
    assert raised.value.kind.retryable is (kind in {Kind.UNAVAILABLE, Kind.THROTTLED})


async def test_a_404_with_an_auth_code_is_not_taken_for_no_link() -> None:
    with pytest.raises(CallError) as raised:
        await client_of(Wire(lookup=reply(404, {"message": "AUTH-1"}))).external_id("150713", "1796")
    assert raised.value.kind is Kind.DENIED


async def test_no_answer_in_time_and_no_connection() -> None:
    with pytest.raises(CallError, match=r"No answer: timed out after 0\.01 s") as raised:
        await client_of(Wire(load=never), timeout=0.01).customer("150713", GUID)
    assert raised.value.kind is Kind.TIMEOUT
    with pytest.raises(CallError, match="No answer: no connection") as raised:
        await client_of(Wire(load=raising(httpx.ConnectError("x")))).customer("150713", GUID)
    assert raised.value.kind is Kind.UNAVAILABLE


async def test_the_token_is_never_repeated() -> None:
    with pytest.raises(CallError) as raised:
        await client_of(Wire(load=reply(400, {"message": f"{IPAAS_TOKEN} {EMAIL}"}))).customer("150713", GUID)
    assert IPAAS_TOKEN not in str(raised.value)
    assert EMAIL not in str(raised.value)
