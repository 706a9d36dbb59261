"""The catalogue for callers: `GET /errors`, and what answers at each problem's `type`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, Request, Response

from app.api.answers import Catalog
from app.api.openapi import A_PAGE, ANY_PROBLEM, Responses, refused
from app.api.problems import NOT_FOUND, ProblemError
from app.error_catalog import CATALOG, Entry, Slug

_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; base-uri 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "Vary": "Accept",
}
_OR_A_PAGE: Responses = {200: {"content": A_PAGE}}
Page = Callable[[Request, Entry | None], Response | None]


def error_routes(page: Page) -> APIRouter:
    """Open to all. `page` shows an entry, or all of them, to a browser, and is None for other callers."""
    router = APIRouter(tags=["errors"], responses=ANY_PROBLEM)

    @router.head("/errors", include_in_schema=False)
    @router.get("/errors", summary="Every documented error", response_model=Catalog, responses=_OR_A_PAGE)
    async def errors(request: Request, response: Response) -> Any:
        response.headers.update(_HEADERS)
        return page(request, None) or Catalog.model_validate({"errors": [*CATALOG.values()]}, from_attributes=True)

    @router.head("/errors/{slug}", include_in_schema=False)
    @router.get(
        "/errors/{slug}",
        summary="One documented error; the `type` of a problem",
        response_model=Entry,
        responses=_OR_A_PAGE | refused(NOT_FOUND),
    )
    async def error(slug: str, request: Request, response: Response) -> Any:
        if slug not in set(Slug):
            raise ProblemError(NOT_FOUND)
        response.headers.update(_HEADERS)
        entry = CATALOG[Slug(slug)]
        return page(request, entry) or entry

    return router
