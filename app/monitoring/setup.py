"""Settings: what is set and where it comes from, without any key, and whether both systems take it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import SecretStr

from app.health import advice, ipaas_advice
from app.ledger.database_url import shown_url
from app.loading import names_of
from app.monitoring.guard import form_of, go_to, not_found
from app.monitoring.transfers import connection_of
from app.outbound.calls import CallError
from app.outbound.pauses import Paused
from app.setting_sources import given
from app.settings import Settings, is_absent

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Sequence

    from app.alerts import Sent
    from app.clock import Clock
    from app.connections import Connection
    from app.monitoring.site import Site

_MASK = "••••••••"


@dataclass(frozen=True, slots=True)
class Setting:
    """One row: `value` None = not set."""

    name: str
    value: str | None
    source: str
    what: str


@dataclass(frozen=True, slots=True)
class Tested:
    """How a test call to a system went; `failure` None = well."""

    system: str
    seconds: float
    failure: str | None = None
    resolution: str = ""


def setup_routes(router: APIRouter, site: Site) -> None:
    """Add the page and its test."""
    shown = settings_shown(site.settings, *map(set, given()))

    async def page(
        request: Request,
        tested: Sequence[Tested] = (),
        of: str | None = None,
        sent: Sequence[Sent] | None = None,
    ) -> Response:
        return site.pages.show(
            request,
            "settings.html",
            shown=shown,
            tested=tested,
            of=of,
            sent=sent,
            alerts=site.alerts.are_set,
            told={
                each.id: [check for check in site.health.foreign(each) if check.hint] for each in site.connections
            },
            served=[each for each in site.connections if shown_of(request, each)],
            fault=site.connections.fault,
        )

    @router.get("/settings")
    async def settings(request: Request) -> Response:
        return await page(request)

    @router.post("/settings/test")
    async def test(request: Request) -> Response:
        """One read-only call to Stamped.io, and one to iPaaS.com where that is set."""
        connection = site.connections.get(form_of(request).get("connection", ""))
        if connection is None:
            raise not_found("connection")
        gates, scope = site.engine.gates, connection.scope

        async def stamped() -> None:
            with gates.metered(scope):
                await connection.stamped.check()

        tested = [await _tested(site.clock, "Stamped.io", stamped, advice)]
        if connection.ipaas is not None:
            tested.append(await _tested(site.clock, "iPaaS.com", connection.ipaas.check, ipaas_advice))
        return await page(request, tested, connection.id)

    @router.post("/settings/alert")
    async def alert(request: Request) -> Response:
        """A message to each target of ALERT_URLS."""
        return await page(request, sent=await site.alerts.test())

    @router.get("/access")  # what that call says is here
    @router.get("/settings/test")
    @router.get("/settings/alert")
    async def back() -> Response:
        return go_to("/monitoring/settings")


async def _tested(
    clock: Clock, system: str, call: Callable[[], Awaitable[None]], advise: Callable[[CallError], str]
) -> Tested:
    began = clock.monotonic()
    failure, resolution = None, ""
    try:
        await call()
    except CallError as error:
        failure, resolution = str(error), advise(error)
    except Paused:
        failure = f"{system} asks to wait."
        resolution = "Test again when that is over: Monitoring says when."
    return Tested(system, clock.monotonic() - began, failure, resolution)


def shown_of(request: Request, connection: Connection) -> bool:
    """Whether the page is not narrowed to another one."""
    return connection_of(request) in {"", connection.id}


def settings_shown(settings: Settings, environment: Collection[str], env_file: Collection[str]) -> list[Setting]:
    """Every setting; of a key only whether it is set. Both: upper-case names."""
    return [
        Setting(
            field.upper(),
            _value(field, getattr(settings, field)),
            _source(settings, field, set(names_of(field)), environment, env_file),
            info.description or "",
        )
        for field, info in Settings.model_fields.items()
        if not info.exclude
    ]


def _value(field: str, value: Any) -> str | None:
    if value is None or is_absent(value):
        return None
    if field == "alert_urls":
        targets = len(value.get_secret_value().split())
        return _MASK if targets == 1 else f"{_MASK} ({targets} targets)"
    if isinstance(value, SecretStr):
        keys = len([part for part in value.get_secret_value().split(",") if part.strip()])
        return _MASK if keys == 1 else f"{_MASK} ({keys} keys)"
    if field == "database_url":
        return shown_url(value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def _source(
    settings: Settings, field: str, names: set[str], environment: Collection[str], env_file: Collection[str]
) -> str:
    if field not in settings.model_fields_set:
        return "default"
    if names & set(environment):
        return "environment"
    if names & set(env_file):
        return ".env"
    return "sandbox" if settings.sandbox_url else "given at the start"
