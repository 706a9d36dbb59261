"""All pages in one router."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import APIRouter
from fastapi.responses import Response

from app.monitoring.connections import connection_routes
from app.monitoring.entrance import entrance_routes, session_routes
from app.monitoring.failures import failure_routes
from app.monitoring.guard import HOME, go_to, guarded_route, not_found, open_route
from app.monitoring.many import export_routes, many_routes
from app.monitoring.overview import overview_routes
from app.monitoring.rejections import rejection_routes
from app.monitoring.setup import setup_routes
from app.monitoring.syncs import sync_routes
from app.monitoring.transfer import action_routes, transfer_routes
from app.monitoring.transfers import list_routes

if TYPE_CHECKING:
    from app.api.guesses import Guesses
    from app.api.security import Door
    from app.monitoring.sessions import Sessions
    from app.monitoring.site import Site


def monitoring_routes(site: Site, sessions: Sessions, door: Door, guesses: Guesses) -> APIRouter:
    """`/`, sign-in, and the pages under `/monitoring`, which need a session."""
    pages = site.pages
    entrance = APIRouter(route_class=open_route(pages))
    entrance_routes(entrance, sessions, door)
    session_routes(entrance, pages, sessions, guesses)
    guarded = APIRouter(prefix="/monitoring", route_class=guarded_route(pages, sessions))
    for add_routes in (
        overview_routes,
        list_routes,
        many_routes,
        export_routes,
        transfer_routes,
        action_routes,
        failure_routes,
        sync_routes,
        connection_routes,
        rejection_routes,
        setup_routes,
    ):
        add_routes(guarded, site)

    @guarded.get("/{path:path}")
    async def nothing(path: str) -> Response:
        if not path:
            return go_to(HOME)
        raise not_found("page")

    router = APIRouter(include_in_schema=False)
    router.include_router(entrance)
    router.include_router(guarded)
    return router
