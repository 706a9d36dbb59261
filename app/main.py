"""Puts the product together: settings → connection → engine → routes."""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING, Any

from fastapi.responses import RedirectResponse

from app import VERSION
from app.api.connections import connection_routes
from app.api.errors import error_routes
from app.api.health import health_routes
from app.api.openapi import DocumentedAPI
from app.api.problems import install_problem_handlers
from app.api.rejections import rejection_routes, rejections_to
from app.api.security import Door
from app.api.syncs import sync_routes
from app.api.transfers import transfer_routes
from app.api.webhooks import webhook_routes
from app.clock import Clock
from app.connections import Connection, Connections
from app.engine import Engine, Operations
from app.health import Health
from app.keys import Keyring
from app.ledger.database import Database
from app.ledger.engines import url_of
from app.lifespan import lifespan_of
from app.monitoring import Browser, Pages, Sessions, Site, docs_routes, monitoring_routes
from app.sandbox import create_sandbox
from app.settings import Settings, SettingsFault, load_settings
from app.telemetry.logs import configure_logs
from app.telemetry.metrics import Metrics
from app.telemetry.redaction import Redactor

if TYPE_CHECKING:
    import httpx
    from fastapi import FastAPI

EXIT_BAD_SETTINGS = 2
SANDBOX_PATH = "/sandbox"


def create_app(
    settings: Settings, *, clock: Clock | None = None, transport: httpx.AsyncBaseTransport | None = None
) -> FastAPI:
    """The ASGI application. Raises SettingsFault. `transport` stands in for the network."""
    clock = clock or Clock()
    redactor = Redactor(key.secret for key in settings.keys)
    configure_logs(settings.log_level, settings.log_format, redactor)
    metrics = Metrics()
    connections = Connections(settings, redactor, partial(Connection.of, redactor, clock, metrics, transport))
    database = Database(url_of(settings, redactor))
    engine = Engine(
        connections,
        database,
        clock,
        wait_seconds=settings.response_timeout_seconds,
        retention_days=settings.retention_days,
        retry_unit_seconds=settings.retry_unit_seconds,
        metrics=metrics,
    )
    operations = Operations(engine, database)
    keyring = Keyring(settings.keys, connections.keys)
    health = Health(engine, connections, database, clock)
    app = DocumentedAPI(
        title="iPaaS.com to Stamped.io",
        summary="Customer bridge: webhook in, upsert and subscription out, documented errors back.",
        version=VERSION,
        lifespan=lifespan_of(settings, engine, connections, database),
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        strict_content_type=False,
    )
    sessions = Sessions(keyring, clock)
    pages = Pages(sessions, connections, sandbox=bool(settings.sandbox_url))
    browser = Browser(pages)
    site = Site(settings, engine, operations, connections, database, clock, pages, health)
    install_problem_handlers(app, rejections_to(engine.upkeep), browser.problem)
    webhook = Door(keyring, "webhook", "A key of IPAAS_WEBHOOK_API_KEY.")
    operator = Door(keyring, "operator", "A key of OPERATOR_API_KEY.")
    app.router.routes.extend(
        webhook_routes(engine, webhook, connections).routes
    )  # found sooner than what is included
    for routes in (
        sync_routes(operations, database, operator, connections),
        transfer_routes(operations, database, operator),
        connection_routes(operations, operator),
        rejection_routes(database, engine.upkeep, operator),
        health_routes(engine, health, metrics),
        error_routes(browser.catalog),
        docs_routes(pages),
        monitoring_routes(site, sessions, operator),
    ):
        app.include_router(routes)
    if settings.sandbox_url:
        app.mount(SANDBOX_PATH, create_sandbox())
        app.add_route(SANDBOX_PATH, lambda _request: RedirectResponse(f"{SANDBOX_PATH}/"))
    return app


def app_or_exit(**overrides: Any) -> FastAPI:
    """The application, or one line per fault on standard error and exit code 2."""
    try:
        return create_app(load_settings(**overrides))
    except SettingsFault as fault:
        for line in fault.lines:
            print(line, file=sys.stderr)  # noqa: T201 - before there are logs, and for people
        sys.exit(EXIT_BAD_SETTINGS)


def __getattr__(name: str) -> FastAPI:
    """`uvicorn app.main:app` builds the application when it asks for it; importing this module does not."""
    if name == "app":
        application = globals()[name] = app_or_exit()  # asked for once more, it is the same one
        return application
    raise AttributeError(name)
