"""All pages in one router."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import APIRouter
from fastapi.responses import Response

from app.monitoring.entrance import entrance_routes, session_routes
from app.monitoring.failures import failure_routes
from app.monitoring.guard import HOME, go_to, guarded_route, not_found, open_route
from app.monitoring.overview import overview_routes
from app.monitoring.rejections import rejection_routes
from app.monitoring.rendering import Pages
from app.monitoring.sessions import Sessions
from app.monitoring.setup import setup_routes
from app.monitoring.site import Site
from app.monitoring.syncs import sync_routes
from app.monitoring.transfer import action_routes, transfer_routes
from app.monitoring.transfers import list_routes

if TYPE_CHECKING:
    from app.api.security import Keyring
    from app.clock import Clock
    from app.connections import Connection
    from app.engine import Engine, Operations
    from app.ledger.database import Database
    from app.settings import Settings


def monitoring_routes(  # noqa: PLR0913 - what the pages show and act on
    settings: Settings,
    engine: Engine,
    operations: Operations,
    connection: Connection,
    database: Database,
    clock: Clock,
    keyring: Keyring,
) -> APIRouter:
    """`/`, sign-in, and the pages under `/monitoring`, which need a session."""
    pages = Pages(sandbox=bool(settings.sandbox_url))
    sessions = Sessions(keyring, clock)
    site = Site(settings, engine, operations, connection, database, clock, pages)
    entrance = APIRouter(route_class=open_route(pages))
    entrance_routes(entrance, sessions, keyring)
    session_routes(entrance, pages, sessions)
    guarded = APIRouter(prefix="/monitoring", route_class=guarded_route(pages, sessions))
    for add_routes in (
        overview_routes,
        list_routes,
        transfer_routes,
        action_routes,
        failure_routes,
        sync_routes,
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
