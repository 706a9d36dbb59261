"""Notes requests that were refused before they became transfers, without their payload."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog
from fastapi import APIRouter, Request
from fastapi.responses import Response

from app.api import documentation as docs
from app.api.answers import moment
from app.api.operators import private_json
from app.catalog import CATALOG
from app.ledger import reports
from app.ledger.database import Database
from app.ledger.reports import LIST_LIMIT

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.api.problems import ProblemError
    from app.api.security import Keyring
    from app.engine.upkeep import Upkeep
    from app.telemetry.metrics import Metrics

log = structlog.stdlib.get_logger("api")
_PATHS = ("/webhooks/",)


def rejections_to(upkeep: Upkeep, metrics: Metrics) -> Callable[[Request, ProblemError], None]:
    """For the problem handler."""

    def note(request: Request, error: ProblemError) -> None:
        path = request.url.path
        if not path.startswith(_PATHS):
            return
        address = request.client.host if request.client else None
        faults = "; ".join(f"{fault['pointer']}: {fault['detail']}" for fault in error.errors or ())
        reason = " ".join(part for part in (CATALOG[error.slug].sentence, error.hint, faults) if part)
        metrics.rejection(error.slug.value)
        upkeep.reject(error.status, error.slug.value, reason[:500], address)
        log.warning("rejected", path=path, status=error.status, error=error.slug.value, address=address)

    return note


def rejection_routes(database: Database, upkeep: Upkeep, keyring: Keyring) -> APIRouter:
    """Needs the operator's key."""
    router = APIRouter(tags=["operators"], responses=docs.OPERATOR_RESPONSES)
    secured = {"security": docs.OPERATOR_SECURITY}

    @router.get(
        "/rejections",
        summary="Requests that never became transfers",
        responses=docs.REJECTION_RESPONSES,
        openapi_extra=secured,
    )
    async def rejections(request: Request) -> Response:
        keyring.require_operator(request)
        await upkeep.flush()
        rows = await database.read(reports.rejected, LIST_LIMIT)
        shown = [
            {
                "at": moment(row["at"]),
                "status": row["status"],
                "error": row["error"],
                "reason": row["reason"],
                "address": row["address"],
            }
            for row in rows
        ]
        return private_json({"items": shown})

    return router
