"""SIGTERM: not ready any more, no new transfers, running ones get 20 s, then the server stops."""

from __future__ import annotations

import asyncio
import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    from app.engine import Engine

DRAIN_SECONDS = 20.0


@contextmanager
def draining_on_sigterm(engine: Engine, seconds: float = DRAIN_SECONDS) -> Iterator[None]:
    """Puts the draining in front of the server's own handler; a second SIGTERM goes straight to that."""
    if threading.current_thread() is not threading.main_thread():
        yield  # signals only reach the main thread; whoever embeds the service stops it otherwise
        return
    loop = asyncio.get_running_loop()
    stop_server = signal.getsignal(signal.SIGTERM)
    draining: list[asyncio.Task[None]] = []

    async def drain(frame: FrameType | None) -> None:
        await engine.drain(seconds)
        if callable(stop_server):
            stop_server(signal.SIGTERM, frame)

    def begin(frame: FrameType | None) -> None:
        draining.append(loop.create_task(drain(frame)))

    def on_sigterm(number: int, frame: FrameType | None) -> None:
        if draining and callable(stop_server):
            stop_server(number, frame)
        else:
            loop.call_soon_threadsafe(begin, frame)

    signal.signal(signal.SIGTERM, on_sigterm)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, stop_server)
