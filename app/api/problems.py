"""Problem answers (RFC 9457), built from the catalogue and nowhere else."""

from __future__ import annotations

import math
from dataclasses import asdict
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import structlog
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from app.catalog import CATALOG, Slug
from app.engine import NotTaking
from app.ledger.faults import DatabaseGone

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from fastapi import FastAPI
    from starlette.requests import Request

    from app.ledger.stored import Stored

MEDIA_TYPE = "application/problem+json"
log = structlog.stdlib.get_logger("api")

_LATER_SECONDS = 10
_BY_STATUS = {
    HTTPStatus.NOT_FOUND: Slug.NOT_FOUND,
    HTTPStatus.METHOD_NOT_ALLOWED: Slug.METHOD_NOT_ALLOWED,
}


class ProblemError(Exception):
    """A request is answered with this problem. `hint` follows the catalogue's sentence in `detail`."""

    def __init__(
        self,
        slug: Slug,
        status: int,
        hint: str = "",
        *,
        errors: list[dict[str, str]] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(slug)
        self.slug = slug
        self.status = status
        self.hint = hint
        self.errors = errors
        self.headers = headers


def problem_body(slug: Slug, status: int, hint: str = "", **members: Any) -> dict[str, Any]:
    """A problem that is not about one transfer."""
    entry = CATALOG[slug]
    return {
        "type": slug.type,
        "title": entry.title,
        "status": status,
        "detail": f"{entry.sentence} {hint}".rstrip(),
        "description": entry.description,
        "resolution": entry.resolution,
        **members,
    }


def transfer_problem(transfer: Stored) -> dict[str, Any]:
    """The documented error of a transfer whose last attempt failed."""
    failure = transfer.documented_failure()
    if failure is None:
        message = "only a transfer that failed has a problem"
        raise ValueError(message)
    entry = CATALOG[failure.slug]
    return {
        "type": failure.slug.type,
        "title": entry.title,
        "status": failure.status,
        "detail": failure.detail,
        "instance": f"/transfers/{transfer.id}",
        "description": entry.description,
        "resolution": entry.resolution,
        "retryable": failure.retryable,
        "tracking_guid": transfer.tracking_guid,
        "customer_id": transfer.customer_id,
        "external_id": transfer.external_id,
        "stamped": asdict(failure.stamped),
    }


def problem_response(body: dict[str, Any], headers: Mapping[str, str] | None = None) -> JSONResponse:
    """The answer that carries a problem; no cache may keep it."""
    return JSONResponse(body, body["status"], {"Cache-Control": "no-store", **(headers or {})}, MEDIA_TYPE)


def retry_after_header(seconds: float | None) -> dict[str, str]:
    """`Retry-After` in whole seconds, rounded up."""
    return {} if seconds is None else {"Retry-After": str(math.ceil(seconds))}


def install_problem_handlers(app: FastAPI, on_rejection: Callable[[Request, ProblemError], None]) -> None:
    """Every error answer of the application is a problem, also those of the router itself."""

    @app.exception_handler(ProblemError)
    async def on_problem(request: Request, error: ProblemError) -> JSONResponse:
        on_rejection(request, error)
        members: dict[str, Any] = {} if error.errors is None else {"errors": error.errors}
        return problem_response(problem_body(error.slug, error.status, error.hint, **members), error.headers)

    @app.exception_handler(HTTPException)
    async def on_http_error(_request: Request, error: HTTPException) -> JSONResponse:
        slug = _BY_STATUS.get(HTTPStatus(error.status_code), Slug.INVALID_REQUEST)
        return problem_response(problem_body(slug, error.status_code), error.headers)

    @app.exception_handler(NotTaking)
    @app.exception_handler(DatabaseGone)
    async def on_not_taking(_request: Request, _error: Exception) -> JSONResponse:
        status = HTTPStatus.SERVICE_UNAVAILABLE
        return problem_response(problem_body(Slug.SERVICE_UNAVAILABLE, status), retry_after_header(_LATER_SECONDS))

    @app.exception_handler(Exception)
    async def on_fault(_request: Request, error: Exception) -> JSONResponse:
        log.error("request broke", exc_info=error)
        return problem_response(problem_body(Slug.INTERNAL_ERROR, 500))
