"""What every page shares at the door: the session, forms that come from our own pages, and strict headers."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, quote

from fastapi import Request
from fastapi.responses import RedirectResponse, Response
from fastapi.routing import APIRoute

from app.api.security import address_of
from app.engine import NotTaking
from app.ledger.faults import DatabaseGone
from app.ledger.trail import By
from app.monitoring.sessions import COOKIE

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from app.monitoring.rendering import Pages
    from app.monitoring.sessions import Session, Sessions

    Handler = Callable[[Request], Coroutine[Any, Any, Response]]
    Fields = list[tuple[str, str]]

HOME: Final = "/monitoring"
FORM_LIMIT: Final = 1024 * 1024
_OPEN_FORM_LIMIT: Final = FORM_LIMIT + 16 * 1024  # a sign-in hands on what was entered before
_FIELDS: Final = 100  # of a form; ours have a dozen, and each one that is kept is written into a page
KEPT: Final = "kept."  # before the names of those fields
READS: Final = "reads"  # the tag of a form that changes nothing
_ENDED: Final = "Your session has ended, and nothing was done. Sign in again: what you had entered is kept."
_WRITTEN: Final = {  # what people write themselves; the rest of a form goes along unseen
    "customer_ids": "iPaaS.com customer ids",
    "customer_id": "Customer id",
    "tracking_guid": "Tracking GUID",
    "connection": "Connection",
    "reason": "Reason",
    "email": "E-mail",
    "since": "Received from (UTC)",
    "until": "Received before (UTC)",
}
_FORM_TYPE = "application/x-www-form-urlencoded"
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
}


class PageFault(Exception):
    """A page that says what is wrong instead."""

    def __init__(self, status: int, title: str, text: str, *, headers: dict[str, str] | None = None) -> None:
        super().__init__(title)
        self.status = status
        self.title = title
        self.text = text
        self.headers = headers


def not_found(what: str) -> PageFault:
    """There is no such `what`."""
    return PageFault(HTTPStatus.NOT_FOUND, "Not found", f"There is no such {what}.")


def form_of(request: Request) -> dict[str, str]:
    """The fields of a POST that passed the guard."""
    form: dict[str, str] = request.state.form
    return form


def by_of(request: Request) -> By:
    """Who sent a form that passed the guard."""
    session: Session = request.state.session
    return By(session.who.name, address_of(request), "page", session.who.acts)


def is_browser(request: Request) -> bool:
    """Whether a page can be shown: browsers name text/html; programs name JSON, anything, or nothing."""
    return request.method in {"GET", "HEAD"} and "text/html" in request.headers.get("accept", "").lower()


def harden(response: Response) -> Response:
    """The strict headers of every page, where it has none of its own."""
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    return response


def is_https(request: Request) -> bool:
    """Also behind a proxy that the server was not told to trust: a false claim harms its sender only."""
    claimed = request.headers.get("x-forwarded-proto", "").partition(",")[0].strip().lower()
    return "https" in {request.url.scheme, claimed}


def origin_of(request: Request) -> str:
    """The address under which this product was asked."""
    return str(request.base_url.replace(scheme="https" if is_https(request) else "http")).rstrip("/")


def go_to(path: str) -> RedirectResponse:
    """After a form: a GET of this page, so that reloading it repeats nothing."""
    return RedirectResponse(path, HTTPStatus.SEE_OTHER)


def open_route(pages: Pages) -> type[APIRoute]:
    """Routes that need no session; their forms still must come from our own pages."""

    class OpenRoute(APIRoute):
        def get_route_handler(self) -> Handler:
            handle = super().get_route_handler()

            async def answer(request: Request) -> Response:
                if request.method == "POST":
                    request.state.fields = await _read_form(request, _OPEN_FORM_LIMIT)
                    request.state.form = dict(request.state.fields)
                return await handle(request)

            async def guarded(request: Request) -> Response:
                return await _shown(request, answer, pages)

            return guarded

    return OpenRoute


def guarded_route(pages: Pages, sessions: Sessions) -> type[APIRoute]:
    """Routes for whoever is signed in; everybody else is sent to sign in, and back."""

    class GuardedRoute(APIRoute):
        def get_route_handler(self) -> Handler:
            handle = super().get_route_handler()
            acts = READS not in self.tags

            async def answer(request: Request) -> Response:
                session = sessions.read(request.cookies.get(COOKIE, ""))
                if session is None:
                    return await _to_sign_in(request, pages)
                request.state.session = session
                if request.method == "POST":
                    if acts and not session.who.acts:
                        raise PageFault(
                            HTTPStatus.FORBIDDEN,
                            "This key only looks",
                            "Nothing was done. Sign in with a key of OPERATOR_API_KEY to act.",
                        )
                    fields = await _read_form(request, FORM_LIMIT)
                    form = dict(fields)
                    if not sessions.is_form_of(session, form.pop("form_token", "")):
                        return ask_again(request, pages, request.url.path, fields, HTTPStatus.FORBIDDEN)
                    request.state.form = form
                return await handle(request)

            async def guarded(request: Request) -> Response:
                return await _shown(request, answer, pages)

            return guarded

    return GuardedRoute


async def _shown(request: Request, answer: Handler, pages: Pages) -> Response:
    try:
        _refuse_nul("\0" in request.scope["path"] or b"%00" in request.scope["query_string"])
        response = await answer(request)
    except PageFault as fault:
        response = _fault_page(request, pages, fault)
    except (NotTaking, DatabaseGone):
        response = _fault_page(
            request,
            pages,
            PageFault(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "Not available at the moment",
                "The service is starting, stopping, or cut off from its database. Try again in a few seconds.",
            ),
        )
    return harden(response)


def _fault_page(request: Request, pages: Pages, fault: PageFault) -> Response:
    response = pages.show(request, "fault.html", fault.status, fault=fault)
    response.headers.update(fault.headers or {})
    return response


def ask_again(request: Request, pages: Pages, path: str, fields: Fields, status: int = HTTPStatus.OK) -> Response:
    """What somebody had entered in a form that did nothing, to be sent to this page of ours once more."""
    entered = [(name, value) for name, value in fields if name != "form_token"]
    return pages.show(request, "again.html", status, target=path, fields=entered, written=_WRITTEN)


async def _to_sign_in(request: Request, pages: Pages) -> Response:
    """A script is told to go there, so that it does not swap a sign-in form into a page.

    A form is kept in the page to sign in on, for nothing of it may stand in an address.
    """
    wanted = request.url.path
    if request.method == "POST":
        fields = await _read_form(request, FORM_LIMIT)
        kept = [(KEPT + name, value) for name, value in fields if name != "form_token"]
        if kept:
            return pages.show(request, "login.html", target=wanted, fault=_ENDED, kept=kept)
    if request.method == "GET" and request.url.query:
        wanted += f"?{request.url.query}"
    path = f"/login?next={quote(wanted, safe='/')}"
    if request.headers.get("hx-request") == "true":
        return Response(headers={"HX-Redirect": path})
    return go_to(path)


async def _read_form(request: Request, limit: int) -> Fields:
    """Raises PageFault for a form of another site and for what is no form."""
    if not _from_here(request):
        raise PageFault(HTTPStatus.FORBIDDEN, "This form comes from elsewhere", "Nothing was done.")
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != _FORM_TYPE:
        raise PageFault(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "This is no form", "Nothing was done.")
    raw = bytearray()
    async for chunk in request.stream():
        raw += chunk
        if len(raw) > limit:
            raise PageFault(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                "The form is too large",
                f"Nothing was done. This form may have up to {limit // 1024} KiB.",
                headers={"Connection": "close"},
            )
    _refuse_nul(b"%00" in raw or b"\0" in raw)
    try:
        return parse_qsl(raw.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=_FIELDS)
    except ValueError:
        raise PageFault(HTTPStatus.BAD_REQUEST, "This is no form of ours", "Nothing was done.") from None


def _refuse_nul(found: bool) -> None:  # noqa: FBT001 - its only argument
    """No text has one, and PostgreSQL takes none."""
    if found:
        raise PageFault(HTTPStatus.BAD_REQUEST, "This is no text", "Nothing was done.")


def _from_here(request: Request) -> bool:
    """Browsers say where a form comes from; on plain http they may only say `null`, then the token decides."""
    fetch_site = request.headers.get("sec-fetch-site")
    if fetch_site is not None:
        return fetch_site == "same-origin"
    origin = request.headers.get("origin", "null")
    return origin == "null" or origin.partition("://")[2] == request.headers.get("host")
