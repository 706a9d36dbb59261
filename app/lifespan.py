"""The service's life: what starts and stops with it, and how SIGTERM ends it.

Not ready any more, no new transfers, running ones get 15 s, then the server stops. Where others go on, it
answers for 3 s at least: a balancer learns from `/readyz` that it leaves, before nobody is there.
"""

from __future__ import annotations

import asyncio
import gc
import signal
import threading
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any

import structlog

from app import workers
from app.telemetry import traces

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
    from contextlib import AbstractAsyncContextManager
    from types import FrameType

    from fastapi import FastAPI

    from app.connections import Connections
    from app.engine import Engine
    from app.ledger.database import Database
    from app.settings import Settings

log = structlog.stdlib.get_logger("app")

DRAIN_SECONDS = 15.0  # of the 20 that it may take; the rest is for answers, the database and who hangs on
LEAVING_SECONDS = 3.0  # a balancer that asks each second has asked twice
_GARBAGE = (20_000, 20, 50)
_LOOK_SECONDS = 1.0


def lifespan_of(  # noqa: PLR0913 - what lives
    settings: Settings,
    engine: Engine,
    connections: Connections,
    database: Database,
    state: Mapping[str, object],
    beside: Callable[[], Coroutine[Any, Any, None]],
) -> Callable[[FastAPI], AbstractAsyncContextManager[Mapping[str, object]]]:
    """For FastAPI. `state`: what its server gets to know. `beside`: what goes on until the end."""

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[Mapping[str, object]]:
        _warn(settings)
        gc.freeze()  # what the start has left is not looked at again, and the rest not after every 700 objects
        gc.set_threshold(*_GARBAGE)
        engine.start()
        _tell("started", connections)
        going_on = asyncio.create_task(beside())
        leaving = 0.0 if database.is_sqlite else LEAVING_SECONDS
        with draining_on_sigterm(engine, leaving), reloading_on_sighup(engine, connections):
            yield state
        going_on.cancel()
        await engine.drain(0)
        await connections.aclose()
        await database.aclose()
        await traces.stop()
        workers.leave()  # uvicorn ends its workers by the signal, so nothing runs at their exit
        log.info("stopped")

    return lifespan


def _warn(settings: Settings) -> None:
    if settings.sandbox_url:
        nothing = "SANDBOX: no Stamped.io keys are set, nothing is sent to a real store"
        log.warning(nothing, url=settings.sandbox_url)


def _tell(event: str, connections: Connections) -> None:
    for each in connections:
        at = {"stamped": each.settings.stamped_api_url, "ipaas": each.settings.ipaas_api_url or "not set"}
        log.info(event, connection=each.id, **at)


@contextmanager
def reloading_on_sighup(engine: Engine, connections: Connections) -> Iterator[None]:
    """Reads the file of connections again; those that leave are closed when what they began has ended."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    closing: list[asyncio.Task[None]] = []

    async def close() -> None:
        while not await connections.close(engine.is_idle):  # noqa: ASYNC110 - attempts end by themselves
            await asyncio.sleep(_LOOK_SECONDS)

    def reload() -> None:
        connections.reload()
        if connections.fault is not None:
            log.error("the file of connections is not taken over", fault=connections.fault)
            return
        _tell("connection", connections)
        engine.connections_changed()
        if not closing or closing[-1].done():
            closing.append(loop.create_task(close()))

    loop.add_signal_handler(signal.SIGHUP, reload)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGHUP)
        for task in closing:
            task.cancel()


@contextmanager
def draining_on_sigterm(engine: Engine, leaving: float, seconds: float = DRAIN_SECONDS) -> Iterator[None]:
    """Puts the draining in front of the server's own handler; a second SIGTERM goes straight to that.

    It takes `leaving` seconds at least.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # signals only reach the main thread; whoever embeds the service stops it otherwise
        return
    loop = asyncio.get_running_loop()
    stop_server = signal.getsignal(signal.SIGTERM)
    draining: list[asyncio.Task[None]] = []

    async def drain(frame: FrameType | None) -> None:
        await asyncio.gather(engine.drain(seconds), asyncio.sleep(leaving))
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
