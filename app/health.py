"""Whether the service is well: judged here, and shown by `/readyz`, the pages and `check`."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from itertools import chain
from typing import TYPE_CHECKING, Final, Literal

import structlog
from pydantic import BaseModel, Field

from app.ledger import statistics
from app.ledger.faults import DatabaseGone
from app.ledger.hints import NO_ANSWER
from app.outbound.calls import CallError, status_line
from app.outbound.status_table import Kind

if TYPE_CHECKING:
    from app.clock import Clock
    from app.connections import Connection, Connections
    from app.engine import Engine
    from app.ledger.database import Database

log = structlog.stdlib.get_logger("health")

State = Literal["ok", "warn", "fail"]
_DATABASE_SECONDS = 2.0
_OLD_SECONDS = 1800  # a transfer that waits longer deserves a look


class Check(BaseModel):
    """One thing that was looked at; `hint` says what to do about it."""

    name: Literal["engine", "connections", "stamped", "ipaas", "database", "oldest_waiting"]
    status: State
    connection: str | None = Field(None, description="stamped, ipaas: whose, where there are several")
    running: int | None = Field(None, description="engine: transfers under way in this replica")
    seconds: int | None = Field(None, description="oldest_waiting: its age")
    hint: str | None = None
    transfer_id: str | None = Field(None, exclude=True)
    is_pause: bool = Field(default=False, exclude=True)

    @property
    def title(self) -> str:
        """Its name for people, with the connection where there are several."""
        return titled(self.name, self.connection)


TITLES: Final = {
    "engine": "Engine",
    "connections": "Connections",
    "stamped": "Stamped.io",
    "ipaas": "iPaaS.com",
    "database": "Database",
    "oldest_waiting": "Waiting transfers",
}


def titled(name: str, connection: str | None) -> str:
    """A check's name for people."""
    title = TITLES.get(name, name)
    return f"{title} of connection {connection}" if connection else title


class Readiness(BaseModel):
    """`warn` is no reason to restart: it says what a person should look at."""

    status: State
    checks: list[Check]


class Health:
    """Of one replica. Shows no key, no address and no customer."""

    def __init__(self, engine: Engine, connections: Connections, database: Database, clock: Clock) -> None:
        self._engine = engine
        self._connections = connections
        self._database = database
        self._clock = clock

    async def look(self) -> Readiness:
        """All checks, and the worst of them."""
        foreign = chain.from_iterable(map(self.foreign, self._connections))
        checks = [self._taking(), *self._served(), *foreign, *await self._stored()]
        return Readiness(status=worst(checks), checks=checks)

    def _taking(self) -> Check:
        engine = self._engine
        check = Check(name="engine", status="ok", running=engine.running)
        if not engine.taking:
            check.status = "fail"
            check.hint = "The service is starting or stopping; it takes no new transfers."
            if engine.started and not engine.draining:
                check.hint = "The last heartbeats could not be written; it takes no new transfers."
        return check

    def _served(self) -> list[Check]:
        """Said only where the file of connections could not be taken over."""
        fault = self._connections.fault
        hint = f"The last change of the file was not taken over; what was before goes on. {fault}"
        return [Check(name="connections", status="warn", hint=hint)] if fault else []

    def foreign(self, connection: Connection) -> list[Check]:
        """Both systems. One that fails is a warning: restarting this service would not mend it."""
        whose = connection.id if len(self._connections) > 1 else None
        return [self._stamped(connection, whose), *self._ipaas(connection, whose)]

    def _ipaas(self, connection: Connection, whose: str | None) -> list[Check]:
        """Said only where it is set."""
        if connection.ipaas is None:
            return []
        last = connection.ipaas.last_failure
        if last is None or last.kind is Kind.THROTTLED:
            return [Check(name="ipaas", status="ok", connection=whose)]
        hint = f"The last call ({last.operation}) failed: {_told(last)}. {ipaas_advice(last)}"
        return [Check(name="ipaas", status="warn", connection=whose, hint=hint)]

    def _stamped(self, connection: Connection, whose: str | None) -> Check:
        pause = self._engine.gates.at(connection.scope).pause()
        if pause is not None:
            return Check(name="stamped", status="warn", connection=whose, hint=pause.headline, is_pause=True)
        last = connection.stamped.last_failure
        if last is None or last.kind is Kind.THROTTLED:
            return Check(name="stamped", status="ok", connection=whose)
        hint = f"The last call ({last.operation}) failed: {_told(last)}. {advice(last)}"
        return Check(name="stamped", status="warn", connection=whose, hint=hint)

    async def _stored(self) -> list[Check]:
        engine, database = self._engine, self._database
        if not engine.started:
            hint = engine.opening.fault or NO_ANSWER
            return [Check(name="database", status="fail", hint=hint)]
        if engine.refusal is not None:
            return [Check(name="database", status="fail", hint=engine.refusal)]
        try:
            async with asyncio.timeout(_DATABASE_SECONDS):
                oldest = await database.read(statistics.oldest_open)
        except (DatabaseGone, TimeoutError):
            hint = "The database does not answer; the service goes on by itself when it does."
            return [Check(name="database", status="fail", hint=hint)]
        except Exception:
            log.exception("the database cannot be read")
            hint = "The database answers, but not as this version needs it. Restore it, then restart the service."
            return [Check(name="database", status="fail", hint=hint)]
        answers = Check(name="database", status="ok")
        if database.schema_note is not None:
            answers = Check(name="database", status="warn", hint=database.schema_note)
        waiting = Check(name="oldest_waiting", status="ok")
        if oldest is not None:
            age = self._clock.now().timestamp() - oldest.created_at
            waiting.seconds = round(age)
            waiting.transfer_id = oldest.id
            if age > _OLD_SECONDS:
                waiting.status = "warn"
                waiting.hint = (
                    "A transfer has waited for over 30 minutes. GET /transfers?status=waiting shows why."
                )
        return [answers, waiting]


def worst(checks: list[Check]) -> State:
    """Of all of them."""
    states = {check.status for check in checks}
    return "fail" if "fail" in states else "warn" if "warn" in states else "ok"


def _told(error: CallError) -> str:
    """For everybody: a message may name somebody."""
    return "no answer" if error.status is None else status_line(error.status)


def ipaas_advice(error: CallError) -> str:
    """What to do about a call to iPaaS.com that failed."""
    if error.kind is Kind.REFUSED:
        return "The answer has no code of iPaaS.com's. Check IPAAS_API_URL; it ends in /customers as a rule."
    if error.kind is Kind.DENIED:
        return "Renew IPAAS_API_TOKEN."
    if error.kind is Kind.THROTTLED:
        return "Wait: iPaaS.com has had too many calls."
    return "Check IPAAS_API_URL and the way to it."


def advice(error: CallError) -> str:
    """What to do about a call to Stamped.io that failed."""
    if error.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        return "Check STAMPED_API_PUBLIC_KEY and STAMPED_API_PRIVATE_KEY."
    if error.status == HTTPStatus.NOT_FOUND:
        return "Check STAMPED_API_STORE_HASH, then STAMPED_API_URL."
    if error.kind is Kind.THROTTLED:
        return "Wait: Stamped.io has had too many calls."
    if error.status is None:
        return "Check STAMPED_API_URL and the way to it (network, DNS, proxy)."
    if error.status < HTTPStatus.BAD_REQUEST:
        return "Check STAMPED_API_URL: what answers there is not Stamped.io's API."
    return "Try again later."
