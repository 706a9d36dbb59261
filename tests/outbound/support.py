"""Another side made of bytes: a server on this machine that says exactly what a test wants, HTTP or not."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path

import httpx
import pytest

from app.outbound.calls import CallError
from app.outbound.http_client import JsonClient
from app.outbound.wire import Wire, read
from app.telemetry.redaction import Redactor

CERTIFICATE = Path(__file__).with_name("loopback.pem")
PATIENCE = 5  # seconds, of a test that fails


@dataclass(frozen=True)
class Says:
    """Bytes for one request: `first`, `later` when the test lets them go, and `more` until the client hangs up."""

    first: bytes = b""
    later: bytes = b""
    more: bytes = b""
    closes: bool = False


@dataclass
class Other:
    """The other side, and what it saw."""

    port: int = 0
    scheme: str = "http"
    requests: list[bytes] = field(default_factory=list)
    opened: int = 0
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    go: asyncio.Event = field(default_factory=asyncio.Event)
    hung_up: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    async def was_asked(self) -> None:
        """A request has come."""
        async with asyncio.timeout(PATIENCE):
            await self.asked.wait()

    async def was_left(self) -> None:
        """The client closed a connection."""
        async with asyncio.timeout(PATIENCE):
            await self.hung_up.wait()


def ok(body: bytes = b"{}", *headers: bytes) -> bytes:
    """A whole answer."""
    lines = (b"HTTP/1.1 200 OK", *headers, b"Content-Length: %d" % len(body), b"", body)
    return b"\r\n".join(lines)


def chunked(*parts: bytes) -> bytes:
    """The begin of an answer in chunks."""
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts)


@asynccontextmanager
async def other_side(*answers: Says | bytes, tls: bool = False) -> AsyncIterator[Other]:
    """Answers one request after the other, over all connections; the last answer repeats."""
    other = Other(scheme="https" if tls else "http")

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        other.opened += 1
        try:
            while True:
                other.requests.append(await _request(reader))
                other.asked.set()
                given = answers[min(len(other.requests), len(answers)) - 1]
                says = given if isinstance(given, Says) else Says(given)
                writer.write(says.first)
                if says.later:
                    await other.go.wait()
                    writer.write(says.later)
                while says.more:
                    writer.write(says.more)
                    await writer.drain()
                    await asyncio.sleep(0)
                if says.closes:
                    return
        except (asyncio.IncompleteReadError, OSError):
            other.hung_up.set()
        finally:
            writer.close()

    context = None
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(CERTIFICATE)
    server = await asyncio.start_server(serve, "127.0.0.1", ssl=context)
    other.port = server.sockets[0].getsockname()[1]
    try:
        yield other
    finally:
        server.close()


async def _request(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    lines = dict(line.lower().split(b": ", 1) for line in head.splitlines()[1:-1])
    return head + await reader.readexactly(int(lines.get(b"content-length", b"0")))


@asynccontextmanager
async def wire(**given: ssl.SSLContext) -> AsyncIterator[Wire]:
    """The transport, closed in the end, within some seconds whatever happens."""
    opened = Wire(**given)
    try:
        async with asyncio.timeout(PATIENCE):
            yield opened
    finally:
        await opened.aclose()


async def send(opened: Wire, method: str, url: str, content: bytes = b"") -> tuple[int, bytes]:
    """One exchange: status and body."""
    response = await opened.handle_async_request(httpx.Request(method, url, content=content))
    return response.status_code, await read(response)


async def failure_of(url: str, *, method: str = "POST", seconds: float = PATIENCE) -> CallError:
    """What a call of a client over the real transport comes to."""
    client = JsonClient(url, Redactor(), timeout_seconds=seconds, connections=1)
    try:
        with pytest.raises(CallError) as raised:
            await client.call("create", method, "/x", json={"id": 1} if method == "POST" else None)
    finally:
        await client.aclose()
    return raised.value


OK = (HTTPStatus.OK, b"{}")
