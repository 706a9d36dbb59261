"""The transport over real sockets: what is sent, what is kept open, what is repeated, and what errors come."""

from __future__ import annotations

import asyncio
import ssl

import httpx
import pytest

from app.outbound.wire import Wire, read
from tests.outbound.support import CERTIFICATE, OK, Says, chunked, failure_of, ok, other_side, send, wire


async def test_a_request_is_sent_as_it_is() -> None:
    async with other_side(ok()) as other, wire() as opened:
        headers = [("Host", "stamped.test"), ("X-Two", "1"), ("X-Two", "2"), ("content-length", "5")]
        url = httpx.URL(f"{other.url}/a%2Fb%20c/1%2F..%2F2?search=a%2Bb%40example.com&x=%C3%A9+1")
        request = httpx.Request("POST", url, headers=headers, stream=httpx.ByteStream(b"a\r\n\r\n"))
        await (await opened.handle_async_request(request)).aclose()
    head = b"POST /a%2Fb%20c/1%2F..%2F2?search=a%2Bb%40example.com&x=%C3%A9+1 HTTP/1.1\r\nHost: stamped.test\r\n"
    assert other.requests == [head + b"X-Two: 1\r\nX-Two: 2\r\ncontent-length: 5\r\n\r\na\r\n\r\n"]


async def test_nothing_is_added_to_a_request_without_a_body() -> None:
    async with other_side(ok()) as other, wire() as opened:
        request = httpx.Request("GET", other.url, headers={"Host": "x"}, stream=httpx.ByteStream(b""))
        await (await opened.handle_async_request(request)).aclose()
    assert other.requests == [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"]


@pytest.mark.parametrize(
    ("name", "value"),
    [("X-A", "1\r\nX-B: 2"), ("X-A", "1\nX-B: 2"), ("X-A", "1\r\n\r\nGET / HTTP/1.1"), ("X-A: 1\r\nX-B", "2")],
)
async def test_a_header_cannot_smuggle_another(name: str, value: str) -> None:
    async with other_side(ok()) as other, wire() as opened:
        with pytest.raises(ValueError, match="header"):
            await opened.handle_async_request(httpx.Request("GET", other.url, headers={name: value}))
    assert other.requests == []


async def test_a_connection_serves_one_call_after_the_other() -> None:
    async with other_side(ok(), chunked(b"{}") + b"0\r\n\r\n", ok()) as other, wire() as opened:
        for method in ("POST", "GET", "POST"):
            assert await send(opened, method, other.url) == OK
    assert (len(other.requests), other.opened) == (3, 1)


async def test_an_answer_that_is_not_read_to_its_end_costs_its_connection() -> None:
    async with other_side(Says(ok(b"x" * 9)[:-1]), ok()) as other, wire() as opened:
        response = await opened.handle_async_request(httpx.Request("GET", other.url))
        await response.aclose()
        await other.was_left()
        assert await send(opened, "GET", other.url) == OK
    assert other.opened == 2


async def test_a_cancelled_call_costs_its_connection() -> None:
    async with other_side(Says(), ok()) as other, wire() as opened:
        call = asyncio.create_task(send(opened, "POST", other.url))
        await other.was_asked()
        call.cancel()
        await other.was_left()
        assert await send(opened, "POST", other.url) == OK
    assert other.opened == 2


async def test_what_the_other_side_closed_meanwhile_is_not_used() -> None:
    async with other_side(Says(ok(), closes=True), ok()) as other, wire() as opened:
        await send(opened, "POST", other.url)
        (((connection, _),),) = opened._session.connector._conns.values()  # type: ignore[union-attr]
        while connection.is_connected():  # noqa: ASYNC110 - the wire's time bounds it
            await asyncio.sleep(0)
        assert await send(opened, "POST", other.url) == OK
    assert (len(other.requests), other.opened) == (2, 2)


LOST = [Says(closes=True), Says(b"HTTP/1.1 200 OK\r\nContent-Le", closes=True)]


@pytest.mark.parametrize("first", [b"", ok()], ids=["new connection", "used connection"])
@pytest.mark.parametrize("lost", LOST, ids=["before the answer", "within its head"])
async def test_a_post_is_never_repeated_and_a_get_once(lost: Says, first: bytes) -> None:
    for method, times in (("POST", 1), ("GET", 2)):
        async with other_side(*([first] if first else []), lost) as other, wire() as opened:
            if first:
                await send(opened, "POST", other.url)
            with pytest.raises(httpx.RemoteProtocolError) as raised:
                await send(opened, method, other.url)
        assert type(raised.value.__cause__).__name__ == "ServerDisconnectedError"
        assert len(other.requests) == times + bool(first)


@pytest.mark.parametrize(
    "answer",
    [ok(b"x" * 9)[:-1], chunked(b"x")[:-1], chunked(b"x"), chunked(b"x") + b"0\r\n"],
    ids=["length", "within a chunk", "between chunks", "before the end"],
)
async def test_half_a_body_is_no_answer(answer: bytes) -> None:
    async with other_side(Says(answer, closes=True)) as other, wire() as opened:
        with pytest.raises(httpx.ReadError):
            await send(opened, "GET", other.url)
    assert len(other.requests) == 1


async def test_a_body_without_a_length_ends_with_the_connection() -> None:
    async with other_side(Says(b"HTTP/1.0 200 OK\r\n\r\n{}", closes=True)) as other, wire() as opened:
        assert await send(opened, "GET", other.url) == OK


@pytest.mark.parametrize(
    "answer", [b"SSH-2.0-x\r\n", b"HTTP/1.1 2x0 OK\r\n\r\n", b"\x16\x03\x01\x00\r\n\r\n"], ids=repr
)
async def test_what_is_no_http_is_no_answer(answer: bytes) -> None:
    async with other_side(answer) as other, wire() as opened:
        with pytest.raises(httpx.RemoteProtocolError):
            await send(opened, "GET", other.url)
        await other.was_left()


async def test_nobody_there_is_no_connection() -> None:
    async with other_side() as other:
        pass
    async with wire() as opened:
        with pytest.raises(httpx.ConnectError) as raised:
            await send(opened, "GET", other.url)
    assert type(raised.value.__cause__).__name__ == "ClientConnectorError"
    assert not (await failure_of(other.url)).sent


async def test_another_protocol_is_not_spoken() -> None:
    async with wire() as opened:
        with pytest.raises(httpx.UnsupportedProtocol):
            await send(opened, "GET", "ftp://127.0.0.1/")


async def test_no_redirect_is_followed_and_no_cookie_kept() -> None:
    moved = ok(b"{}", b"Location: /elsewhere", b"Set-Cookie: a=b").replace(b"200 OK", b"302 Found")
    async with other_side(moved) as other, wire() as opened:
        for _ in range(2):
            assert await send(opened, "GET", other.url) == (302, b"{}")
    assert [request.split(b" ")[1] for request in other.requests] == [b"/", b"/"]
    assert not any(b"cookie" in request.lower() for request in other.requests)


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
async def test_no_proxy_is_asked(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with other_side(ok()) as other, wire() as opened:
        assert await send(opened, "GET", other.url) == OK


async def test_a_certificate_that_nobody_vouches_for_is_refused() -> None:
    async with other_side(ok(), tls=True) as other, wire() as opened:
        with pytest.raises(httpx.ConnectError) as raised:
            await send(opened, "POST", other.url)
    assert type(raised.value.__cause__).__name__ == "ClientConnectorCertificateError"
    assert other.requests == []


async def test_a_certificate_of_somebody_else_is_refused() -> None:
    async with other_side(ok(), tls=True) as other, wire(ssl_context=_trusting()) as opened:
        with pytest.raises(httpx.ConnectError):
            await send(opened, "POST", other.url.replace("127.0.0.1", "localhost"))
    assert other.requests == []


async def test_a_trusted_certificate_is_accepted() -> None:
    async with other_side(ok(), tls=True) as other, wire(ssl_context=_trusting()) as opened:
        assert await send(opened, "POST", other.url) == OK


def _trusting() -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(CERTIFICATE))


async def test_closed_is_closed() -> None:
    async with other_side(ok()) as other:
        opened = Wire()
        await opened.aclose()
        await opened.aclose()
        with pytest.raises(httpx.ConnectError):
            await send(opened, "GET", other.url)
    assert other.opened == 0


@pytest.mark.parametrize("answer", [b"", ok()[:9]], ids=["silent", "half a head"])
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_closing_ends_the_wait_for_an_answer(method: str, answer: bytes) -> None:
    async with other_side(Says(answer)) as other, wire() as opened:
        call = asyncio.create_task(send(opened, method, other.url))
        await other.was_asked()
        await opened.aclose()
        with pytest.raises(httpx.TransportError):
            await call
    assert len(other.requests) == 1


@pytest.mark.parametrize("waits", [True, False])
async def test_closing_ends_the_wait_for_the_rest_of_an_answer(*, waits: bool) -> None:
    async with other_side(Says(ok()[:-1])) as other, wire() as opened:
        response = await opened.handle_async_request(httpx.Request("POST", other.url))
        call = asyncio.create_task(read(response))
        if waits:
            await asyncio.sleep(0)
        await opened.aclose()
        with pytest.raises(httpx.ReadError):
            await call
