"""Chosen transfers, or all of a filter: running them again, cancelling them, and taking them away as a file.

Each is asked about by a GET, which does nothing, so that going back and forward is safe; a POST does it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

import structlog
from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import ValidationError

from app.api.export import exported, file_name
from app.filters import RetryFilter, rerunnable
from app.ledger import reports
from app.ledger.reports import Filter
from app.ledger.status_counts import status_counts
from app.ledger.tables import FINAL, OPEN, PENDING, RERUNNABLE
from app.monitoring.guard import by_of, form_of, go_to
from app.monitoring.ranges import unreadable
from app.monitoring.transfers import LIST, Choice

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from app.filters import Format
    from app.ledger.status_counts import StatusCounts
    from app.monitoring.site import Site

log = structlog.stdlib.get_logger("monitoring")

_FORMATS: Final[tuple[Format, ...]] = ("csv", "json")
_NOT_AGAIN: Final = {
    "accepted": "not begun yet",
    "running": "under way",
    "waiting": "run again by themselves",
    "succeeded": "nothing is left to do; Manual Sync sends a customer again",
    "skipped": "a newer change made them needless, or there was nothing to send",
    "cancelled": "only failed ones are, unless they are chosen one by one or by their status",
}
_NOT_BACK: Final = {"running": "under way", **dict.fromkeys(FINAL, "ended")}


@dataclass(frozen=True, slots=True)
class Many:
    """What was chosen on the list: some by their ids, else all that the filter finds up to now."""

    choice: Choice
    ids: tuple[str, ...]

    @classmethod
    def of(cls, values: Mapping[str, str], ids: Sequence[str], now: float) -> Many:
        """From an address or a form. Raises PageFault."""
        try:
            read = RetryFilter.model_validate({"transfer_ids": list(ids)} if ids else {})
        except ValidationError:
            raise unreadable("transfer") from None
        choice = Choice.of(values)
        return cls(choice if ids else choice.ended(now), tuple(read.transfer_ids or ()))

    @property
    def filter(self) -> Filter:
        """For the ledger. Raises PageFault."""
        return Filter(transfer_ids=self.ids) if self.ids else self.choice.filter()

    @property
    def statuses(self) -> Sequence[str]:
        """Those that they may have."""
        return (*OPEN, *FINAL) if self.ids or not self.choice.status else (self.choice.status,)

    def path(self, action: str) -> str:
        """Where to ask about it, and to come back to."""
        return f"{LIST}/{action}?{urlencode([*self.choice.given.items(), *(('id', each) for each in self.ids)])}"


def many_routes(router: APIRouter, site: Site) -> None:
    """Add re-runs and cancelling."""

    async def ask(request: Request, action: str, many: Many, wanted: Filter, why_not: dict[str, str]) -> Response:
        """How many these are, how many of them it can be done to, and why not to the others."""
        counts = await site.database.read(status_counts, many.filter)
        among = list(wanted.among or ([wanted.status] if wanted.status else []))
        total = await site.operations.count(wanted) if among else 0
        return site.pages.show(
            request,
            "many.html",
            action=action,
            many=many,
            chips=many.choice.chips(await site.database.read(reports.listed, many.filter, 1)),
            counts=counts,
            total=total,
            kind=among[0] if len(among) == 1 else "",
            done=_listed(counts, among),
            left=[(each, why_not[each]) for each in many.statuses if each not in among and counts.total([each])],
            ids=" ".join(many.ids),
        )

    @router.get("/transfers/retry")
    async def ask_retry(request: Request) -> Response:
        many = _asked(request, site)
        return await ask(request, "retry", many, _again(many), _NOT_AGAIN)

    @router.post("/transfers/retry")
    async def retry(request: Request) -> Response:
        wanted, first = _again(_meant(request, site)), form_of(request).get("first") == "yes"
        sync_id = await site.operations.retry_all(wanted, by_of(request), one_first=first)
        log.info("re-run of many transfers", sync_id=sync_id, group=wanted.group, one_first=first)
        return go_to(f"/monitoring/syncs/{sync_id}")

    @router.get("/transfers/cancel")
    async def ask_cancel(request: Request) -> Response:
        many = _asked(request, site)
        return await ask(request, "cancel", many, _back(many), _NOT_BACK)

    @router.post("/transfers/cancel")
    async def cancel(request: Request) -> Response:
        """Comes back to the question, which then says what has become of them."""
        many = _meant(request, site)
        total = await site.operations.cancel_all(_back(many), by_of(request))
        log.info("many transfers cancelled", total=total)
        return go_to(many.path("cancel"))


def export_routes(router: APIRouter, site: Site) -> None:
    """Add taking them away."""

    @router.get("/transfers/export")
    async def export(request: Request) -> Response:
        """Masked; without a format it is asked which."""
        many, now = _asked(request, site), site.operations.now()
        written = _format(request.query_params.get("format", ""))
        if written is not None:
            return await exported(site.database, many.filter, written, now)
        return site.pages.show(
            request,
            "export.html",
            many=many,
            chips=many.choice.chips([]),
            counts=await site.database.read(status_counts, many.filter),
            statuses=many.statuses,
            files=[(each, f"{many.path('export')}&format={each}") for each in _FORMATS],
            name=file_name(many.filter, "csv", now),
            ids=" ".join(many.ids),
        )

    @router.post("/transfers/export")
    async def reveal(request: Request) -> Response:
        """A POST: the persons' data stand in no address, and who asks is kept."""
        many, written = _meant(request, site), _format(form_of(request).get("format", ""))
        await site.operations.reveal_all(by_of(request))
        now = site.operations.now()
        return await exported(site.database, many.filter, written or "csv", now, reveal=True)


def _asked(request: Request, site: Site) -> Many:
    query = request.query_params
    return Many.of(query, query.getlist("id"), site.operations.now())


def _meant(request: Request, site: Site) -> Many:
    form = form_of(request)
    return Many.of(form, form.get("ids", "").split(), site.operations.now())


def _again(many: Many) -> Filter:
    """Those of them that run again; none, where the filter is about others."""
    runs = many.ids or many.choice.status in {"", *RERUNNABLE}
    return rerunnable(many.filter) if runs else replace(many.filter, status=None, among=())


def _back(many: Many) -> Filter:
    return replace(many.filter, among=PENDING)


def _listed(counts: StatusCounts, among: Sequence[str]) -> str:
    """`7 failed, 1 cancelled`."""
    return ", ".join(f"{counts.total([each]):,} {each}" for each in among if counts.total([each]))


def _format(text: str) -> Format | None:
    return next((each for each in _FORMATS if each == text), None)
