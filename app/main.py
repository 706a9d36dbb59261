"""Puts the product together: settings → connection → engine → routes."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from fastapi.responses import RedirectResponse

from app import VERSION, workers
from app.alert_urls import read_targets, secrets_in
from app.alerts import Alerts
from app.api.access import access_routes
from app.api.connections import connection_routes
from app.api.errors import error_routes
from app.api.guesses import Guesses
from app.api.health import health_routes
from app.api.openapi import DocumentedAPI
from app.api.problems import install_problem_handlers
from app.api.rejections import rejection_routes, rejections_to
from app.api.security import Door
from app.api.syncs import sync_routes
from app.api.transfers import transfer_routes
from app.api.verdict import verdict_routes
from app.api.webhooks import webhook_routes
from app.clock import Clock
from app.connections import Connection, Connections
from app.engine import Engine, Operations
from app.gauges import Gauges
from app.health import Health
from app.keys import Keyring
from app.ledger.database import Database
from app.ledger.database_url import look_at_file, unusable, url_of
from app.ledger.faults import DatabaseFault
from app.lifespan import lifespan_of
from app.loading import load_settings
from app.monitoring import Browser, Pages, Sessions, Site, docs_routes, monitoring_routes
from app.sandbox import create_sandbox
from app.server import PLACES, Observed, Places, guard_uvicorn
from app.settings import Settings, SettingsFault
from app.telemetry import traces
from app.telemetry.logs import configure_logs
from app.telemetry.metrics import Metrics
from app.telemetry.redaction import Redactor
from app.verdict import Judge

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import httpx
    from fastapi import FastAPI
    from sqlalchemy.engine import URL

    from app.connections_file import Store

EXIT_BAD_SETTINGS = 2
SANDBOX_PATH = "/sandbox"


def create_app(
    settings: Settings, *, clock: Clock | None = None, transport: httpx.AsyncBaseTransport | None = None
) -> FastAPI:
    """The ASGI application. Raises SettingsFault. `transport` stands in for the network."""
    clock = clock or Clock()
    redactor = Redactor(key.secret for key in settings.keys)
    configure_logs(settings.log_level, settings.log_format, redactor)
    traces.start()
    metrics = Metrics(_shared_folder() if workers.count() > 1 else None)
    guard_uvicorn()
    connections, url = parts_of(settings, redactor, partial(Connection.of, redactor, clock, metrics, transport))
    try:
        database = Database(url, settings.database_pool_size)
    except DatabaseFault as fault:
        raise unusable(fault) from None
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
    gauges = Gauges(engine, connections, clock, metrics)
    keyring = Keyring(settings.keys, connections.keys)
    health = Health(engine, connections, database, clock)
    judge = Judge(engine, connections, database, health, clock)
    urls = settings.alert_urls.get_secret_value() if settings.alert_urls else ""
    redactor.learn(*secrets_in(urls))
    targets = [each for each in (read_targets(urls) if urls else []) if each is not None]
    alerts = Alerts(targets, judge, engine, connections, database, clock)
    app = DocumentedAPI(
        title="iPaaS.com to Stamped.io",
        summary="Customer bridge: webhook in, upsert and subscription out, documented errors back.",
        version=VERSION,
        lifespan=lifespan_of(settings, engine, connections, database, {PLACES: Places(metrics)}, alerts.live),
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        telemetry={"tracing": False, "metrics": False, "logs": False},  # FastAPI's own shows addresses and texts
        strict_content_type=False,
    )
    app.add_middleware(Observed, metrics)
    metrics.database("sqlite" if database.is_sqlite else "postgresql")
    sessions = Sessions(keyring, clock)
    example_key = settings.example_webhook_key
    pages = Pages(sessions, connections, sandbox=bool(settings.sandbox_url), example_key=example_key)
    browser = Browser(pages)
    site = Site(settings, engine, operations, connections, database, clock, pages, health, judge, alerts)
    install_problem_handlers(app, rejections_to(engine.upkeep), browser.problem, redactor.text)
    guesses = Guesses(clock, metrics)
    webhook = Door(keyring, guesses, "webhook", "A key of IPAAS_WEBHOOK_API_KEY.")
    operator = Door(keyring, guesses, "operator", "A key of OPERATOR_API_KEY.")
    app.router.routes.extend(
        webhook_routes(engine, webhook, connections).routes
    )  # found sooner than what is included
    for routes in (
        sync_routes(operations, database, operator, connections),
        transfer_routes(operations, database, operator, settings.retry_unit_seconds),
        connection_routes(operations, operator),
        access_routes(operator, connections),
        rejection_routes(database, engine.upkeep, operator),
        health_routes(engine, health, gauges, metrics),
        verdict_routes(judge, alerts, connections, operator),
        error_routes(browser.catalog),
        docs_routes(pages),
        monitoring_routes(site, sessions, operator, guesses),
    ):
        app.include_router(routes)
    if settings.sandbox_url:
        app.mount(SANDBOX_PATH, create_sandbox())
        app.add_route(SANDBOX_PATH, lambda _request: RedirectResponse(f"{SANDBOX_PATH}/"))
    return app


def settings_or_exit(processes: int | None = None, **overrides: Any) -> Settings:
    """The settings, or one line per fault on standard error and exit code 2.

    `processes`: how many will serve with them; by default as many as uvicorn runs.
    """
    try:
        settings = load_settings(**overrides)
        _check_processes(settings, processes or workers.count())
    except SettingsFault as fault:
        workers.end([*fault.lines, *_further(fault)], EXIT_BAD_SETTINGS)
    return settings


def app_or_exit(settings: Settings) -> FastAPI:
    """The application, or the same."""
    try:
        return create_app(settings)
    except SettingsFault as fault:
        workers.end([*fault.lines, *_further(fault)], EXIT_BAD_SETTINGS)


def _shared_folder() -> Path:
    try:
        return workers.folder()
    except OSError:
        what = "they need a folder for temporary files; make one writable (TMPDIR), or set WEB_CONCURRENCY to 1"
        raise SettingsFault([f"Several workers are not usable: {what}."]) from None


def _check_processes(settings: Settings, number: int) -> None:
    if number == 1:
        return
    if settings.sandbox_url is not None:
        what = "the sandbox serves one process; set the keys of a store"
    elif not settings.database_url.startswith("postgres"):
        what = "SQLite serves one process; set DATABASE_URL to postgresql://host/database"
    else:
        return
    raise SettingsFault([f"{number} workers are not usable: {what}, or WEB_CONCURRENCY (--workers) to 1."])


def parts_of(
    settings: Settings, redactor: Redactor, make: Callable[[str, Store], Connection]
) -> tuple[Connections, URL]:
    """What settings name that is read at the start. Raises SettingsFault with the faults of all."""
    lines: list[str] = []
    connections = url = None
    try:
        connections = Connections(settings, redactor, make)
    except SettingsFault as fault:
        lines += fault.lines
    try:
        url = url_of(settings, redactor)
        look_at_file(url)
    except SettingsFault as fault:
        lines += fault.lines
    if connections is None or url is None or lines:
        raise SettingsFault(lines)
    return connections, url


def _further(fault: SettingsFault) -> list[str]:
    """What is at fault in what the sound settings name."""
    if fault.sound is None:
        return []
    redactor = Redactor()
    try:
        parts_of(fault.sound, redactor, partial(Connection.of, redactor, Clock(), None, None))
    except SettingsFault as further:
        return further.lines
    return []


def __getattr__(name: str) -> FastAPI:
    """`uvicorn app.main:app` builds the application when it asks for it; importing this module does not."""
    if name == "app":
        application = globals()[name] = app_or_exit(settings_or_exit())  # asked for once more, it is the same one
        return application
    raise AttributeError(name)
