"""How many transfers of a filter are in which status, for a page that is asked again and again: bounded."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from sqlalchemy import func, literal, select, union_all

from app.ledger.reports import NO_SEQ, Filter, seq_since, where
from app.ledger.tables import FINAL, OPEN, transfers

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import ColumnElement

    from app.ledger.session import Session

COUNTED: Final = 10_000


@dataclass(frozen=True, slots=True)
class StatusCounts:
    """By status; `more`: those of which there are more, or may be."""

    counts: dict[str, int]
    more: frozenset[str]

    def total(self, among: Iterable[str]) -> int:
        """Of these statuses."""
        return sum(self.counts.get(status, 0) for status in among)

    def shown(self, among: Iterable[str]) -> str:
        """The same for people: `229`, or `10,000+` where there are more; empty = none."""
        statuses = list(among)
        total = self.total(statuses)
        if self.more.isdisjoint(statuses):
            return f"{total:,}" if total else ""
        return f"{min(total, COUNTED):,}+"


def status_counts(session: Session, wanted: Filter) -> StatusCounts:
    """Of all statuses, whichever is wanted; up to `COUNTED` of each, or of all where something else narrows."""
    every = replace(wanted, status=None, among=None, cursor=None)
    if replace(every, since=None, until=None) == Filter():
        return _by_status(session, every)
    return _of_the_newest(session, every)


def _by_status(session: Session, every: Filter) -> StatusCounts:
    """By the index on status and place alone."""
    places: list[ColumnElement[bool]] = []
    if every.since is not None:
        places.append(transfers.c.seq >= func.coalesce(seq_since(every.since), NO_SEQ))
    if every.until is not None:
        places.append(transfers.c.seq < func.coalesce(seq_since(every.until), NO_SEQ))
    each = []
    for status in (*OPEN, *FINAL):
        some = select(literal(1)).select_from(transfers).where(transfers.c.status == status, *places)
        some = some.limit(COUNTED + 1)
        total = select(func.count()).select_from(some.subquery()).scalar_subquery()
        each.append(select(literal(status).label("status"), total.label("total")))
    counts = {status: total for status, total in session.execute(union_all(*each)) if total}
    more = frozenset(status for status, total in counts.items() if total > COUNTED)
    return StatusCounts({status: min(total, COUNTED) for status, total in counts.items()}, more)


def _of_the_newest(session: Session, every: Filter) -> StatusCounts:
    columns = transfers.c
    latest = select(columns.seq).order_by(columns.seq.desc())
    found = latest.with_only_columns(columns.status).where(*where(session, every)).limit(COUNTED + 1).subquery()
    statement = select(found.c.status, func.count()).group_by(found.c.status)
    counts: dict[str, int] = {status: total for status, total in session.execute(statement)}  # noqa: C416 - rows are no pairs to mypy
    more = frozenset(counts) if sum(counts.values()) > COUNTED else frozenset()
    return StatusCounts(counts, more)
