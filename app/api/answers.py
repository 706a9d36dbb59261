"""What callers and operators get: each shape is built, sent and documented by its model."""

from __future__ import annotations

import json
import math
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, get_args

from fastapi.responses import Response
from pydantic import AliasChoices, BaseModel, Field

from app.api.problems import Problem, problem_response
from app.api.results import Result, Results, one_of
from app.attempt import StampedAnswer
from app.error_catalog import Entry, Slug
from app.ledger.stored import Attempt as Tried
from app.ledger.stored import Status, Stored, Trigger
from app.ledger.trail import What
from app.privacy import masked
from app.times import Moment

if TYPE_CHECKING:
    from collections.abc import Sequence

    from app.api.preferences import Preference
    from app.engine import Outcome
    from app.ledger.trail import Deed as Done


def answer(outcomes: Sequence[Outcome], preference: Preference) -> Response:
    """200 with all results; 202 while one goes on; else the problem of the first failure."""
    transfers = [outcome.transfer for outcome in outcomes]
    results = [Result.of(transfer) for transfer in transfers]
    headers = {}
    if preference.applied is not None:
        headers["Preference-Applied"] = preference.applied
    if outcomes and all(outcome.replayed for outcome in outcomes):
        headers["Idempotent-Replayed"] = "true"
    failed = next((transfer for transfer in transfers if transfer.status == "failed"), None)
    if failed is not None:
        problem = Problem.of_transfer(failed)
        if len(results) > 1:
            problem.results = results
        failure = failed.documented_failure()
        if failure is not None and failure.retry_after is not None:
            headers["Retry-After"] = str(math.ceil(failure.retry_after))
        return problem_response(problem, headers)
    status = HTTPStatus.OK
    going_on = next((transfer for transfer in transfers if not transfer.is_final), None)
    if going_on is not None:
        status = HTTPStatus.ACCEPTED
        headers["Location"] = f"/transfers/{going_on.id}"
    return Response(Results(results=results).model_dump_json(), status, headers, "application/json")


class _Transfer(Result):
    status: Annotated[str, one_of(get_args(Status))]
    scope: str = Field(examples=["customer/updated"])
    trigger: Annotated[str, one_of(get_args(Trigger))] = Field(
        description="webhook; manual: sent by hand; sync: one of many; verify: after a call without an answer"
    )
    error: Any
    attempts_made: int
    next_attempt_at: Moment | None = Field(description="While it waits: for its next try, or for a pause to end")
    superseded_by: str | None = Field(description="The transfer that made it needless")
    created_at: Moment
    finished_at: Moment | None

    @classmethod
    def of(cls, transfer: Stored, **told: Any) -> Self:
        """With its own status, and why it has it."""
        pause = transfer.pause
        reason = pause.sentence if pause else transfer.reason
        told |= {"status": transfer.status, "reason": reason, "attempts_made": transfer.attempts}
        due = transfer.next_attempt_at if transfer.status == "waiting" else None
        due = pause.until if pause else due
        return super().of(transfer, next_attempt_at=due, **told)


class TransferItem(_Transfer):
    """A transfer in a list."""

    error: Annotated[str, one_of(Slug)] | None


class TransferPage(BaseModel):
    """Transfers, newest first."""

    items: list[TransferItem]
    next: str | None = Field(description="The `cursor` of the next page; null = there is none", examples=["1041"])

    @classmethod
    def of(cls, found: Sequence[Stored], limit: int, *, reveal: bool) -> Self:
        """Of one more than are shown, if there is one; an id that is an address is masked unless `reveal`."""
        items = [TransferItem.of(each) for each in found[:limit]]
        if not reveal:
            items = [TransferItem(**masked(each.model_dump(mode="json", exclude_unset=True))) for each in items]
        return cls(items=items, next=str(found[limit - 1].seq) if len(found) > limit else None)


class Call(BaseModel, serialize_by_alias=True):
    """One call of an attempt, without its content."""

    system: Literal["stamped", "ipaas"]
    operation: str = Field(examples=["create"])
    number: int = Field(alias="try", validation_alias=AliasChoices("try", "number"), description="From 1 per step")
    status: int | None = Field(description="Of HTTP; null = no answer", examples=[200])
    outcome: Literal["ok", "denied", "refused", "throttled", "unavailable", "timeout", "cancelled"]
    started_at: Moment
    seconds: float
    message: str | None = Field(description="Its begin; e-mails and names are masked")


class Attempt(BaseModel):
    """One attempt; `steps` has the seconds of each of its steps."""

    started_at: Moment
    finished_at: Moment
    outcome: str = Field(examples=["failed"])
    error: Slug | None
    detail: str | None
    stamped: StampedAnswer | None
    steps: dict[str, float] = Field(examples=[{"load": 0.0, "link": 0.0, "upsert": 0.1842}])
    calls: list[Call] = Field(description="In order; of more than 30 the last stands for those left out")

    @classmethod
    def of(cls, attempt: Tried) -> Self:
        """Of what is kept."""
        told = {name: getattr(attempt.failure, name, None) for name in ("detail", "stamped")}
        told |= {name: getattr(attempt, name) for name in cls.model_fields.keys() - told - {"error"}}
        told["error"] = attempt.failure.slug if attempt.failure else None
        return cls.model_validate(told, from_attributes=True)


class Deed(BaseModel):
    """What a person did to it, or to a sync that it is part of."""

    at: Moment
    what: str = Field(examples=list(get_args(What)))
    who: str = Field(description="The name of the key", examples=["ada"])
    where: str | None = Field(description="The caller's address", examples=["203.0.113.7"])
    via: str = Field(examples=["api", "page"])


class Transfer(_Transfer):
    """Everything about one."""

    sentence: str = Field(description="What became of it, and what to do about it; times in UTC")
    error: Problem | None
    destination: str | None = Field(description="iPaaS.com's subscription id", examples=["1796"])
    promised: bool = Field(description="A 202 was answered: the service retries it by itself")
    attempts: list[Attempt]
    record: dict[str, Any] | None = Field(description="As received, to viewers masked; null when its time is over")
    record_hash: str | None
    trail: list[Deed]

    @classmethod
    def told(
        cls, transfer: Stored, sentence: str, attempts: Sequence[Tried], deeds: Sequence[Done], *, reveal: bool
    ) -> Self:
        """With its attempts, its error, its record, and what people did to it."""
        told = cls.of(
            transfer,
            sentence=sentence,
            error=Problem.of_transfer(transfer) if transfer.failure else None,
            attempts=[Attempt.of(each) for each in attempts],
            record=json.loads(transfer.record) if transfer.record else None,
            trail=[Deed.model_validate(each, from_attributes=True) for each in deeds],
        )
        return told if reveal else cls(**masked(told.model_dump(mode="json", exclude_unset=True)))


class SyncStarted(BaseModel):
    """A sync that runs in the background."""

    sync_id: str

    @classmethod
    def at(cls, response: Response, sync_id: str) -> Self:
        """The response says where to follow it."""
        response.headers["Location"] = f"/syncs/{sync_id}"
        return cls(sync_id=sync_id)


class RetryCount(BaseModel):
    """What a dry run found."""

    dry_run: Literal[True]
    total: int


class First(BaseModel):
    """The transfer of a sync that is run before the others."""

    transfer_id: str
    status: Annotated[str, one_of(get_args(Status))] = Field(
        description="cancelled, too, where a re-run was: the transfer itself has its old error again"
    )
    reason: str | None
    next_attempt_at: Moment | None
    others: int = Field(description="So many wait for it")


class CancelCount(BaseModel):
    """How many were cancelled; in a dry run: how many would be."""

    dry_run: bool
    total: int


class ExportItem(TransferItem):
    """A transfer in an export; whom it is about is told on asking only."""

    email: str | None = None
    first_name: str | None = None
    last_name: str | None = None

    @classmethod
    def revealing(cls, transfer: Stored) -> Self:
        """With the person whom its record names; null when that was deleted."""
        record: dict[str, Any] = json.loads(transfer.record) if transfer.record else {}
        return cls.of(
            transfer,
            email=record.get("email_address"),
            first_name=record.get("first_name"),
            last_name=record.get("last_name"),
        )


class SyncCounts(BaseModel):
    """How far a sync got; `remaining` 0 = it has ended."""

    sync_id: str
    kind: Annotated[str, one_of(("customers", "retry"))]
    created_at: Moment
    cancelled_at: Moment | None
    total: int
    succeeded: int
    skipped: int
    failed: int
    cancelled: int
    remaining: int
    held: int = Field(description="So many were left as they were, for the first of them failed again")
    first: First | None = Field(description="The one that was run before the others, where that was asked for")


class Rejection(BaseModel):
    """A request that was refused before it became a transfer; never its content."""

    at: Moment
    status: int
    error: Annotated[str, one_of(Slug)]
    reason: str
    address: str | None = Field(description="The caller's", examples=["203.0.113.7"])


class Rejections(BaseModel):
    """Newest first."""

    items: list[Rejection]
    next: str | None = Field(description="The `cursor` of the next page; null = there is none", examples=["1041"])


class Phase(BaseModel):
    """Of the process; it answers at all."""

    status: Literal["ok", "starting"]


class Catalog(BaseModel):
    """Every documented error."""

    errors: list[Entry]
