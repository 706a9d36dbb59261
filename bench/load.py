"""The load: webhooks of ever new customers over so many connections. Bare sockets, to be cheap."""

from __future__ import annotations

import asyncio
import itertools
import time
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import cast
from urllib.parse import urlsplit
from uuid import uuid4

WEBHOOK_KEY = "bench-webhook-key"
_END_SECONDS = 60.0
_BODY = (
    b'{"id": %d, "email_address": "c%d@example.com", "first_name": "Anna", "tracking_guid": "%b", '
    b'"custom_fields": [{"custom_field_name": "Consent", "value": "yes"}]}'
)
_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Load:
    """How many connections, for how long, until how many webhooks at most; `expected`: what each is answered."""

    connections: int
    seconds: float
    most: int = 10**9
    expected: HTTPStatus = HTTPStatus.OK
    prefer: str = ""


@dataclass(slots=True)
class Measured:
    """What one run of the load saw; latencies in milliseconds."""

    seconds: float = 0.0
    failures: int = 0
    latencies: list[float] = field(default_factory=list)

    @property
    def webhooks(self) -> int:
        """How many were answered, whatever the answer."""
        return len(self.latencies)

    @property
    def rate(self) -> float:
        """Webhooks per second."""
        return self.webhooks / self.seconds


class _Caller(asyncio.Protocol):
    """One connection that is kept alive, with one webhook under way."""

    _transport: asyncio.Transport

    def __init__(self, load: Load, head: bytes, until: float, seen: Measured) -> None:
        self._load = load
        self._head = head
        self._until = until
        self._seen = seen
        self._status = b"HTTP/1.1 %d " % load.expected
        self._received = b""
        self._waits = False
        self._sent = 0.0
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._next()

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        if not end or len(body) < _length(head):
            return
        self._waits = False
        self._seen.latencies.append((time.perf_counter() - self._sent) * 1000)
        self._seen.failures += not head.startswith(self._status)
        self._received = b""
        self._next()

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._seen.failures += self._waits
        if not self.over.done():
            self.over.set_result(None)

    def _next(self) -> None:
        now = time.perf_counter()
        if now >= self._until or self._seen.webhooks >= self._load.most:
            self._transport.close()
            return
        number = next(_numbers)
        body = _BODY % (number, number, str(uuid4()).encode())
        self._sent, self._waits = now, True
        self._transport.write(self._head % len(body) + body)


async def put_load(url: str, load: Load) -> Measured:
    """Each webhook is a bare record with a tracking GUID of its own. A lost connection is a failure and ends."""
    address = urlsplit(url)
    lines = [
        "POST /webhooks/customers HTTP/1.1",
        f"Host: {address.netloc}",
        f"Authorization: Bearer {WEBHOOK_KEY}",
        "Content-Type: application/json",
        *([f"Prefer: {load.prefer}"] if load.prefer else []),
        "Content-Length: %d\r\n\r\n",
    ]
    head = "\r\n".join(lines).encode()
    seen = Measured()
    began = time.perf_counter()
    until = began + load.seconds
    loop = asyncio.get_running_loop()
    opened = [
        await loop.create_connection(
            lambda: _Caller(load, head, until, seen), str(address.hostname), address.port or 80
        )
        for _ in range(load.connections)
    ]
    async with asyncio.timeout(load.seconds + _END_SECONDS):
        await asyncio.gather(*(caller.over for _, caller in opened))
    seen.seconds = time.perf_counter() - began
    return seen


def _length(head: bytes) -> int:
    _, named, rest = head.partition(b"content-length: ")
    return int(rest.partition(b"\r\n")[0]) if named else 0
