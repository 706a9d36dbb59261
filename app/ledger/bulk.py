"""Many transfers under one sync, in small transactions, so that webhooks get their turn in between.

Of a sync that sends one first, the rest is entered when that one, its pilot, has succeeded (docs/adr/0027).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal
from uuid import uuid4

from sqlalchemy import delete, exists, func, insert, not_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from app.ledger import trail, triggers
from app.ledger.ranks import Rank
from app.ledger.tables import OPEN, PENDING, is_open, is_pending, sync_blocks, sync_items, syncs, transfers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from app.ledger.reports import Filter
    from app.ledger.session import Session
    from app.ledger.stored import Stored
    from app.ledger.trail import By, What

BLOCK = 50
EVERY = ""  # of a sync: whichever connection its transfers are of
Kind = Literal["customers", "retry"]
_DEEDS: dict[tuple[Kind, bool], What] = {
    ("customers", False): "sync",
    ("retry", False): "re-run all",
    ("retry", True): "re-run one first",
}
_IS_TRIED = exists().where(transfers.c.seq == syncs.c.pilot, is_open)


def open_sync(  # noqa: PLR0913 - what a sync is made of
    session: Session,
    sync_id: str,
    name: str,
    kind: Kind,
    items: Sequence[str] | Sequence[int],
    now: float,
    by: By | None = None,
    *,
    one_first: bool = False,
) -> None:
    """A sync whose items (customer ids, or seqs to run again) `enter_some` enters later, whatever happens.

    `one_first`, of a retry: all but one wait until that has succeeded.
    """
    if by is not None:
        trail.note(session, by, _DEEDS[kind, one_first], now, subject=sync_id)
    values = {"id": sync_id, "connection": name, "kind": kind, "total": len(items), "created_at": now}
    session.execute(insert(syncs).values(values | {"one_first": one_first}))
    blocks = [items[first : first + BLOCK] for first in range(0, len(items), BLOCK)]
    rows = [
        {"sync_id": sync_id, "number": number, "size": len(block), "items": json.dumps(block)}
        for number, block in enumerate(blocks)
    ]
    if rows:
        session.execute(insert(sync_blocks), rows)


def enter_some(session: Session, now: float, fetch: Mapping[str, bool]) -> list[Stored] | None:
    """Enter a few items of the oldest sync that has some left; what that ended.

    `fetch`: by the scopes that are served. None = no sync of theirs has any left that may go on, or another
    replica is at it.
    """
    left = select(func.min(sync_blocks.c.sync_id)).join(syncs, syncs.c.id == sync_blocks.c.sync_id)
    may_go_on = syncs.c.held_at.is_(None) & not_(syncs.c.one_first & _IS_TRIED)
    oldest = left.where(syncs.c.connection.in_([EVERY, *fetch]), may_go_on).scalar_subquery()
    wanted = select(syncs).where(syncs.c.id == oldest).with_for_update(skip_locked=True)
    sync = session.execute(wanted).mappings().one_or_none()
    mine = sync_blocks.c.sync_id == (sync["id"] if sync else None)
    first = select(sync_blocks).where(mine).order_by(sync_blocks.c.number).limit(1)
    block = session.execute(first).mappings().one_or_none()
    if sync is None or block is None:
        return None
    one_first, status = sync["one_first"], _status_of(session, sync["pilot"])
    if one_first and (sync["held_at"] is not None or status in OPEN):
        return None  # another replica was at it meanwhile
    if one_first and status in {"failed", "cancelled"}:
        session.execute(update(syncs).where(syncs.c.id == sync["id"]).values(held_at=now))
        return []
    one_first = one_first and status != "succeeded"  # a pilot that was skipped tells nothing: the next one goes
    chunk, rest = json.loads(block["items"]), list[int]()
    if sync["kind"] == "customers":
        scope = sync["connection"]
        entered = _add_customers(session, scope, chunk, now, fetch=fetch[scope])
    elif one_first:
        entered, rest = _rerun_one(session, chunk, now, fetch)
    else:
        entered = _rerun_all(session, chunk, now, fetch)
    this = sync_blocks.c.number == block["number"]
    if rest:
        fewer = update(sync_blocks).where(mine, this)
        session.execute(fewer.values(items=json.dumps(rest), size=len(rest)))
    else:
        session.execute(delete(sync_blocks).where(mine, this))
    seqs = [each.transfer.seq for each in entered]
    _add_items(session, sync["id"], seqs)
    left_out = len(chunk) - len(rest) - len(entered)
    changed = {"one_first": one_first, "total": sync["total"] - left_out}
    changed["pilot"] = seqs[-1] if one_first and seqs else sync["pilot"]
    session.execute(update(syncs).where(syncs.c.id == sync["id"]).values(changed))
    return [ended for each in entered for ended in each.ended]


def pilots(session: Session) -> set[int]:
    """The seqs of transfers whose end others wait for."""
    waits = exists().where(sync_blocks.c.sync_id == syncs.c.id)
    found = select(syncs.c.pilot).where(waits, syncs.c.one_first, syncs.c.held_at.is_(None))
    return {seq for seq in session.execute(found).scalars() if seq is not None}


def go_on(session: Session, sync_id: str, now: float, by: By) -> bool:
    """Enter the rest, whatever becomes of its pilot. False = nothing of it waits for one."""
    waits = exists().where(sync_blocks.c.sync_id == syncs.c.id)
    mine = update(syncs).where(syncs.c.id == sync_id, syncs.c.one_first, waits)
    if not session.execute(mine.values(one_first=False, held_at=None)).rowcount:
        return False
    trail.note(session, by, "the rest all the same", now, subject=sync_id)
    return True


def _status_of(session: Session, seq: int | None) -> str | None:
    """None = there is none, or its time is over."""
    return session.execute(select(transfers.c.status).where(transfers.c.seq == seq)).scalar()


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


def _rerun_one(
    session: Session, chunk: Sequence[int], now: float, fetch: Mapping[str, bool]
) -> tuple[list[triggers.Entered], list[int]]:
    """The same, but only until one is under way; and what is left of them."""
    entered: list[triggers.Entered] = []
    for place, seq in enumerate(chunk, 1):
        entered += _rerun_all(session, [seq], now, fetch)
        if entered and not entered[-1].transfer.is_final:
            return entered, [*chunk[place:]]
    return entered, []


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


def cancellable(session: Session, wanted: Filter) -> list[int]:
    """Those that have not begun, in an order in which no two of these calls wait for each other."""
    columns = transfers.c
    found = select(columns.seq).where(*wanted.clauses(), columns.status.in_(PENDING))
    return list(session.execute(found.order_by(columns.connection, columns.customer_id, columns.seq)).scalars())


def cancel_some(session: Session, seqs: Sequence[int], now: float, by: By | None = None) -> list[Stored]:
    """Cancel those of a few that have not begun yet; them, and what is wanted again for it."""
    cancelled = (triggers.cancel(session, seq, now, by) for seq in seqs)
    return [transfer for each in cancelled if each is not None for transfer in each]


def _add_items(session: Session, sync_id: str, items: Sequence[int]) -> None:
    if items:
        dialect = sqlite if session.is_sqlite else postgresql
        rows = [{"sync_id": sync_id, "transfer_seq": seq} for seq in items]
        session.execute(dialect.insert(sync_items).on_conflict_do_nothing(), rows)
