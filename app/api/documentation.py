"""What OpenAPI shows: shapes, and examples that work."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

from app.catalog import CATALOG, Entry, Slug

_GUID = "3c90c3cc-0d44-4b50-8888-8dd25736052a"
_TRANSFER = "0b0e7a52-4b3e-4c7f-9c59-6f0f3f1d2a10"

RECORD_EXAMPLE: dict[str, Any] = {
    "id": 150713,
    "customer_number": "C-1001",
    "first_name": "Anna",
    "last_name": "Example",
    "email_address": "anna@example.com",
    "updated_datetime": "2026-11-24T09:30:00Z",
    "custom_fields": [{"custom_field_name": "SubscribeProfile", "value": "true"}],
}
ENVELOPE_EXAMPLE: dict[str, Any] = {
    "id": "7f2c1c1e-5d0b-4a51-9a63-0c7a3f0f9f10",
    "attempt": 0,
    "notifications": [
        {
            "id": "150713",
            "destination": "1796",
            "scope": "customer/updated",
            "tracking_guid": _GUID,
            "customer": RECORD_EXAMPLE,
        }
    ],
}
_RESULT_EXAMPLE: dict[str, Any] = {
    "transfer_id": _TRANSFER,
    "tracking_guid": _GUID,
    "customer_id": "150713",
    "status": "succeeded",
    "action": "created",
    "external_id": "143491",
    "subscription": "subscribed",
    "reason": None,
}
WEBHOOK_REQUEST: dict[str, Any] = {
    "security": [{"webhook key": []}],
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {"type": "object"},
                "examples": {
                    "envelope": {"summary": "iPaaS.com's envelope", "value": ENVELOPE_EXAMPLE},
                    "record": {"summary": "A bare customer record", "value": RECORD_EXAMPLE},
                },
            }
        },
    },
}
SECURITY_SCHEMES: dict[str, Any] = {
    "webhook key": {"type": "http", "scheme": "bearer", "description": "A key of IPAAS_WEBHOOK_API_KEY."},
    "operator key": {"type": "http", "scheme": "bearer", "description": "OPERATOR_API_KEY."},
}
OPERATOR_SECURITY: list[dict[str, Any]] = [{"operator key": []}]


def _header(name: str, description: str, example: str) -> dict[str, Any]:
    schema = {"type": "string"}
    return {"in": "header", "name": name, "description": description, "example": example, "schema": schema}


def _query(name: str, description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"in": "query", "name": name, "description": description, "schema": schema}


_PREFER = _header("Prefer", "`respond-async`: a 202 at once; `wait=N`: a 202 after N seconds (≤ 120)", "wait=10")
WEBHOOK_REQUEST["parameters"] = [
    _PREFER,
    _header("X-Correlation-Id", "Stands in for a missing tracking GUID", _GUID),
    _header("Idempotency-Key", "The same for a bare record", _GUID),
]
SYNC_ONE_REQUEST: dict[str, Any] = {
    "security": OPERATOR_SECURITY,
    "parameters": [_PREFER],
    "requestBody": {
        "required": False,
        "content": {"application/json": {"schema": {"type": "object"}, "example": RECORD_EXAMPLE}},
    },
}
LIST_PARAMETERS: dict[str, Any] = {
    "parameters": [
        _query("status", "accepted, running, waiting, succeeded, skipped, failed, cancelled", {"type": "string"}),
        _query("customer_id", "iPaaS.com's customer id", {"type": "string"}),
        _query("error", "The slug of a documented error", {"type": "string"}),
        _query("since", "Received at this time or later", {"type": "string", "format": "date-time"}),
        _query("tracking_guid", "The notification's tracking GUID", {"type": "string"}),
        _query("limit", "How many at most", {"type": "integer", "minimum": 1, "maximum": 200, "default": 50}),
        _query("cursor", "`next` of the page before", {"type": "string"}),
    ]
}


def body_of(model: type[BaseModel], example: dict[str, Any]) -> dict[str, Any]:
    """An operator's request body."""
    content = {"application/json": {"schema": model.model_json_schema(), "example": example}}
    return {"security": OPERATOR_SECURITY, "requestBody": {"required": True, "content": content}}


class Result(BaseModel):
    """What became of one notification."""

    transfer_id: str
    tracking_guid: str
    customer_id: str | None
    status: Literal["succeeded", "skipped", "accepted", "failed"]
    action: Literal["created", "updated"] | None
    external_id: str | None = Field(description="The customer's id at Stamped.io")
    subscription: Literal["subscribed", "unsubscribed", "unchanged", "not_mapped"] | None
    reason: str | None


class Results(BaseModel):
    """The results, in the order of the notifications."""

    model_config = {"json_schema_extra": {"examples": [{"results": [_RESULT_EXAMPLE]}]}}

    results: list[Result]


class StampedAnswerShape(BaseModel):
    """What Stamped.io said; all null when it was not asked."""

    operation: str | None
    status: int | None
    message: str | None


class Fault(BaseModel):
    """One thing that is wrong with a body."""

    pointer: str = Field(description="JSON pointer (RFC 6901)")
    detail: str


class Problem(BaseModel):
    """RFC 9457. The members after `resolution` are there for transfers only."""

    type: str
    title: str
    status: int
    detail: str
    description: str
    resolution: str
    instance: str | None = None
    retryable: bool | None = None
    tracking_guid: str | None = None
    customer_id: str | None = None
    external_id: str | None = None
    stamped: StampedAnswerShape | None = None
    errors: list[Fault] | None = None
    results: list[Result] | None = None


def _problem(slug: Slug, status: int, more: str = "", **members: Any) -> dict[str, Any]:
    entry: Entry = CATALOG[slug]
    return {
        "type": slug.type,
        "title": entry.title,
        "status": status,
        "detail": f"{entry.sentence} {more}".rstrip(),
        "description": entry.description,
        "resolution": entry.resolution,
        **members,
    }


def _failed(slug: Slug, status: int, more: str, *, retryable: bool, **members: Any) -> dict[str, Any]:
    operation, stamped_status, message = members.pop("stamped", (None, None, None))
    return _problem(
        slug,
        status,
        more,
        instance=f"/transfers/{_TRANSFER}",
        retryable=retryable,
        tracking_guid=_GUID,
        customer_id="150713",
        external_id=members.pop("external_id", None),
        stamped={"operation": operation, "status": stamped_status, "message": message},
    )


def _response(description: str, **examples: dict[str, Any]) -> dict[str, Any]:
    content = {"examples": {name.replace("_", " "): {"value": value} for name, value in examples.items()}}
    return {
        "description": description,
        "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}, **content}},
    }


_BAD_KEY = "The API key you supplied is not valid."
_REFUSED = "Email is not valid."
WEBHOOK_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"description": "Every transfer succeeded or was skipped"},
    202: {
        "description": "Not finished yet, and a promise: it survives any crash and is retried by the service",
        "model": Results,
        "headers": {
            "Location": {"description": "Where to follow it", "schema": {"type": "string"}},
            "Preference-Applied": {"description": "The preference that was met", "schema": {"type": "string"}},
        },
    },
    400: _response("Not JSON", not_json=_problem(Slug.INVALID_REQUEST, 400, "The body is not JSON.")),
    401: _response("No key, or a wrong one", no_key=_problem(Slug.UNAUTHORIZED, 401)),
    403: _response("A key for something else", other_key=_problem(Slug.FORBIDDEN, 403)),
    413: _response("Over 1 MiB", too_large=_problem(Slug.PAYLOAD_TOO_LARGE, 413)),
    415: _response("Not plain JSON", other_media_type=_problem(Slug.UNSUPPORTED_MEDIA_TYPE, 415)),
    422: _response(
        "The body has a wrong shape, or Stamped.io refused the data",
        wrong_shape=_problem(
            Slug.INVALID_REQUEST,
            422,
            "See `errors`.",
            errors=[{"pointer": "/notifications/0/scope", "detail": "Field required."}],
        ),
        refused=_failed(
            Slug.CUSTOMER,
            422,
            f"HTTP status 400 Bad Request: {_REFUSED}",
            retryable=False,
            stamped=("create", 400, _REFUSED),
        ),
    ),
    502: _response(
        "Stamped.io refused the keys or the store, failed, or could not be reached",
        wrong_key=_failed(
            Slug.CUSTOMER,
            502,
            f"HTTP status 401 Unauthorized: {_BAD_KEY}",
            retryable=False,
            stamped=("create", 401, _BAD_KEY),
        ),
        subscription=_failed(
            Slug.SUBSCRIPTION,
            502,
            "HTTP status 500 Internal Server Error.",
            retryable=True,
            external_id="143491",
            stamped=("subscribe", 500, ""),
        ),
    ),
    503: _response(
        "Stamped.io asks for patience, or the service is stopping; see `Retry-After`",
        throttled=_failed(
            Slug.CUSTOMER,
            503,
            "HTTP status 429 Too Many Requests: Slow down.",
            retryable=True,
            stamped=("create", 429, "Slow down."),
        ),
        stopping=_problem(Slug.SERVICE_UNAVAILABLE, 503),
    ),
    504: _response(
        "Stamped.io did not answer in time",
        timed_out=_failed(
            Slug.CUSTOMER,
            504,
            "No answer: timed out after 15 s.",
            retryable=True,
            stamped=("create", None, "timed out after 15 s"),
        ),
    ),
}
OPERATOR_RESPONSES: dict[int | str, dict[str, Any]] = {
    401: WEBHOOK_RESPONSES[401],
    403: WEBHOOK_RESPONSES[403],
    422: _response("A wrong shape", wrong_shape=_problem(Slug.INVALID_REQUEST, 422, "See `errors`.", errors=[])),
    503: _response("Starting or stopping", stopping=_problem(Slug.SERVICE_UNAVAILABLE, 503)),
}
NOT_FOUND_RESPONSE: dict[int | str, dict[str, Any]] = {
    404: _response("Nothing has this id", unknown=_problem(Slug.NOT_FOUND, 404, "No transfer has this id.")),
}
CONFLICT_RESPONSE: dict[int | str, dict[str, Any]] = NOT_FOUND_RESPONSE | {
    409: _response("It makes no sense now", running=_problem(Slug.CONFLICT, 409, "This transfer is running.")),
}


def restore_nulls(paths: dict[str, Any]) -> None:
    """Put members that are null back into example problems; FastAPI drops them."""
    for operation in (operation for methods in paths.values() for operation in methods.values()):
        for status, response in operation.get("responses", {}).items():
            told = WEBHOOK_RESPONSES.get(int(status), {}).get("content", {}) if status.isdigit() else {}
            for media_type, content in told.items():
                shown = response.get("content", {}).get(media_type)
                if shown is not None and shown.get("examples", {}).keys() == content["examples"].keys():
                    shown["examples"] = content["examples"]
