"""Notes requests that were refused before they became transfers, without their payload."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Query, Request

from app.api import refusals
from app.api.answers import Rejection, Rejections
from app.api.body import operator_router
from app.api.security import Door, address_of
from app.engine.upkeep import Upkeep
from app.filters import RejectionFilter
from app.ledger import rejected
from app.ledger.database import Database
from app.ledger.reports import LIST_LIMIT

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.api.problems import ProblemError

_PATHS = ("/webhooks/",)
_WRONG_FILTER = refusals.wrong_shape("/limit", "Input should be less than or equal to 200.")


def rejections_to(upkeep: Upkeep) -> Callable[[Request, ProblemError], None]:
    """For the problem handler."""

    def note(request: Request, error: ProblemError) -> None:
        if request.url.path.startswith(_PATHS):
            faults = "; ".join(f"{fault.pointer}: {fault.detail}" for fault in error.problem.errors or ())
            reason = f"{error.problem.detail} {faults}".rstrip()
            upkeep.reject(error.status_code, error.slug.value, reason[:500], address_of(request))

    return note


def rejection_routes(database: Database, upkeep: Upkeep, door: Door) -> APIRouter:
    """Needs the operator's key."""
    router = operator_router("operators", door)

    @router.get("/rejections", summary="Requests that never became transfers", responses=_WRONG_FILTER)
    async def rejections(query: Annotated[RejectionFilter, Query()]) -> Rejections:
        await upkeep.flush()
        limit = query.limit or LIST_LIMIT
        rows = await database.read(rejected.listed, query.since, query.until, query.cursor, limit + 1)
        following = str(rows[limit - 1]["seq"]) if len(rows) > limit else None
        return Rejections(items=[Rejection(**row) for row in rows[:limit]], next=following)

    return router
