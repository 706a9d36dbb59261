"""The values that OpenAPI shows; the tests post the requests, and compare the answers with real ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from app.api.openapi import Responses, answered, either, refused
from app.api.problems import UNAVAILABLE, Problem
from app.api.results import GUID, TRANSFER_ID, Results
from app.attempt import Failure, StampedAnswer
from app.error_catalog import Slug
from app.outbound.calls import CallError
from app.outbound.status_table import Kind

BODIES: Final[dict[str, Any]] = json.loads(Path(__file__).with_suffix(".json").read_text(encoding="utf-8"))
RECORD: Final = BODIES["record"]["value"]


def _failed(slug: Slug, error: CallError, external_id: str | None = None) -> Problem:
    stamped = StampedAnswer(error.operation, error.status, error.message)
    ids = {"tracking_guid": GUID, "customer_id": "150713", "external_id": external_id}
    return Problem.of_failure(Failure.of_call(slug, error, stamped), TRANSFER_ID, **ids)


def _of_failure(when: str, *headers: str, **examples: Problem) -> Responses:
    (status,) = {problem.status for problem in examples.values()}
    return answered(when, *headers, "Preference-Applied", status=status, examples=examples)


TRANSFERRED: Final = either(
    answered("All have succeeded or were skipped.", "Idempotent-Replayed", "Preference-Applied", model=Results),
    answered("A promise: retried until it ends.", "Location", "Preference-Applied", status=202, model=Results),
    _of_failure(
        "Stamped.io refused the data.",
        refused=_failed(Slug.CUSTOMER, CallError("create", Kind.REFUSED, 400, "Email is not valid.")),
    ),
    _of_failure(
        "Stamped.io refused the keys or the store, failed, or could not be reached.",
        "Retry-After",
        wrong_key=_failed(Slug.CUSTOMER, CallError("create", Kind.DENIED, 401, "The API key is not valid.")),
        subscription=_failed(Slug.SUBSCRIPTION, CallError("subscribe", Kind.UNAVAILABLE, 500, ""), "143491"),
    ),
    refused(UNAVAILABLE),
    _of_failure(
        "Stamped.io did not answer in time.",
        timed_out=_failed(Slug.CUSTOMER, CallError("create", Kind.TIMEOUT, None, "timed out after 15 s")),
    ),
)
