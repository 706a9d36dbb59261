"""Error Logs: failed transfers in groups of those that failed alike, and running many of them again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import structlog
from fastapi import APIRouter, Request
from fastapi.responses import Response

from app.ledger import reports, statistics
from app.ledger.statistics import FAILURES_GROUPED
from app.monitoring.guard import by_of, form_of, go_to, not_found
from app.monitoring.transfers import Choice, connection_of

if TYPE_CHECKING:
    from app.monitoring.site import Site

log = structlog.stdlib.get_logger("monitoring")

WINDOWS: Final = {"1": "24 hours", "7": "7 days", "30": "30 days", "365": "year"}
_USUAL = "7"
_GROUPS_SHOWN = 100


def failure_routes(router: APIRouter, site: Site) -> None:
    """Add the page and its re-runs."""

    @router.get("/errors")
    async def errors(request: Request) -> Response:
        days = request.query_params.get("days", _USUAL)
        if days not in WINDOWS:
            raise not_found("window")
        every = Choice.failed(site.operations.now(), int(days)).but(connection=connection_of(request))
        groups = await site.database.read(statistics.failed_groups, every.filter(), _GROUPS_SHOWN)
        total = sum(group.total for group in groups)
        return site.pages.show(
            request,
            "errors.html",
            groups=[(group, every.but(group=group.newest.failure_group or "")) for group in groups],
            every=every,
            days=days,
            windows=WINDOWS,
            total=total,
            cut=total >= FAILURES_GROUPED or len(groups) == _GROUPS_SHOWN,
        )

    @router.post("/errors/retry")
    async def retry(request: Request) -> Response:
        """First says how many; the form on that page, with the same filter, does it."""
        form = form_of(request)
        choice = Choice.of(form | {"status": "failed"}).ended(site.operations.now())
        wanted = choice.filter()
        if form.get("confirmed") == "yes":
            sync_id = await site.operations.retry_all(wanted, by_of(request))
            log.info("re-run of failed transfers", sync_id=sync_id, error=wanted.error, group=wanted.group)
            return go_to(f"/monitoring/syncs/{sync_id}")
        newest = await site.database.read(reports.listed, wanted, 1)
        return site.pages.show(
            request,
            "retry.html",
            total=await site.operations.count(wanted),
            wanted=wanted,
            choice=choice,
            chips=choice.chips(newest),
        )

    @router.get("/errors/groups")  # who opens the call is led here
    @router.get("/errors/retry")
    async def back() -> Response:
        return go_to("/monitoring/errors")
