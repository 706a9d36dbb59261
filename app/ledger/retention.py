"""Off the hot path: refusals are kept, and what need not be kept is deleted, a small batch per transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import delete, exists, insert, select, update

from app.ledger.tables import acknowledged, attempts, rejections, sync_blocks, sync_items, syncs, trail, transfers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Select

    from app.ledger.session import Session

BATCH: Final = 200
IDS_KEPT_DAYS: Final = 365.0


def add_rejections(session: Session, rows: Sequence[Mapping[str, Any]]) -> None:
    """Requests that never became transfers."""
    session.execute(insert(rejections), rows)


def forget_records(session: Session, before: float) -> int:
    """Records of transfers that ended before this time; their hash and ids stay. How many were left to do."""
    old = _some(transfers.c.seq, transfers.c.finished_at < before, transfers.c.record.is_not(None))
    return session.execute(update(transfers).where(transfers.c.seq.in_(old)).values(record=None)).rowcount


def forget_transfers(session: Session, before: float) -> int:
    """Whole transfers, their attempts, what people did to them, and syncs that have none left.

    So does what somebody took note of as long ago.
    """
    past = (transfers.c.created_at < before, transfers.c.finished_at < before)  # the former has the index
    old = list(session.execute(_some(transfers.c.seq, *past).order_by(transfers.c.created_at)).scalars())
    session.execute(delete(attempts).where(attempts.c.transfer_seq.in_(old)))
    session.execute(delete(sync_items).where(sync_items.c.transfer_seq.in_(old)))
    session.execute(delete(trail).where(trail.c.transfer_seq.in_(old)))
    of_none = _some(trail.c.seq, trail.c.transfer_seq.is_(None), trail.c.at < before)
    session.execute(delete(trail).where(trail.c.seq.in_(of_none)))
    session.execute(delete(transfers).where(transfers.c.seq.in_(old)))
    entered = exists().where(sync_items.c.sync_id == syncs.c.id)
    held = select(syncs.c.id).where(syncs.c.held_at < before)
    session.execute(delete(sync_blocks).where(sync_blocks.c.sync_id.in_(held)))
    unentered = exists().where(sync_blocks.c.sync_id == syncs.c.id)
    session.execute(delete(acknowledged).where(acknowledged.c.at < before))
    session.execute(delete(syncs).where(syncs.c.created_at < before, ~entered, ~unentered))
    return len(old)


def forget_rejections(session: Session, before: float) -> int:
    """Rejections from before this time."""
    old = _some(rejections.c.seq, rejections.c.at < before)
    return session.execute(delete(rejections).where(rejections.c.seq.in_(old))).rowcount


def _some(column: Any, *clauses: Any) -> Select[tuple[int]]:
    return select(column).where(*clauses).limit(BATCH)
