"""An application of a few lines behind the guarded protocol, in a real uvicorn."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import uvicorn

from app.server import PLACES, Places, guard_uvicorn
from app.server.limits import Limits
from app.telemetry.metrics import Metrics

QUICK = Limits(
    places=100,
    head_seconds=0.4,
    body_seconds=0.4,
    reading_seconds=0.4,
    closing_seconds=0.4,
    stopping_seconds=0.4,
    look_seconds=0.05,
)
PATIENT = replace(QUICK, head_seconds=60, body_seconds=60, reading_seconds=60)
LARGE = 16 * 1024 * 1024


@dataclass
class Shop:
    """Tells the length of a body; at `/wait` when told to, at `/large` with much more; at `/early` reads none."""

    metrics: Metrics
    places: Places
    port: int = 0
    loop: asyncio.AbstractEventLoop | None = None
    go: asyncio.Event | None = None
    left: threading.Event = field(default_factory=threading.Event)  # a caller was seen to leave

    def open(self) -> None:
        """Whoever waits is answered."""
        assert self.loop is not None
        assert self.go is not None
        self.loop.call_soon_threadsafe(self.go.set)

    def call(self) -> socket.socket:
        """A caller; nothing is waited for longer than 10 s."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=10)

    def ask(self, *parts: bytes) -> bytes:
        """All that is answered until the server closes."""
        with self.call() as caller:
            for part in parts:
                caller.sendall(part)
            return read(caller)

    def until(self, holds: Callable[[], bool]) -> None:
        """What the server does in its own thread, within 10 s."""
        deadline = time.monotonic() + 10
        while not holds():
            assert time.monotonic() < deadline
            time.sleep(0.002)  # nothing here tells of it

    def count(self, name: str) -> float:
        """A metric's value."""
        lines = self.metrics.exposition().decode().splitlines()
        return next((float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"{name} ")), 0)


def read(caller: socket.socket) -> bytes:
    """Until the end, or until the connection is reset."""
    found = b""
    try:
        while part := caller.recv(65536):
            found += part
    except ConnectionError:
        pass
    return found


@contextmanager
def serving(limits: Limits, **config: Any) -> Iterator[Shop]:
    """The server ends with the block, within 10 s, whatever is connected."""
    metrics = Metrics()
    places = Places(metrics, limits)
    shop = Shop(metrics, places)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await receive()
            shop.loop, shop.go = asyncio.get_running_loop(), asyncio.Event()
            scope["state"][PLACES] = places
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        body = b"early" if scope["path"] == "/early" else str(await _length(shop, receive)).encode()
        if scope["path"] == "/wait":
            assert shop.go is not None
            await shop.go.wait()
        if scope["path"] == "/large":
            body = b"x" * LARGE
        headers = [(b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    guard_uvicorn()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        shop.port = listener.getsockname()[1]
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, lifespan="on", **config))
        server.config.load()
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        shop.ask(b"GET /livez HTTP/1.1\r\nConnection: close\r\n\r\n")  # it has started
        try:
            yield shop
        finally:
            server.should_exit = True
            thread.join(10)
        assert not thread.is_alive()


async def _length(shop: Shop, receive: Any) -> int:
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            shop.left.set()
            return size
        size += len(message["body"])
        if not message["more_body"]:
            return size
