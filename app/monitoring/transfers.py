"""Transfers: the list, newest first, and its filter."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Final, get_args

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import ValidationError

from app.command_lines import as_curl, as_options
from app.error_catalog import Slug
from app.filters import ListFilter, ending
from app.ledger import reports, statistics
from app.ledger.grouping import alike
from app.ledger.status_counts import status_counts
from app.ledger.stored import Status, hash_email
from app.ledger.tables import PENDING, RERUNNABLE
from app.monitoring.guard import READS, form_of, go_to, origin_of
from app.monitoring.ranges import Range, address, unreadable, written
from app.monitoring.rendering import error_title
from app.monitoring.search import read_search
from app.privacy import masked_id
from app.times import moment, read_time

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from app.ledger.reports import Filter
    from app.ledger.session import Session
    from app.ledger.status_counts import StatusCounts
    from app.ledger.stored import Stored
    from app.monitoring.search import Search
    from app.monitoring.site import Site

LIST: Final = "/monitoring/transfers"
STATUSES: Final[tuple[str, ...]] = get_args(Status)
ERRORS: Final = (
    Slug.CUSTOMER,
    Slug.SUBSCRIPTION,
    Slug.NOT_LOADED,
    Slug.SERVICE_UNAVAILABLE,
    Slug.INTERNAL_ERROR,
)
_PAGE = 50
_WINDOWS: Final = ("1h", "24h", "7d", "30d")
_CURSOR_DIGITS = 19


@dataclass(frozen=True, slots=True)
class Chip:
    """A part of the filter in words, the address without it, and where what was written may be meant otherwise."""

    text: str
    without: str
    other: str = ""
    otherwise: str = ""


@dataclass(frozen=True, slots=True)
class Choice:
    """The filter as it stands in the address, by the names that the API has for it; empty = any."""

    status: str = ""
    error: str = ""
    stamped_status: str = ""
    group: str = ""
    words: str = ""
    customer_id: str = ""
    tracking_guid: str = ""
    email_hash: str = ""
    connection: str = ""
    sync_id: str = ""
    last: str = ""
    since: str = ""
    until: str = ""

    @classmethod
    def of(cls, values: Mapping[str, str]) -> Choice:
        """From an address or a form. Raises PageFault."""
        time = Range.of(values)
        found = {each.name: values.get(each.name, "").strip() for each in fields(cls)}
        return cls(**found | {"last": time.last, "since": time.since, "until": time.until})

    @classmethod
    def failed(cls, window: Range) -> Choice:
        """All that failed of those received in this time."""
        return cls(status="failed", since=window.since, until=window.until)

    @property
    def given(self) -> dict[str, str]:
        """What was chosen."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        return {name: value for name, value in values.items() if value}

    @property
    def range(self) -> Range:
        """The time."""
        return Range(self.last, self.since, self.until)

    @property
    def kept(self) -> dict[str, str]:
        """All but the time."""
        return {name: value for name, value in self.given.items() if name not in {"last", "since", "until"}}

    def path(self, **others: str) -> str:
        """The address of the list with this filter, but for what `others` say."""
        return address(LIST, self.given | others)

    def asking(self, action: str) -> str:
        """Where it is asked about doing this to all of them."""
        return address(f"{LIST}/{action}", self.given)

    def but(self, **others: str) -> Choice:
        """With other values."""
        return replace(self, **others)

    def searched(self, found: Search) -> Choice:
        """For what somebody looks for; but for words, whatever else was chosen may hide it."""
        if found.kind == "words":
            return self.but(customer_id="", tracking_guid="", email_hash="", words=found.value)
        alone = Choice(connection=self.connection)
        if found.kind == "customer":
            return alone.but(customer_id=found.value)
        if found.kind == "guid":
            return alone.but(tracking_guid=found.value)
        if found.kind == "email":
            return alone.but(email_hash=hash_email(found.value))
        return self.but(customer_id="", tracking_guid="", email_hash="", words="")

    @property
    def search(self) -> str:
        """What stands in the search box; an e-mail does not."""
        return self.words or self.customer_id or self.tracking_guid

    def fixed(self, now: float) -> Choice:
        """With a begin that does not move with the clock."""
        if not self.last:
            return self
        return self.but(last="", since=self.range.fixed(now).since)

    def ended(self, now: float) -> Choice:
        """With an end, too, so that what fails from now on is not meant."""
        return self.fixed(now) if self.until else self.fixed(now).but(until=written(ending(now)))

    def filter(self, cursor: int | None = None) -> Filter:
        """For the ledger, of a time that does not move. Raises PageFault for what no form sends."""
        try:
            read = ListFilter.model_validate(self.given)
        except ValidationError as faults:
            raise unreadable(str(faults.errors()[0]["loc"][0]).replace("_", " ")) from None
        return replace(read.filter, cursor=cursor)

    def chips(self, found: Sequence[Stored]) -> list[Chip]:
        """What is chosen, but for status and time. `found`: of these transfers."""
        same = alike(found[0].error, found[0].reason) if found and self.group else ""
        texts = {
            "customer_id": f"Customer id {masked_id(self.customer_id)}",
            "tracking_guid": f"Tracking GUID {self.tracking_guid}",
            "email_hash": "One e-mail",
            "words": f"Message with “{self.words}”",
            "error": error_title(self.error),
            "stamped_status": f"Status {self.stamped_status} of Stamped.io",
            "group": f"Failed alike: {same or self.group}",
            "connection": f"Connection {self.connection}",
            "sync_id": "One sync",
        }
        others = {
            "customer_id": ("in messages", self.path(customer_id="", words=self.customer_id)),
            "words": ("as a customer id", self.path(words="", customer_id=self.words)),
        }
        return [
            Chip(text, self.path(**{name: ""}), *others.get(name, ()))
            for name, text in texts.items()
            if name in self.given
        ]


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """The same as an address, as a call and as a command."""

    address: str
    curl: str
    command: str

    @classmethod
    def of(cls, choice: Choice, origin: str, now: float) -> Elsewhere:
        """Times have their zone, which a shell elsewhere may not share."""
        query = choice.fixed(now).given
        query |= {name: _zoned(query[name]) for name in ("since", "until") if name in query}
        options = query | ({"since": choice.last} if choice.last else {})
        command = f"ipaas-stamped transfers {as_options(options)}".rstrip()
        return cls(origin + choice.path(), as_curl(f"{origin}/transfers", query), command)


def list_routes(router: APIRouter, site: Site) -> None:
    """Add the list."""

    async def page(request: Request, choice: Choice, cursor: int | None = None, *, unsaid: str = "") -> Response:
        now = site.operations.now()
        wanted = choice.fixed(now).filter(cursor)
        counts, found = await site.database.read(_look, wanted)
        more = len(found) > _PAGE
        found = [site.operations.explain(each) for each in found[:_PAGE]]
        empty = not found and not choice.given and await site.database.read(statistics.is_empty)
        live = cursor is None and not choice.range.is_closed and not unsaid
        return site.pages.show(
            request,
            "transfers.html",
            choice=choice,
            chips=choice.chips(found),
            unsaid=unsaid,
            transfers=found,
            counts=counts,
            older=choice.path(cursor=str(found[-1].seq)) if more else None,
            first_page=cursor is None,
            live=live and request.query_params.get("live") != "off",
            can_be_live=live,
            windows=_WINDOWS,
            statuses=STATUSES,
            reruns=_meant(choice.status or "failed", RERUNNABLE),
            cancels=[status for status in PENDING if choice.status in {"", status}],
            errors=[slug.value for slug in ERRORS],
            empty=empty,
            elsewhere=Elsewhere.of(choice, origin_of(request), now),
            origin=origin_of(request),
            fetches=site.fetches,
        )

    @router.get("/transfers")
    async def transfers(request: Request) -> Response:
        query = request.query_params
        return await page(request, Choice.of(query), read_cursor(query.get("cursor", "")))

    @router.post("/transfers", tags=[READS])
    async def narrow(request: Request) -> Response:
        """A POST, so that an e-mail never stands in an address; it goes on as its hash.

        Nor do words that no message has: they may be a name.
        """
        form = form_of(request)
        choice = Choice.of(form)
        search = read_search(form.get("search", ""))
        if "search" in form:
            choice = choice.searched(search)
        choice.fixed(site.operations.now()).filter()
        if search.kind == "guid":
            transfer = await site.database.read(reports.by_id, search.value)
            if transfer is not None:
                return go_to(f"{LIST}/{transfer.id}")
        if search.kind == "words" and not await site.database.read(reports.listed, _saying(search), 1):
            return await page(request, choice.but(words=""), unsaid=search.value)
        return go_to(choice.path())


def _look(session: Session, wanted: Filter) -> tuple[StatusCounts, list[Stored]]:
    """How many there are, and a page of them with one more, if there is one."""
    counts = status_counts(session, wanted)
    said_by_none = wanted.words is not None and not counts.counts  # PostgreSQL would look at all that there are
    return counts, [] if said_by_none else reports.listed(session, wanted, _PAGE + 1)


def _saying(search: Search) -> Filter:
    return Choice(words=search.value).filter()


def _meant(status: str, among: Sequence[str]) -> list[str]:
    return [status] if status in among else []


def _zoned(text: str) -> str:
    return moment(read_time(text)) or ""


def read_cursor(text: str) -> int | None:
    """The place in a list. Raises PageFault."""
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < _CURSOR_DIGITS):
        raise unreadable("cursor")
    return int(text)


def connection_of(request: Request) -> str:
    """The one that the pages are narrowed to; empty = all."""
    return request.query_params.get("connection", "")
