"""Many transfers under one sync, in small transactions, so that webhooks get their turn in between."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Literal
from uuid import uuid4

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from app.ledger import moves
from app.ledger.tables import is_pending, sync_blocks, sync_items, syncs, transfers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

BLOCK = 50
Kind = Literal["customers", "retry"]


def open_sync(  # noqa: PLR0913 - what a sync is made of
    connection: Connection, sync_id: str, name: str, kind: Kind, items: Sequence[str] | Sequence[int], now: float
) -> None:
    """A sync whose items (customer ids, or seqs to run again) `enter_some` enters later, whatever happens."""
    values = {"id": sync_id, "connection": name, "kind": kind, "total": len(items), "created_at": now}
    connection.execute(insert(syncs).values(values))
    blocks = [items[first : first + BLOCK] for first in range(0, len(items), BLOCK)]
    rows = [
        {"sync_id": sync_id, "number": number, "size": len(block), "items": json.dumps(block)}
        for number, block in enumerate(blocks)
    ]
    if rows:
        connection.execute(insert(sync_blocks), rows)


def enter_some(connection: Connection, now: float, *, fetch: bool) -> bool:
    """Enter a few items of the oldest sync that has some left. False = none has, or another replica is at it."""
    oldest = select(func.min(sync_blocks.c.sync_id)).scalar_subquery()
    wanted = select(syncs).where(syncs.c.id == oldest).with_for_update(skip_locked=True)
    sync = connection.execute(wanted).mappings().one_or_none()
    mine = sync_blocks.c.sync_id == (sync["id"] if sync else None)
    first = select(sync_blocks).where(mine).order_by(sync_blocks.c.number).limit(1)
    block = connection.execute(first).mappings().one_or_none()
    if sync is None or block is None:
        return False
    chunk = json.loads(block["items"])
    if sync["kind"] == "customers":
        guids = {customer_id: str(uuid4()) for customer_id in chunk}
        entered = add_customers(connection, sync["id"], sync["connection"], guids, now, fetch=fetch)
    else:
        entered = rerun_all(connection, sync["id"], chunk, now)
    connection.execute(delete(sync_blocks).where(mine, sync_blocks.c.number == block["number"]))
    left_out = len(chunk) - len(entered)
    if left_out:
        fewer = update(syncs).where(syncs.c.id == sync["id"])
        connection.execute(fewer.values(total=sync["total"] - left_out))
    return True


def add_customers(  # noqa: PLR0913 - what a manual transfer is made of
    connection: Connection, sync_id: str, name: str, guids: dict[str, str], now: float, *, fetch: bool
) -> list[int]:
    """One transfer for each customer id of `guids`; their seqs. `fetch` False: the last record is sent again."""
    items = []
    for customer_id, guid in sorted(guids.items()):  # always the same order, so that replicas don't deadlock
        new = moves.NewTransfer(name, customer_id, guid, trigger="sync", send_last=not fetch, promised=True)
        items.append(moves.accept(connection, new, None, now).transfer.seq)
    _add_items(connection, sync_id, items)
    return items


def rerun_all(connection: Connection, sync_id: str, chunk: Sequence[int], now: float) -> list[int]:
    """These again; those that are in no state for it any more are left out."""
    items = [seq for seq in chunk if moves.rerun(connection, seq, None, now, promised=True) is not None]
    _add_items(connection, sync_id, items)
    return items


def cancel_sync(connection: Connection, sync_id: str, now: float) -> list[int]:
    """Cancel what has not begun; their seqs. Idempotent."""
    mark = update(syncs).where(syncs.c.id == sync_id, syncs.c.cancelled_at.is_(None))
    connection.execute(mark.values(cancelled_at=now))
    connection.execute(delete(sync_blocks).where(sync_blocks.c.sync_id == sync_id))
    open_items = (
        select(transfers.c.seq)
        .join(sync_items, sync_items.c.transfer_seq == transfers.c.seq)
        .where(sync_items.c.sync_id == sync_id, is_pending)
        .order_by(transfers.c.seq)
    )
    found = list(connection.execute(open_items).scalars())
    return [seq for seq in found if moves.cancel(connection, seq, now) is not None]


def _add_items(connection: Connection, sync_id: str, items: Sequence[int]) -> None:
    if items:
        dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
        rows = [{"sync_id": sync_id, "transfer_seq": seq} for seq in items]
        connection.execute(dialect.insert(sync_items).on_conflict_do_nothing(), rows)
