"""The six calls of "Stamped.io API Endpoints", and what comes of each answer."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest

from app.outbound.calls import CallError
from app.outbound.status_table import Kind
from app.stamped.client import EmailPlace, StampedAccount, StampedClient
from app.stamped.models import StampedCustomer
from app.telemetry.redaction import Redactor
from tests.support import (
    EMAIL,
    PRIVATE_KEY,
    PUBLIC_KEY,
    STAMPED_URL,
    STORE,
    Answer,
    Wire,
    customer,
    never,
    raising,
    reply,
    sent,
)

BASIC = base64.b64encode(f"{PUBLIC_KEY}:{PRIVATE_KEY}".encode()).decode()
FIELDS = {"email": EMAIL, "firstName": "Annabell"}
Call = Callable[[StampedClient], Awaitable[Any]]
CALLS: dict[str, Call] = {
    "add": lambda client: client.add(FIELDS),
    "update": lambda client: client.update("143491", FIELDS),
    "get": lambda client: client.get("143491"),
    "search": lambda client: client.find(EMAIL),
    "subscribe": lambda client: client.set_subscription(EMAIL, subscribed=True),
    "unsubscribe": lambda client: client.set_subscription(EMAIL, subscribed=False),
}
WRAPPED: dict[str, Callable[[dict[str, Any]], Any]] = {
    "list": lambda body: [body],
    "customer": lambda body: {"customer": body},
    "data": lambda body: {"data": body},
    "result": lambda body: {"result": body, "success": True},
    "results": lambda body: {"results": [body]},
    "customer in data": lambda body: {"data": {"customer": body}},
}
each_call = pytest.mark.parametrize("operation", CALLS)


def client_of(
    wire: httpx.AsyncBaseTransport, *, url: str = STAMPED_URL, email_in: EmailPlace = "body", timeout: float = 15
) -> StampedClient:
    account = StampedAccount(
        url, PUBLIC_KEY, PRIVATE_KEY, STORE, timeout_seconds=timeout, subscribe_email_in=email_in
    )
    return StampedClient(account, Redactor(), wire)


async def failure_of(operation: str, answer: Answer, **account: Any) -> CallError:
    wire = Wire(**{operation: answer})
    client = client_of(wire, **account)
    with pytest.raises(CallError) as raised:
        await CALLS[operation](client)
    assert len(wire.requests) == 1
    assert client.last_failure is (None if raised.value.kind is Kind.REFUSED else raised.value)
    await client.aclose()
    return raised.value


@pytest.mark.parametrize(
    ("operation", "method", "path", "body"),
    [
        ("add", "POST", "/api/v2/270392/dashboard/customers/add", FIELDS),
        ("update", "POST", "/api/v2/270392/dashboard/customers/143491", FIELDS),
        ("get", "GET", "/api/v2/270392/dashboard/customers/143491", None),
        ("search", "GET", "/api/v2/270392/dashboard/customers", None),
        ("subscribe", "POST", "/api/v2/270392/survey/subscribe", {"email": EMAIL}),
        ("unsubscribe", "POST", "/api/v2/270392/survey/unsubscribe", {"email": EMAIL}),
    ],
)
async def test_the_six_calls(operation: str, method: str, path: str, body: Any) -> None:
    wire = Wire()
    await CALLS[operation](client_of(wire))
    (request,) = wire.requests
    assert (request.method, request.url.path) == (method, path)
    assert request.url.host == "stamped.test"
    assert sent(request) == body
    assert request.headers["Authorization"] == f"Basic {BASIC}"
    assert dict(request.url.params) == ({"search": EMAIL} if operation == "search" else {})
    assert body is None or request.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize("operation", ["subscribe", "unsubscribe"])
async def test_the_email_goes_into_the_query_when_so_set(operation: str) -> None:
    wire = Wire()
    await CALLS[operation](client_of(wire, email_in="query"))
    (request,) = wire.requests
    assert dict(request.url.params) == {"email": EMAIL}
    assert sent(request) is None


async def test_an_address_with_a_path_and_a_slash_and_ids_with_odd_characters() -> None:
    wire = Wire(get=reply(body={}))
    client = StampedClient(StampedAccount(f"{STAMPED_URL}/proxy/", "u-key", "p-key", "a/b c"), Redactor(), wire)
    await client.get("1/../2?x#y")
    assert wire.requests[0].url.raw_path == b"/proxy/api/v2/a%2Fb%20c/dashboard/customers/1%2F..%2F2%3Fx%23y"


@pytest.mark.parametrize(
    "body",
    [
        customer(),
        {"customer": customer()},
        {"data": customer()},
        {"result": customer()},
        [customer()],
        {"results": [customer()]},
        customer("143491"),
    ],
    ids=["flat", "customer", "data", "result", "list", "results", "text id"],
)
@pytest.mark.parametrize("operation", ["add", "update", "get", "search"])
async def test_every_envelope(operation: str, body: Any) -> None:
    found = await CALLS[operation](client_of(Wire(**{operation: reply(body=body)})))
    assert found == StampedCustomer("143491", EMAIL, is_subscribed=False)


@pytest.mark.parametrize(
    "answer",
    [reply(text=""), reply(204, text=""), reply(body=None), reply(body=True), reply(body="OK"), reply(text="OK")],
    ids=["empty", "204", "null", "true", "text", "no JSON"],
)
@each_call
async def test_an_answer_without_a_customer_crashes_nothing(operation: str, answer: Answer) -> None:
    found = await CALLS[operation](client_of(Wire(**{operation: answer})))
    expected: dict[str, Any] = {"update": StampedCustomer("143491", None, is_subscribed=None)}
    expected |= {"subscribe": True, "unsubscribe": True}
    assert found == expected.get(operation)


PAGE = reply(text="<!doctype html><h1>We'll be right back</h1>", headers={"Content-Type": "text/html"})


async def test_a_web_page_is_no_updated_customer() -> None:
    with pytest.raises(CallError, match="web page") as raised:
        await CALLS["update"](client_of(Wire(update=PAGE)))
    assert (raised.value.kind, raised.value.status) == (Kind.UNAVAILABLE, 200)


@pytest.mark.parametrize("operation", ["subscribe", "unsubscribe"])
async def test_a_web_page_leaves_the_subscription_in_doubt(operation: str) -> None:
    assert await CALLS[operation](client_of(Wire(**{operation: PAGE}))) is False


async def test_an_update_keeps_the_id_that_was_asked_for() -> None:
    found = await client_of(Wire(update=reply(body=customer(7)))).update("143491", FIELDS)
    assert found.id == "143491"


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ([customer(1, EMAIL)], "1"),
        ([customer(1, "x" + EMAIL), customer(2, EMAIL.upper())], "2"),
        ([customer(1, "other@example.com")], None),
        ([{"id": 1}], None),
        ([], None),
    ],
    ids=["exact", "ignoring case", "another", "no e-mail", "nobody"],
)
async def test_find_compares_the_email_exactly_ignoring_case(found: list[Any], expected: str | None) -> None:
    client = client_of(Wire(search=reply(body={"results": found})))
    result = await client.find(EMAIL)
    assert (result.id if result else None) == expected


@pytest.mark.parametrize(
    ("body", "kind", "status", "message"),
    [
        ({"httpStatusCode": 500, "message": "Oops."}, Kind.UNAVAILABLE, 500, "Oops."),
        ({"httpStatusCode": 401, "message": "Keys."}, Kind.DENIED, 401, "Keys."),
        ({"httpStatusCode": "400", "message": "Data."}, Kind.REFUSED, 400, "Data."),
        ({"httpStatusCode": 429, "message": "Slow."}, Kind.THROTTLED, 429, "Slow."),
        ({"httpStatusCode": 404, "id": 1}, Kind.DENIED, 404, '{"httpStatusCode": 404, "id": 1}'),
        ({"success": False, "message": "No."}, Kind.REFUSED, 200, "No."),
        ({"error": "No."}, Kind.REFUSED, 200, "No."),
        ({"error": {"message": "No."}, "id": 143491}, Kind.REFUSED, 200, "No."),
        ({"errors": ["No."]}, Kind.REFUSED, 200, "No."),
        ({"errors": {"email": ["is odd"]}, "id": 143491}, Kind.REFUSED, 200, "email: is odd"),
    ],
    ids=[
        *("500", "401", "text 400", "429", "404 with id", "success false", "error", "error object"),
        *("errors", "errors by field with id"),
    ],
)
@each_call
async def test_a_failure_inside_a_success(
    operation: str, body: Any, kind: Kind, status: int, message: str
) -> None:
    error = await failure_of(operation, reply(body=body))
    assert (error.kind, error.status, error.message) == (kind, status, message)


@pytest.mark.parametrize(
    ("failure", "kind", "status"),
    [
        ({"httpStatusCode": 400}, Kind.REFUSED, 400),
        ({"httpStatusCode": "401"}, Kind.DENIED, 401),
        ({"httpStatusCode": 503}, Kind.UNAVAILABLE, 503),
        ({"success": False}, Kind.REFUSED, 200),
        ({"errors": ["No."]}, Kind.REFUSED, 200),
    ],
    ids=str,
)
@pytest.mark.parametrize("wrapped", WRAPPED)
@pytest.mark.parametrize("operation", ["add", "update", "subscribe"])
async def test_a_failure_inside_an_envelope_inside_a_success(
    operation: str, wrapped: str, failure: dict[str, Any], kind: Kind, status: int
) -> None:
    error = await failure_of(operation, reply(body=WRAPPED[wrapped]({"message": "No."} | failure)))
    assert (error.kind, error.status, error.message) == (kind, status, "No.")


@pytest.mark.parametrize(
    "extra",
    [
        {"httpStatusCode": 200},
        {"httpStatusCode": 999},
        {"httpStatusCode": True},
        {"success": True},
        {"error": None},
        {"error": ""},
        {"errors": None},
        {"errors": []},
        {"errors": {}},
        {"httpStatusCode": "4000"},
        {"httpStatusCode": "٤٠٠"},
        {"httpStatusCode": "9" * 5000},
    ],
    ids=lambda extra: str(extra)[:30],
)
@pytest.mark.parametrize("wrap", [lambda body: body, *WRAPPED.values()], ids=["flat", *WRAPPED])
async def test_what_is_no_failure_inside_a_success(
    wrap: Callable[[dict[str, Any]], Any], extra: dict[str, Any]
) -> None:
    found = await client_of(Wire(add=reply(body=wrap(customer() | extra)))).add(FIELDS)
    assert found is not None
    assert found.id == "143491"


@each_call
async def test_a_redirect_is_not_followed(operation: str) -> None:
    error = await failure_of(operation, reply(302, text="", headers={"Location": "http://elsewhere.test/"}))
    assert (error.kind, error.status) == (Kind.UNAVAILABLE, 302)


@pytest.mark.parametrize("status", [200, 500])
async def test_an_answer_over_1_mib_is_not_read(status: int) -> None:
    error = await failure_of("add", reply(status, text="x" * (1024 * 1024 + 1)))
    assert error.kind is Kind.UNAVAILABLE
    assert "1 MiB" in error.message


def packed(content: bytes, *codings: str) -> Answer:
    """As it comes over the network: nothing is unpacked yet."""
    headers = [("Content-Encoding", coding) for coding in codings]
    return lambda _request: httpx.Response(200, headers=headers, stream=httpx.ByteStream(content))


async def test_an_answer_in_gzip_is_read() -> None:
    answer = packed(gzip.compress(json.dumps(customer()).encode()), "gzip")
    wire = Wire(add=answer)
    found = await client_of(wire).add(FIELDS)
    assert found is not None
    assert wire.requests[0].headers["Accept-Encoding"] == "gzip"


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (packed(gzip.compress(gzip.compress(bytes(2**20))), "gzip, gzip"), "the answer's coding is not gzip"),
        (packed(gzip.compress(b"{}"), "gzip", "gzip"), "the answer's coding is not gzip"),
        (packed(b"{}", "br"), "the answer's coding is not gzip"),
        (packed(b"{}", "gzip"), "the answer is broken gzip"),
        (packed(gzip.compress(bytes(2**20 + 1)), "gzip"), "the answer is longer than 1 MiB"),
    ],
    ids=["gzip, gzip", "gzip twice", "br", "no gzip", "too long"],
)
@each_call
async def test_an_answer_in_anything_else_is_not(operation: str, answer: Answer, message: str) -> None:
    error = await failure_of(operation, answer)
    assert (error.kind, error.status, error.message) == (Kind.UNAVAILABLE, 200, message)


async def test_what_is_sent_beside_the_data() -> None:
    wire = Wire(add=[reply(body=customer(), headers={"Set-Cookie": "a=b"}), reply(body=customer())])
    client = client_of(wire)
    for _ in range(2):
        await client.add(FIELDS | {"lastName": "Ößt"})
    for request in wire.requests:
        assert dict(request.headers) == {
            "host": "stamped.test",
            "accept": "application/json",
            "accept-encoding": "gzip",
            "user-agent": "ipaas-stamped",
            "authorization": f"Basic {BASIC}",
            "content-type": "application/json",
            "content-length": str(len(request.content)),
        }
        assert request.content == json.dumps(sent(request), ensure_ascii=False, separators=(",", ":")).encode()


@pytest.mark.parametrize("email", ["a+b@example.com", "a b&c=d#e/ö@example.com"])
async def test_an_email_arrives_in_the_query_as_it_is(email: str) -> None:
    wire = Wire()
    await client_of(wire).find(email)
    assert wire.requests[0].url.query == urlencode({"search": email}).encode()
    assert dict(wire.requests[0].url.params) == {"search": email}


@pytest.mark.parametrize("url", ["http://a\nb", "http://[1", "ftp://stamped.test"])
async def test_an_address_that_is_none_is_a_failed_call_that_never_left(url: str) -> None:
    client = StampedClient(StampedAccount(url, "u-key", "p-key", STORE), Redactor())
    with pytest.raises(CallError, match="no connection") as raised:
        await client.add(FIELDS)
    await client.aclose()
    assert not raised.value.sent


async def test_an_answer_of_1_mib_is_read() -> None:
    text = '{"id": 143491}'.ljust(1024 * 1024)
    found = await client_of(Wire(add=reply(text=text))).add(FIELDS)
    assert found is not None


@each_call
async def test_no_answer_in_time(operation: str) -> None:
    error = await failure_of(operation, never, timeout=0.01)
    assert (error.kind, error.status) == (Kind.TIMEOUT, None)
    assert str(error) == "No answer: timed out after 0.01 s."


@pytest.mark.parametrize(
    "cause",
    [
        httpx.ConnectError(PRIVATE_KEY),
        httpx.ConnectTimeout(PRIVATE_KEY),
        httpx.ReadError(PRIVATE_KEY),
        httpx.RemoteProtocolError(PRIVATE_KEY),
        httpx.UnsupportedProtocol(PRIVATE_KEY),
        httpx.InvalidURL(PRIVATE_KEY),
        httpx.DecodingError(PRIVATE_KEY),
        ConnectionResetError(PRIVATE_KEY),
        OSError(PRIVATE_KEY),
        ValueError(PRIVATE_KEY),
    ],
    ids=lambda cause: type(cause).__name__,
)
@pytest.mark.parametrize("operation", ["add", "subscribe"])
async def test_whatever_the_transport_raises_is_no_connection(operation: str, cause: Exception) -> None:
    error = await failure_of(operation, raising(cause))
    assert (error.kind, error.status) == (Kind.UNAVAILABLE, None)
    assert error.message == f"no connection ({type(cause).__name__})"


@pytest.mark.parametrize(
    ("cause", "sent_it"),
    [
        (httpx.ConnectError, False),
        (httpx.ConnectTimeout, False),
        (httpx.UnsupportedProtocol, False),
        (httpx.InvalidURL, False),
        (httpx.WriteError, True),
        (httpx.ReadError, True),
        (httpx.RemoteProtocolError, True),
        (OSError, True),
    ],
)
async def test_what_never_had_a_connection_was_not_sent(cause: type[Exception], *, sent_it: bool) -> None:
    error = await failure_of("add", raising(cause("")))
    assert (error.sent, error.is_unanswered) == (sent_it, sent_it)


@pytest.mark.parametrize("cause", [httpx.ReadTimeout(""), TimeoutError()], ids=repr)
async def test_a_timeout_of_the_transport_is_no_answer_in_time(cause: Exception) -> None:
    error = await failure_of("add", raising(cause))
    assert error.kind is Kind.TIMEOUT


@pytest.mark.parametrize("status", [400, 401, 500])
@each_call
async def test_keys_are_never_repeated(operation: str, status: int) -> None:
    message = f"{PUBLIC_KEY} {PRIVATE_KEY} Basic {BASIC} {EMAIL}"
    error = await failure_of(operation, reply(status, {"message": message}))
    for secret in (PUBLIC_KEY, PRIVATE_KEY, BASIC, EMAIL):
        assert secret not in str(error)


@pytest.mark.parametrize(("value", "seconds"), [("7", 7), (None, 60), ("soon", 60)])
async def test_429_carries_the_seconds_to_wait(value: str | None, seconds: float) -> None:
    error = await failure_of("add", reply(429, {}, headers={"Retry-After": value} if value else {}))
    assert (error.kind, error.retry_after) == (Kind.THROTTLED, seconds)


async def test_retry_after_of_another_failure_is_not_believed() -> None:
    error = await failure_of("add", reply(400, {}, headers={"Retry-After": "7"}))
    assert error.retry_after is None


@pytest.mark.parametrize(
    "text",
    [
        *('{"id": 1', '{"id": NaN}', '{"id": ' + "9" * 5000 + "}", "\x00\xff"),
        *("[" * 2**20, '{"id":' * 150_000, '{"id": ' + "9" * 100_000 + "}", "9" * 2**20, "-" * 2**20),
    ],
    ids=lambda text: f"{text[:8]} and {len(text)}",
)
async def test_broken_json_crashes_nothing(text: str) -> None:
    assert await client_of(Wire(get=reply(text=text))).get("1") is None


async def test_a_web_page_where_no_api_answers_so_is_the_last_failure() -> None:
    client = client_of(Wire(search=reply(text="<html>We'll be right back</html>")))
    with pytest.raises(CallError) as raised:
        await client.check()
    assert client.last_failure is raised.value


async def test_a_success_forgets_the_last_failure() -> None:
    client = client_of(Wire(get=[reply(500), reply(body=customer())]))
    with pytest.raises(CallError):
        await client.get("1")
    await client.get("1")
    assert client.last_failure is None


async def test_a_long_hostile_message_is_cut() -> None:
    error = await failure_of("add", reply(400, {"message": f"{'x' * 500_000} {EMAIL}"}))
    assert len(error.message) == 500


async def test_a_key_that_a_long_message_is_cut_within_is_not_shown() -> None:
    address = "@example.com "
    message = "x" * (20_000 - len(address) - 6) + address + PRIVATE_KEY + " and more"
    error = await failure_of("add", reply(400, {"message": message}))
    assert error.message == "x…@example.com"


async def test_nor_is_one_in_a_long_message_without_a_blank() -> None:
    begin = "x" * (20_000 - len("@example.com/") - 6) + "@example.com/"
    error = await failure_of("add", reply(400, {"message": f"{begin}{PRIVATE_KEY}/and/more"}))
    assert error.message == "x…@example.com/key-"
