"""Starts real processes quickly: this one has imported everything and forks one for each line on its input.

A line is JSON: {"what": "bridge" | "stand_in", "port", "log", "environment", "options"}; the answer is the pid.
Only here are the product's constants shortened, and replicas frozen at the worst moment, so that no setting has
to exist for tests.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import psycopg  # noqa: F401 - so that no child has to
import uvicorn
from fastapi import APIRouter, FastAPI
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

import app.main
from app import lifespan
from app.clock import Clock
from app.engine import Engine, dispatcher, entry
from app.ledger import customers, engines, replicas
from app.ledger.session import Session
from app.outbound import pauses
from app.outbound.http_client import JsonClient
from app.sandbox import SANDBOX_STORE_HASH, create_sandbox
from app.sandbox.faults import Fault, Faults
from app.sandbox.store import Operation
from tests.support import IPAAS_TOKEN

DESTINATION = "1796"
_LATE: list[Operation] = ["update", "subscribe", "unsubscribe"]  # who is created after all looked may be doubled


class SlowWitness:
    """Before the Stamped.io stand-in: each call takes effect at once and is answered later; writes about one
    customer that were open at the same time are counted, and what was written is kept, in order.

    `share` of the calls meet a fault: refused for a while, lost before or after their effect, or late by `late`.
    """

    def __init__(self, stand_in: ASGIApp, faults: Faults, delay_seconds: float) -> None:
        self._stand_in = stand_in
        self._faults = faults
        self.delay_seconds = delay_seconds
        self.share = self.late = 0.0
        self._chance = random.Random(1)  # noqa: S311 - not for secrets
        self._open: Counter[str] = Counter()
        self._whose: dict[str, str] = {}
        self.calls = 0
        self.overlaps: list[str] = []
        self.written: list[tuple[str, str]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith("/api/"):
            await self._stand_in(scope, receive, send)
            return
        body = await Request(scope, receive).body()

        async def replayed() -> Message:
            return {"type": "http.request", "body": body}

        async def sent_later(message: Message) -> None:
            if message["type"] == "http.response.start":
                await asyncio.sleep(self.delay_seconds)
            await send(message)

        self.calls += 1
        self._maybe_fail()
        customer = self._written_of(json.loads(body)) if body else None
        self._open[customer or ""] += 1
        if customer is not None and self._open[customer] > 1:
            self.overlaps.append(customer)
        try:
            await self._stand_in(scope, replayed, sent_later)
        finally:
            self._open[customer or ""] -= 1

    def _written_of(self, sent: dict[str, Any]) -> str | None:
        """Whom a call writes: subscriptions are set by e-mail."""
        customer, email = sent.get("externalId"), str(sent.get("email"))
        if customer is None:
            return self._whose.get(email)
        self._whose[email] = customer
        self.written.append((customer, str(sent.get("firstName"))))
        return str(customer)

    def _maybe_fail(self) -> None:
        if self._chance.random() >= self.share:
            return
        late = self._chance.choice(_LATE)
        self._faults.add(
            self._chance.choice(
                [
                    Fault(status=503),
                    Fault(kind="drop"),
                    Fault(kind="drop", after=True),
                    Fault(delay_seconds=self.late, after=True),
                    Fault(delay_seconds=self.late, operation=late),
                ]
            )
        )


def _stand_in(options: dict[str, Any]) -> ASGIApp:
    sandbox = create_sandbox(store_hash=options.get("store_hash", SANDBOX_STORE_HASH))
    witness = SlowWitness(sandbox, sandbox.state.faults, options.get("delay_seconds", 0.0))
    sandbox.include_router(Ipaas().routes())

    @sandbox.get("/_witness")
    async def seen() -> dict[str, Any]:
        return {"calls": witness.calls, "overlaps": witness.overlaps, "written": witness.written}

    @sandbox.put("/_witness")
    async def behave(milliseconds: int, permille: int = 0, late_milliseconds: int = 0) -> None:
        witness.delay_seconds, witness.late = milliseconds / 1000, late_milliseconds / 1000
        witness.share = permille / 1000
        if not permille:
            sandbox.state.faults.clear()

    return witness


class Ipaas:
    """iPaaS.com's Customers API, with the records that it was given; each `every`-th load fails."""

    def __init__(self) -> None:
        self._records: dict[str, dict[str, Any]] = {}
        self._links: dict[str, str] = {}
        self._every = self._loads = 0

    def routes(self) -> APIRouter:
        router = APIRouter()
        link = "/customers/v2/External/LookupExternal/{customer_id}/{system_id}/customer"
        router.add_api_route("/_records", self.behave, methods=["PUT"])
        router.add_api_route("/_records/{customer_id}", self.keep, methods=["PUT"])
        router.add_api_route("/customers/v2/Customer/{customer_id}", self.load)
        router.add_api_route(link, self.look_up)
        router.add_api_route("/customers/v2/External/UpdateExternalId", self.link, methods=["POST"])
        return router

    async def behave(self, every: int) -> None:
        self._every = every

    async def keep(self, customer_id: str, request: Request) -> None:
        self._records[customer_id] = await request.json()

    async def load(self, customer_id: str, request: Request) -> JSONResponse:
        self._loads += 1
        if request.headers.get("Authorization") != f"Bearer {IPAAS_TOKEN}":
            return _error(401, "AUTH")
        if self._every and self._loads % self._every == 0:
            return _error(503, "INTL")
        if customer_id not in self._records:
            return _error(404, "NFND")
        link = self._links.get(customer_id)
        known = [{"system_id": DESTINATION, "external_id": link}] if link else []
        return JSONResponse(self._records[customer_id] | {"external_ids": known})

    async def look_up(self, customer_id: str, system_id: str) -> JSONResponse:
        link = self._links.get(customer_id) if system_id == DESTINATION else None
        return JSONResponse(link) if link else _error(404, "NFND")

    async def link(self, request: Request) -> JSONResponse:
        sent = await request.json()
        self._links[str(sent["internal_id"])] = str(sent["external_id"])
        return JSONResponse(sent)


def _error(status: int, code: str) -> JSONResponse:
    return JSONResponse({"message": f"{code}-1: no"}, status)


def _bridge(options: dict[str, Any]) -> FastAPI:
    replicas.HEARTBEAT_SECONDS = options.get("heartbeat", replicas.HEARTBEAT_SECONDS)
    replicas.DEAD_AFTER_SECONDS = options.get("dead_after", replicas.DEAD_AFTER_SECONDS)
    replicas.FENCE_SECONDS = options.get("fence", replicas.FENCE_SECONDS)
    dispatcher._LOOK_SECONDS = options.get("look", dispatcher._LOOK_SECONDS)
    entry._LOOK_SECONDS = options.get("entry_look", entry._LOOK_SECONDS)
    pauses._FIRST_PROBE = options.get("probe", pauses._FIRST_PROBE)
    lifespan.LEAVING_SECONDS = options.get("leaving", lifespan.LEAVING_SECONDS)
    engines.IDLE_MS = options.get("idle_ms", engines.IDLE_MS)
    engines.LOCK_MS = options.get("lock_ms", engines.LOCK_MS)
    if "clock_off" in options:
        off = timedelta(seconds=options["clock_off"])
        vars(app.main)["Clock"] = partial(Clock, now=lambda: datetime.now(UTC) + off)
    if "flags" in options:
        _obey(Path(options["flags"]))
    return app.main.app_or_exit(app.main.settings_or_exit())


def _obey(flags: Path) -> None:
    """Files are the words of a test: where one is, the replica freezes there, once.

    `row-7`: in a transaction, when customer 7's row is locked; `beat`: in a heartbeat's transaction; `call-C-7`:
    before it writes customer C-7, which then is sent whatever becomes of the attempt. `idle`: begins nothing by
    itself.
    """
    lock, beat, exchange, work = customers.lock, replicas.beat, JsonClient._exchange, Engine._begin_due

    def freeze(name: str) -> None:
        try:
            (flags / name).unlink()
        except FileNotFoundError:
            return
        os.kill(os.getpid(), signal.SIGSTOP)
        time.sleep(0.05)  # each thread stops at its own next moment

    def locked(session: Session, name: str, customer_id: str | None, *, wait: bool = True) -> Any:
        found = lock(session, name, customer_id, wait=wait)
        if found is not None:
            freeze(f"row-{customer_id}")
        return found

    def beaten(session: Session, replica: str, now: float | None = None) -> float:
        at = beat(session, replica, now)
        freeze("beat")
        return at

    async def exchanged(self: JsonClient, operation: str, method: str, path: str, json: Any, params: Any) -> Any:
        freeze(f"call-{(json or {}).get('externalId')}")
        return await asyncio.shield(exchange(self, operation, method, path, json, params))

    async def worked(self: Engine, running: Any) -> Any:
        return [] if (flags / "idle").exists() else await work(self, running)

    customers.lock, replicas.beat = locked, beaten
    JsonClient._exchange, Engine._begin_due = exchanged, worked  # type: ignore[method-assign]


def _become(order: dict[str, Any]) -> None:
    """Never returns."""
    log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for stream, target in ((os.open(os.devnull, os.O_RDONLY), 0), (log, 1), (log, 2)):
        os.dup2(stream, target)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.environ.update(order["environment"])
    make: Callable[[dict[str, Any]], Any] = {"bridge": _bridge, "stand_in": _stand_in}[order["what"]]
    uvicorn.run(
        make(order["options"]),
        host="127.0.0.1",
        port=order["port"],
        log_config=None,
        access_log=False,
        timeout_keep_alive=60,  # longer than any replica here is frozen
    )


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
