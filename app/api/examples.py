"""The examples that OpenAPI shows; the tests post the requests, and compare the answers with real ones."""

from __future__ import annotations

from typing import Any

from app.api.problems import problem_body
from app.catalog import CATALOG, Slug

GUID = "3c90c3cc-0d44-4b50-8888-8dd25736052a"
_TRANSFER = "0b0e7a52-4b3e-4c7f-9c59-6f0f3f1d2a10"
_BAD_KEY = "The API key you supplied is not valid."
_REFUSED = "Email is not valid."

RECORD: dict[str, Any] = {
    "id": 150713,
    "customer_number": "C-1001",
    "first_name": "Anna",
    "last_name": "Example",
    "email_address": "anna@example.com",
    "updated_datetime": "2026-11-24T09:30:00Z",
    "custom_fields": [{"custom_field_name": "SubscribeProfile", "value": "true"}],
}
ENVELOPE: dict[str, Any] = {
    "id": "7f2c1c1e-5d0b-4a51-9a63-0c7a3f0f9f10",
    "attempt": 0,
    "notifications": [
        {
            "id": "150713",
            "destination": "1796",
            "scope": "customer/updated",
            "tracking_guid": GUID,
            "customer": RECORD,
        }
    ],
}
_RESULT: dict[str, Any] = {
    "transfer_id": _TRANSFER,
    "tracking_guid": GUID,
    "customer_id": "150713",
    "status": "succeeded",
    "action": "created",
    "external_id": "143491",
    "subscription": "subscribed",
    "reason": None,
}
_ACCEPTED = {"status": "accepted", "action": None, "external_id": None, "subscription": None}
RESULTS: dict[str, Any] = {"results": [_RESULT]}
RESULTS_ACCEPTED: dict[str, Any] = {"results": [_RESULT | _ACCEPTED]}


def _failed(  # noqa: PLR0913 - what a failure is made of
    slug: Slug,
    status: int,
    more: str,
    stamped: tuple[str, int | None, str],
    *,
    retryable: bool,
    external_id: str | None = None,
) -> dict[str, Any]:
    return problem_body(
        slug,
        status,
        more,
        instance=f"/transfers/{_TRANSFER}",
        retryable=retryable,
        tracking_guid=GUID,
        customer_id="150713",
        external_id=external_id,
        stamped=dict(zip(("operation", "status", "message"), stamped, strict=True)),
    )


WRONG_SHAPE = problem_body(
    Slug.INVALID_REQUEST,
    422,
    "See `errors`.",
    errors=[{"pointer": "/notifications/0/scope", "detail": "Field required."}],
)
WRONG_IDS = problem_body(
    Slug.INVALID_REQUEST,
    422,
    "See `errors`.",
    errors=[{"pointer": "/customer_ids", "detail": "List should have at least 1 item after validation, not 0."}],
)
WRONG_STATUS = problem_body(
    Slug.INVALID_REQUEST,
    422,
    "See `errors`.",
    errors=[{"pointer": "/status", "detail": "Input should be 'failed' or 'cancelled'."}],
)
WRONG_FILTER = problem_body(
    Slug.INVALID_REQUEST,
    422,
    "See `errors`.",
    errors=[{"pointer": "/limit", "detail": "Input should be less than or equal to 200."}],
)
REFUSED = _failed(
    Slug.CUSTOMER,
    422,
    f"HTTP status 400 Bad Request: {_REFUSED}",
    ("create", 400, _REFUSED),
    retryable=False,
)
WRONG_KEY = _failed(
    Slug.CUSTOMER,
    502,
    f"HTTP status 401 Unauthorized: {_BAD_KEY}",
    ("create", 401, _BAD_KEY),
    retryable=False,
)
SUBSCRIPTION = _failed(
    Slug.SUBSCRIPTION,
    502,
    "HTTP status 500 Internal Server Error.",
    ("subscribe", 500, ""),
    retryable=True,
    external_id="143491",
)
THROTTLED = _failed(
    Slug.CUSTOMER,
    503,
    "HTTP status 429 Too Many Requests: Slow down.",
    ("create", 429, "Slow down."),
    retryable=True,
)
TIMED_OUT = _failed(
    Slug.CUSTOMER,
    504,
    "No answer: timed out after 15 s.",
    ("create", None, "timed out after 15 s"),
    retryable=True,
)
NO_RECORD = problem_body(
    Slug.NOT_FOUND,
    404,
    "No record of this customer was received, and IPAAS_API_URL is not set, so none can be fetched. "
    "Send the record as the body, or set IPAAS_API_URL and IPAAS_API_TOKEN.",
)

_STORED: dict[str, Any] = {
    "status": "failed",
    "action": None,
    "external_id": None,
    "subscription": None,
    "reason": REFUSED["detail"],
    "scope": "customer/updated",
    "trigger": "webhook",
    "attempts_made": 1,
    "next_attempt_at": None,
    "superseded_by": None,
    "created_at": "2026-11-24T09:30:01.204Z",
    "finished_at": "2026-11-24T09:30:01.391Z",
}
TRANSFER_PAGE: dict[str, Any] = {"items": [_RESULT | _STORED | {"error": Slug.CUSTOMER.value}], "next": "1041"}
TRANSFER: dict[str, Any] = {
    **_RESULT,
    **_STORED,
    "error": REFUSED,
    "destination": "1796",
    "promised": False,
    "attempts": [
        {
            "started_at": "2026-11-24T09:30:01.204Z",
            "finished_at": "2026-11-24T09:30:01.391Z",
            "outcome": "failed",
            "error": Slug.CUSTOMER.value,
            "detail": REFUSED["detail"],
            "stamped": REFUSED["stamped"],
            "steps": {"load": 0.0, "link": 0.0, "upsert": 0.1842},
        }
    ],
    "record": RECORD,
    "record_hash": "1f7a0c8be5ad9bc5aa4bd9e6bf0ac12dd4d95b8cf3f4c7f0e1f4b3fd2e0a4a5c",
}
TRANSFER_CANCELLED: dict[str, Any] = TRANSFER | {
    "status": "cancelled",
    "promised": True,
    "attempts_made": 0,
    "attempts": [],
    "reason": "Cancelled by hand.",
    "error": None,
}
_SYNC = "0193b1d2-6c5e-7a10-8f3e-5c2b7d9e4f60"
SYNC_STARTED: dict[str, Any] = {"sync_id": _SYNC}
SYNC_COUNTS: dict[str, Any] = {
    "sync_id": _SYNC,
    "kind": "customers",
    "created_at": "2026-11-24T09:30:00.000Z",
    "cancelled_at": None,
    "total": 3000,
    "succeeded": 1204,
    "skipped": 0,
    "failed": 3,
    "cancelled": 0,
    "remaining": 1793,
}
SYNC_CANCELLED: dict[str, Any] = SYNC_COUNTS | {
    "cancelled_at": "2026-11-24T09:31:07.512Z",
    "cancelled": 1788,
    "remaining": 5,
}
RETRY_COUNT: dict[str, Any] = {"dry_run": True, "total": 33}
REJECTIONS: dict[str, Any] = {
    "items": [
        {
            "at": "2026-11-24T09:29:58.120Z",
            "status": 401,
            "error": Slug.UNAUTHORIZED.value,
            "reason": CATALOG[Slug.UNAUTHORIZED].sentence,
            "address": "203.0.113.7",
        }
    ]
}
READY: dict[str, Any] = {
    "status": "warn",
    "checks": [
        {"name": "engine", "status": "ok", "running": 2},
        {
            "name": "stamped",
            "status": "warn",
            "hint": "The last call (create) failed: HTTP status 401 Unauthorized. "
            "Check the Stamped.io keys and the store hash.",
        },
        {"name": "database", "status": "ok"},
        {"name": "oldest_waiting", "status": "ok", "seconds": 4},
    ],
}
NOT_READY: dict[str, Any] = {
    "status": "fail",
    "checks": [
        {"name": "engine", "status": "ok", "running": 0},
        {"name": "stamped", "status": "ok"},
        {
            "name": "database",
            "status": "fail",
            "hint": "The database does not answer; the service goes on by itself when it does.",
        },
    ],
}
_ENTRY = CATALOG[Slug.SUBSCRIPTION]
ENTRY_SHOWN: dict[str, Any] = {
    "slug": _ENTRY.slug.value,
    "type": _ENTRY.slug.type,
    "title": _ENTRY.title,
    "statuses": list(_ENTRY.statuses),
    "sentence": _ENTRY.sentence,
    "message": _ENTRY.message,
    "description": _ENTRY.description,
    "resolution": _ENTRY.resolution,
}
CATALOG_SHOWN: dict[str, Any] = {"errors": [ENTRY_SHOWN]}
