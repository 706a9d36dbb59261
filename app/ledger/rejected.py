"""What can be read of requests that never became transfers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from sqlalchemy import func, select

from app.ledger.grouping import normalised
from app.ledger.tables import rejections

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, RowMapping

    from app.ledger.session import Session

MOST_COUNTED: Final = 100_000  # the newest; a flood of them must not slow down the page about it
_MOST_KINDS = 2000


@dataclass(frozen=True, slots=True)
class Refused:
    """Requests of one caller that were refused alike; `reason` is the newest one's."""

    status: int
    error: str
    reason: str
    address: str | None
    total: int
    first_at: float
    last_at: float


def listed(
    session: Session, since: float | None, until: float | None, cursor: int | None, limit: int
) -> list[RowMapping]:
    """Newest first; `cursor`: only those before this one."""
    clauses = _within(since, until)
    if cursor is not None:
        clauses.append(rejections.c.seq < cursor)
    statement = select(rejections).where(*clauses).order_by(rejections.c.seq.desc()).limit(limit)
    return list(session.execute(statement).mappings())


def grouped(session: Session, since: float | None, until: float | None) -> list[Refused]:
    """By caller and reason, without what varies in it; the last ones first."""
    newest = select(rejections).where(*_within(since, until)).order_by(rejections.c.seq.desc())
    some = newest.limit(MOST_COUNTED).subquery()
    same = (some.c.status, some.c.error, some.c.reason, some.c.address)
    counted = (func.count(), func.min(some.c.at), func.max(some.c.at))
    statement = select(*same, *counted).group_by(*same).order_by(func.max(some.c.at).desc()).limit(_MOST_KINDS)
    found: dict[tuple[object, ...], Refused] = {}
    for row in session.execute(statement):
        refused = Refused(*row)
        key = (refused.status, refused.error, refused.address, normalised(refused.reason))
        newer = found.get(key, refused)
        if newer is not refused:
            first_at = min(newer.first_at, refused.first_at)
            newer = replace(newer, total=newer.total + refused.total, first_at=first_at)
        found[key] = newer
    return list(found.values())


def _within(since: float | None, until: float | None) -> list[ColumnElement[bool]]:
    clauses = []
    if since is not None:
        clauses.append(rejections.c.at >= since)
    if until is not None:
        clauses.append(rejections.c.at < until)
    return clauses
