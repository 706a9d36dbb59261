"""Many transfers under one sync, in small transactions, so that webhooks get their turn in between."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal
from uuid import uuid4

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from app.ledger import trail, triggers
from app.ledger.ranks import Rank
from app.ledger.tables import is_pending, sync_blocks, sync_items, syncs, transfers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from app.ledger.session import Session
    from app.ledger.stored import Stored
    from app.ledger.trail import By, What

BLOCK = 50
EVERY = ""  # of a sync: whichever connection its transfers are of
Kind = Literal["customers", "retry"]
_DEEDS: dict[Kind, What] = {"customers": "sync", "retry": "re-run all"}


def open_sync(  # noqa: PLR0913 - what a sync is made of
    session: Session,
    sync_id: str,
    name: str,
    kind: Kind,
    items: Sequence[str] | Sequence[int],
    now: float,
    by: By | None = None,
) -> None:
    """A sync whose items (customer ids, or seqs to run again) `enter_some` enters later, whatever happens."""
    if by is not None:
        trail.note(session, by, _DEEDS[kind], now, subject=sync_id)
    values = {"id": sync_id, "connection": name, "kind": kind, "total": len(items), "created_at": now}
    session.execute(insert(syncs).values(values))
    blocks = [items[first : first + BLOCK] for first in range(0, len(items), BLOCK)]
    rows = [
        {"sync_id": sync_id, "number": number, "size": len(block), "items": json.dumps(block)}
        for number, block in enumerate(blocks)
    ]
    if rows:
        session.execute(insert(sync_blocks), rows)


def enter_some(session: Session, now: float, fetch: Mapping[str, bool]) -> list[Stored] | None:
    """Enter a few items of the oldest sync that has some left; what that ended.

    `fetch`: by the scopes that are served. None = no sync of theirs has any left, or another replica is at it.
    """
    left = select(func.min(sync_blocks.c.sync_id)).join(syncs, syncs.c.id == sync_blocks.c.sync_id)
    oldest = left.where(syncs.c.connection.in_([EVERY, *fetch])).scalar_subquery()
    wanted = select(syncs).where(syncs.c.id == oldest).with_for_update(skip_locked=True)
    sync = session.execute(wanted).mappings().one_or_none()
    mine = sync_blocks.c.sync_id == (sync["id"] if sync else None)
    first = select(sync_blocks).where(mine).order_by(sync_blocks.c.number).limit(1)
    block = session.execute(first).mappings().one_or_none()
    if sync is None or block is None:
        return None
    chunk = json.loads(block["items"])
    if sync["kind"] == "customers":
        scope = sync["connection"]
        entered = _add_customers(session, scope, chunk, now, fetch=fetch[scope])
    else:
        entered = _rerun_all(session, chunk, now, fetch)
    session.execute(delete(sync_blocks).where(mine, sync_blocks.c.number == block["number"]))
    _add_items(session, sync["id"], [each.transfer.seq for each in entered])
    left_out = len(chunk) - len(entered)
    if left_out:
        fewer = update(syncs).where(syncs.c.id == sync["id"])
        session.execute(fewer.values(total=sync["total"] - left_out))
    return [ended for each in entered for ended in each.ended]


def _add_customers(
    session: Session, name: str, customer_ids: Sequence[str], now: float, *, fetch: bool
) -> list[triggers.Entered]:
    """One transfer for each. `fetch` False: the newest record that was received is sent again."""
    entered = []
    for customer_id in sorted(customer_ids):  # always the same order, so that replicas don't deadlock
        guid = str(uuid4())
        new = triggers.NewTransfer(name, customer_id, guid, trigger="sync", fetch=fetch, promised=True)
        entered.append(triggers.accept(session, new, None, now))
    return entered


def _rerun_all(
    session: Session, chunk: Sequence[int], now: float, fetch: Mapping[str, bool]
) -> list[triggers.Entered]:
    """These again; those that are in no state for it any more, or served no more, are left out."""
    terms: dict[str, Any] = {"fetch": fetch, "promised": True, "rank": Rank.BULK}
    entered = (triggers.rerun(session, seq, None, now, **terms) for seq in chunk)
    return [each for each in entered if each is not None]


def close_sync(session: Session, sync_id: str, now: float, by: By | None = None) -> list[int]:
    """Enter nothing more of it; those of its transfers that have not begun, for `cancel_some`. Idempotent."""
    mark = update(syncs).where(syncs.c.id == sync_id, syncs.c.cancelled_at.is_(None))
    if session.execute(mark.values(cancelled_at=now)).rowcount and by is not None:
        trail.note(session, by, "sync cancelled", now, subject=sync_id)
    session.execute(delete(sync_blocks).where(sync_blocks.c.sync_id == sync_id))
    open_items = (
        select(transfers.c.seq)
        .join(sync_items, sync_items.c.transfer_seq == transfers.c.seq)
        .where(sync_items.c.sync_id == sync_id, is_pending)
        .order_by(transfers.c.customer_id, transfers.c.seq)
    )
    return list(session.execute(open_items).scalars())


def cancel_some(session: Session, seqs: Sequence[int], now: float) -> list[Stored]:
    """Cancel those of a few that have not begun yet; them, and what is wanted again for it."""
    cancelled = (triggers.cancel(session, seq, now) for seq in seqs)
    return [transfer for each in cancelled if each is not None for transfer in each]


def _add_items(session: Session, sync_id: str, items: Sequence[int]) -> None:
    if items:
        dialect = sqlite if session.is_sqlite else postgresql
        rows = [{"sync_id": sync_id, "transfer_seq": seq} for seq in items]
        session.execute(dialect.insert(sync_items).on_conflict_do_nothing(), rows)
