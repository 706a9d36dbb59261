"""Error Logs: failed transfers by error and message, and running many of them again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import structlog
from fastapi import APIRouter, Request
from fastapi.responses import Response

from app.ledger import statistics
from app.ledger.reports import Filter
from app.ledger.statistics import FAILURES_GROUPED
from app.monitoring.guard import by_of, form_of, go_to, not_found
from app.monitoring.transfers import Choice

if TYPE_CHECKING:
    from sqlalchemy import RowMapping

    from app.monitoring.site import Site

log = structlog.stdlib.get_logger("monitoring")

_DAY = 86_400
WINDOWS: Final = {"1": "24 hours", "7": "7 days", "30": "30 days", "365": "year"}
_USUAL = "7"
_GROUPS_SHOWN = 100
_END_OF_TIME = 1e11  # in seconds; beyond it there are no dates


def failure_routes(router: APIRouter, site: Site) -> None:
    """Add the page and its re-runs."""

    @router.get("/errors")
    async def errors(request: Request) -> Response:
        days = request.query_params.get("days", _USUAL)
        if days not in WINDOWS:
            raise not_found("window")
        now = site.now()
        groups = await site.database.read(statistics.failed_groups, now - int(days) * _DAY, _GROUPS_SHOWN)
        total = sum(group["total"] for group in groups)
        return site.pages.show(
            request,
            "errors.html",
            groups=[_shown(group) for group in groups],
            days=days,
            windows=WINDOWS,
            total=total,
            cut=total >= FAILURES_GROUPED or len(groups) == _GROUPS_SHOWN,
        )

    @router.post("/errors/retry")
    async def retry(request: Request) -> Response:
        """First says how many; the form on that page, with the same bounds in time, does it."""
        form = form_of(request)
        since, until = _seconds(form.get("since", "")), _seconds(form.get("until", ""))
        days = form.get("days", _USUAL)
        if since is None or until is None:
            until = site.now()
            since = until - int(days if days in WINDOWS else _USUAL) * _DAY
        error, reason = form.get("error") or None, form.get("reason") or None
        wanted = Filter(status="failed", error=error, reason=reason, since=since, until=until)
        if form.get("confirmed") == "yes":
            sync_id = await site.operations.retry_all(wanted, by_of(request))
            log.info("re-run of failed transfers", sync_id=sync_id, error=error)
            return go_to(f"/monitoring/syncs/{sync_id}")
        return site.pages.show(
            request,
            "retry.html",
            total=await site.operations.count(wanted),
            wanted=wanted,
            days=days,
        )

    @router.get("/errors/retry")
    async def back() -> Response:
        return go_to("/monitoring/errors")


def _shown(group: RowMapping) -> dict[str, Any]:
    """With the list of its transfers, which has the button for one of them."""
    choice = Choice(status="failed", error=group["error"] or "", message=group["reason"] or "")
    return {**group, "error": group["error"] or "", "path": choice.path()}


def _seconds(text: str) -> float | None:
    """A bound that the page before has set."""
    try:
        seconds = float(text)
    except ValueError:
        return None
    return seconds if 0 <= seconds < _END_OF_TIME else None
