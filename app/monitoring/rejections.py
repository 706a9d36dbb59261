"""Rejections: requests that were refused before they became transfers, by caller and reason, or one by one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from fastapi import APIRouter, Request
from fastapi.responses import Response

from app.error_catalog import remedy
from app.ledger import rejected
from app.ledger.rejected import MOST_COUNTED
from app.monitoring.ranges import Range, unreadable
from app.monitoring.transfers import read_cursor

if TYPE_CHECKING:
    from app.monitoring.site import Site

_WINDOWS: Final = ("24h", "7d", "30d")
_USUAL = "7d"
_PAGE = 50


def rejection_routes(router: APIRouter, site: Site) -> None:
    """Add the page."""

    @router.get("/rejections")
    async def rejections(request: Request) -> Response:
        query = request.query_params
        chosen, singly = Range.of(query, _USUAL), query.get("by", "")
        if singly not in {"", "one"}:
            raise unreadable("order")
        await site.engine.upkeep.flush()
        since, until = chosen.bounds(site.operations.now())
        cursor = read_cursor(query.get("cursor", ""))
        if singly:
            rows = await site.database.read(rejected.listed, since, until, cursor, _PAGE + 1)
            return site.pages.show(
                request,
                "rejected.html",
                rows=rows[:_PAGE],
                first_page=cursor is None,
                older=str(rows[_PAGE - 1]["seq"]) if len(rows) > _PAGE else None,
                chosen=chosen,
                windows=_WINDOWS,
            )
        found = await site.database.read(rejected.grouped, since, until)
        first = cursor or 0  # here: of the groups
        total = sum(each.total for each in found)
        return site.pages.show(
            request,
            "rejections.html",
            groups=[(each, remedy(each.error)) for each in found[first : first + _PAGE]],
            total=total,
            cut=total >= MOST_COUNTED,
            previous=str(max(first - _PAGE, 0)) if first else None,
            following=str(first + _PAGE) if len(found) > first + _PAGE else None,
            chosen=chosen,
            windows=_WINDOWS,
        )
