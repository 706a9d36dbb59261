"""Signing in and out, the way to the pages, and the few files they are made of."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import unquote

import structlog
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from app.api.security import address_of
from app.monitoring.guard import HOME, KEPT, ask_again, form_of, go_to, is_browser, is_https, not_found
from app.monitoring.rendering import STATIC
from app.monitoring.sessions import COOKIE, SESSION_SECONDS

if TYPE_CHECKING:
    from app.api.guesses import Guesses
    from app.api.security import Door
    from app.monitoring.rendering import Pages
    from app.monitoring.sessions import Sessions

log = structlog.stdlib.get_logger("monitoring")


def entrance_routes(router: APIRouter, sessions: Sessions, door: Door) -> None:
    """Add the way to the pages, and their files."""

    @router.get("/")
    async def root(request: Request) -> Response:
        """Browsers are sent to the pages; programs need a key of people and learn where things are."""
        if sessions.read(request.cookies.get(COOKIE, "")) is not None:
            return go_to(HOME)
        if is_browser(request):
            return go_to("/login")
        await door.require(request)
        return JSONResponse({"monitoring": HOME, "transfers": "/transfers", "openapi": "/openapi.json"})

    @router.get("/monitoring/static/{name}")
    async def static(name: str) -> Response:
        if name not in STATIC:
            raise not_found("file")
        content, media_type = STATIC[name]
        return Response(content, media_type=media_type, headers={"Cache-Control": "max-age=31536000, immutable"})


def session_routes(router: APIRouter, pages: Pages, sessions: Sessions, guesses: Guesses) -> None:
    """Add signing in and out."""

    @router.get("/login")
    async def sign_in_page(request: Request) -> Response:
        target = _own_page(request.query_params.get("next", ""))
        if sessions.read(request.cookies.get(COOKIE, "")) is not None:
            return go_to(target)
        return pages.show(request, "login.html", target=target, fault=None, kept=[])

    @router.post("/login")
    async def sign_in(request: Request) -> Response:
        form = form_of(request)
        target = _own_page(form.get("next", ""))
        kept = [(name, value) for name, value in request.state.fields if name.startswith(KEPT)]
        address = address_of(request)
        cookie = sessions.sign_in(form.get("key", "").strip())
        if cookie is None:
            await guesses.wrong(address, "page")
            log.warning("sign-in refused", reason="wrong key", address=address)
            fault = "This is no key for these pages. They open with one of OPERATOR_API_KEY or VIEWER_API_KEY."
            status = HTTPStatus.FORBIDDEN
            return pages.show(request, "login.html", status, target=target, fault=fault, kept=kept)
        request.state.session = session = sessions.read(cookie)
        log.info("signed in", who=session.who.name if session else None, address=address)
        response: Response = go_to(target)
        if kept and session and session.who.acts:
            fields = [(name.removeprefix(KEPT), value) for name, value in kept]
            response = ask_again(request, pages, target, fields)
        response.set_cookie(
            COOKIE, cookie, SESSION_SECONDS, httponly=True, samesite="strict", secure=is_https(request)
        )
        return response

    @router.post("/logout")
    async def sign_out(request: Request) -> Response:
        """Works with an expired session, too."""
        session = sessions.read(request.cookies.get(COOKIE, ""))
        if session is not None and sessions.is_form_of(session, form_of(request).get("form_token", "")):
            sessions.sign_out(session)
            log.info("signed out")
        response = go_to("/login")
        response.delete_cookie(COOKIE, httponly=True, samesite="strict", secure=is_https(request))
        return response


def _own_page(path: str) -> str:
    """Where to go after signing in: one of our own pages, whatever the address says."""
    fits = path == HOME or path.startswith((f"{HOME}/", f"{HOME}?"))
    fits = fits and ".." not in unquote(path.partition("?")[0]).split("/")  # a browser would leave our pages by it
    return path if fits and path.isascii() and path.isprintable() and "\\" not in path else HOME
