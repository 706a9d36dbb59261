"""`POST /webhooks/customers`: iPaaS.com's notifications, answered with what became of each."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import structlog
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from app.api import documentation as docs
from app.api.body import read_json
from app.api.intake import read_intakes
from app.api.problems import ProblemError, problem_response, retry_after_header, transfer_problem
from app.api.security import Keyring
from app.catalog import Slug
from app.engine import Engine, NotTaking, Outcome

log = structlog.stdlib.get_logger("webhook")
_STOPPING_RETRY_SECONDS = 10


def webhook_routes(engine: Engine, keyring: Keyring, timeout_seconds: float) -> APIRouter:
    """The webhook of one connection."""
    router = APIRouter(tags=["webhook"])

    @router.post(
        "/webhooks/customers",
        summary="Customers created or changed in iPaaS.com",
        response_model=docs.Results,
        responses=docs.WEBHOOK_RESPONSES,
        openapi_extra=docs.WEBHOOK_REQUEST,
    )
    async def receive(request: Request) -> Response:
        """Upserts each customer at Stamped.io, then reconciles its subscription if consent is mapped.

        A 200 or a problem is the final word; a failed transfer may be sent again at any time.
        """
        keyring.require_webhook(request)
        intakes = read_intakes(await read_json(request), request.headers)
        try:
            outcomes = await engine.run(intakes, timeout_seconds)
        except NotTaking:
            headers = retry_after_header(_STOPPING_RETRY_SECONDS)
            raise ProblemError(Slug.SERVICE_UNAVAILABLE, HTTPStatus.SERVICE_UNAVAILABLE, headers=headers) from None
        return answer(outcomes)

    return router


def answer(outcomes: list[Outcome]) -> Response:
    """200 with all results, or the problem of the first failure (with several, plus all results)."""
    results = [result(outcome) for outcome in outcomes]
    failed = next((outcome for outcome in outcomes if outcome.failure), None)
    if failed is None or failed.failure is None:
        return JSONResponse({"results": results})
    body = transfer_problem(failed)
    if len(results) > 1:
        body["results"] = results
    return problem_response(body, retry_after_header(failed.failure.retry_after))


def result(outcome: Outcome) -> dict[str, Any]:
    """The contract's Result."""
    progress = outcome.progress
    return {
        "transfer_id": outcome.transfer_id,
        "tracking_guid": outcome.tracking_guid,
        "customer_id": outcome.customer_id,
        "status": outcome.status,
        "action": progress.action,
        "external_id": progress.external_id,
        "subscription": progress.subscription,
        "reason": outcome.reason,
    }
