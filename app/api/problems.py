"""Problem answers (RFC 9457): each kind is defined once, answers, documents itself, and is its own example."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import structlog
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

from app.api.results import Result
from app.attempt import Failure, StampedAnswer
from app.engine import NotTaking
from app.error_catalog import CATALOG, Slug
from app.intake import WrongBody
from app.ipaas.models import faults_of
from app.ledger.faults import DatabaseGone
from app.ledger.stored import Stored

MEDIA_TYPE: Final = "application/problem+json"
log = structlog.stdlib.get_logger("api")

Page = Callable[[Request, "Problem", Mapping[str, str] | None], Response | None]


class Fault(BaseModel):
    """One thing that is wrong with a body or a query."""

    pointer: str = Field(description="JSON pointer (RFC 6901)")
    detail: str


class Problem(BaseModel):
    """RFC 9457. Those about a transfer have `instance` and what follows `resolution`; `errors` names wrong shapes.

    A member that was not set is left out; one that is null is told.
    """

    type: str
    title: str
    status: int
    detail: str
    instance: str | None = None
    description: str
    resolution: str
    retryable: bool | None = None
    tracking_guid: str | None = None
    customer_id: str | None = None
    external_id: str | None = Field(None, description="What is already saved at Stamped.io")
    stamped: StampedAnswer | None = Field(None, description="All null when Stamped.io was not asked")
    errors: list[Fault] | None = None
    results: list[Result] | None = Field(None, description="Of all notifications, where there were several")

    @classmethod
    def of(cls, slug: Slug, status: int, detail: str, **members: Any) -> Problem:
        """With the words of the catalogue."""
        about = CATALOG[slug]
        words = {"title": about.title, "description": about.description, "resolution": about.resolution}
        return cls(type=slug.type, status=status, detail=detail, **words, **members)

    @classmethod
    def of_failure(cls, failure: Failure, transfer_id: str, **ids: str | None) -> Problem:
        """The documented error of a transfer."""
        members = {"retryable": failure.retryable, "stamped": failure.stamped, **ids}
        instance = f"/transfers/{transfer_id}"
        return cls.of(failure.slug, failure.status, failure.detail, instance=instance, **members)

    @classmethod
    def of_transfer(cls, transfer: Stored) -> Problem:
        """Of one whose last attempt failed. Raises ValueError for any other."""
        failure = transfer.documented_failure()
        if failure is None:
            message = "only a transfer that failed has a problem"
            raise ValueError(message)
        ids = {name: getattr(transfer, name) for name in ("tracking_guid", "customer_id", "external_id")}
        return cls.of_failure(failure, transfer.id, **ids)


@dataclass(frozen=True, slots=True)
class Refusal:
    """One way to refuse a request, and `when`. `hint` follows the catalogue's sentence; `errors`: an example."""

    when: str
    slug: Slug
    status: int
    hint: str = ""
    sends: Mapping[str, str] = field(default_factory=dict)
    errors: Sequence[Fault] | None = None

    def problem(self, hint: str | None = None, errors: Sequence[Fault] | None = None) -> Problem:
        """What the caller gets; without anything, the example."""
        faults = self.errors if errors is None else errors
        detail = f"{CATALOG[self.slug].sentence} {self.hint if hint is None else hint}".rstrip()
        return Problem.of(self.slug, self.status, detail, **({} if faults is None else {"errors": faults}))


class ProblemError(HTTPException):
    """A request is refused so."""

    def __init__(self, refusal: Refusal, hint: str | None = None, errors: Sequence[Fault] | None = None) -> None:
        self.slug = refusal.slug
        self.problem = refusal.problem(hint, errors)
        super().__init__(refusal.status, refusal.when, dict(refusal.sends))


NOT_JSON: Final = Refusal("Not JSON.", Slug.INVALID_REQUEST, 400, "The body is not JSON.")
WRONG_SHAPE: Final = Refusal("A wrong shape.", Slug.INVALID_REQUEST, 422, "See `errors`.", errors=())
NOT_FOUND: Final = Refusal("No such address.", Slug.NOT_FOUND, 404)
OTHER_METHOD: Final = Refusal("Other method.", Slug.METHOD_NOT_ALLOWED, 405, sends={"Allow": "GET"})
UNAVAILABLE: Final = Refusal(
    "Starting, stopping, or without its database.", Slug.SERVICE_UNAVAILABLE, 503, sends={"Retry-After": "10"}
)
BROKEN: Final = Refusal("A fault of its own.", Slug.INTERNAL_ERROR, 500)
_OF_THE_ROUTER = {each.status: each.slug for each in (NOT_FOUND, OTHER_METHOD)}


def wrong(faults: Iterable[Mapping[str, str]]) -> ProblemError:
    """A wrong shape, by pointer and detail of each fault."""
    return ProblemError(WRONG_SHAPE, errors=[Fault(**each) for each in faults])


def problem_response(problem: Problem, headers: Mapping[str, str] | None = None) -> Response:
    """The answer that carries a problem; no cache may keep it."""
    body = problem.model_dump_json(exclude_unset=True)
    return Response(body, problem.status, {"Cache-Control": "no-store", **(headers or {})}, MEDIA_TYPE)


def install_problem_handlers(
    app: FastAPI,
    on_rejection: Callable[[Request, ProblemError], None],
    page: Page,
    hide: Callable[[str], str] = str,
) -> None:
    """Every error answer of the application is a problem, also those of FastAPI and of the router itself.

    `page` shows it to a browser, and is None for other callers. `hide` masks names of fields, a caller's words.
    """

    def answer(request: Request, problem: Problem, headers: Mapping[str, str] | None = None) -> Response:
        varies = {"Vary": "Accept"} if request.method in {"GET", "HEAD"} else {}
        return page(request, problem, headers) or problem_response(problem, {**varies, **(headers or {})})

    @app.exception_handler(ProblemError)
    async def on_problem(request: Request, error: ProblemError) -> Response:
        if error.problem.errors:
            hidden = [Fault(pointer=hide(each.pointer), detail=each.detail) for each in error.problem.errors]
            error.problem.errors = hidden
        on_rejection(request, error)
        return answer(request, error.problem, error.headers)

    @app.exception_handler(RequestValidationError)
    async def on_wrong_request(request: Request, error: RequestValidationError) -> Response:
        faults = error.errors()
        nothing = [fault["loc"] for fault in faults] == [("body",)] and faults[0]["type"] == "missing"
        return await on_problem(request, ProblemError(NOT_JSON) if nothing else wrong(faults_of(faults, skip=1)))

    @app.exception_handler(WrongBody)
    async def on_wrong_body(request: Request, error: WrongBody) -> Response:
        return await on_problem(request, wrong(error.faults))

    @app.exception_handler(HTTPException)
    async def on_http_error(request: Request, error: HTTPException) -> Response:
        slug = _OF_THE_ROUTER.get(error.status_code, Slug.INVALID_REQUEST)
        return answer(request, Problem.of(slug, error.status_code, CATALOG[slug].sentence), error.headers)

    @app.exception_handler(ClientDisconnect)
    async def on_leaving(_request: Request, _error: ClientDisconnect) -> Response:
        """Whoever has left reads no answer, and that is no fault of ours."""
        return Response(status_code=NOT_JSON.status)

    @app.exception_handler(NotTaking)
    @app.exception_handler(DatabaseGone)
    async def on_not_taking(request: Request, _error: Exception) -> Response:
        return answer(request, UNAVAILABLE.problem(), UNAVAILABLE.sends)

    @app.exception_handler(Exception)
    async def on_fault(request: Request, error: Exception) -> Response:
        log.error("request broke", method=request.method, path=request.url.path, exc_info=error)
        return answer(request, BROKEN.problem())
