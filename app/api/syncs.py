"""Manual Sync: one customer or many."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import BaseModel, Field, ValidationError

from app.api import documentation as docs
from app.api.answers import NO_STORE, answer, moment
from app.api.body import read_json
from app.api.intake import read_customer
from app.api.operators import private_json, read_as, sync_started
from app.api.preferences import read_preference
from app.api.problems import ProblemError
from app.catalog import Slug
from app.engine import NoRecord, Operations
from app.ipaas.models import Id, read_guid
from app.ledger import reports
from app.ledger.database import Database

if TYPE_CHECKING:
    from app.api.security import Keyring

MAX_SYNC_IDS = 3000
_NO_RECORD = (
    "No record of this customer was received, and IPAAS_API_URL is not set, so none can be fetched. "
    "Send the record as the body, or set IPAAS_API_URL and IPAAS_API_TOKEN."
)


class SyncRequest(BaseModel):
    """Which customers to send again."""

    customer_ids: list[Id] = Field(min_length=1, max_length=MAX_SYNC_IDS)


class _Customer(BaseModel):
    id: Id


def sync_routes(operations: Operations, database: Database, keyring: Keyring) -> APIRouter:
    """All need the operator's key."""
    router = APIRouter(tags=["manual sync"], responses=docs.OPERATOR_RESPONSES)
    secured = {"security": docs.OPERATOR_SECURITY}

    @router.post(
        "/customers/{customer_id}/sync",
        summary="Manual Sync of one customer",
        responses=docs.SYNC_ONE_RESPONSES,
        response_model=docs.Results,
        openapi_extra=docs.SYNC_ONE_REQUEST,
    )
    async def sync_customer(customer_id: str, request: Request) -> Response:
        """Always sends: the record in the body, else iPaaS.com's, else the last one received."""
        keyring.require_operator(request)
        preference = read_preference(request.headers.getlist("prefer"))
        body = await read_json(request, or_nothing=True)
        record = None if body is None else read_customer(body, customer_id)
        try:
            wanted = _Customer(id=customer_id).id
            outcome = await operations.sync_customer(wanted, record, preference.wait_seconds)
        except ValidationError:
            raise ProblemError(Slug.NOT_FOUND, HTTPStatus.NOT_FOUND, "This is no customer id.") from None
        except NoRecord:
            raise ProblemError(Slug.NOT_FOUND, HTTPStatus.NOT_FOUND, _NO_RECORD) from None
        return answer([outcome], preference, headers=NO_STORE)

    @router.post(
        "/syncs",
        summary="Manual Sync of up to 3,000 customers",
        status_code=202,
        responses=docs.SYNC_RESPONSES,
        openapi_extra=docs.body_of(SyncRequest, {"customer_ids": ["150713", "150714"]}),
    )
    async def sync_customers(request: Request) -> Response:
        """Runs in the background; follow it at `Location`."""
        keyring.require_operator(request)
        wanted = read_as(SyncRequest, await read_json(request))
        return sync_started(await operations.sync_customers(wanted.customer_ids))

    @router.get(
        "/syncs/{sync_id}",
        summary="How far a sync got",
        responses=docs.SYNC_COUNTS_RESPONSES,
        openapi_extra=secured,
    )
    async def sync(sync_id: str, request: Request) -> Response:
        keyring.require_operator(request)
        return private_json(await _counts(sync_id))

    @router.post(
        "/syncs/{sync_id}/cancel",
        summary="Cancel what has not begun of a sync",
        responses=docs.SYNC_CANCEL_RESPONSES,
        openapi_extra=secured,
    )
    async def cancel_sync(sync_id: str, request: Request) -> Response:
        keyring.require_operator(request)
        await _counts(sync_id)
        await operations.cancel_sync(sync_id)
        return private_json(await _counts(sync_id))

    async def _counts(sync_id: str) -> dict[str, Any]:
        counts = await database.read(reports.sync_counts, sync_id) if read_guid(sync_id) else None
        if counts is None:
            raise ProblemError(Slug.NOT_FOUND, HTTPStatus.NOT_FOUND, "No sync has this id.")
        shown = {"sync_id": counts.pop("id"), **counts}
        return shown | {name: moment(counts[name]) for name in ("created_at", "cancelled_at")}

    return router
