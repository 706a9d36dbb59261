"""What can be read of the ledger; nothing in here changes anything."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import false, func, null, select

from app.connections import scopes_of
from app.ledger import customers, rows, trail
from app.ledger.messages import groups_that_say
from app.ledger.stored import Attempt, Stored
from app.ledger.tables import (
    FINAL,
    attempts,
    each_value,
    is_listed,
    on_any_day,
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
_DISORDER_SECONDS = 300.0  # so much may the order of receipt differ from that of times, by replicas' clocks
LISTED: Final = [null().label(each.name) if each.name == "record" else each for each in transfers.c]
_ALIKE = 50  # so many of a connection agree on the destination, before it is taken for everybody's


def seq_since(moment: float) -> ScalarSelect[int]:
    """The number of the first transfer received from then on."""
    first = select(transfers.c.seq).where(transfers.c.created_at >= moment)
    return first.order_by(transfers.c.created_at, transfers.c.seq).limit(1).scalar_subquery()


@dataclass(frozen=True, slots=True)
class Filter:
    """Which transfers; None = any.

    `since` (included) and `until` (not) in seconds since 1970; `cursor`: only those before this one; `among`: of
    these statuses; `words`: of groups whose newest message has them all.
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
    transfer_ids: Sequence[str] | None = None
    among: Sequence[str] | None = None
    words: str | None = None
    cursor: int | None = None

    def clauses(self, scopes: Sequence[str] | None = None) -> list[ColumnElement[bool]]:
        """For a WHERE. `scopes`: all of its connection."""
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
        if scopes is not None:
            clauses += [is_listed, columns.connection.in_(scopes)] if scopes else [false()]
        elif self.connection is not None:
            clauses.append(is_of(columns.connection, self.connection))
        if self.tracking_guid is not None or self.email_hash is not None:
            clauses.append(on_any_day())
        if self.sync_id is not None:
            items = select(sync_items.c.transfer_seq).where(sync_items.c.sync_id == self.sync_id)
            clauses.append(columns.seq.in_(items))
        if self.transfer_ids is not None:
            clauses.append(columns.id.in_(self.transfer_ids))
        if self.among is not None:
            clauses.append(columns.status.in_(self.among))
        if self.words is not None:
            clauses.append(columns.failure_group.in_(groups_that_say(self.words)))
        if self.cursor is not None:
            clauses.append(columns.seq < self.cursor)
        return clauses + self._received()

    def _received(self) -> list[ColumnElement[bool]]:
        columns = transfers.c
        clauses: list[ColumnElement[bool]] = []
        if self.is_rare:  # the few are found by their own index, and no other one must seem as good
            received = columns.created_at + 0.0
            clauses += [received >= self.since] if self.since is not None else []
            clauses += [received < self.until] if self.until is not None else []
            return clauses
        if self.since is not None:
            clauses.append(columns.created_at >= self.since)
            since = seq_since(self.since - _DISORDER_SECONDS)
            clauses.append(columns.seq >= func.coalesce(since, NO_SEQ))  # ends there, not at the oldest
        if self.until is not None:
            clauses.append(columns.created_at < self.until)
            until = seq_since(self.until + _DISORDER_SECONDS)
            clauses.append(columns.seq < func.coalesce(until, NO_SEQ))  # begins there, not at the newest
        return clauses

    @property
    def is_rare(self) -> bool:
        """Whether it is about one customer, notification or sync, or about chosen ones."""
        keys = (self.customer_id, self.tracking_guid, self.email_hash, self.sync_id, self.transfer_ids)
        return any(key is not None for key in keys)


def is_of(column: ColumnElement[str], connection: str) -> ColumnElement[bool]:
    """Whether this is a scope of the connection; not by LIKE, which knows no case on SQLite."""
    begin = scopes_of(connection)
    return func.substr(column, 1, len(begin)) == begin


def where(session: Session, wanted: Filter) -> list[ColumnElement[bool]]:
    """The filter's clauses, so that few rows are read to find what it leaves.

    A connection is looked for by its own index where nothing else narrows: most transfers succeeded.
    """
    others = (wanted.error, wanted.stamped_status, wanted.group, wanted.words, wanted.among)
    narrow = wanted.is_rare or any(each is not None for each in others)
    if wanted.connection is None or narrow or wanted.status not in {None, "succeeded"}:
        return wanted.clauses()
    scopes = each_value(transfers.c.connection, is_listed).subquery()
    mine = session.execute(select(scopes.c.value).where(is_of(scopes.c.value, wanted.connection))).scalars()
    by_connection = replace(wanted, status=None).clauses(list(mine))
    if wanted.status is not None:  # not by its index, which has almost all of them
        by_connection.append(func.lower(transfers.c.status) == wanted.status)
    return by_connection


def by_seq(session: Session, seq: int) -> Stored:
    """One transfer that exists."""
    return rows.by_seq(session, seq)


def by_id(session: Session, transfer_id: str) -> Stored | None:
    """One transfer by its public id."""
    return rows.by_id(session, transfer_id)


def listed(session: Session, wanted: Filter, limit: int, *, records: bool = False) -> list[Stored]:
    """Newest first; without `records`, which may be large and which no list shows."""
    columns = transfers.c if records else LISTED
    statement = select(*columns).where(*where(session, wanted)).order_by(transfers.c.seq.desc()).limit(limit)
    return [Stored.of(row) for row in session.execute(statement).mappings()]


def seqs(session: Session, wanted: Filter) -> list[int]:
    """All of them, oldest first, so that the newest of a customer is entered last and supersedes the others."""
    statement = select(transfers.c.seq).where(*where(session, wanted)).order_by(transfers.c.seq)
    return list(session.execute(statement).scalars())


def count(session: Session, wanted: Filter) -> int:
    """How many there are."""
    statement = select(func.count()).select_from(transfers).where(*where(session, wanted))
    found: int = session.execute(statement).scalar_one()
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
    held = todo if sync["held_at"] is not None else 0
    if held:  # its pilot failed: they are as they were
        remaining -= held
        final[_status_of_held(session, sync_id)] += held
    if sync["cancelled_at"] is not None:  # what was never entered counts as cancelled, too
        final["cancelled"] += sync["total"] - entered
    shown = {name: sync[name] for name in ("kind", "created_at", "cancelled_at", "total")}
    told = {"remaining": remaining, "held": held, "first": _told_first(session, sync, todo - held)}
    return {"sync_id": sync["id"]} | shown | final | told


def _status_of_held(session: Session, sync_id: str) -> str:
    """What they all were when they were chosen."""
    block = select(sync_blocks.c["items"]).where(sync_blocks.c.sync_id == sync_id).limit(1)
    seq = json.loads(session.execute(block).scalar_one())[0]
    status = session.execute(select(transfers.c.status).where(transfers.c.seq == seq)).scalar()
    return status if status in FINAL else "failed"


def _told_first(session: Session, sync: RowMapping, todo: int) -> dict[str, Any] | None:
    """The pilot of a sync, and whether others wait for it; None = it has none, or that is deleted."""
    pilot = select(transfers).where(transfers.c.seq == sync["pilot"])
    row = session.execute(pilot).mappings().one_or_none()
    if row is None:
        return None
    taken_back = row["status"] == "failed" and (row["finished_at"] or 0.0) < sync["created_at"]
    told = {"transfer_id": row["id"], "status": "cancelled" if taken_back else row["status"]}
    due = row["next_attempt_at"] if row["status"] == "waiting" else None
    others = todo if sync["one_first"] else 0
    return told | {"reason": row["reason"], "next_attempt_at": due, "others": others}
