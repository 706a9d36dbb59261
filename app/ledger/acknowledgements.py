"""Groups of failures that somebody has taken note of. What fails in one afterwards has come back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import delete, func, select
from sqlalchemy.dialects import postgresql, sqlite

from app.ledger import trail
from app.ledger.tables import acknowledged, transfers

if TYPE_CHECKING:
    from app.ledger.reports import Filter
    from app.ledger.session import Session
    from app.ledger.trail import By


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """Who took note of a group, and when; what of it failed later: `back` of them, the first at `back_at`."""

    group: str
    at: float
    who: str
    back: int = 0
    back_at: float | None = None


def add(session: Session, group: str, now: float, by: By) -> Acknowledgement | None:
    """From now on. Done again, what had come back is taken note of, too. None = nothing failed like this."""
    if not _is_known(session, group):
        return None
    new = {"at": now, "who": by.who}
    put = (sqlite if session.is_sqlite else postgresql).insert(acknowledged).values(new | {"failure_group": group})
    session.execute(put.on_conflict_do_update(index_elements=["failure_group"], set_=new))
    trail.note(session, by, "acknowledged", now, subject=group)
    return Acknowledgement(group, now, by.who)


def remove(session: Session, group: str, now: float, by: By) -> bool:
    """It is as new again. False = nothing failed like this. Idempotent."""
    if session.execute(delete(acknowledged).where(acknowledged.c.failure_group == group)).rowcount:
        trail.note(session, by, "unacknowledged", now, subject=group)
        return True
    return _is_known(session, group)


def read(session: Session, wanted: Filter) -> dict[str, Acknowledgement]:
    """All of them by group; what came back of the failed ones that are wanted."""
    failed = transfers.c.finished_at
    later = (
        select(transfers.c.failure_group, func.count().label("back"), func.min(failed).label("back_at"))
        .join(acknowledged, acknowledged.c.failure_group == transfers.c.failure_group)
        .where(failed > acknowledged.c.at, *wanted.clauses())
        .group_by(transfers.c.failure_group)
        .subquery()
    )
    statement = select(acknowledged, later.c.back, later.c.back_at).outerjoin(
        later, later.c.failure_group == acknowledged.c.failure_group
    )
    return {
        row["failure_group"]: Acknowledgement(
            row["failure_group"], row["at"], row["who"], row["back"] or 0, row["back_at"]
        )
        for row in session.execute(statement).mappings()
    }


def _is_known(session: Session, group: str) -> bool:
    failed = select(transfers.c.seq).where(transfers.c.failure_group == group, transfers.c.status == "failed")
    return session.execute(failed.limit(1)).first() is not None
