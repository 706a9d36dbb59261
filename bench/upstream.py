"""Stamped.io as a constant: each call is answered at once, or so many milliseconds later, and nothing is kept.

`PUT /_latency/20` sets the milliseconds. What is under `/silent` is never answered. Bare sockets, so that it costs
next to nothing beside what is measured.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import re
from typing import cast

import uvloop

_EMAIL = re.compile(rb'"email"\s*:\s*"([^"]*)"')
_LENGTH = re.compile(rb"\r\ncontent-length:\s*(\d+)", re.IGNORECASE)
_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
_CUSTOMER = b'{"id": %d, "email": "%b", "isSubscribed": false}'
_FIRST_ID = 143491


class Upstream:
    """What all connections share: every customer gets an id of its own."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.ids = itertools.count(_FIRST_ID)


class _Connection(asyncio.Protocol):
    """One caller, who sends the next request when the last one was answered."""

    _transport: asyncio.Transport

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        if not end:
            return
        length = _LENGTH.search(head)
        if length is not None and len(body) < int(length[1]):
            return
        self._received = b""
        self._answer(head.split(b" ", 2)[1], body)

    def _answer(self, path: bytes, body: bytes) -> None:
        if path.startswith(b"/silent/"):
            return
        if path.startswith(b"/_latency/"):
            self._upstream.seconds = int(path.rpartition(b"/")[2]) / 1000
            self._write(b"{}")
            return
        email = _EMAIL.search(body)
        answer = _CUSTOMER % (next(self._upstream.ids), email[1] if email else b"someone@example.com")
        if self._upstream.seconds:
            asyncio.get_running_loop().call_later(self._upstream.seconds, self._write, answer)
        else:
            self._write(answer)

    def _write(self, answer: bytes) -> None:
        self._transport.write(_ANSWER % (len(answer), answer))


async def serve(port: int) -> None:
    """Until it is stopped."""
    upstream = Upstream()
    server = await asyncio.get_running_loop().create_server(lambda: _Connection(upstream), "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    uvloop.run(serve(parser.parse_args().port))
