"""The catalogue for callers: `GET /errors`, and a page for each problem `type`."""

from __future__ import annotations

from http import HTTPStatus
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response
from jinja2 import Environment, FileSystemLoader

from app.api import documentation as docs
from app.api.problems import ProblemError
from app.catalog import CATALOG, Entry, Slug

_PAGES = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    trim_blocks=True,
    lstrip_blocks=True,
)
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "Vary": "Accept",
}
_STYLE = Path(__file__).parent.joinpath("templates", "errors.css").read_text(encoding="utf-8")


def error_routes() -> APIRouter:
    """Open to all."""
    router = APIRouter(tags=["errors"])

    @router.get("/errors", summary="Every documented error", responses=docs.CATALOG_RESPONSES)
    async def errors(request: Request) -> Response:
        if _wants_html(request):
            return _page("errors.html", entries=CATALOG.values())
        return JSONResponse({"errors": [_shown(entry) for entry in CATALOG.values()]}, headers=_HEADERS)

    @router.get("/errors/style.css", include_in_schema=False)
    async def style() -> Response:
        return Response(_STYLE, media_type="text/css", headers={"Cache-Control": "max-age=3600"})

    @router.get(
        "/errors/{slug}",
        summary="One documented error; the `type` of a problem",
        responses=docs.ERROR_RESPONSES,
    )
    async def error(slug: str, request: Request) -> Response:
        if slug not in set(Slug):
            raise ProblemError(Slug.NOT_FOUND, HTTPStatus.NOT_FOUND)
        entry = CATALOG[Slug(slug)]
        if _wants_html(request):
            return _page("error.html", entry=entry)
        return JSONResponse(_shown(entry), headers=_HEADERS)

    return router


def _wants_html(request: Request) -> bool:
    """Browsers name text/html; programs name JSON, anything, or nothing."""
    return "text/html" in request.headers.get("accept", "").lower()


def _page(template: str, **values: Any) -> HTMLResponse:
    return HTMLResponse(_PAGES.get_template(template).render(**values), headers=_HEADERS)


def _shown(entry: Entry) -> dict[str, Any]:
    return {
        "slug": entry.slug.value,
        "type": entry.slug.type,
        "title": entry.title,
        "statuses": list(entry.statuses),
        "sentence": entry.sentence,
        "message": entry.message,
        "description": entry.description,
        "resolution": entry.resolution,
    }
