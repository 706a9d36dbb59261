"""The trail: what people did to a transfer or a sync, who, from where, and when."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from sqlalchemy import Float, func, insert, literal, select, union_all

from app.ledger.tables import sync_items, trail, transfers

if TYPE_CHECKING:
    from collections.abc import Mapping

    from app.ledger.session import Session

What = Literal[
    "re-run",
    "cancelled",
    "revealed",
    "sync",
    "sync cancelled",
    "re-run all",
    "re-run one first",
    "the rest all the same",
    "paused",
    "resumed",
    "acknowledged",
    "unacknowledged",
    "exported",
]
Via = Literal["api", "page"]
_STILL_SECONDS: Final = 3600.0  # whoever looks at a record time and again is noted once


@dataclass(frozen=True, slots=True)
class By:
    """Who does something: the name of the key, the caller's address, and on which way; a viewer's does not act."""

    who: str
    where: str | None
    via: Via
    acts: bool = True


@dataclass(frozen=True, slots=True)
class Deed:
    """One line of the trail; `at` in seconds since 1970."""

    at: float
    what: What
    who: str
    where: str | None
    via: Via

    @classmethod
    def of(cls, row: Mapping[Any, Any]) -> Deed:
        """From a row of `trail`."""
        return cls(row["at"], row["what"], row["who"], row["address"], row["via"])


def note(  # noqa: PLR0913 - the columns
    session: Session, by: By, what: What, now: float, *, seq: int | None = None, subject: str | None = None
) -> None:
    """Keep what was done: to a transfer, or to a `subject` such as a sync."""
    values = {"at": now, "what": what, "who": by.who, "address": by.where, "via": by.via}
    session.execute(insert(trail).values(values | {"transfer_seq": seq, "subject": subject}))


def of_transfer(session: Session, seq: int) -> list[Deed]:
    """What was done to it, to the syncs that it is part of, and to its connection until it ended, in order."""
    alone = select(trail).where(trail.c.transfer_seq == seq)
    mine = select(sync_items.c.sync_id).where(sync_items.c.transfer_seq == seq)
    with_others = select(trail).where(trail.c.transfer_seq.is_(None), trail.c.subject.in_(mine))
    its, now = transfers.alias(), literal(float("inf"), Float)
    pauses = (
        select(trail)
        .join(its, its.c.connection == trail.c.subject)
        .where(its.c.seq == seq, trail.c.transfer_seq.is_(None), trail.c.at >= its.c.created_at)
        .where(trail.c.at <= func.coalesce(its.c.finished_at, now))
    )
    both = union_all(alone, with_others, pauses).subquery()
    return [Deed.of(row) for row in session.execute(select(both).order_by(both.c.at, both.c.seq)).mappings()]


def has_revealed(session: Session, seq: int, by: By, now: float) -> bool:
    """Whether it is noted already that they have seen the record."""
    same = (trail.c.what == "revealed", trail.c.who == by.who, trail.c.address == by.where, trail.c.via == by.via)
    lately = select(trail.c.seq).where(trail.c.transfer_seq == seq, trail.c.at > now - _STILL_SECONDS, *same)
    return session.execute(lately.limit(1)).first() is not None
