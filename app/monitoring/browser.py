"""What browsers see where programs get JSON: problems, the catalogue of errors, and the API with Swagger UI."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from fastapi import APIRouter, Request
from fastapi.responses import Response

from app.error_catalog import CATALOG
from app.monitoring.guard import HOME, harden, is_browser

if TYPE_CHECKING:
    from collections.abc import Mapping

    from app.api.problems import Problem
    from app.error_catalog import Entry
    from app.monitoring.rendering import Pages

VARY: Final = {"Vary": "Accept"}


class Browser:
    """Each page is None where the caller is no browser."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages

    def problem(self, request: Request, problem: Problem, headers: Mapping[str, str] | None) -> Response | None:
        """A problem with its status and `headers`. An operator's call without a key has a page with the same."""
        is_page = problem.status == HTTPStatus.UNAUTHORIZED and not request.url.path.endswith("/retry")
        twin = HOME + quote(request.url.path) if is_page else None
        return self._show(request, "problem.html", problem.status, headers, problem=problem, twin=twin)

    def catalog(self, request: Request, entry: Entry | None) -> Response | None:
        """One entry of the catalogue of errors, or all."""
        if entry is None:
            return self._show(request, "catalog.html", entries=CATALOG.values())
        return self._show(request, "entry.html", entry=entry)

    def _show(
        self,
        request: Request,
        template: str,
        status: int = HTTPStatus.OK,
        headers: Mapping[str, str] | None = None,
        **values: Any,
    ) -> Response | None:
        if not is_browser(request):
            return None
        response = self._pages.show(request, template, status, **values)
        response.headers.update({**(headers or {}), **VARY})
        return harden(response)


def docs_routes(pages: Pages) -> APIRouter:
    """Open to all."""
    router = APIRouter(include_in_schema=False)

    @router.head("/docs")
    @router.get("/docs")
    async def docs(request: Request) -> Response:
        return harden(pages.show(request, "docs.html"))

    return router
