"""Manual Sync: one or many customer ids, and how far each sync got, re-runs included."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import structlog
from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import ValidationError

from app.filters import MAX_SYNC_IDS, SyncRequest
from app.ipaas.models import ids_in
from app.ledger import reports, statistics
from app.monitoring.guard import by_of, form_of, go_to, not_found
from app.monitoring.transfers import STATUSES, read_cursor

if TYPE_CHECKING:
    from app.monitoring.site import Site

log = structlog.stdlib.get_logger("monitoring")

_PAGE = 100
_SYNCS_SHOWN = 10
_SHOWN_ID = 40


def sync_routes(router: APIRouter, site: Site) -> None:
    """Add the pages of Manual Sync."""

    async def form_page(
        request: Request, status: int = HTTPStatus.OK, *, ids: str = "", fault: str | None = None
    ) -> Response:
        return site.pages.show(
            request,
            "syncs.html",
            status,
            syncs=await site.database.read(statistics.recent_syncs, _SYNCS_SHOWN),
            ids=ids,
            fault=fault,
            most=MAX_SYNC_IDS,
            fetches=site.fetches,
        )

    @router.get("/syncs")
    async def syncs(request: Request) -> Response:
        return await form_page(request)

    @router.post("/syncs")
    async def start(request: Request) -> Response:
        form = form_of(request)
        text, name = form.get("customer_ids", ""), form.get("connection", "")
        ids = ids_in(text)
        connection = site.connections.get(name) if name else site.connections.only()
        fault = _fault(ids) if connection else "Choose the connection that these customers are of."
        if connection is None or fault is not None:
            return await form_page(request, HTTPStatus.UNPROCESSABLE_ENTITY, ids=text, fault=fault)
        sync_id = await site.operations.sync_customers(connection, ids, by_of(request))
        log.info("manual sync", sync_id=sync_id, connection=connection.id, customers=len(ids))
        return go_to(f"/monitoring/syncs/{sync_id}")

    _following_routes(router, site)


def _following_routes(router: APIRouter, site: Site) -> None:
    async def counts_of(sync_id: str) -> dict[str, Any]:
        counts = await site.database.read(reports.sync_counts, sync_id)
        if counts is None:
            raise not_found("sync")
        return counts

    @router.get("/syncs/{sync_id}")
    async def sync(sync_id: str, request: Request) -> Response:
        counts = await counts_of(sync_id)
        status = request.query_params.get("status", "")
        after = read_cursor(request.query_params.get("after", ""))
        wanted = status if status in STATUSES else None
        found = await site.database.read(statistics.sync_transfers, sync_id, wanted, after, _PAGE + 1)
        more = len(found) > _PAGE
        found = [site.operations.explain(each) for each in found[:_PAGE]]
        done = counts["total"] - counts["remaining"]
        return site.pages.show(
            request,
            "sync.html",
            sync=counts,
            done=done,
            # in steps of ten, so that a screen reader is not told each of 3,000
            tenth=done * 10 // counts["total"] * 10 if counts["total"] else 100,
            transfers=found,
            chosen=status,
            after=after,
            following=found[-1].seq if more else None,
        )

    @router.post("/syncs/{sync_id}/cancel")
    async def cancel(sync_id: str, request: Request) -> Response:
        await counts_of(sync_id)
        await site.operations.cancel_sync(sync_id, by_of(request))
        return go_to(f"/monitoring/syncs/{sync_id}")

    @router.post("/syncs/{sync_id}/continue")
    async def go_on(sync_id: str, request: Request) -> Response:
        """Where nothing waits any more, the page shows that."""
        await counts_of(sync_id)
        await site.operations.go_on(sync_id, by_of(request))
        return go_to(f"/monitoring/syncs/{sync_id}")

    @router.get("/syncs/{sync_id}/continue")
    @router.get("/syncs/{sync_id}/cancel")
    async def back(sync_id: str) -> Response:
        return go_to(f"/monitoring/syncs/{sync_id}")


def _fault(ids: list[str]) -> str | None:
    """What is wrong with these ids, naming the first one."""
    if not ids:
        return "Write at least one iPaaS.com customer id."
    if len(ids) > MAX_SYNC_IDS:
        return f"These are {len(ids):,} ids; one sync takes up to {MAX_SYNC_IDS:,}. Send the rest in another one."
    try:
        SyncRequest(customer_ids=ids)
    except ValidationError as error:
        place = error.errors()[0]["loc"][-1]
        shown = ids[place][:_SHOWN_ID] if isinstance(place, int) else ""
        return f"“{shown}” is no customer id."
    return None
