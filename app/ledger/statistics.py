"""What the monitoring pages count; nothing in here changes anything, and every query is bounded."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Final

from sqlalchemy import Integer, cast, distinct, func, select

from app.ledger.gates import still_to_enter
from app.ledger.grouping import alike
from app.ledger.reports import LISTED, is_of, where
from app.ledger.stored import Stored
from app.ledger.tables import attempts, is_oldest, is_open, sync_items, syncs, transfers
from app.outbound.noting import CANCELLED, METERED, load

if TYPE_CHECKING:
    from collections.abc import Collection

    from sqlalchemy import ColumnElement, RowMapping, Subquery

    from app.ledger.reports import Filter
    from app.ledger.session import Session
    from app.outbound.noting import Call

FAILURES_GROUPED: Final = 100_000  # the newest; an hour of a broken key must not slow down the page about it
TREND_PARTS: Final = 24
_NEWEST = 10_000
_RECENT = 100


@dataclass(frozen=True, slots=True)
class OldestOpen:
    """The transfer that has waited longest, and how many have not ended."""

    id: str
    created_at: float
    total: int


@dataclass(slots=True)
class Backlog:
    """Of one scope: how many by status, and when the oldest that is a transfer was received; None = none is."""

    totals: dict[str, int]
    oldest_at: float | None = None


@dataclass(frozen=True, slots=True)
class FailureGroup:
    """Transfers that failed alike: how many, of how many customers, and when the first and the last did."""

    newest: Stored
    total: int
    customers: int
    first_at: float
    last_at: float
    trend: tuple[int, ...] = ()
    """How many of them were received in each part of the time that was asked for."""

    @property
    def message(self) -> str:
        """What all of them say."""
        return alike(self.newest.error, self.newest.reason)


def is_empty(session: Session) -> bool:
    """Whether no transfer is stored."""
    return session.execute(select(transfers.c.seq).limit(1)).first() is None


def oldest_open(session: Session, connection: str = "") -> OldestOpen | None:
    """Of one connection, or of all. None = every transfer has ended."""
    mine = (is_open, is_of(transfers.c.connection, connection)) if connection else (is_open,)
    total = session.execute(select(func.count()).select_from(transfers).where(*mine)).scalar_one()
    if not total:
        return None
    among = mine if connection else (is_oldest(),)
    oldest = select(transfers.c.id, transfers.c.created_at).where(*among).order_by(transfers.c.created_at)
    row = session.execute(oldest.limit(1)).one_or_none()
    return OldestOpen(row.id, row.created_at, total) if row else None


def backlog(session: Session, scopes: Collection[str]) -> dict[str, Backlog]:
    """What has not ended of each of these scopes; `entering`: of syncs, still to become transfers."""
    found = {scope: Backlog({}) for scope in scopes}
    columns = transfers.c
    counted = (
        select(columns.connection, columns.status, func.count(), func.min(columns.created_at))
        .where(is_open, columns.connection.in_(scopes))
        .group_by(columns.connection, columns.status)
    )
    for scope, status, total, oldest_at in session.execute(counted):
        mine = found[scope]
        mine.totals[status] = total
        mine.oldest_at = min(oldest_at, oldest_at if mine.oldest_at is None else mine.oldest_at)
    for scope, total in still_to_enter(session).items():
        if scope in found:
            found[scope].totals["entering"] = total
    return found


def last_webhook(session: Session, connection: str = "") -> float | None:
    """When the last notification came, if it is among the newest transfers, of one connection or of all."""
    newest = select(func.max(transfers.c.seq)).scalar_subquery()
    statement = (
        select(transfers.c.created_at)
        .where(transfers.c.seq > newest - _NEWEST, transfers.c.trigger == "webhook")
        .order_by(transfers.c.seq.desc())
        .limit(1)
    )
    if connection:
        statement = statement.where(is_of(transfers.c.connection, connection))
    return session.execute(statement).scalar()


def last_answer(session: Session, connection: str = "") -> Call | None:
    """The newest call to Stamped.io, of whatever kind. None = there is none in the newest attempts."""
    called = (attempts.c.calls != "[]",)
    newest = select(attempts).where(*called).order_by(attempts.c.finished_at.desc())
    if connection:
        lately = newest.limit(_NEWEST).subquery()
        whose = select(transfers.c.connection).where(transfers.c.seq == lately.c.transfer_seq).scalar_subquery()
        newest = select(lately).where(is_of(whose, connection)).order_by(lately.c.finished_at.desc())
    recent = newest.limit(_RECENT).subquery()
    made = chain.from_iterable(load(calls) for calls in session.execute(select(recent.c.calls)).scalars())
    answers = [call for call in made if call.system == METERED and call.outcome != CANCELLED]
    return max(answers, key=lambda call: call.started_at + call.seconds, default=None)


def failed_groups(session: Session, wanted: Filter, limit: int) -> list[FailureGroup]:
    """Failed ones that are alike, the most frequent first; `wanted` has both ends."""
    columns = transfers.c
    failed = _failed(session, wanted)
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
    trends = _trends(session, wanted)
    return [
        FailureGroup(
            Stored.of({name: row[name] for name in own}),
            row["total"],
            row["customers"],
            row["first_at"],
            row["last_at"],
            tuple(trends[row["failure_group"]]),
        )
        for row in rows
    ]


def _failed(session: Session, wanted: Filter) -> Subquery:
    columns = transfers.c
    names = ("failure_group", "seq", "created_at", "finished_at", "connection", "customer_id")
    return (
        select(*(columns[name] for name in names))
        .where(*where(session, wanted), columns.failure_group.is_not(None))
        .order_by(columns.seq.desc())
        .limit(FAILURES_GROUPED)
        .subquery()
    )


def _trends(session: Session, wanted: Filter) -> dict[str, list[int]]:
    """By group: how many were received in each part of this time."""
    since, until = wanted.since or 0.0, wanted.until or 0.0
    failed, seconds = _failed(session, wanted), max(math.ceil((until - since) / TREND_PARTS), 1)
    part = cast(failed.c.created_at - since, Integer) // seconds  # whole numbers: both databases cut alike
    found: dict[str, list[int]] = {}
    for group, number, total in session.execute(
        select(failed.c.failure_group, part, func.count()).group_by(failed.c.failure_group, part)
    ):
        found.setdefault(group, [0] * TREND_PARTS)[min(max(number, 0), TREND_PARTS - 1)] += total
    return found


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
