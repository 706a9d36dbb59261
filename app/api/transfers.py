"""Transfers as operators see them, and what they do with them."""

from __future__ import annotations

from datetime import datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Literal

import structlog
from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from app.api import documentation as docs
from app.api.answers import NO_STORE, answer, everything, item
from app.api.body import read_json
from app.api.operators import private_json, read_as, seconds_of, sync_started
from app.api.preferences import read_preference
from app.api.problems import ProblemError
from app.catalog import Slug
from app.engine import Operations
from app.ipaas.models import OptionalId, read_guid
from app.ledger import reports
from app.ledger.database import Database
from app.ledger.reports import LIST_LIMIT, Filter
from app.ledger.stored import Status

if TYPE_CHECKING:
    from app.api.security import Keyring
    from app.ledger.stored import Stored

log = structlog.stdlib.get_logger("operators")
_DEFAULT_LIMIT = 50


class _Query(BaseModel):
    model_config = ConfigDict(extra="forbid")

    status: Status | None = None
    customer_id: OptionalId = None
    error: Slug | None = None
    since: datetime | None = None
    tracking_guid: OptionalId = None
    sync_id: OptionalId = None
    limit: int = Field(_DEFAULT_LIMIT, ge=1, le=LIST_LIMIT)
    cursor: int | None = Field(None, ge=0, le=2**62)


class RetryRequest(BaseModel):
    """Which transfers to run again; a dry run only counts them."""

    model_config = ConfigDict(extra="forbid")

    status: Literal["failed", "cancelled"] = "failed"
    error: Slug | None = None
    since: datetime | None = None
    dry_run: bool = False


def transfer_routes(operations: Operations, database: Database, keyring: Keyring) -> APIRouter:
    """All need the operator's key."""
    router = APIRouter(tags=["transfers"], responses=docs.OPERATOR_RESPONSES)
    secured = {"security": docs.OPERATOR_SECURITY}

    @router.get(
        "/transfers",
        summary="Transfers, newest first",
        responses=docs.LIST_RESPONSES,
        openapi_extra=secured | docs.LIST_PARAMETERS,
    )
    async def transfers(request: Request) -> Response:
        keyring.require_operator(request)
        query = read_as(_Query, {name: value for name, value in request.query_params.items() if value})
        wanted = Filter(
            status=query.status,
            customer_id=query.customer_id,
            error=query.error,
            since=seconds_of(query.since),
            tracking_guid=query.tracking_guid,
            sync_id=query.sync_id,
            cursor=query.cursor,
        )
        found = await database.read(reports.listed, wanted, query.limit + 1)
        more = len(found) > query.limit
        found = found[: query.limit]
        return private_json(
            {"items": [item(each) for each in found], "next": str(found[-1].seq) if more else None}
        )

    @router.post(
        "/transfers/retry",
        summary="Run all failed transfers again",
        status_code=202,
        responses=docs.RETRY_ALL_RESPONSES,
        openapi_extra=docs.body_of(RetryRequest, {"status": "failed", "dry_run": True}),
    )
    async def retry_all(request: Request) -> Response:
        """Runs in the background; a dry run only counts (200)."""
        keyring.require_operator(request)
        asked = read_as(RetryRequest, await read_json(request))
        wanted = Filter(status=asked.status, error=asked.error, since=seconds_of(asked.since))
        if asked.dry_run:
            return private_json({"dry_run": True, "total": await operations.count(wanted)})
        return sync_started(await operations.retry_all(wanted))

    return router


def single_transfer_routes(operations: Operations, database: Database, keyring: Keyring) -> APIRouter:
    """All need the operator's key."""
    router = APIRouter(tags=["transfers"], responses=docs.OPERATOR_RESPONSES)
    secured = {"security": docs.OPERATOR_SECURITY}

    async def transfer_of(transfer_id: str) -> Stored:
        transfer = await database.read(reports.by_id, transfer_id) if read_guid(transfer_id) else None
        if transfer is None:
            raise ProblemError(Slug.NOT_FOUND, HTTPStatus.NOT_FOUND, "No transfer has this id.")
        return transfer

    @router.get(
        "/transfers/{transfer_id}",
        summary="Everything about one transfer",
        responses=docs.TRANSFER_RESPONSES,
        openapi_extra=secured,
    )
    async def transfer(transfer_id: str, request: Request) -> Response:
        keyring.require_operator(request)
        found = await transfer_of(transfer_id)
        if found.record:
            log.info("record shown", transfer_id=found.id)
        return private_json(everything(found, await database.read(reports.attempts_of, found.seq)))

    @router.post(
        "/transfers/{transfer_id}/retry",
        summary="Run a transfer again, now",
        responses=docs.RETRY_RESPONSES,
        openapi_extra=docs.RETRY_REQUEST,
    )
    async def retry(transfer_id: str, request: Request) -> Response:
        """For one that failed, was cancelled, or waits for its next try."""
        keyring.require_operator(request)
        preference = read_preference(request.headers.getlist("prefer"))
        found = await transfer_of(transfer_id)
        outcome = await operations.retry(found, preference.wait_seconds)
        if outcome is None:
            raise _conflict(
                await transfer_of(transfer_id),
                "Only a failed, cancelled or waiting one runs again, and none of a sandbox at a real store.",
            )
        return answer([outcome], preference, headers=NO_STORE)

    @router.post(
        "/transfers/{transfer_id}/cancel",
        summary="Cancel a transfer that has not begun",
        responses=docs.CANCEL_RESPONSES,
        openapi_extra=secured,
    )
    async def cancel(transfer_id: str, request: Request) -> Response:
        keyring.require_operator(request)
        found = await transfer_of(transfer_id)
        cancelled = await operations.cancel(found)
        if cancelled is None:
            raise _conflict(await transfer_of(transfer_id), "Only an accepted or waiting one can be cancelled.")
        return private_json(everything(cancelled, await database.read(reports.attempts_of, found.seq)))

    return router


def _conflict(transfer: Stored, rule: str) -> ProblemError:
    return ProblemError(Slug.CONFLICT, HTTPStatus.CONFLICT, f"This transfer is {transfer.status}. {rule}")
