"""Transfers: the list, newest first, and its filter."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, get_args
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import ValidationError

from app.error_catalog import Slug
from app.filters import ListFilter, ending
from app.ledger import reports, statistics
from app.ledger.grouping import alike
from app.ledger.stored import Status, hash_email
from app.monitoring.guard import READS, PageFault, form_of, go_to, origin_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from app.ledger.reports import Filter
    from app.ledger.stored import Stored
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
_DAY = 86_400
_CURSOR_DIGITS = 19


@dataclass(frozen=True, slots=True)
class Choice:
    """The filter as it stands in the address, by the names that the API has for it; empty = any."""

    status: str = ""
    error: str = ""
    stamped_status: str = ""
    group: str = ""
    customer_id: str = ""
    tracking_guid: str = ""
    email_hash: str = ""
    connection: str = ""
    sync_id: str = ""
    since: str = ""
    until: str = ""

    @classmethod
    def of(cls, values: Mapping[str, str]) -> Choice:
        """From an address or a form."""
        return cls(**{each.name: values.get(each.name, "").strip() for each in fields(cls)})

    @classmethod
    def failed(cls, now: float, days: int) -> Choice:
        """All that failed of those received in so many days."""
        until = ending(now)
        return cls(status="failed", since=_written(until - days * _DAY), until=_written(until))

    @property
    def given(self) -> dict[str, str]:
        """What was chosen."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        return {name: value for name, value in values.items() if value}

    def path(self, **others: str) -> str:
        """The address of the list with this filter, but for what `others` say."""
        query = urlencode({name: value for name, value in (self.given | others).items() if value})
        return f"{LIST}?{query}" if query else LIST

    def but(self, **others: str) -> Choice:
        """With other values."""
        return replace(self, **others)

    def ended(self, now: float) -> Choice:
        """With an end, so that what fails from now on is not meant."""
        return self if self.until else self.but(until=_written(ending(now)))

    def filter(self, cursor: int | None = None) -> Filter:
        """For the ledger. Raises PageFault for what no form sends."""
        try:
            read = ListFilter.model_validate(self.given)
        except ValidationError as faults:
            raise _unreadable(str(faults.errors()[0]["loc"][0]).replace("_", " ")) from None
        return replace(read.filter, cursor=cursor)

    def chips(self, found: Sequence[Stored]) -> list[tuple[str, str]]:
        """What has no field in the form, and the address without it. `found`: of these transfers."""
        same = alike(found[0].error, found[0].reason) if found else ""
        texts = {
            "stamped_status": f"Status {self.stamped_status} of Stamped.io",
            "group": f"Failed alike: {same or self.group}",
            "connection": f"Connection {self.connection}",
            "sync_id": "One sync",
        }
        return [(text, self.path(**{name: ""})) for name, text in texts.items() if name in self.given]


def list_routes(router: APIRouter, site: Site) -> None:
    """Add the list."""

    @router.get("/transfers")
    async def transfers(request: Request) -> Response:
        query = request.query_params
        choice = Choice.of(query)
        cursor = read_cursor(query.get("cursor", ""))
        found = await site.database.read(reports.listed, choice.filter(cursor), _PAGE + 1)
        more = len(found) > _PAGE
        found = [site.operations.explain(each) for each in found[:_PAGE]]
        empty = not found and not choice.given and await site.database.read(statistics.is_empty)
        return site.pages.show(
            request,
            "transfers.html",
            choice=choice,
            chips=choice.chips(found),
            transfers=found,
            rerun=choice.status == "failed" and cursor is None and len(found),
            more=more,
            older=choice.path(cursor=str(found[-1].seq)) if more else None,
            first_page=cursor is None,
            live=query.get("live") != "off" and cursor is None,
            statuses=STATUSES,
            errors=[slug.value for slug in ERRORS],
            empty=empty,
            now=site.now(),
            origin=origin_of(request),
            fetches=site.fetches,
        )

    @router.post("/transfers", tags=[READS])
    async def narrow(request: Request) -> Response:
        """A POST, so that an e-mail never stands in an address; it goes on as its hash."""
        form = form_of(request)
        email = form.get("email", "").strip()
        choice = Choice.of(form | ({"email_hash": hash_email(email)} if email else {}))
        choice.filter()
        return go_to(choice.path())


def read_cursor(text: str) -> int | None:
    """The place in a list. Raises PageFault."""
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < _CURSOR_DIGITS):
        raise _unreadable("cursor")
    return int(text)


def _written(seconds: float) -> str:
    """As fields for times have it, in UTC."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}"


def _unreadable(what: str) -> PageFault:
    text = f"There is no such {what}. Times are written as 2026-11-24T12:30, in UTC."
    return PageFault(HTTPStatus.BAD_REQUEST, "This filter cannot be read", text)


def connection_of(request: Request) -> str:
    """The one that the pages are narrowed to; empty = all."""
    return request.query_params.get("connection", "")
