"""Connections: whether each flows or is paused, since when and for how long; pausing one, and ending that."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import APIRouter, Request
from fastapi.responses import Response

from app.api.connections import LONGEST_REASON
from app.monitoring.guard import by_of, form_of, go_to, not_found
from app.monitoring.transfers import connection_of

if TYPE_CHECKING:
    from app.monitoring.site import Site

CONNECTIONS = "/monitoring/connections"


def connection_routes(router: APIRouter, site: Site) -> None:
    """Add the page and its two buttons."""

    @router.get("/connections")
    async def connections(request: Request) -> Response:
        chosen = connection_of(request)
        flows = [flow for flow in await site.operations.flows() if chosen in {"", flow.id}]
        return site.pages.show(request, "connections.html", flows=flows, longest=LONGEST_REASON)

    @router.post("/connections/{connection_id}/pause")
    async def pause(connection_id: str, request: Request) -> Response:
        reason = form_of(request).get("reason", "").strip()[:LONGEST_REASON]
        if not await site.operations.pause(connection_id, reason or None, by_of(request)):
            raise not_found("connection")
        return go_to(CONNECTIONS)

    @router.post("/connections/{connection_id}/resume")
    async def resume(connection_id: str, request: Request) -> Response:
        if not await site.operations.resume(connection_id, by_of(request)):
            raise not_found("connection")
        return go_to(CONNECTIONS)

    @router.get("/connections/{connection_id}/{_action}")
    async def back(connection_id: str, _action: str) -> Response:
        """Signing in again during one of these ends here."""
        return go_to(f"{CONNECTIONS}#{connection_id}")
