"""Monitoring: is it healthy, what went through in the last day, and who spoke last."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from fastapi import APIRouter, Request
from fastapi.responses import Response

from app.ledger import reports, statistics
from app.ledger.reports import Filter
from app.ledger.statistics import HOUR
from app.monitoring.chart import draw
from app.monitoring.connections import CONNECTIONS
from app.monitoring.guard import PageFault, origin_of

if TYPE_CHECKING:
    from app.health import Check, State
    from app.ledger.session import Session
    from app.ledger.statistics import LastAnswer, OldestOpen
    from app.ledger.stored import Stored
    from app.monitoring.site import Site

_HOURS = 24
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
    """What was counted at `at`."""

    at: float
    first_hour: int
    per_hour: dict[tuple[int, str], int]
    open: OldestOpen | None
    last_webhook: float | None
    last_answer: LastAnswer | None
    failures: list[Stored]
    empty: bool

    def total(self, *statuses: str) -> int:
        """In the last day, of these statuses; of all without any."""
        return sum(total for (_, status), total in self.per_hour.items() if not statuses or status in statuses)

    @property
    def success_rate(self) -> float | None:
        """Succeeded of those that succeeded or failed; None without any."""
        good, bad = self.total("succeeded"), self.total("failed")
        return good / (good + bad) if good + bad else None


def overview_routes(router: APIRouter, site: Site) -> None:
    """Add the page that opens first."""
    kept: list[Numbers] = []

    @router.get("")
    async def overview(request: Request) -> Response:
        found = await site.health.look()
        if any(check.name == "database" and check.status == "fail" for check in found.checks):
            hints = " ".join(check.hint for check in found.checks if check.status != "ok" and check.hint)
            raise PageFault(HTTPStatus.SERVICE_UNAVAILABLE, "Not available at the moment", hints)
        if not kept or not 0 <= site.now() - kept[0].at < _KEPT_SECONDS or kept[0].empty:
            kept[:] = [await site.database.read(_count, site.now())]
        numbers = kept[0]
        return site.pages.show(
            request,
            "overview.html",
            numbers=numbers,
            paused=[
                (each, pause) for each in site.connections if (pause := site.engine.gates.at(each.scope).pause())
            ],
            checks=[Line.of(check) for check in found.checks],
            state=found.status,
            chart=draw(numbers.per_hour, numbers.first_hour, _HOURS),
            now=site.now(),
            origin=origin_of(request),
            fetches=site.fetches,
        )


def _count(session: Session, now: float) -> Numbers:
    first_hour = int(now) // HOUR * HOUR - (_HOURS - 1) * HOUR
    return Numbers(
        at=now,
        first_hour=first_hour,
        per_hour=statistics.per_hour(session, first_hour, _HOURS),
        open=statistics.oldest_open(session),
        last_webhook=statistics.last_webhook(session),
        last_answer=statistics.last_answer(session),
        failures=reports.listed(session, Filter(status="failed"), _FAILURES_SHOWN),
        empty=statistics.is_empty(session),
    )
