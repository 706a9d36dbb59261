"""What else was transferred of the same customer: the one before, the one after, and what was sent last."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import and_, or_, select

from app.ledger.stored import Stored
from app.ledger.tables import transfers

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement

    from app.ledger.session import Session


@dataclass(frozen=True, slots=True)
class Neighbours:
    """`earlier` and `later`: ids. `sent`: whose record Stamped.io had before this one's newest attempt."""

    earlier: str | None
    later: str | None
    sent: Stored | None


def neighbours(session: Session, transfer: Stored) -> Neighbours:
    """Each null where there is none, or where nobody knows the customer."""
    if transfer.customer_id is None:
        return Neighbours(None, None, None)
    columns = transfers.c
    same = (columns.connection == transfer.connection, columns.customer_id == transfer.customer_id)
    number = columns.seq + 0  # else a planner may walk through all transfers by it, instead of this customer's

    def one(order: ColumnElement[int], where: ColumnElement[bool]) -> str | None:
        statement = select(columns.id).where(*same, where).order_by(order).limit(1)
        found: str | None = session.execute(statement).scalar()
        return found

    sent = select(transfers).where(*same, columns.seq != transfer.seq, columns.status == "succeeded")
    sent = sent.where(columns.record_hash.is_not(None))
    if transfer.started_at is not None:
        at_once = and_(columns.finished_at == transfer.started_at, columns.seq < transfer.seq)
        sent = sent.where(or_(columns.finished_at < transfer.started_at, at_once))
    row = session.execute(sent.order_by(columns.finished_at.desc(), number.desc()).limit(1)).mappings().first()
    return Neighbours(
        one(number.desc(), columns.seq < transfer.seq),
        one(number, columns.seq > transfer.seq),
        Stored.of(row) if row else None,
    )
