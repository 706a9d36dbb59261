"""What orchestrators ask: is the process alive, has it started, may it have traffic."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response

if TYPE_CHECKING:
    from app.connection import Connection
    from app.engine import Engine

_NO_STORE = {"Cache-Control": "no-store"}


def health_routes(engine: Engine, connection: Connection) -> APIRouter:
    """Open to all; they show no key, no address and no customer."""
    router = APIRouter(tags=["health"])

    @router.get("/livez", summary="The process answers")
    async def livez() -> Response:
        return JSONResponse({"status": "ok"}, headers=_NO_STORE)

    @router.get("/startupz", summary="The start is over", responses={503: {"description": "Not yet"}})
    async def startupz() -> Response:
        return JSONResponse({"status": "ok"}, headers=_NO_STORE)

    @router.get(
        "/readyz",
        summary="New transfers are taken",
        responses={503: {"description": "Starting or stopping"}},
    )
    async def readyz() -> Response:
        checks = [_engine_check(engine), _stamped_check(connection)]
        failed = any(check["status"] == "fail" for check in checks)
        warned = any(check["status"] == "warn" for check in checks)
        status = "fail" if failed else "warn" if warned else "ok"
        return JSONResponse({"status": status, "checks": checks}, 503 if failed else 200, _NO_STORE)

    return router


def _engine_check(engine: Engine) -> dict[str, Any]:
    check: dict[str, Any] = {"name": "engine", "status": "ok", "running": engine.running}
    if not engine.taking:
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
        check |= {"status": "warn", "hint": f"The last call ({last.operation}) failed: {last} {hint}"}
    return check
