"""The shapes of answers as OpenAPI shows them; what builds the answers is in `answers` and `problems`."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, Field

from app.attempt import Action, Subscription
from app.catalog import Slug
from app.ledger.stored import Status, Trigger

CheckStatus = Literal["ok", "warn", "fail"]


class StampedAnswerShape(BaseModel):
    """What Stamped.io said; all null when it was not asked."""

    operation: str | None
    status: int | None
    message: str | None


class _Fields(BaseModel):
    transfer_id: str
    tracking_guid: str
    customer_id: str | None
    action: Action | None
    external_id: str | None = Field(description="The customer's id at Stamped.io")
    subscription: Subscription | None
    reason: str | None


class Result(_Fields):
    """What became of one notification."""

    status: Literal["succeeded", "skipped", "accepted", "failed"]


class Results(BaseModel):
    """The results, in the order of the notifications."""

    results: list[Result]


class Fault(BaseModel):
    """One thing that is wrong with a body or a query."""

    pointer: str = Field(description="JSON pointer (RFC 6901)")
    detail: str


class Problem(BaseModel):
    """RFC 9457. The members after `resolution` are there for transfers only; `errors` for a wrong shape."""

    type: str
    title: str
    status: int
    detail: str
    description: str
    resolution: str
    instance: str | None = None
    retryable: bool | None = None
    tracking_guid: str | None = None
    customer_id: str | None = None
    external_id: str | None = None
    stamped: StampedAnswerShape | None = None
    errors: list[Fault] | None = None
    results: list[Result] | None = None


class _Transfer(_Fields):
    status: Status
    scope: str
    trigger: Trigger = Field(
        description="webhook; manual: sent by hand; sync: one of many; verify: after a call without an answer"
    )
    attempts_made: int
    next_attempt_at: datetime | None = Field(description="While it waits for its next try")
    superseded_by: str | None = Field(description="The transfer that made it needless")
    created_at: datetime
    finished_at: datetime | None


class TransferItem(_Transfer):
    """A transfer in a list."""

    error: Slug | None


class TransferPage(BaseModel):
    """Transfers, newest first."""

    items: list[TransferItem]
    next: str | None = Field(description="The `cursor` of the next page; null = there is none")


class Attempt(BaseModel):
    """One attempt; `steps` has the seconds of each of its steps."""

    started_at: datetime
    finished_at: datetime
    outcome: str
    error: Slug | None
    detail: str | None
    stamped: StampedAnswerShape | None
    steps: dict[str, float]


class Transfer(_Transfer):
    """Everything about one transfer."""

    destination: str | None = Field(description="iPaaS.com's subscription id")
    promised: bool = Field(description="A 202 was given: the service itself tries again")
    attempts: list[Attempt]
    error: Problem | None
    record: dict[str, Any] | None = Field(description="Null once it is deleted, or before it is fetched")
    record_hash: str | None


class SyncStarted(BaseModel):
    """A sync that runs in the background."""

    sync_id: str


class RetryCount(BaseModel):
    """What a dry run found."""

    dry_run: Literal[True]
    total: int


class SyncCounts(BaseModel):
    """How far a sync got; `remaining` 0 = it has ended."""

    sync_id: str
    kind: Literal["customers", "retry"]
    created_at: datetime
    cancelled_at: datetime | None
    total: int
    succeeded: int
    skipped: int
    failed: int
    cancelled: int
    remaining: int


class Rejection(BaseModel):
    """A request that was refused before it became a transfer; never its content."""

    at: datetime
    status: int
    error: Slug
    reason: str
    address: str | None = Field(description="The caller's")


class Rejections(BaseModel):
    """The newest 200, newest first."""

    items: list[Rejection]


class Check(BaseModel):
    """One thing that was looked at; `hint` says what to do about it."""

    name: Literal["engine", "stamped", "database", "oldest_waiting"]
    status: CheckStatus
    hint: str | None = None
    running: int | None = Field(None, description="engine: transfers under way in this replica")
    seconds: int | None = Field(None, description="oldest_waiting: its age")


class Readiness(BaseModel):
    """`warn` is no reason to restart: it says what a person should look at."""

    status: CheckStatus
    checks: list[Check]


class Liveness(BaseModel):
    """The process answers."""

    status: Literal["ok"]


class Startup(BaseModel):
    """Whether the start is over."""

    status: Literal["ok", "starting"]


class CatalogEntry(BaseModel):
    """One documented error."""

    slug: Slug
    type: str
    title: str
    statuses: list[int]
    sentence: str = Field(description="What every `detail` of it begins with")
    message: str
    description: str
    resolution: str


class Catalog(BaseModel):
    """Every documented error."""

    errors: list[CatalogEntry]
