"""The checks behind `check`. Each says what it found and, where something is wrong, what to do."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from app.cli.client import ServiceProblem, Unreachable
from app.cli.doors import ANOTHER, strange
from app.cli.doubts import doubts
from app.cli.schema import check_database
from app.clock import Clock
from app.connections import Connection, Connections
from app.error_catalog import CATALOG, Slug
from app.health import State, advice, ipaas_advice, titled
from app.ledger.database_url import url_of
from app.loading import load_settings
from app.main import SANDBOX_PATH
from app.outbound.calls import CallError
from app.outbound.status_table import Kind
from app.settings import Settings, SettingsFault
from app.telemetry.redaction import Redactor

if TYPE_CHECKING:
    from app.cli.client import Service


@dataclass(frozen=True, slots=True)
class Check:
    """One line of `check`."""

    name: str
    status: State
    detail: str
    hint: str = ""


class Running(NamedTuple):
    """What answers at the address of the service; `is_ours` False: it is something else, and learns no key.

    `verdict`: as the service judges; None = it does not tell.
    """

    checks: list[Check]
    is_ours: bool
    verdict: dict[str, Any] | None = None


def ask_service(service: Service) -> Running | None:
    """What a running service says of itself. None = none runs."""
    try:
        body = service.ready()
    except Unreachable:
        return None
    except ServiceProblem as problem:
        return Running(
            [Check("service", "fail", problem.body["detail"], problem.body["resolution"])], is_ours=False
        )
    state: State = "fail" if body["status"] == "fail" else "ok"
    runs = Check("service", state, f"runs at {service.url}")
    try:
        verdict = service.get("/verdict")
        return Running(
            [runs, Check("verdict", verdict["state"], verdict["headline"])], is_ours=True, verdict=verdict
        )
    except (ServiceProblem, KeyError, TypeError):  # another key, which is told by itself; another version
        hints = [
            Check("service", each["status"], f"{titled(each['name'], each.get('connection'))} is not well", hint)
            for each in body["checks"]
            if (hint := str(each.get("hint", ""))) and each["status"] != "ok"
        ]
        return Running([runs, *hints], is_ours=True)


def nobody(service: Service) -> Check:
    """Said first, for whoever thinks that it runs."""
    return Check("service", "ok", f"nobody answers at {service.url}; these checks need no running service")


def check_all(running: Running | None, service: Service) -> list[Check]:
    """All checks but whether it runs, in order. Raises SettingsFault."""
    redactor = Redactor()
    settings = _settings(running, service)
    connections = Connections(settings, redactor, partial(Connection.of, redactor, Clock(), None, None))
    url = url_of(settings, redactor)
    status, detail, hint = check_database(url, redactor)
    several = len(connections) > 1
    return [
        *(_of(each, several, check) for each in connections for check in _settings_checks(each)),
        Check("database", status, detail, hint),
        *asyncio.run(_foreign(connections, several)),
        *(running.checks if running else []),
        *(check_doors(service, settings, connections) if running and running.is_ours else []),
    ]


def check_doors(service: Service, settings: Settings, connections: Connections) -> list[Check]:
    """Whether the running service is the one of these settings."""
    try:
        return [Check("service", "fail", each, ANOTHER) for each in strange(service, settings, connections)]
    except ServiceProblem as problem:  # one of another version, say
        return [Check("service", "warn", problem.body["detail"], problem.body["resolution"])]


def _of(connection: Connection, several: bool, check: Check) -> Check:  # noqa: FBT001 - of many alike
    """Says whose it is, where there are several."""
    return replace(check, detail=f"connection {connection.id}: {check.detail}") if several else check


def _settings(running: Running | None, service: Service) -> Settings:
    """As `serve` reads them: without any Stamped.io key the sandbox of a service that runs here will do."""
    try:
        return load_settings()
    except SettingsFault as fault:
        try:
            settings = load_settings(sandbox_url=f"{service.url}{SANDBOX_PATH}")
        except SettingsFault:
            raise fault from None
        if settings.sandbox_url is None:
            raise
        if running is None or not service.is_here:
            message = "Without any Stamped.io key only `ipaas-stamped serve` starts, against its built-in sandbox."
            raise SettingsFault([*fault.lines, message]) from None
        return settings


def _settings_checks(connection: Connection) -> list[Check]:
    hint = "Look at MAPPING_FILE: what a record lacks is left out, and what Stamped.io does not know is not kept."
    return [
        _settings_check(connection),
        *(Check("settings", "warn", f"the mapping of {each}", hint) for each in doubts(connection.mapping)),
    ]


def _settings_check(connection: Connection) -> Check:
    settings, mapping = connection.settings, connection.mapping
    if settings.sandbox_url is not None:
        detail = "no Stamped.io keys are set: the sandbox is used, nothing reaches a real store"
        names = "STAMPED_API_PUBLIC_KEY, STAMPED_API_PRIVATE_KEY and STAMPED_API_STORE_HASH"
        return Check("settings", "warn", detail, f"To transfer for real, set {names}.")
    source = f"mapping {settings.mapping_file or 'built-in'}"
    if mapping.subscribed is None:
        detail = "consent is not mapped, so subscriptions are left as they are"
        return Check("settings", "ok", f"complete; {source}, {detail}")
    return Check("settings", "ok", f"complete; {source}, consent is mapped")


async def _foreign(connections: Connections, several: bool) -> list[Check]:  # noqa: FBT001 - as above
    """The keys of both systems, by one read-only call each."""
    found: list[Check] = []
    try:
        for each in connections:
            checks = await asyncio.gather(_stamped(each), _ipaas(each))
            found += [_of(each, several, check) for check in checks]
    finally:
        await connections.aclose()
    return found


async def _stamped(connection: Connection) -> Check:
    settings = connection.settings
    where = f"{settings.stamped_api_url}, store {settings.stamped_api_store_hash}"
    try:
        await connection.stamped.check()
    except CallError as error:
        hint = advice(error)
        if not error.kind.retryable:
            hint = f"{hint} {CATALOG[Slug.CUSTOMER].resolution}"
        return Check("stamped", "warn" if error.kind is Kind.THROTTLED else "fail", f"{where}: {error}", hint)
    return Check("stamped", "ok", f"{where}: the keys and the store hash are accepted")


async def _ipaas(connection: Connection) -> Check:
    if connection.ipaas is None:
        detail = "IPAAS_API_URL is not set: records come with the notifications, no external IDs are written back"
        return Check("ipaas", "ok", detail)
    where = str(connection.settings.ipaas_api_url)
    try:
        await connection.ipaas.check()
    except CallError as error:
        hint = ipaas_advice(error)
        if error.kind in {Kind.REFUSED, Kind.THROTTLED}:
            return Check("ipaas", "warn", f"{where}: {error}", hint)
        return Check("ipaas", "fail", f"{where}: {error}", f"{hint} {CATALOG[Slug.NOT_LOADED].resolution}")
    return Check("ipaas", "ok", f"{where}: the token is accepted")
