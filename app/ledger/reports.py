"""What can be read of the ledger; nothing in here changes anything."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import func, null, select

from app.connections import scopes_of
from app.ledger import customers, rows, trail
from app.ledger.stored import Attempt, Stored
from app.ledger.tables import (
    FINAL,
    attempts,
    on_any_day,
    rejections,
    sync_blocks,
    sync_items,
    syncs,
    transfers,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import ColumnElement, RowMapping, ScalarSelect

    from app.ledger.session import Session
    from app.ledger.trail import Deed

LIST_LIMIT = 200
NO_SEQ = 2**62  # a number that nothing ever has
LISTED: Final = [null().label(each.name) if each.name == "record" else each for each in transfers.c]
_ALIKE = 50  # so many of a connection agree on the destination, before it is taken for everybody's


def seq_since(moment: float) -> ScalarSelect[int]:
    """The number of the first transfer received from then on."""
    first = select(transfers.c.seq).where(transfers.c.created_at >= moment)
    return first.order_by(transfers.c.created_at, transfers.c.seq).limit(1).scalar_subquery()


@dataclass(frozen=True, slots=True)
class Filter:
    """Which transfers; None = any.

    `since` (included) and `until` (not) in seconds since 1970; `cursor`: only those before this one.
    """

    status: str | None = None
    customer_id: str | None = None
    error: str | None = None
    stamped_status: int | None = None
    group: str | None = None
    connection: str | None = None
    since: float | None = None
    until: float | None = None
    tracking_guid: str | None = None
    email_hash: str | None = None
    sync_id: str | None = None
    cursor: int | None = None

    def clauses(self) -> list[ColumnElement[bool]]:
        """For a WHERE."""
        columns = transfers.c
        equal = {
            columns.status: self.status,
            columns.customer_id: self.customer_id,
            columns.error: self.error,
            columns.stamped_status: self.stamped_status,
            columns.failure_group: self.group,
            columns.tracking_guid: self.tracking_guid,
            columns.email_hash: self.email_hash,
        }
        clauses = [column == value for column, value in equal.items() if value is not None]
        if self.connection is not None:
            begin = scopes_of(self.connection)  # not by LIKE, which knows no case on SQLite
            clauses.append(func.substr(columns.connection, 1, len(begin)) == begin)
        if self.tracking_guid is not None or self.email_hash is not None:
            clauses.append(on_any_day())
        if self.since is not None:
            clauses.append(columns.created_at >= self.since)
        if self.until is not None:
            clauses.append(columns.created_at < self.until)
            clauses.append(columns.seq < func.coalesce(seq_since(self.until), NO_SEQ))  # begins there, not before
        if self.sync_id is not None:
            items = select(sync_items.c.transfer_seq).where(sync_items.c.sync_id == self.sync_id)
            clauses.append(columns.seq.in_(items))
        if self.cursor is not None:
            clauses.append(columns.seq < self.cursor)
        return clauses


def by_seq(session: Session, seq: int) -> Stored:
    """One transfer that exists."""
    return rows.by_seq(session, seq)


def by_id(session: Session, transfer_id: str) -> Stored | None:
    """One transfer by its public id."""
    return rows.by_id(session, transfer_id)


def listed(session: Session, wanted: Filter, limit: int) -> list[Stored]:
    """Newest first, without their records, which may be large and which no list shows."""
    statement = select(*LISTED).where(*wanted.clauses()).order_by(transfers.c.seq.desc()).limit(limit)
    return [Stored.of(row) for row in session.execute(statement).mappings()]


def seqs(session: Session, wanted: Filter) -> list[int]:
    """All of them, oldest first, so that the newest of a customer is entered last and supersedes the others."""
    statement = select(transfers.c.seq).where(*wanted.clauses()).order_by(transfers.c.seq)
    return list(session.execute(statement).scalars())


def count(session: Session, wanted: Filter) -> int:
    """How many there are."""
    found: int = session.execute(select(func.count()).select_from(transfers).where(*wanted.clauses())).scalar_one()
    return found


def attempts_of(session: Session, seq: int) -> list[Attempt]:
    """Its attempts, in order."""
    statement = select(attempts).where(attempts.c.transfer_seq == seq).order_by(attempts.c.number)
    return [Attempt.of(row) for row in session.execute(statement).mappings()]


def story_of(session: Session, seq: int) -> tuple[list[Attempt], list[Deed]]:
    """Its attempts, and what people did to it."""
    return attempts_of(session, seq), trail.of_transfer(session, seq)


def wanted_record(session: Session, name: str, customer_id: str | None) -> str | None:
    """The newest record that was received of a customer (JSON); None = none, or it has been deleted."""
    customer = customers.look(session, name, customer_id)
    return rows.record_of(session, customer.wanted.id) if customer else None


def tried_records(session: Session, doubtful: Sequence[str]) -> list[str]:
    """The records (JSON) of what is doubtful about a customer, the last one first."""
    found = (each if each.startswith("{") else rows.record_of(session, each) for each in reversed(doubtful))
    return [record for record in found if record is not None]


def common_destination(session: Session, name: str) -> str | None:
    """The destination of a connection, where all of its transfers went to the same one lately."""
    known = select(transfers.c.destination).where(
        transfers.c.connection == name, transfers.c.destination.is_not(None)
    )
    found = set(session.execute(known.order_by(transfers.c.seq.desc()).limit(_ALIKE)).scalars())
    return found.pop() if len(found) == 1 else None


def sync_counts(session: Session, sync_id: str) -> dict[str, Any] | None:
    """How far a sync got. None = there is none with this id."""
    sync = session.execute(select(syncs).where(syncs.c.id == sync_id)).mappings().one_or_none()
    if sync is None:
        return None
    statement = (
        select(transfers.c.status, func.count())
        .join(sync_items, sync_items.c.transfer_seq == transfers.c.seq)
        .where(sync_items.c.sync_id == sync_id)
        .group_by(transfers.c.status)
    )
    by_status: dict[str, int] = {status: count for status, count in session.execute(statement)}  # noqa: C416 - rows are no pairs to mypy
    final = {status: by_status.get(status, 0) for status in FINAL}
    unentered = select(func.coalesce(func.sum(sync_blocks.c.size), 0)).where(sync_blocks.c.sync_id == sync_id)
    todo = int(session.execute(unentered).scalar_one())
    entered = sum(by_status.values())
    remaining = entered - sum(final.values()) + todo
    if sync["cancelled_at"] is not None:  # what was never entered counts as cancelled, too
        final["cancelled"] += sync["total"] - entered
    shown = {name: sync[name] for name in ("kind", "created_at", "cancelled_at", "total")}
    return {"sync_id": sync["id"]} | shown | final | {"remaining": remaining}


def rejected(session: Session, limit: int) -> list[RowMapping]:
    """Requests that never became transfers, newest first."""
    statement = select(rejections).order_by(rejections.c.seq.desc()).limit(limit)
    return list(session.execute(statement).mappings())
