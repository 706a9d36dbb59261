"""Links: iPaaS.com customer → Stamped.io id, and the newest change that was sent; per connection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, func, or_, select
from sqlalchemy.dialects import postgresql, sqlite

from app.ledger.stored import load_failure
from app.ledger.tables import links, transfers

if TYPE_CHECKING:
    from sqlalchemy import Connection, RowMapping

    from app.attempt import Progress
    from app.ledger.stored import Stored

_MOST_UNSEEN = 50
_KEY = ("connection", "customer_id")
_LINK = select(links).where(links.c.connection == bindparam("name"), links.c.customer_id == bindparam("of"))


def _upsert(*changed: str) -> dict[str, Any]:
    """For each database: insert a link, or change these columns of it."""
    statements = {}
    for name, dialect in (("sqlite", sqlite), ("postgresql", postgresql)):
        statement: Any = dialect.insert(links)
        new = {column: statement.excluded[column] for column in changed}
        new["written_back_to"] = func.coalesce(new["written_back_to"], links.c.written_back_to)
        statements[name] = statement.on_conflict_do_update(index_elements=_KEY, set_=new)
    return statements


_ID = ("external_id", "written_back", "written_back_to")
_SENT = ("sent_transfer_id", "sent_seq", "sent_changed_at")
_UPSERT_ID, _UPSERT_BOTH = _upsert(*_ID), _upsert(*_ID, *_SENT)


def link_row(connection: Connection, name: str, customer_id: str | None) -> RowMapping | None:
    """What is remembered of a customer."""
    return connection.execute(_LINK, {"name": name, "of": customer_id}).mappings().one_or_none()


def unseen_records(connection: Connection, transfer: Stored) -> list[str]:
    """Records (JSON) of this customer's earlier attempts of which nobody knows what they did, newest first."""
    statement = (
        select(transfers.c.record, transfers.c.failure)
        .where(transfers.c.connection == transfer.connection, transfers.c.customer_id == transfer.customer_id)
        .where(transfers.c.attempts > 0, transfers.c.record.is_not(None))
        .where(or_(transfers.c.seq != transfer.seq, transfers.c.attempts > 1))
        .order_by(transfers.c.seq.desc())
        .limit(_MOST_UNSEEN)
    )
    found = [(row.record, load_failure(row.failure)) for row in connection.execute(statement)]
    return [record for record, failure in found if failure is None or failure.retryable]


def is_taken(connection: Connection, transfer: Stored, external_id: str) -> bool:
    """Whether this Stamped.io id is linked to another customer."""
    others = links.c.connection == transfer.connection, links.c.customer_id != transfer.customer_id
    statement = select(links.c.customer_id).where(*others, links.c.external_id == external_id)
    return connection.execute(statement).first() is not None


def remember(connection: Connection, transfer: Stored, external_id: str) -> None:
    """Keep a new Stamped.io id, which iPaaS.com does not know yet. Idempotent."""
    values = _key_of(transfer) | dict(zip(_ID, (external_id, False, None), strict=True))
    connection.execute(_UPSERT_ID[connection.dialect.name], values)


def remember_result(connection: Connection, transfer: Stored, progress: Progress) -> None:
    """Keep the id that an attempt ended with; and, when it got past the upsert, that this change was sent last."""
    if progress.external_id is None:
        return
    known = (progress.external_id, progress.written_back, transfer.destination)
    values = _key_of(transfer) | dict(zip(_ID, known, strict=True))
    if progress.action is None:
        connection.execute(_UPSERT_ID[connection.dialect.name], values)
        return
    sent = (transfer.id, transfer.seq, transfer.changed_at)
    connection.execute(_UPSERT_BOTH[connection.dialect.name], values | dict(zip(_SENT, sent, strict=True)))


def _key_of(transfer: Stored) -> dict[str, Any]:
    return {"connection": transfer.connection, "customer_id": transfer.customer_id}
