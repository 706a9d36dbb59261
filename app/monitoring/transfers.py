"""Transfers: the list, newest first, and its filter."""

from __future__ import annotations

from dataclasses import dataclass, fields
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, get_args
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from fastapi.responses import Response

from app.catalog import Slug
from app.filters import read_time
from app.ledger import reports, statistics
from app.ledger.reports import Filter
from app.ledger.stored import Status, hash_email
from app.monitoring.guard import READS, PageFault, form_of, go_to, origin_of

if TYPE_CHECKING:
    from collections.abc import Mapping

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
_CURSOR_DIGITS = 19


@dataclass(frozen=True, slots=True)
class Choice:
    """The filter as it stands in the address; empty = any. `email` is a hash, never the address itself."""

    status: str = ""
    error: str = ""
    message: str = ""
    customer: str = ""
    guid: str = ""
    email: str = ""
    since: str = ""
    until: str = ""

    @classmethod
    def of(cls, values: Mapping[str, str]) -> Choice:
        """From an address or a form."""
        return cls(**{each.name: values.get(each.name, "").strip() for each in fields(cls)})

    @property
    def given(self) -> dict[str, str]:
        """What was chosen."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        return {name: value for name, value in values.items() if value}

    def path(self, **others: str) -> str:
        """The address of the list with this filter, but for what `others` say."""
        query = urlencode({name: value for name, value in (self.given | others).items() if value})
        return f"{LIST}?{query}" if query else LIST

    def filter(self, cursor: int | None) -> Filter:
        """For the ledger. Raises PageFault for what no form sends."""
        if self.status and self.status not in STATUSES:
            raise _unreadable("status")
        return Filter(
            status=self.status or None,
            error=self.error or None,
            reason=self.message or None,
            customer_id=self.customer or None,
            tracking_guid=self.guid.lower() or None,
            email_hash=self.email or None,
            since=_seconds(self.since),
            until=_seconds(self.until),
            cursor=cursor,
        )


def list_routes(router: APIRouter, site: Site) -> None:
    """Add the list."""

    @router.get("/transfers")
    async def transfers(request: Request) -> Response:
        query = request.query_params
        choice = Choice.of(query)
        cursor = read_cursor(query.get("cursor", ""))
        found = await site.database.read(reports.listed, choice.filter(cursor), _PAGE + 1)
        more = len(found) > _PAGE
        found = found[:_PAGE]
        empty = not found and not choice.given and await site.database.read(statistics.is_empty)
        return site.pages.show(
            request,
            "transfers.html",
            choice=choice,
            transfers=found,
            older=choice.path(cursor=str(found[-1].seq)) if more else None,
            first_page=cursor is None,
            live=query.get("live") != "off" and cursor is None,
            statuses=STATUSES,
            errors=[slug.value for slug in ERRORS],
            empty=empty,
            now=site.now(),
            origin=origin_of(request),
            fetches=site.connection.ipaas is not None,
        )

    @router.post("/transfers", tags=[READS])
    async def narrow(request: Request) -> Response:
        """A POST, so that an e-mail never stands in an address; it goes on as its hash."""
        form = form_of(request)
        email = form.pop("email", "").strip()
        kept = form.pop("email_hash", "")
        choice = Choice.of(form | {"email": hash_email(email) if email else kept})
        choice.filter(None)
        return go_to(choice.path())


def read_cursor(text: str) -> int | None:
    """The place in a list. Raises PageFault."""
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < _CURSOR_DIGITS):
        raise _unreadable("cursor")
    return int(text)


def _seconds(text: str) -> float | None:
    if not text:
        return None
    try:
        return read_time(text)
    except ValueError:
        raise _unreadable("time") from None


def _unreadable(what: str) -> PageFault:
    text = f"There is no such {what}. Times are written as 2026-11-24T12:30, in UTC."
    return PageFault(HTTPStatus.BAD_REQUEST, "This filter cannot be read", text)
