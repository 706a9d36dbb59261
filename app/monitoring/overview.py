"""Monitoring: is it healthy, what was tried and how it went, and who spoke last."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from fastapi import APIRouter, Request
from fastapi.responses import Response

from app.ledger import hours, reports, statistics
from app.ledger.reports import Filter
from app.ledger.tables import DAY
from app.monitoring.chart import Span, draw
from app.monitoring.connections import CONNECTIONS
from app.monitoring.guard import HOME, PageFault, go_to, origin_of
from app.monitoring.ranges import WINDOWS, Range, unreadable
from app.monitoring.transfers import connection_of
from app.monitoring.verdict import deed_of

if TYPE_CHECKING:
    from app.health import Check, State
    from app.ledger.session import Session
    from app.ledger.statistics import OldestOpen
    from app.ledger.stored import Stored
    from app.ledger.tallies import Tally
    from app.monitoring.chart import Chart
    from app.monitoring.site import Site
    from app.outbound.noting import Call

_WINDOWS: Final = ("24h", "7d", "30d")
_FARTHEST_DAYS = 366
_KEPT_SECONDS = 4.0  # a page that reloads itself must not count anew for each of its readers
_FAILURES_SHOWN = 5

_WELL: Final = {
    "engine": ("New transfers are taken.", None),
    "connections": ("The file of connections was taken over.", "/monitoring/settings"),
    "stamped": ("No call to Stamped.io is failing.", "/monitoring/settings"),
    "ipaas": ("No call to iPaaS.com is failing.", "/monitoring/settings"),
    "database": ("Answers.", None),
    "oldest_waiting": ("None has waited for over 30 minutes.", None),
}


@dataclass(frozen=True, slots=True)
class Line:
    """A check in words for people; `path` leads to what it is about."""

    name: str
    state: State
    text: str
    path: str | None = None

    @classmethod
    def of(cls, check: Check) -> Line:
        """What is well is said, too."""
        name, (well, path) = check.title, _WELL[check.name]
        if check.status == "ok":
            return cls(name, "ok", well)
        if check.is_pause:
            path = CONNECTIONS
        if check.transfer_id is not None:
            path = f"/monitoring/transfers/{check.transfer_id}"
        return cls(name, check.status, check.hint or "", path)


@dataclass(frozen=True, slots=True)
class Numbers:
    """What was counted at `at`, of one connection or of all; `chart` of a range of time, the rest as it is now."""

    at: float
    chart: Chart
    open: OldestOpen | None
    last_webhook: float | None
    last_answer: Call | None
    failures: list[Stored]
    empty: bool

    @property
    def total(self) -> Tally:
        """Of all that is drawn."""
        return self.chart.total


def overview_routes(router: APIRouter, site: Site) -> None:
    """Add the page that opens first."""
    kept: dict[tuple[str, Range], Numbers] = {}

    async def numbers_of(connection: str, chosen: Range) -> Numbers:
        """Of a few seconds ago at most."""
        now, key = site.now(), (connection, chosen)
        for each in [each for each, old in kept.items() if not 0 <= now - old.at < _KEPT_SECONDS or old.empty]:
            del kept[each]
        if key not in kept:
            kept[key] = await site.database.read(_count, now, connection, _span(chosen, now))
        return kept[key]

    @router.get("")
    async def overview(request: Request) -> Response:
        found = await site.health.look()
        if any(check.name == "database" and check.status == "fail" for check in found.checks):
            hints = " ".join(check.hint for check in found.checks if check.status != "ok" and check.hint)
            raise PageFault(HTTPStatus.SERVICE_UNAVAILABLE, "Not available at the moment", hints)
        chosen, connection = Range.of(request.query_params, _WINDOWS[0]), connection_of(request)
        numbers = await numbers_of(connection, chosen)
        site.alerts.page = f"{origin_of(request)}{HOME}"
        served = site.connections.get(connection)
        verdict = await site.judge.verdict(served.id if served else None)
        return site.pages.show(
            request,
            "overview.html",
            numbers=numbers,
            chosen=chosen,
            windows=_WINDOWS,
            kept={"connection": connection},
            paused=[
                (each, pause)
                for each in site.connections
                if connection in {"", each.id} and (pause := site.engine.gates.at(each.scope).pause())
            ],
            checks=[Line.of(check) for check in found.checks],
            verdict=verdict,
            deeds=[deed_of(each) for each in verdict.causes],
            chart=numbers.chart,
            now=site.now(),
            origin=origin_of(request),
            fetches=site.fetches,
        )

    @router.get("/verdict")  # who opens the call is led here
    async def back() -> Response:
        return go_to(HOME)


def _span(chosen: Range, now: float) -> Span:
    """What is drawn. Raises PageFault."""
    if chosen.last in _WINDOWS:
        return Span.ending(now, WINDOWS[chosen.last][1])
    since, until = chosen.bounds(now)
    until = now if until is None else min(until, now)
    since = max(since or 0.0, now - _FARTHEST_DAYS * DAY)
    if chosen.last or since >= until:
        raise unreadable("window")
    return Span.of(since, until)


def _count(session: Session, now: float, connection: str, span: Span) -> Numbers:
    return Numbers(
        at=now,
        chart=draw(hours.history(session, span.first, span.until, connection), span, now),
        open=statistics.oldest_open(session, connection),
        last_webhook=statistics.last_webhook(session, connection),
        last_answer=statistics.last_answer(session, connection),
        failures=reports.listed(session, Filter(status="failed", connection=connection or None), _FAILURES_SHOWN),
        empty=statistics.is_empty(session),
    )
