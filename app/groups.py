"""Failures that are alike, as they are told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

from pydantic import BaseModel, Field

from app.error_catalog import CATALOG, Slug
from app.ledger import acknowledgements, statistics
from app.ledger.grouping import Tag, tag_of
from app.times import Moment

if TYPE_CHECKING:
    from app.ledger.acknowledgements import Acknowledgement
    from app.ledger.reports import Filter
    from app.ledger.session import Session
    from app.ledger.statistics import FailureGroup

MOST_GROUPS: Final = 200
MOST_READ: Final = 500  # of which those of one tag are chosen


@dataclass(frozen=True, slots=True)
class Issue:
    """A group of failures, what mends them, and whether somebody has taken note of it."""

    group: FailureGroup
    tag: Tag
    noted: Acknowledgement | None

    @property
    def id(self) -> str:
        """Names it."""
        return self.group.newest.failure_group or ""

    @property
    def is_back(self) -> bool:
        """Somebody took note of it, and it has failed since."""
        return self.noted is not None and bool(self.noted.back)

    @property
    def is_quiet(self) -> bool:
        """Somebody took note of it, and it has not."""
        return self.noted is not None and not self.noted.back

    @property
    def message(self) -> str:
        """The newest one's, without the sentence that is documented for its error."""
        newest = self.group.newest
        sentence = CATALOG[Slug(newest.error)].sentence if newest.error in set(Slug) else ""
        return (newest.reason or "").removeprefix(sentence).strip() or sentence


def issues(session: Session, wanted: Filter, tag: Tag | None = None) -> list[Issue]:
    """The most frequent first, what somebody has taken note of last; `wanted` has both ends."""
    noted = acknowledgements.read(session, wanted)
    found = [
        Issue(group, tag_of(group.newest.documented_failure()), noted.get(group.newest.failure_group or ""))
        for group in statistics.failed_groups(session, wanted, MOST_READ)
    ]
    return sorted((each for each in found if tag in {None, each.tag}), key=lambda each: each.is_quiet)


class Noted(BaseModel):
    """Who took note of a group, and when."""

    at: Moment
    who: str = Field(description="The name of the key", examples=["ada"])

    @classmethod
    def of(cls, found: Acknowledgement) -> Self:
        """From the ledger."""
        return cls.model_validate(found, from_attributes=True)


class CameBack(BaseModel):
    """What failed alike after somebody had taken note."""

    since: Moment
    count: int

    @classmethod
    def of(cls, found: Acknowledgement) -> Self:
        """From the ledger."""
        return cls.model_validate({"since": found.back_at, "count": found.back})


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
    tag: Tag = Field(description="What mends it: keys, other data, or it passes by itself")
    trend: list[int] = Field(description="How many were received in each part of the time, oldest first")
    acknowledged: Noted | None = Field(description="Somebody has taken note of it")
    came_back: CameBack | None = Field(description="It was acknowledged, and has failed since")

    @classmethod
    def of(cls, issue: Issue) -> Self:
        """As the ledger counted it."""
        found, noted = issue.group, issue.noted
        newest = found.newest
        error = Slug(newest.error or Slug.INTERNAL_ERROR)
        times: dict[str, Any] = {"first_seen": found.first_at, "last_seen": found.last_at}
        return cls(
            **times,
            tag=issue.tag,
            trend=list(found.trend),
            acknowledged=Noted.of(noted) if noted else None,
            came_back=CameBack.of(noted) if issue.is_back and noted else None,
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
    """At most 200, the most frequent first, acknowledged ones last; received from `since` to before `until`."""

    since: Moment
    until: Moment
    items: list[ErrorGroup]

    @classmethod
    def read(cls, session: Session, wanted: Filter, tag: Tag | None) -> Self:
        """From the ledger."""
        found = issues(session, wanted, tag)[:MOST_GROUPS]
        bounds: dict[str, Any] = {"since": wanted.since, "until": wanted.until}
        return cls(**bounds, items=[ErrorGroup.of(each) for each in found])


class Acknowledged(BaseModel):
    """Whether somebody has taken note of a group of failures."""

    group: str = Field(examples=["088c64560262"])
    acknowledged: Noted | None
