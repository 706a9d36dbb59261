"""Transfers as operators see them, and what they do with them."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, HTTPException, Path, Query, Response, status

from app.api import examples, refusals
from app.api.answers import RetryCount, SyncStarted, Transfer, TransferPage, answer
from app.api.body import operator_router
from app.api.openapi import answered, either, refused
from app.api.preferences import Wait
from app.api.problems import ProblemError
from app.api.results import Results
from app.api.security import Caller, Door
from app.api.syncs import STARTED
from app.engine import Operations
from app.filters import DEFAULT_LIMIT, GroupFilter, ListFilter, RetryFilter
from app.groups import ErrorGroups
from app.ipaas.models import read_guid
from app.ledger import reports
from app.ledger.database import Database
from app.ledger.stored import Stored
from app.ledger.trail import By

_TransferId = Annotated[str, Path(json_schema_extra={"format": "uuid"})]
_WRONG_FILTER = refusals.wrong_shape("/limit", "Input should be less than or equal to 200.")
_WRONG_STATUS = refusals.wrong_shape("/status", "Input should be 'failed' or 'cancelled'.")
_COUNTED = answered("A dry run: how many would run again.", model=RetryCount)


def transfer_routes(operations: Operations, database: Database, door: Door) -> APIRouter:
    """All need the operator's key."""
    router = operator_router("transfers", door)

    @router.get("/transfers", summary="Transfers, newest first", responses=_WRONG_FILTER)
    async def transfers(query: Annotated[ListFilter, Query()], by: Caller) -> TransferPage:
        limit = query.limit or DEFAULT_LIMIT
        found = await database.read(reports.listed, query.filter, limit + 1)
        return TransferPage.of([operations.explain(each) for each in found], limit, reveal=by.acts)

    @router.post(
        "/transfers/retry",
        summary="Run all failed transfers again",
        status_code=status.HTTP_202_ACCEPTED,
        response_model=None,
        responses=either(_COUNTED, STARTED, refusals.OF_BODIES, _WRONG_STATUS),
    )
    async def retry_all(asked: RetryFilter, response: Response, by: Caller) -> SyncStarted | RetryCount:
        """Runs in the background; a dry run only counts (200)."""
        if asked.dry_run:
            response.status_code = status.HTTP_200_OK
            return RetryCount(dry_run=True, total=await operations.count(asked.filter))
        return SyncStarted.at(response, await operations.retry_all(asked.filter, by))

    @router.get("/errors/groups", summary="Failed transfers in groups of alike", responses=_WRONG_FILTER)
    async def groups(query: Annotated[GroupFilter, Query()]) -> ErrorGroups:
        return await database.read(ErrorGroups.read, query.at(operations.now()))

    @router.get("/transfers/retry", include_in_schema=False)
    async def no_transfer() -> None:
        """`retry` is no id."""
        raise HTTPException(status.HTTP_405_METHOD_NOT_ALLOWED, headers={"Allow": "POST"})

    _single_routes(router, operations, database)
    return router


def _single_routes(router: APIRouter, operations: Operations, database: Database) -> None:
    async def transfer_of(transfer_id: str) -> Stored:
        transfer = await database.read(reports.by_id, transfer_id) if read_guid(transfer_id) else None
        if transfer is None:
            raise ProblemError(refusals.NO_TRANSFER)
        return transfer

    async def told(transfer: Stored, by: By) -> Transfer:
        await operations.reveal(transfer, by)
        attempts, deeds = await database.read(reports.story_of, transfer.seq)
        return Transfer.told(operations.explain(transfer), attempts, deeds, reveal=by.acts)

    @router.get(
        "/transfers/{transfer_id}",
        summary="Everything about one transfer",
        response_model_exclude_unset=True,
        responses=refused(refusals.NO_TRANSFER),
    )
    async def transfer(transfer_id: _TransferId, by: Caller) -> Transfer:
        return await told(await transfer_of(transfer_id), by)

    @router.post(
        "/transfers/{transfer_id}/retry",
        summary="Run a transfer again, now",
        response_model=Results,
        responses=either(examples.TRANSFERRED, refused(refusals.NO_TRANSFER, refusals.NOT_RERUNNABLE)),
    )
    async def retry(transfer_id: _TransferId, preference: Wait, by: Caller) -> Response:
        """For one that failed, was cancelled, or waits for its next try."""
        found = await transfer_of(transfer_id)
        outcome = await operations.retry(found, preference.wait_seconds, by)
        if outcome is None:
            raise refusals.conflict(refusals.NOT_RERUNNABLE, (await transfer_of(found.id)).status)
        return answer([outcome], preference)

    @router.post(
        "/transfers/{transfer_id}/cancel",
        summary="Cancel a transfer that has not begun",
        response_model_exclude_unset=True,
        responses=refused(refusals.NO_TRANSFER, refusals.NOT_CANCELLABLE),
    )
    async def cancel(transfer_id: _TransferId, by: Caller) -> Transfer:
        found = await transfer_of(transfer_id)
        cancelled = await operations.cancel(found, by)
        if cancelled is None:
            raise refusals.conflict(refusals.NOT_CANCELLABLE, (await transfer_of(found.id)).status)
        return await told(cancelled, by)
