"""Links: iPaaS.com customer → Stamped.io id, and the newest change that was sent; per connection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite

from app.ledger.tables import links

if TYPE_CHECKING:
    from sqlalchemy import Connection, RowMapping

    from app.ledger.stored import Stored


def link_row(connection: Connection, name: str, customer_id: str | None) -> RowMapping | None:
    """What is remembered of a customer."""
    wanted = select(links).where(links.c.connection == name, links.c.customer_id == customer_id)
    return connection.execute(wanted).mappings().one_or_none()


def remember(connection: Connection, transfer: Stored, external_id: str, *, written_back: bool) -> None:
    """Keep a customer's Stamped.io id. Idempotent."""
    _upsert(connection, transfer, {"external_id": external_id, "written_back": written_back})


def remember_sent(connection: Connection, transfer: Stored) -> None:
    """Keep which change was the last to reach Stamped.io, so that an older one never overwrites it."""
    sent = {
        "sent_transfer_id": transfer.id,
        "sent_seq": transfer.seq,
        "sent_changed_at": transfer.changed_at,
    }
    _upsert(connection, transfer, sent)


def _upsert(connection: Connection, transfer: Stored, values: dict[str, Any]) -> None:
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    key = {"connection": transfer.connection, "customer_id": transfer.customer_id}
    statement = dialect.insert(links).values(key | {"written_back": False} | values)
    connection.execute(statement.on_conflict_do_update(index_elements=["connection", "customer_id"], set_=values))
