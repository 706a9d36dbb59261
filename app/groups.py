"""Failures that are alike, as they are told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Self

from pydantic import BaseModel, Field

from app.error_catalog import CATALOG, Slug
from app.ledger import statistics
from app.times import Moment

if TYPE_CHECKING:
    from app.ledger.reports import Filter
    from app.ledger.session import Session
    from app.ledger.statistics import FailureGroup

MOST_GROUPS: Final = 200


class ErrorGroup(BaseModel):
    """Failed transfers that differ in what varies only: ids, numbers, times, e-mails, names, quotes."""

    group: str = Field(description="For `GET /transfers` and `POST /transfers/retry`", examples=["088c64560262"])
    error: Slug
    title: str
    stamped_status: int | None = Field(description="Null: Stamped.io did not answer, or was not asked")
    message: str = Field(description="What all of them say, `…` for what varies")
    example: str = Field(description="The newest message as it is")
    count: int
    customers: int
    first_seen: Moment = Field(description="When the first of them failed")
    last_seen: Moment
    transfer_id: str = Field(description="The newest")

    @classmethod
    def of(cls, found: FailureGroup) -> Self:
        """As the ledger counted it."""
        newest = found.newest
        error = Slug(newest.error or Slug.INTERNAL_ERROR)
        times: dict[str, Any] = {"first_seen": found.first_at, "last_seen": found.last_at}
        return cls(
            **times,
            group=newest.failure_group or "",
            error=error,
            title=CATALOG[error].title,
            stamped_status=newest.stamped_status,
            message=found.message,
            example=newest.reason or "",
            count=found.total,
            customers=found.customers,
            transfer_id=newest.id,
        )


class ErrorGroups(BaseModel):
    """At most 200, the most frequent first; of transfers received from `since` to before `until`."""

    since: Moment
    until: Moment
    items: list[ErrorGroup]

    @classmethod
    def read(cls, session: Session, wanted: Filter) -> Self:
        """From the ledger."""
        found = statistics.failed_groups(session, wanted, MOST_GROUPS)
        bounds: dict[str, Any] = {"since": wanted.since, "until": wanted.until}
        return cls(**bounds, items=[ErrorGroup.of(each) for each in found])
