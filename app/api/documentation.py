"""What OpenAPI shows of each call: parameters, bodies, answers with their headers, and keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

from app.api import examples, shapes
from app.api.openapi import OPERATOR_SECURITY, answer, body_of, complete_answers, header, problem, query, told
from app.api.problems import problem_body
from app.api.shapes import Problem, Results
from app.catalog import Slug
from app.ledger.stored import Status

if TYPE_CHECKING:
    from pydantic import BaseModel

__all__ = [
    "OPERATOR_SECURITY",
    "Problem",
    "Results",
    "body_of",
    "complete_answers",
]  # also where `main` and the routes look for them

Responses = dict[int | str, dict[str, Any]]

SECURITY_SCHEMES: dict[str, Any] = {
    "webhookKey": {"type": "http", "scheme": "bearer", "description": "A key of IPAAS_WEBHOOK_API_KEY."},
    "operatorKey": {"type": "http", "scheme": "bearer", "description": "OPERATOR_API_KEY."},
}

_PREFER = header("Prefer", "`respond-async`: a 202 at once; `wait=N`: a 202 after N seconds (≤ 120)", "wait=10")
_BODIES = {
    "envelope": {"summary": "iPaaS.com's envelope", "value": examples.ENVELOPE},
    "record": {"summary": "A bare customer record", "value": examples.RECORD},
}
WEBHOOK_REQUEST: dict[str, Any] = {
    "security": [{"webhookKey": []}],
    "parameters": [
        _PREFER,
        header("X-Correlation-Id", "Stands in for a missing tracking GUID", examples.GUID),
        header("Idempotency-Key", "The same for a bare record", examples.GUID),
    ],
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": {"type": "object"}, "examples": _BODIES}},
    },
}
SYNC_ONE_REQUEST: dict[str, Any] = {
    "security": OPERATOR_SECURITY,
    "parameters": [_PREFER],
    "requestBody": {
        "required": False,
        "content": {"application/json": {"schema": {"type": "object"}, "example": examples.RECORD}},
    },
}
RETRY_REQUEST: dict[str, Any] = {"security": OPERATOR_SECURITY, "parameters": [_PREFER]}
LIST_PARAMETERS: dict[str, Any] = {
    "parameters": [
        query("status", "Only these", {"type": "string", "enum": list(get_args(Status))}),
        query("customer_id", "iPaaS.com's customer id", {"type": "string"}),
        query(
            "error", "The slug of a documented error", {"type": "string", "enum": [slug.value for slug in Slug]}
        ),
        query("since", "Received at this time or later", {"type": "string", "format": "date-time"}),
        query("tracking_guid", "The notification's tracking GUID", {"type": "string"}),
        query("sync_id", "Those of one sync", {"type": "string"}),
        query("limit", "How many at most", {"type": "integer", "minimum": 1, "maximum": 200, "default": 50}),
        query("cursor", "`next` of the page before", {"type": "string"}),
    ]
}


_LOCATION = told("Location", "Where to follow it")
_APPLIED = told("Preference-Applied", "The preference that was met, where one was")
_REPLAYED = told("Idempotent-Replayed", "`true`: the recorded answer of a repeat; Stamped.io was not called")
_RETRY_AFTER = told("Retry-After", "Seconds until it makes sense to try again", "integer")
_AUTHENTICATE = told("WWW-Authenticate", "`Bearer`")
_ALLOW = told("Allow", "With 405: the methods of this address")
_BUSY = problem_body(Slug.SERVICE_UNAVAILABLE, 503)
ANY_PROBLEM: Responses = {
    "default": problem(
        "Whatever else goes wrong is a problem, too",
        _ALLOW,
        internal_error=problem_body(Slug.INTERNAL_ERROR, 500),
        other_method=problem_body(Slug.METHOD_NOT_ALLOWED, 405),
    )
}
_KEYS: Responses = {
    401: problem("No key, or a wrong one", _AUTHENTICATE, no_key=problem_body(Slug.UNAUTHORIZED, 401)),
    403: problem("A key for something else", other_key=problem_body(Slug.FORBIDDEN, 403)),
}
_BODY_FAULTS: Responses = {
    400: problem("Not JSON", not_json=problem_body(Slug.INVALID_REQUEST, 400, "The body is not JSON.")),
    413: problem("Over 1 MiB", too_large=problem_body(Slug.PAYLOAD_TOO_LARGE, 413)),
    415: problem("Not plain JSON", other_media_type=problem_body(Slug.UNSUPPORTED_MEDIA_TYPE, 415)),
}
_TRANSFERRED: Responses = {
    200: answer(
        "Every transfer succeeded or was skipped", Results, _REPLAYED | _APPLIED, succeeded=examples.RESULTS
    ),
    202: answer(
        "Not finished yet, and a promise: it survives any crash and is retried by the service",
        Results,
        _LOCATION | _APPLIED,
        accepted=examples.RESULTS_ACCEPTED,
    ),
    422: problem("Stamped.io refused the data", _APPLIED, refused=examples.REFUSED),
    502: problem(
        "Stamped.io refused the keys or the store, failed, or could not be reached",
        _RETRY_AFTER | _APPLIED,
        wrong_key=examples.WRONG_KEY,
        subscription=examples.SUBSCRIPTION,
    ),
    503: problem(
        "Stamped.io asks for patience, or the service takes no transfers at the moment",
        _RETRY_AFTER | _APPLIED,
        throttled=examples.THROTTLED,
        stopping=_BUSY,
    ),
    504: problem("Stamped.io did not answer in time", _APPLIED, timed_out=examples.TIMED_OUT),
}
WEBHOOK_RESPONSES: Responses = (
    _TRANSFERRED
    | _KEYS
    | _BODY_FAULTS
    | ANY_PROBLEM
    | {
        422: problem(
            "The body has a wrong shape, or Stamped.io refused the data",
            _APPLIED,
            wrong_shape=examples.WRONG_SHAPE,
            refused=examples.REFUSED,
        )
    }
)
OPERATOR_RESPONSES: Responses = (
    _KEYS
    | ANY_PROBLEM
    | {503: problem("Starting, stopping, or without its database", _RETRY_AFTER, stopping=_BUSY)}
)

SYNC_ONE_RESPONSES: Responses = WEBHOOK_RESPONSES | {
    404: problem(
        "There is no record to send, or this is no customer id",
        no_record=examples.NO_RECORD,
        no_id=problem_body(Slug.NOT_FOUND, 404, "This is no customer id."),
    )
}
_STARTED = answer("It runs in the background", shapes.SyncStarted, _LOCATION, started=examples.SYNC_STARTED)
SYNC_RESPONSES: Responses = _BODY_FAULTS | {
    202: _STARTED,
    422: problem("A wrong shape", wrong_shape=examples.WRONG_IDS),
}
RETRY_ALL_RESPONSES: Responses = _BODY_FAULTS | {
    200: answer("A dry run: how many would run again", shapes.RetryCount, dry_run=examples.RETRY_COUNT),
    202: _STARTED,
    422: problem("A wrong shape", wrong_shape=examples.WRONG_STATUS),
}
_NO_SYNC = problem("No sync has this id", unknown=problem_body(Slug.NOT_FOUND, 404, "No sync has this id."))
SYNC_COUNTS_RESPONSES: Responses = {
    200: answer("How far it is", shapes.SyncCounts, under_way=examples.SYNC_COUNTS),
    404: _NO_SYNC,
}
SYNC_CANCEL_RESPONSES: Responses = {
    200: answer("What has begun goes on", shapes.SyncCounts, cancelled=examples.SYNC_CANCELLED),
    404: _NO_SYNC,
}
_NO_TRANSFER: Responses = {
    404: problem("No transfer has this id", unknown=problem_body(Slug.NOT_FOUND, 404, "No transfer has this id."))
}
LIST_RESPONSES: Responses = {
    200: answer("A page of them", shapes.TransferPage, page=examples.TRANSFER_PAGE),
    422: problem("A wrong filter", wrong_filter=examples.WRONG_FILTER),
}
TRANSFER_RESPONSES: Responses = _NO_TRANSFER | {
    200: answer("It, its attempts, its error and its record", shapes.Transfer, failed=examples.TRANSFER)
}
_RUNNING = "This transfer is running."
RETRY_RESPONSES: Responses = (
    _TRANSFERRED
    | _NO_TRANSFER
    | {
        409: problem(
            "It runs, or it has succeeded or was skipped",
            running=problem_body(
                Slug.CONFLICT, 409, f"{_RUNNING} Only a failed, cancelled or waiting one runs again."
            ),
        )
    }
)
CANCEL_RESPONSES: Responses = _NO_TRANSFER | {
    200: answer("It is cancelled", shapes.Transfer, cancelled=examples.TRANSFER_CANCELLED),
    409: problem(
        "It has begun, or has ended",
        running=problem_body(Slug.CONFLICT, 409, f"{_RUNNING} Only an accepted or waiting one can be cancelled."),
    ),
}
REJECTION_RESPONSES: Responses = {
    200: answer("The newest 200, newest first", shapes.Rejections, refused=examples.REJECTIONS)
}

LIVEZ_RESPONSES: Responses = ANY_PROBLEM | {200: answer("It does", shapes.Liveness, alive={"status": "ok"})}
STARTUPZ_RESPONSES: Responses = ANY_PROBLEM | {
    200: answer("It is", shapes.Startup, started={"status": "ok"}),
    503: answer("Not yet", shapes.Startup, starting={"status": "starting"}),
}
READYZ_RESPONSES: Responses = ANY_PROBLEM | {
    200: answer("They are; `warn` says what a person should look at", shapes.Readiness, warned=examples.READY),
    503: answer("Starting, stopping, or cut off from the database", shapes.Readiness, cut_off=examples.NOT_READY),
}
METRICS_RESPONSES: Responses = ANY_PROBLEM | {200: {"description": "In Prometheus's text format"}}


def _page_or(model: type[BaseModel], example: dict[str, Any]) -> dict[str, Any]:
    either = answer("As JSON, or as a page where `Accept` names `text/html`", model, shown=example)
    either["content"]["text/html"] = {"schema": {"type": "string"}}
    return either


CATALOG_RESPONSES: Responses = ANY_PROBLEM | {200: _page_or(shapes.Catalog, examples.CATALOG_SHOWN)}
ERROR_RESPONSES: Responses = ANY_PROBLEM | {
    200: _page_or(shapes.CatalogEntry, examples.ENTRY_SHOWN),
    404: problem("No documented error has this slug", unknown=problem_body(Slug.NOT_FOUND, 404)),
}
