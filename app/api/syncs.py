"""Manual Sync: one customer or many."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body, Path, Query, Response, status
from pydantic import TypeAdapter, ValidationError

from app.api import examples, refusals
from app.api.answers import SyncCounts, SyncStarted, answer
from app.api.body import operator_router
from app.api.openapi import answered, either, refused
from app.api.preferences import Wait
from app.api.problems import ProblemError, wrong
from app.api.results import Results
from app.api.security import Caller, Door
from app.connections import Connections
from app.engine import NoRecord, Operations
from app.filters import SyncRequest
from app.intake import chosen
from app.ipaas.models import ID_PATTERN, CustomerRecord, Id, read_guid
from app.ledger import reports
from app.ledger.database import Database

_CustomerId = Annotated[str, Path(description="iPaaS.com's", json_schema_extra={"pattern": ID_PATTERN})]
_SyncId = Annotated[str, Path(json_schema_extra={"format": "uuid"})]
_ConnectionId = Annotated[str | None, Query(description="Needed where there are several")]
_id = TypeAdapter(Id)
_WRONG_CONNECTION = refusals.wrong_shape("/connection", "Say which connection is meant: 1796, 1797.")
STARTED = answered("It runs in the background.", "Location", status=202, model=SyncStarted)
_NO_SYNC = refused(refusals.NO_SYNC)
_NOT_SENT = refused(refusals.NO_CUSTOMER_ID, refusals.NO_RECORD)


def sync_routes(operations: Operations, database: Database, door: Door, connections: Connections) -> APIRouter:
    """All need the operator's key."""
    router = operator_router("manual sync", door)

    @router.post(
        "/customers/{customer_id}/sync",
        summary="Manual Sync of one customer",
        response_model=Results,
        responses=either(examples.TRANSFERRED, refusals.OF_BODIES, _WRONG_CONNECTION, _NOT_SENT),
    )
    async def sync_customer(
        customer_id: _CustomerId,
        preference: Wait,
        by: Caller,
        connection: _ConnectionId = None,
        record: Annotated[CustomerRecord | None, Body(examples=[examples.RECORD])] = None,
    ) -> Response:
        """Always sends: the record in the body, else iPaaS.com's, else the last one received."""
        if record is not None and record.id not in {None, customer_id.strip()}:
            raise wrong([{"pointer": "/id", "detail": "This is another customer than the one in the address."}])
        try:
            wanted, where = _id.validate_python(customer_id), chosen(connections, connection)
            outcome = await operations.sync_customer(where, wanted, record, preference.wait_seconds, by)
        except ValidationError:
            raise ProblemError(refusals.NO_CUSTOMER_ID) from None
        except NoRecord:
            raise ProblemError(refusals.NO_RECORD) from None
        return answer([outcome], preference)

    @router.post(
        "/syncs",
        summary="Manual Sync of up to 3,000 customers",
        status_code=status.HTTP_202_ACCEPTED,
        responses=either(STARTED, refusals.OF_BODIES, _WRONG_CONNECTION),
    )
    async def sync_customers(
        wanted: SyncRequest, response: Response, by: Caller, connection: _ConnectionId = None
    ) -> SyncStarted:
        """Runs in the background; follow it at `Location`."""
        where = chosen(connections, connection)
        return SyncStarted.at(response, await operations.sync_customers(where, wanted.customer_ids, by))

    _following_routes(router, operations, database)
    return router


def _following_routes(router: APIRouter, operations: Operations, database: Database) -> None:
    @router.get("/syncs/{sync_id}", summary="How far a sync got", responses=_NO_SYNC)
    async def sync(sync_id: _SyncId) -> SyncCounts:
        counts = await database.read(reports.sync_counts, sync_id) if read_guid(sync_id) else None
        if counts is None:
            raise ProblemError(refusals.NO_SYNC)
        return SyncCounts(**counts)

    @router.post("/syncs/{sync_id}/cancel", summary="Cancel what has not begun of a sync", responses=_NO_SYNC)
    async def cancel_sync(sync_id: _SyncId, by: Caller) -> SyncCounts:
        await sync(sync_id)
        await operations.cancel_sync(sync_id, by)
        return await sync(sync_id)

    @router.post(
        "/syncs/{sync_id}/continue",
        summary="Run the rest of it, whatever became of its first",
        responses=refused(refusals.NO_SYNC, refusals.NOTHING_HELD),
    )
    async def go_on(sync_id: _SyncId, by: Caller) -> SyncCounts:
        await sync(sync_id)
        if not await operations.go_on(sync_id, by):
            raise ProblemError(refusals.NOTHING_HELD)
        return await sync(sync_id)
