"""What the monitoring pages count; nothing in here changes anything, and every query is bounded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import distinct, func, literal, select, true, union_all

from app.ledger.grouping import alike
from app.ledger.reports import LISTED, NO_SEQ, seq_since
from app.ledger.stored import Stored, load_failure
from app.ledger.tables import FINAL, OPEN, attempts, is_oldest, is_open, sync_items, syncs, transfers

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, RowMapping

    from app.attempt import Failure
    from app.ledger.reports import Filter
    from app.ledger.session import Session

HOUR: Final = 3600
FAILURES_GROUPED: Final = 100_000  # the newest; an hour of a broken key must not slow down the page about it
_NEWEST = 10_000
_RECENT = 100


@dataclass(frozen=True, slots=True)
class LastAnswer:
    """What Stamped.io said last: `failure` None = what was asked for was done."""

    at: float
    failure: Failure | None


@dataclass(frozen=True, slots=True)
class OldestOpen:
    """The transfer that has waited longest, and how many have not ended."""

    id: str
    created_at: float
    total: int


@dataclass(frozen=True, slots=True)
class FailureGroup:
    """Transfers that failed alike: how many, of how many customers, and when the first and the last did."""

    newest: Stored
    total: int
    customers: int
    first_at: float
    last_at: float

    @property
    def message(self) -> str:
        """What all of them say."""
        return alike(self.newest.error, self.newest.reason)


def per_hour(session: Session, first_hour: int, hours: int) -> dict[tuple[int, str], int]:
    """How many transfers were received, by hour (its begin, seconds since 1970) and status.

    Hours are turned into places in the order of receipt first: the index on status and place then counts without
    looking at a single row.
    """
    begins = [first_hour + number * HOUR for number in range(hours)]
    places = session.execute(select(*(seq_since(begin) for begin in begins))).one()
    ends = [*places[1:], None]
    spans = [
        (begin, place, NO_SEQ if end is None else end)
        for begin, place, end in zip(begins, places, ends, strict=True)
        if place is not None
    ]
    if not spans:
        return {}
    span = union_all(*(_row(begin=begin, place=place, end=end) for begin, place, end in spans)).cte("span")
    kind = union_all(*(_row(status=status) for status in (*OPEN, *FINAL))).cte("kind")
    total = (
        select(func.count())
        .where(
            transfers.c.status == kind.c.status,
            transfers.c.seq >= span.c.place,
            transfers.c.seq < span.c.end,
        )
        .correlate(span, kind)
        .scalar_subquery()
    )
    counted = session.execute(select(span.c.begin, kind.c.status, total).select_from(span.join(kind, true())))
    return {(begin, status): number for begin, status, number in counted if number}


def is_empty(session: Session) -> bool:
    """Whether no transfer is stored."""
    return session.execute(select(transfers.c.seq).limit(1)).first() is None


def oldest_open(session: Session) -> OldestOpen | None:
    """None = every transfer has ended."""
    total = session.execute(select(func.count()).select_from(transfers).where(is_open)).scalar_one()
    if not total:
        return None
    oldest = select(transfers.c.id, transfers.c.created_at).where(is_oldest()).order_by(transfers.c.created_at)
    row = session.execute(oldest.limit(1)).one_or_none()
    return OldestOpen(row.id, row.created_at, total) if row else None


def last_webhook(session: Session) -> float | None:
    """When the last notification came, if it is among the newest transfers."""
    newest = select(func.max(transfers.c.seq)).scalar_subquery()
    statement = (
        select(transfers.c.created_at)
        .where(transfers.c.seq > newest - _NEWEST, transfers.c.trigger == "webhook")
        .order_by(transfers.c.seq.desc())
        .limit(1)
    )
    return session.execute(statement).scalar()


def last_answer(session: Session) -> LastAnswer | None:
    """By the newest attempts in which Stamped.io was asked. None = there is none among them."""
    finished = (transfers.c.record.is_not(None), transfers.c.finished_at.is_not(None))
    by_receipt = select(transfers.c.seq).order_by(transfers.c.seq.desc()).limit(_RECENT).subquery()
    by_end = (
        select(transfers.c.seq).where(*finished).order_by(transfers.c.finished_at.desc()).limit(_RECENT).subquery()
    )
    recent = union_all(select(by_receipt.c.seq), select(by_end.c.seq)).subquery()
    statement = (
        select(attempts.c.finished_at, attempts.c.outcome, attempts.c.failure)
        .where(attempts.c.transfer_seq.in_(select(recent.c.seq)))
        .order_by(attempts.c.finished_at.desc(), attempts.c.transfer_seq.desc())
        .limit(_RECENT)
    )
    for row in session.execute(statement):
        failure = load_failure(row.failure)
        if row.outcome == "succeeded" or (failure is not None and failure.stamped.operation is not None):
            return LastAnswer(row.finished_at, failure)
    return None


def failed_groups(session: Session, wanted: Filter, limit: int) -> list[FailureGroup]:
    """Failed ones that are alike, the most frequent first."""
    columns = transfers.c
    failed = (
        select(columns.failure_group, columns.seq, columns.finished_at, columns.connection, columns.customer_id)
        .where(*wanted.clauses(), columns.failure_group.is_not(None))
        .order_by(columns.seq.desc())
        .limit(FAILURES_GROUPED)
        .subquery()
    )
    found = (
        select(
            func.count().label("total"),
            func.count(distinct(failed.c.connection + " " + failed.c.customer_id)).label("customers"),
            func.min(failed.c.finished_at).label("first_at"),
            func.max(failed.c.finished_at).label("last_at"),
            func.max(failed.c.seq).label("newest"),
        )
        .group_by(failed.c.failure_group)
        .order_by(func.count().desc(), func.max(failed.c.seq).desc())
        .limit(limit)
        .subquery()
    )
    statement = select(*LISTED, found).select_from(transfers).join(found, found.c.newest == columns.seq)
    rows = session.execute(statement.order_by(found.c.total.desc(), found.c.newest.desc())).mappings()
    own = [column.name for column in transfers.columns]
    return [
        FailureGroup(
            Stored.of({name: row[name] for name in own}),
            *(row[name] for name in ("total", "customers", "first_at", "last_at")),
        )
        for row in rows
    ]


def recent_syncs(session: Session, limit: int) -> list[RowMapping]:
    """Newest first; their ids are sorted by time."""
    return list(session.execute(select(syncs).order_by(syncs.c.id.desc()).limit(limit)).mappings())


def sync_transfers(
    session: Session, sync_id: str, status: str | None, after: int | None, limit: int
) -> list[Stored]:
    """The transfers of a sync in the order in which they were entered; `after` this seq."""
    clauses: list[ColumnElement[bool]] = [sync_items.c.sync_id == sync_id]
    if status is not None:
        clauses.append(transfers.c.status == status)
    if after is not None:
        clauses.append(sync_items.c.transfer_seq > after)
    statement = (
        select(*LISTED)
        .join(sync_items, sync_items.c.transfer_seq == transfers.c.seq)
        .where(*clauses)
        .order_by(sync_items.c.transfer_seq)
        .limit(limit)
    )
    return [Stored.of(row) for row in session.execute(statement).mappings()]


def _row(**values: float | str) -> Any:
    return select(*(literal(value).label(name) for name, value in values.items()))
