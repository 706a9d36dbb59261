"""Transfers as callers see them: results, problems, and everything about one."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from fastapi.responses import JSONResponse, Response

from app.api.problems import problem_response, retry_after_header, transfer_problem
from app.ledger.stored import load_failure

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import RowMapping

    from app.api.preferences import Preference
    from app.engine import Outcome
    from app.ledger.stored import Stored

NO_STORE = {"Cache-Control": "no-store"}
_RESULT_STATUS = {"running": "accepted", "waiting": "accepted", "cancelled": "skipped"}


def answer(
    outcomes: Sequence[Outcome], preference: Preference, *, headers: dict[str, str] | None = None
) -> Response:
    """200 with all results; 202 while one goes on; else the problem of the first failure."""
    transfers = [outcome.transfer for outcome in outcomes]
    results = [result(transfer) for transfer in transfers]
    headers = dict(headers or {})
    if preference.applied is not None:
        headers["Preference-Applied"] = preference.applied
    if outcomes and all(outcome.replayed for outcome in outcomes):
        headers["Idempotent-Replayed"] = "true"
    failed = next((transfer for transfer in transfers if transfer.status == "failed"), None)
    if failed is not None:
        body = transfer_problem(failed)
        if len(results) > 1:
            body["results"] = results
        failure = failed.documented_failure()
        return problem_response(body, headers | retry_after_header(failure.retry_after if failure else None))
    going_on = next((transfer for transfer in transfers if not transfer.is_final), None)
    if going_on is not None:
        headers["Location"] = f"/transfers/{going_on.id}"
        return JSONResponse({"results": results}, HTTPStatus.ACCEPTED, headers)
    return JSONResponse({"results": results}, headers=headers)


def result(transfer: Stored) -> dict[str, Any]:
    """The contract's Result."""
    status = _RESULT_STATUS.get(transfer.status, transfer.status)
    ended = status != "accepted"
    return {
        "transfer_id": transfer.id,
        "tracking_guid": transfer.tracking_guid,
        "customer_id": transfer.customer_id,
        "status": status,
        "action": transfer.action if ended else None,
        "external_id": transfer.external_id,
        "subscription": transfer.subscription if ended else None,
        "reason": transfer.reason if ended else None,
    }


def item(transfer: Stored) -> dict[str, Any]:
    """A transfer in a list."""
    return result(transfer) | {
        "status": transfer.status,
        "reason": transfer.reason,
        "scope": transfer.scope,
        "trigger": transfer.trigger,
        "error": transfer.error,
        "attempts_made": transfer.attempts,
        "next_attempt_at": moment(transfer.next_attempt_at if transfer.status == "waiting" else None),
        "superseded_by": transfer.superseded_by,
        "created_at": moment(transfer.created_at),
        "finished_at": moment(transfer.finished_at),
    }


def everything(transfer: Stored, attempts: Sequence[RowMapping]) -> dict[str, Any]:
    """One transfer with its attempts, its error and its record."""
    return item(transfer) | {
        "destination": transfer.destination,
        "promised": transfer.promised,
        "attempts": [_attempt(row) for row in attempts],
        "error": transfer_problem(transfer) if transfer.failure else None,
        "record": json.loads(transfer.record) if transfer.record else None,
        "record_hash": transfer.record_hash,
    }


def moment(seconds: float | None) -> str | None:
    """A time as ISO 8601 in UTC."""
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _attempt(row: RowMapping) -> dict[str, Any]:
    failure = load_failure(row["failure"])
    return {
        "started_at": moment(row["started_at"]),
        "finished_at": moment(row["finished_at"]),
        "outcome": row["outcome"],
        "error": failure.slug.value if failure else None,
        "detail": failure.detail if failure else None,
        "stamped": asdict(failure.stamped) if failure else None,
        "steps": json.loads(row["steps"]),
    }
