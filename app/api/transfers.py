"""Transfers as operators see them, and what they do with them."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, HTTPException, Path, Query, Response, status

from app.api import examples, refusals
from app.api.answers import CancelCount, RetryCount, SyncStarted, Transfer, TransferPage, answer
from app.api.body import operator_router
from app.api.export import EXPORTED, exported
from app.api.openapi import answered, either, refused
from app.api.preferences import Wait
from app.api.problems import ProblemError
from app.api.results import Results
from app.api.security import Caller, Door
from app.api.syncs import STARTED
from app.engine import Operations
from app.filters import (
    DEFAULT_LIMIT,
    GROUP_PATTERN,
    CancelFilter,
    ExportFilter,
    GroupFilter,
    ListFilter,
    RetryFilter,
    RevealFilter,
    read_group,
)
from app.groups import Acknowledged, ErrorGroups, Noted
from app.ipaas.models import read_guid
from app.ledger import reports
from app.ledger.database import Database
from app.ledger.stored import Stored
from app.ledger.trail import By
from app.sentence import sentence

_TransferId = Annotated[str, Path(json_schema_extra={"format": "uuid"})]
_Group = Annotated[str, Path(json_schema_extra={"pattern": GROUP_PATTERN})]
_NO_GROUP = refused(refusals.NO_GROUP)
_WRONG_FILTER = refusals.wrong_shape("/limit", "Input should be less than or equal to 200.")
_WRONG_STATUS = refusals.wrong_shape("/status", "Input should be 'failed', 'cancelled' or 'waiting'.")
_WRONG_PENDING = refusals.wrong_shape("/transfer_ids/0", "String should match pattern.")
_COUNTED = answered("A dry run: how many would run again.", model=RetryCount)


def transfer_routes(
    operations: Operations, database: Database, door: Door, retry_unit_seconds: float
) -> APIRouter:
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
        return SyncStarted.at(response, await operations.retry_all(asked.filter, by, one_first=asked.first))

    @router.post(
        "/transfers/cancel",
        summary="Cancel all transfers that have not begun",
        responses=either(refusals.OF_BODIES, _WRONG_PENDING),
    )
    async def cancel_all(asked: CancelFilter, by: Caller) -> CancelCount:
        """Takes back what triggered each: a re-run is failed again. A dry run only counts."""
        work = operations.count(asked.filter) if asked.dry_run else operations.cancel_all(asked.filter, by)
        return CancelCount(dry_run=asked.dry_run, total=await work)

    @router.get(
        "/transfers/export", summary="Transfers as a file", response_model=None, responses=EXPORTED | _WRONG_FILTER
    )
    async def export(query: Annotated[ExportFilter, Query()]) -> Response:
        """Newest first, all there are, streamed; e-mails and names are masked."""
        return await exported(database, query.filter, query.format or "csv", operations.now(), most=query.limit)

    @router.post(
        "/transfers/reveal",
        summary="Transfers as a file, with e-mails and names",
        response_model=None,
        responses=either(EXPORTED, refusals.OF_BODIES, _WRONG_PENDING),
    )
    async def reveal(asked: RevealFilter, by: Caller) -> Response:
        """The same with the person of each record. Who asks is kept in the trail."""
        await operations.reveal_all(by)
        return await exported(database, asked.filter, asked.format, operations.now(), reveal=True)

    @router.get("/transfers/retry", include_in_schema=False)
    @router.get("/transfers/cancel", include_in_schema=False)
    @router.get("/transfers/reveal", include_in_schema=False)
    async def no_transfer() -> None:
        """None of these is an id."""
        raise HTTPException(status.HTTP_405_METHOD_NOT_ALLOWED, headers={"Allow": "POST"})

    _single_routes(router, operations, database, retry_unit_seconds)
    _group_routes(router, operations, database)
    return router


def _group_routes(router: APIRouter, operations: Operations, database: Database) -> None:
    @router.get("/errors/groups", summary="Failed transfers in groups of alike", responses=_WRONG_FILTER)
    async def groups(query: Annotated[GroupFilter, Query()]) -> ErrorGroups:
        return await database.read(ErrorGroups.read, query.at(operations.now()), query.tag)

    @router.post("/errors/groups/{group}/acknowledge", summary="Take note of a group", responses=_NO_GROUP)
    async def acknowledge(group: _Group, by: Caller) -> Acknowledged:
        """It stands below the others until something of it fails again; done again, that is noted, too."""
        noted = await operations.acknowledge(group, by) if read_group(group) else None
        if noted is None:
            raise ProblemError(refusals.NO_GROUP)
        return Acknowledged(group=group, acknowledged=Noted.of(noted))

    @router.post("/errors/groups/{group}/unacknowledge", summary="Take that back", responses=_NO_GROUP)
    async def unacknowledge(group: _Group, by: Caller) -> Acknowledged:
        if not (read_group(group) and await operations.unacknowledge(group, by)):
            raise ProblemError(refusals.NO_GROUP)
        return Acknowledged(group=group, acknowledged=None)


def _single_routes(
    router: APIRouter, operations: Operations, database: Database, retry_unit_seconds: float
) -> None:
    async def transfer_of(transfer_id: str) -> Stored:
        transfer = await database.read(reports.by_id, transfer_id) if read_guid(transfer_id) else None
        if transfer is None:
            raise ProblemError(refusals.NO_TRANSFER)
        return transfer

    async def told(transfer: Stored, by: By) -> Transfer:
        await operations.reveal(transfer, by)
        attempts, deeds = await database.read(reports.story_of, transfer.seq)
        found = operations.explain(transfer)
        said = sentence(found, attempts, deeds, unit_seconds=retry_unit_seconds)
        return Transfer.told(found, said, attempts, deeds, reveal=by.acts)

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
