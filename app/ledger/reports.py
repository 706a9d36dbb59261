"""What can be read of the ledger; nothing in here changes anything."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, exists, func, literal_column, select

from app.ledger import scene
from app.ledger.stored import Stored, older
from app.ledger.tables import (
    FINAL,
    RUNNING,
    attempts,
    is_open,
    is_pending,
    is_sandboxed,
    rejections,
    sync_blocks,
    sync_items,
    syncs,
    transfers,
)

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Connection, RowMapping

LIST_LIMIT = 200
_ALIKE = 50  # so many of a connection agree on the destination, before it is taken for everybody's
_MOST_RECORDS = 100  # of one customer, to find the newest of


@dataclass(frozen=True, slots=True)
class Filter:
    """Which transfers; None = any.

    `since` (included) and `until` (not) in seconds since 1970; `cursor`: only those before this one.
    """

    status: str | None = None
    customer_id: str | None = None
    error: str | None = None
    reason: str | None = None
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
            columns.reason: self.reason,
            columns.tracking_guid: self.tracking_guid,
            columns.email_hash: self.email_hash,
        }
        clauses = [column == value for column, value in equal.items() if value is not None]
        if self.since is not None:
            clauses.append(columns.created_at >= self.since)
        if self.until is not None:
            clauses.append(columns.created_at < self.until)
        if self.sync_id is not None:
            items = select(sync_items.c.transfer_seq).where(sync_items.c.sync_id == self.sync_id)
            clauses.append(columns.seq.in_(items))
        if self.cursor is not None:
            clauses.append(columns.seq < self.cursor)
        return clauses


def by_seq(connection: Connection, seq: int) -> Stored:
    """One transfer that exists."""
    row = scene.by_seq(connection, seq)
    if row is None:
        raise LookupError(seq)
    return Stored.of(row)


def by_id(connection: Connection, transfer_id: str) -> Stored | None:
    """One transfer by its public id."""
    row = connection.execute(select(transfers).where(transfers.c.id == transfer_id)).mappings().one_or_none()
    return Stored.of(row) if row else None


def listed(connection: Connection, wanted: Filter, limit: int) -> list[Stored]:
    """Newest first."""
    statement = select(transfers).where(*wanted.clauses()).order_by(transfers.c.seq.desc()).limit(limit)
    return [Stored.of(row) for row in connection.execute(statement).mappings()]


def seqs(connection: Connection, wanted: Filter) -> list[int]:
    """All of them, oldest first, so that the newest of a customer is entered last and supersedes the others."""
    statement = select(transfers.c.seq).where(*wanted.clauses()).order_by(transfers.c.seq)
    return list(connection.execute(statement).scalars())


def count(connection: Connection, wanted: Filter) -> int:
    """How many there are."""
    return connection.execute(select(func.count()).select_from(transfers).where(*wanted.clauses())).scalar_one()


def attempts_of(connection: Connection, seq: int) -> list[RowMapping]:
    """Its attempts, in order."""
    statement = select(attempts).where(attempts.c.transfer_seq == seq).order_by(attempts.c.number)
    return list(connection.execute(statement).mappings())


def last_record(connection: Connection, name: str, customer_id: str | None) -> str | None:
    """The newest record that was received of a customer (JSON), by its own date, else by the order of receipt."""
    received = (
        select(transfers.c.seq, transfers.c.changed_at)
        .where(_of_customer(name, customer_id), transfers.c.record.is_not(None))
        .order_by(transfers.c.seq.desc())
        .limit(_MOST_RECORDS)
    )
    newest: Any = None
    for row in reversed(connection.execute(received).all()):
        if newest is None or not older(row.changed_at, row.seq, newest.changed_at, newest.seq):
            newest = row
    return by_seq(connection, newest.seq).record if newest is not None else None


def last_destination(connection: Connection, name: str, customer_id: str | None) -> str | None:
    """A customer's last known destination, else that of the connection, where all went to the same one lately."""
    mine = _destination(connection, _of_customer(name, customer_id))
    return mine or _destination(connection, transfers.c.connection == name, alike=_ALIKE)


def _of_customer(name: str, customer_id: str | None) -> ColumnElement[bool]:
    return and_(transfers.c.connection == name, transfers.c.customer_id == customer_id)


def _destination(connection: Connection, whose: ColumnElement[bool], alike: int = 1) -> str | None:
    """The last one that is known, if so many before it are the same."""
    known = select(transfers.c.destination).where(whose, transfers.c.destination.is_not(None))
    found = set(connection.execute(known.order_by(transfers.c.seq.desc()).limit(alike)).scalars())
    return found.pop() if len(found) == 1 else None


def due(connection: Connection, now: float, limit: int, *, sandbox: bool = False) -> list[int]:
    """Pending transfers whose time has come and whose customer has none running, oldest first.

    Those of a real store, or those of a sandbox: neither is ever sent to the other.
    """
    other = transfers.alias()
    blocked = exists().where(
        other.c.connection == transfers.c.connection,
        other.c.customer_id == transfers.c.customer_id,
        other.c.status == literal_column(f"'{RUNNING}'"),
    )
    statement = (
        select(transfers.c.seq)
        .where(
            is_pending, transfers.c.next_attempt_at <= now, ~blocked, is_sandboxed if sandbox else ~is_sandboxed
        )
        .order_by(transfers.c.seq)
        .limit(limit)
    )
    return list(connection.execute(statement).scalars())


def oldest_open(connection: Connection) -> float | None:
    """When the oldest transfer that has not ended was received."""
    statement = select(func.min(transfers.c.created_at)).where(is_open)
    return connection.execute(statement).scalar()


def sync_counts(connection: Connection, sync_id: str) -> dict[str, Any] | None:
    """How far a sync got. None = there is none with this id."""
    sync = connection.execute(select(syncs).where(syncs.c.id == sync_id)).mappings().one_or_none()
    if sync is None:
        return None
    statement = (
        select(transfers.c.status, func.count())
        .join(sync_items, sync_items.c.transfer_seq == transfers.c.seq)
        .where(sync_items.c.sync_id == sync_id)
        .group_by(transfers.c.status)
    )
    by_status: dict[str, int] = {status: count for status, count in connection.execute(statement)}  # noqa: C416 - rows are no pairs to mypy
    final = {status: by_status.get(status, 0) for status in FINAL}
    unentered = select(func.coalesce(func.sum(sync_blocks.c.size), 0)).where(sync_blocks.c.sync_id == sync_id)
    todo = int(connection.execute(unentered).scalar_one())
    entered = sum(by_status.values())
    remaining = entered - sum(final.values()) + todo
    if sync["cancelled_at"] is not None:  # what was never entered counts as cancelled, too
        final["cancelled"] += sync["total"] - entered
    shown = {name: sync[name] for name in ("id", "kind", "created_at", "cancelled_at", "total")}
    return shown | final | {"remaining": remaining}


def rejected(connection: Connection, limit: int) -> list[RowMapping]:
    """Requests that never became transfers, newest first."""
    statement = select(rejections).order_by(rejections.c.seq.desc()).limit(limit)
    return list(connection.execute(statement).mappings())
