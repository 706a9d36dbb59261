"""Error Logs: failed transfers in groups of those that failed alike, and running many of them again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, get_args

from fastapi import APIRouter, Request
from fastapi.responses import Response

from app.error_catalog import CATALOG, Slug
from app.filters import read_group
from app.groups import MOST_READ, Issue, issues
from app.ledger.grouping import Tag
from app.ledger.statistics import FAILURES_GROUPED
from app.monitoring.guard import by_of, form_of, go_to, not_found
from app.monitoring.ranges import Range, address, unreadable
from app.monitoring.spark import Spark
from app.monitoring.transfers import Choice, connection_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from app.monitoring.site import Site


ERRORS: Final = "/monitoring/errors"
TAGS: Final[tuple[Tag, ...]] = get_args(Tag)
_WINDOWS: Final = ("24h", "7d", "30d", "365d")
_USUAL = "7d"
_PAGE = 15


@dataclass(frozen=True, slots=True)
class Card:
    """An issue as the page has it; `choice`: the list of its transfers."""

    issue: Issue
    choice: Choice
    spark: Spark
    resolution: str

    @classmethod
    def of(cls, issue: Issue, every: Choice) -> Card:
        """One of those that failed in this time."""
        wanted = every.filter()
        spark = Spark.of(issue.group.trend, wanted.since or 0.0, wanted.until or 0.0)
        error = issue.group.newest.error
        resolution = CATALOG[Slug(error)].resolution if error in set(Slug) else ""
        return cls(issue, every.but(group=issue.id), spark, resolution)

    @property
    def rerun(self) -> str:
        """Where that is asked for."""
        return self.choice.asking("retry")


def failure_routes(router: APIRouter, site: Site) -> None:
    """Add the page and what it does."""

    @router.get("/errors")
    async def errors(request: Request) -> Response:
        query = request.query_params
        chosen, tag, first = Range.of(query, _USUAL), query.get("tag", ""), _number(query.get("from", ""))
        if tag not in {"", *TAGS}:
            raise unreadable("tag")
        every = Choice.failed(chosen.fixed(site.operations.now())).but(connection=connection_of(request))
        found = await site.database.read(issues, every.filter())
        wanted = [each for each in found if tag in {"", each.tag}]
        total = sum(each.group.total for each in found)
        kept = {"connection": every.connection} | chosen.given
        return site.pages.show(
            request,
            "errors.html",
            cards=[Card.of(each, every) for each in wanted[first : first + _PAGE]],
            totals={each: sum(1 for issue in found if issue.tag == each) for each in TAGS},
            groups=len(found),
            rerun=every.asking("retry"),
            here=kept | {"tag": tag},
            kept=kept,
            tag=tag,
            previous=str(max(first - _PAGE, 0)) if first else None,
            following=str(first + _PAGE) if len(wanted) > first + _PAGE else None,
            chosen=chosen,
            windows=_WINDOWS,
            total=total,
            cut=total >= FAILURES_GROUPED or len(found) == MOST_READ,
        )

    _notice_routes(router, site)


def _notice_routes(router: APIRouter, site: Site) -> None:
    @router.post("/errors/groups/{group}/acknowledge")
    async def acknowledge(group: str, request: Request) -> Response:
        if not read_group(group) or await site.operations.acknowledge(group, by_of(request)) is None:
            raise not_found("group")
        return go_to(_back_to(group, form_of(request)))

    @router.post("/errors/groups/{group}/unacknowledge")
    async def unacknowledge(group: str, request: Request) -> Response:
        if not (read_group(group) and await site.operations.unacknowledge(group, by_of(request))):
            raise not_found("group")
        return go_to(_back_to(group, form_of(request)))

    @router.get("/errors/groups")  # who opens the call is led here
    @router.get("/errors/groups/{_group}/{_action}")
    async def back() -> Response:
        return go_to(ERRORS)


def _back_to(group: str, form: Mapping[str, str]) -> str:
    """The same page, at this group."""
    kept = {name: form.get(name, "") for name in ("tag", "connection", "last", "since", "until")}
    return f"{address(ERRORS, kept)}#{group}"


def _number(text: str) -> int:
    """Of the first group on a page. Raises PageFault."""
    if not text:
        return 0
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(FAILURES_GROUPED))):
        raise unreadable("place")
    return int(text)
