"""Starts real processes quickly: this one has imported everything and forks one for each line on its input.

A line is JSON: {"what": "bridge" | "stand_in", "port", "log", "environment", "options"}; the answer is the pid.
Only here are the product's constants shortened, so that no setting has to exist for tests.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

import psycopg  # noqa: F401 - so that no child has to
import uvicorn
from fastapi import FastAPI
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

import app.main
from app.engine import dispatcher
from app.ledger import replicas
from app.sandbox import create_sandbox


class SlowWitness:
    """Before the stand-in: each call takes effect at once and is answered later; calls about one customer
    that were open at the same time are counted."""

    def __init__(self, stand_in: ASGIApp, delay_seconds: float) -> None:
        self._stand_in = stand_in
        self._delay_seconds = delay_seconds
        self._open: Counter[str] = Counter()
        self.calls = 0
        self.overlaps: list[str] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith("/api/"):
            await self._stand_in(scope, receive, send)
            return
        body = await Request(scope, receive).body()
        customer = str(json.loads(body or b"{}").get("externalId"))

        async def replayed() -> Message:
            return {"type": "http.request", "body": body}

        async def sent_later(message: Message) -> None:
            if message["type"] == "http.response.start":
                await asyncio.sleep(self._delay_seconds)
            await send(message)

        self.calls += 1
        self._open[customer] += 1
        if self._open[customer] > 1:
            self.overlaps.append(customer)
        try:
            await self._stand_in(scope, replayed, sent_later)
        finally:
            self._open[customer] -= 1


def _stand_in(options: dict[str, Any]) -> ASGIApp:
    sandbox = create_sandbox()
    witness = SlowWitness(sandbox, options.get("delay_seconds", 0.0))

    @sandbox.get("/_witness")
    async def seen() -> dict[str, Any]:
        return {"calls": witness.calls, "overlaps": witness.overlaps}

    @sandbox.put("/_witness/{milliseconds}")
    async def slow(milliseconds: int) -> None:
        witness._delay_seconds = milliseconds / 1000

    return witness


def _bridge(options: dict[str, Any]) -> FastAPI:
    replicas.HEARTBEAT_SECONDS = options.get("heartbeat", replicas.HEARTBEAT_SECONDS)
    replicas.DEAD_AFTER_SECONDS = options.get("dead_after", replicas.DEAD_AFTER_SECONDS)
    replicas.FENCE_SECONDS = options.get("fence", replicas.FENCE_SECONDS)
    dispatcher._LOOK_SECONDS = options.get("look", dispatcher._LOOK_SECONDS)
    return app.main.app_or_exit()


def _become(order: dict[str, Any]) -> None:
    """Never returns."""
    log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for stream, target in ((os.open(os.devnull, os.O_RDONLY), 0), (log, 1), (log, 2)):
        os.dup2(stream, target)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.environ.update(order["environment"])
    make: Callable[[dict[str, Any]], Any] = {"bridge": _bridge, "stand_in": _stand_in}[order["what"]]
    uvicorn.run(make(order["options"]), host="127.0.0.1", port=order["port"], log_config=None, access_log=False)


def main() -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel buries the children
    print("ready", flush=True)  # noqa: T201 - whoever started this waits for it
    for line in sys.stdin:
        order = json.loads(line)
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                _become(order)
                code = 0
            except SystemExit as end:
                code = end.code if isinstance(end.code, int) else 1
            finally:
                sys.stderr.flush()
                os._exit(code)
        print(pid, flush=True)  # noqa: T201 - as above


if __name__ == "__main__":
    main()
