"""What orchestrators ask: is the process alive, has it started, may it have traffic."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse, PlainTextResponse, Response

from app.api import documentation as docs
from app.api.answers import NO_STORE
from app.ledger import reports
from app.ledger.faults import DatabaseGone
from app.outbound.calls import reason_phrase

if TYPE_CHECKING:
    from app.clock import Clock
    from app.connections import Connection
    from app.engine import Engine
    from app.ledger.database import Database
    from app.telemetry.metrics import Metrics

_DATABASE_SECONDS = 2.0
OLD_SECONDS = 1800  # a transfer that waits longer deserves a look


def metrics_route(engine: Engine, metrics: Metrics) -> APIRouter:
    """Open to all, as Prometheus expects it."""
    router = APIRouter(tags=["health"])

    @router.get(
        "/metrics",
        summary="Prometheus metrics",
        response_class=PlainTextResponse,
        responses=docs.METRICS_RESPONSES,
    )
    async def exposition() -> Response:
        return Response(metrics.exposition(engine.running), media_type=metrics.content_type)

    return router


def health_routes(engine: Engine, connection: Connection, database: Database, clock: Clock) -> APIRouter:
    """Open to all; they show no key, no address and no customer."""
    router = APIRouter(tags=["health"])

    @router.head("/livez", include_in_schema=False)
    @router.get("/livez", summary="The process answers", responses=docs.LIVEZ_RESPONSES)
    async def livez() -> Response:
        return JSONResponse({"status": "ok"}, headers=NO_STORE)

    @router.head("/startupz", include_in_schema=False)
    @router.get("/startupz", summary="The start is over", responses=docs.STARTUPZ_RESPONSES)
    async def startupz() -> Response:
        status = "ok" if engine.started else "starting"
        return JSONResponse({"status": status}, 200 if engine.started else 503, NO_STORE)

    @router.head("/readyz", include_in_schema=False)
    @router.get("/readyz", summary="New transfers are taken", responses=docs.READYZ_RESPONSES)
    async def readyz() -> Response:
        """A warning is no reason to restart: it says what a person should look at."""
        checks = [_engine_check(engine), _stamped_check(connection)]
        checks += await _database_checks(engine, database, clock.now().timestamp())
        failed = any(check["status"] == "fail" for check in checks)
        warned = any(check["status"] == "warn" for check in checks)
        status = "fail" if failed else "warn" if warned else "ok"
        return JSONResponse({"status": status, "checks": checks}, 503 if failed else 200, NO_STORE)

    return router


def _engine_check(engine: Engine) -> dict[str, Any]:
    check: dict[str, Any] = {"name": "engine", "status": "ok", "running": engine.running}
    if engine.started and not engine.draining and not engine.taking:
        check |= {"status": "fail", "hint": "The last heartbeats could not be written; it takes no new transfers."}
    elif not engine.taking:
        check |= {"status": "fail", "hint": "The service is starting or stopping; it takes no new transfers."}
    return check


def _stamped_check(connection: Connection) -> dict[str, Any]:
    """A Stamped.io that fails is a warning: restarting this service would not mend it."""
    check: dict[str, Any] = {"name": "stamped", "status": "ok"}
    last = connection.stamped.last_failure
    if last is not None:
        hint = (
            "Check the Stamped.io keys and the store hash."
            if not last.kind.retryable
            else "It may pass by itself."
        )
        told = (
            "no answer"
            if last.status is None
            else f"HTTP status {last.status} {reason_phrase(last.status)}".strip()
        )
        check |= {"status": "warn", "hint": f"The last call ({last.operation}) failed: {told}. {hint}"}
    return check


async def _database_checks(engine: Engine, database: Database, now: float) -> list[dict[str, Any]]:
    if not engine.started:
        hint = engine.fault or "The database does not answer yet; check DATABASE_URL and whether it runs."
        return [{"name": "database", "status": "fail", "hint": hint}]
    try:
        async with asyncio.timeout(_DATABASE_SECONDS):
            oldest = await database.read(reports.oldest_open)
    except (DatabaseGone, TimeoutError):
        hint = "The database does not answer; the service goes on by itself when it does."
        return [{"name": "database", "status": "fail", "hint": hint}]
    waiting: dict[str, Any] = {"name": "oldest_waiting", "status": "ok"}
    if oldest is not None:
        waiting["seconds"] = round(now - oldest)
        if now - oldest > OLD_SECONDS:
            hint = "A transfer has waited for over 30 minutes. GET /transfers?status=waiting shows why."
            waiting |= {"status": "warn", "hint": hint}
    answers: dict[str, Any] = {"name": "database", "status": "ok"}
    if database.schema_note is not None:
        answers |= {"status": "warn", "hint": database.schema_note}
    return [answers, waiting]
