"""Rejections: requests that were refused before they became transfers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import APIRouter, Request
from fastapi.responses import Response

from app.ledger import reports
from app.ledger.reports import LIST_LIMIT

if TYPE_CHECKING:
    from app.monitoring.site import Site


def rejection_routes(router: APIRouter, site: Site) -> None:
    """Add the list."""

    @router.get("/rejections")
    async def rejections(request: Request) -> Response:
        await site.engine.upkeep.flush()
        rows = await site.database.read(reports.rejected, LIST_LIMIT)
        return site.pages.show(request, "rejections.html", rejections=rows, most=LIST_LIMIT)
