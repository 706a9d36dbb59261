"""Puts the product together: settings → clients → engine → routes."""

from __future__ import annotations

import gc
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import structlog
from fastapi import FastAPI
from fastapi.responses import RedirectResponse
from fastapi_offline import FastAPIOffline

from app import VERSION
from app.api.documentation import SECURITY_SCHEMES, Problem, complete_answers
from app.api.errors import error_routes
from app.api.health import health_routes, metrics_route
from app.api.problems import install_problem_handlers
from app.api.rejections import rejection_routes, rejections_to
from app.api.security import Keyring
from app.api.syncs import sync_routes
from app.api.transfers import single_transfer_routes, transfer_routes
from app.api.webhooks import webhook_routes
from app.clock import Clock
from app.connections import Connection
from app.drain import draining_on_sigterm
from app.engine import Engine, Operations
from app.ipaas.client import IpaasAccount, IpaasClient
from app.ledger.database import Database
from app.ledger.engines import read_url
from app.ledger.faults import DatabaseFault
from app.ledger.tables import SANDBOX
from app.mapping import BUILT_IN, Mapping, MappingFault, load_mapping
from app.monitoring import monitoring_routes
from app.sandbox import create_sandbox
from app.settings import Settings, SettingsFault, load_settings
from app.stamped.client import StampedAccount, StampedClient
from app.telemetry.logs import configure_logs
from app.telemetry.metrics import Metrics
from app.telemetry.redaction import Redactor

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import httpx

log = structlog.stdlib.get_logger("app")

EXIT_BAD_SETTINGS = 2
_GARBAGE = (20_000, 20, 50)
SANDBOX_PATH = "/sandbox"


def create_app(
    settings: Settings, *, clock: Clock | None = None, transport: httpx.AsyncBaseTransport | None = None
) -> FastAPI:
    """The ASGI application. Raises SettingsFault for a mapping that cannot be used.

    `transport` stands in for the network to Stamped.io and iPaaS.com.
    """
    clock = clock or Clock()
    operator_key = settings.operator_api_key.get_secret_value()
    redactor = Redactor([*settings.webhook_keys, operator_key])
    configure_logs(settings.log_level, settings.log_format, redactor)
    metrics = Metrics()
    connection = connection_of(settings, redactor, metrics, transport)
    database = database_of(settings, redactor)
    engine = Engine(
        connection,
        database,
        clock,
        wait_seconds=settings.response_timeout_seconds,
        background=max(1, settings.stamped_concurrent_connections // 2),
        retention_days=settings.retention_days,
        retry_unit_seconds=settings.retry_unit_seconds,
        metrics=metrics,
        sandbox=bool(settings.sandbox_url),
    )
    name = connection_name(settings, clock)
    operations = Operations(engine, database, name, fetch=connection.ipaas is not None)
    keyring = Keyring.of(settings.webhook_keys, [operator_key])

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        if settings.sandbox_url:
            log.warning(
                "SANDBOX: no Stamped.io keys are set, nothing is sent to a real store",
                url=settings.sandbox_url,
            )
        if settings.stamped_api_throttle_limit or settings.stamped_api_throttle_seconds:
            log.warning("STAMPED_API_THROTTLE_LIMIT and STAMPED_API_THROTTLE_SECONDS are not kept by this version")
        gc.freeze()  # what the start has left is not looked at again, and the rest not after every 700 objects
        gc.set_threshold(*_GARBAGE)
        engine.start()
        log.info("started", stamped=settings.stamped_api_url, ipaas=settings.ipaas_api_url or "not set")
        with draining_on_sigterm(engine):
            yield
        await engine.drain(0)
        await connection.aclose()
        await database.aclose()
        log.info("stopped")

    app = FastAPIOffline(  # /docs without a content delivery network
        title="iPaaS.com to Stamped.io",
        summary="Customer bridge: webhook in, upsert and subscription out, documented errors back.",
        version=VERSION,
        lifespan=lifespan,
        redoc_url=None,
        redirect_slashes=False,
    )
    install_problem_handlers(app, rejections_to(engine.upkeep, metrics))
    app.router.routes.extend(webhook_routes(engine, keyring, name).routes)  # found sooner than what is included
    app.include_router(sync_routes(operations, database, keyring))
    app.include_router(transfer_routes(operations, database, keyring))
    app.include_router(single_transfer_routes(operations, database, keyring))
    app.include_router(rejection_routes(database, engine.upkeep, keyring))
    app.include_router(health_routes(engine, connection, database, clock))
    app.include_router(metrics_route(engine, metrics))
    app.include_router(error_routes())
    app.include_router(monitoring_routes(settings, engine, operations, connection, database, clock, keyring))
    if settings.sandbox_url:
        app.mount(SANDBOX_PATH, create_sandbox())
        app.add_route(SANDBOX_PATH, lambda _request: RedirectResponse(f"{SANDBOX_PATH}/"))
    _complete_openapi(app)
    return app


def connection_of(
    settings: Settings,
    redactor: Redactor,
    metrics: Metrics | None = None,
    transport: httpx.AsyncBaseTransport | None = None,
) -> Connection:
    """The connection that the settings describe. Raises SettingsFault."""
    stamped = StampedAccount(
        url=settings.stamped_api_url,
        public_key=settings.stamped_api_public_key.get_secret_value(),
        private_key=settings.stamped_api_private_key.get_secret_value(),
        store_hash=settings.stamped_api_store_hash,
        timeout_seconds=settings.stamped_timeout_seconds,
        connections=settings.stamped_concurrent_connections,
        subscribe_email_in=settings.stamped_subscribe_email_in,
    )
    mapping = mapping_of(settings)
    ipaas = None
    if settings.ipaas_api_url and settings.ipaas_api_token:
        ipaas = IpaasAccount(
            settings.ipaas_api_url, settings.ipaas_api_token.get_secret_value(), settings.ipaas_client_id
        )
    return Connection(
        stamped=StampedClient(stamped, redactor, transport, metrics),
        ipaas=IpaasClient(ipaas, redactor, transport, metrics) if ipaas else None,
        mapping=mapping,
        redactor=redactor,
    )


def database_of(settings: Settings, redactor: Redactor) -> Database:
    """The database of DATABASE_URL. Raises SettingsFault."""
    try:
        url = read_url(settings.database_url)
        redactor.learn(str(url.password or ""))
        return Database(url)
    except DatabaseFault as fault:
        reason = f"DATABASE_URL is not usable: {fault}; set {Settings.model_fields['database_url'].description}."
        raise SettingsFault([reason]) from None


def connection_name(settings: Settings, clock: Clock) -> str:
    """What links and repeats are kept under: another store has its own, and so has each run of the sandbox."""
    if settings.sandbox_url:
        return f"{SANDBOX}{clock.now():%Y-%m-%dT%H:%M:%S.%f}"
    return f"store {settings.stamped_api_store_hash}"


def mapping_of(settings: Settings) -> Mapping:
    """The built-in mapping, or that of MAPPING_FILE. Raises SettingsFault with line and column."""
    text: str | bytes = BUILT_IN
    source = "built-in mapping"
    if settings.mapping_file is not None:
        source = f"MAPPING_FILE {settings.mapping_file}"
        try:
            text = settings.mapping_file.read_bytes()
        except OSError as error:
            reason = f"{source} cannot be read: {error.strerror}; set the path of a mapping file."
            raise SettingsFault([reason]) from None
    try:
        return load_mapping(text, subscription_field=settings.subscription_field, source=source)
    except MappingFault as fault:
        raise SettingsFault([str(fault)]) from None


def app_or_exit(**overrides: Any) -> FastAPI:
    """The application, or one line per fault on standard error and exit code 2."""
    try:
        return create_app(load_settings(**overrides))
    except SettingsFault as fault:
        for line in fault.lines:
            print(line, file=sys.stderr)  # noqa: T201 - before there are logs, and for people
        sys.exit(EXIT_BAD_SETTINGS)


def _complete_openapi(app: FastAPI) -> None:
    """Adds the shapes and keys that FastAPI cannot see, since bodies are read by hand."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        schema = generate()
        components = schema.setdefault("components", {})
        schemas = components.setdefault("schemas", {})
        problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas |= problem.pop("$defs", {})
        schemas["Problem"] = problem
        components["securitySchemes"] = SECURITY_SCHEMES
        complete_answers(schema["paths"])
        return schema

    app.openapi = openapi  # type: ignore[method-assign]


def __getattr__(name: str) -> FastAPI:
    """`uvicorn app.main:app` builds the application when it asks for it; importing this module does not."""
    if name == "app":
        application = globals()[name] = app_or_exit()  # asked for once more, it is the same one
        return application
    raise AttributeError(name)
