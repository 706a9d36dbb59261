"""Attempts by the hour in which they ended. An hour that is over is counted once and kept (docs/adr/0024)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import BigInteger, case, cast, delete, func, insert, literal, select, update
from sqlalchemy.exc import IntegrityError

from app.ledger.reports import is_of
from app.ledger.tables import attempts, hours, transfers
from app.ledger.tallies import LADDER, Tally

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Select

    from app.ledger.session import Session

HOUR: Final = 3600
ALL: Final = ""  # all connections together; has a row for every hour that is closed
LATE_SECONDS: Final = 600.0  # an attempt is stored that much after its end at most
_AT_ONCE = 24  # hours
_failed = attempts.alias("failed")


@dataclass(frozen=True, slots=True)
class Closing:
    """Hours that are over, with what was counted in them; `recovered` since then in hours that are closed."""

    first: int
    end: int
    tallies: dict[tuple[int, str], Tally]
    recovered: dict[tuple[int, str], int]


def hour_of(moment: float) -> int:
    """The begin of its hour, in seconds since 1970."""
    return int(moment // HOUR) * HOUR


def history(session: Session, first: int, until: float, connection: str = "") -> dict[int, Tally]:
    """By hour, from the one that begins at `first` to `until`: of one connection, or of all.

    What is not closed is counted now.
    """
    closed = _closed_until(session)
    found: dict[int, Tally] = {}
    if closed is not None:
        for row in session.execute(_kept(first, min(closed, until), connection)).mappings():
            found.setdefault(row["hour"], Tally()).join(Tally.of(row))
    since = max(first, closed or 0)
    if since < until:
        for (hour, _), tally in _counted(session, since, until, connection, each=False).items():
            found.setdefault(hour, Tally()).join(tally)
    for (hour, _), total in _recoveries(session, closed or 0, None, connection, each=False).items():
        if first <= hour < until:
            found.setdefault(hour, Tally()).recovered += total
    return found


def over(session: Session, now: float) -> Closing | None:
    """The next hours to close, oldest first. None = all that are over are closed, or nothing was ever tried."""
    first = _closed_until(session)
    if first is None:
        oldest = session.execute(select(func.min(attempts.c.finished_at))).scalar()
        if oldest is None:
            return None
        first = hour_of(oldest)
    end = min(first + _AT_ONCE * HOUR, hour_of(now - LATE_SECONDS))
    if first >= end:
        return None
    tallies = {(hour, ALL): Tally() for hour in range(first, end, HOUR)}
    for (hour, connection), tally in _counted(session, first, end, each=True).items():
        tallies[hour, connection] = tally
        tallies[hour, ALL].join(tally)
    before: dict[tuple[int, str], int] = {}
    for (hour, connection), total in _recoveries(session, first, end, each=True).items():
        for whose in ((hour, connection), (hour, ALL)):
            if whose in tallies:
                tallies[whose].recovered += total
            else:
                before[whose] = before.get(whose, 0) + total
    return Closing(first, end, tallies, before)


def close(session: Session, closing: Closing) -> bool:
    """Keep them. False = another replica has; nothing is counted twice."""
    rows = [
        {"hour": hour, "connection": connection} | tally.values()
        for (hour, connection), tally in closing.tallies.items()
    ]
    try:
        with session.begin_nested():
            session.execute(insert(hours), rows)
    except IntegrityError:
        return False
    for (hour, connection), total in closing.recovered.items():
        mine = (hours.c.connection == connection, hours.c.hour == hour)
        session.execute(update(hours).where(*mine).values(recovered=hours.c.recovered + total))
    return True


def forget(session: Session, before: float) -> int:
    """Hours from before this time. How many rows."""
    return session.execute(delete(hours).where(hours.c.hour < hour_of(before))).rowcount


def _closed_until(session: Session) -> int | None:
    last = session.execute(select(func.max(hours.c.hour)).where(hours.c.connection == ALL)).scalar()
    return None if last is None else int(last) + HOUR


def _kept(first: int, until: float, connection: str) -> Select[Any]:
    kept = select(hours).where(hours.c.hour >= first, hours.c.hour < until)
    return kept.where(is_of(hours.c.connection, connection) if connection else hours.c.connection == ALL)


def _counted(
    session: Session, since: float, until: float, connection: str = "", *, each: bool
) -> dict[tuple[int, str], Tally]:
    """Attempts that ended then; by connection, or all under `ALL`."""
    ended, seconds = attempts.c.finished_at, attempts.c.finished_at - attempts.c.started_at
    keys = [_hour(session, ended), attempts.c.outcome, _place(session, seconds)]
    whose = transfers.c.connection if each else literal(ALL)
    named = [key.label(f"key{number}") for number, key in enumerate(keys)]
    counted = select(*named, whose.label("whose"), func.count().label("total"))
    if each or connection:
        counted = counted.select_from(attempts.join(transfers, transfers.c.seq == attempts.c.transfer_seq))
    if connection:
        counted = counted.where(is_of(transfers.c.connection, connection))
    counted = counted.where(ended >= since, ended < until).group_by(*named, "whose")
    found: dict[tuple[int, str], Tally] = {}
    for hour, outcome, place, name, total in session.execute(counted):
        found.setdefault((hour, name), Tally()).add(outcome, place, total)
    return found


def _recoveries(
    session: Session, since: float, until: float | None, connection: str = "", *, each: bool
) -> dict[tuple[int, str], int]:
    """Failed attempts, by their hour, whose transfer succeeded then. It does so once, and that is its end."""
    well = (attempts.c.outcome == "succeeded", attempts.c.number > 1, attempts.c.finished_at >= since)
    hour = _hour(session, _failed.c.finished_at).label("hour")
    whose = (transfers.c.connection if each else literal(ALL)).label("whose")
    # + 0: from the few of that time to their failures; SQLite would go through all of them the other way
    same = (_failed.c.transfer_seq == attempts.c.transfer_seq + 0) & (_failed.c.outcome == "failed")
    joined = attempts.join(_failed, same)
    if each or connection:
        joined = joined.join(transfers, transfers.c.seq == attempts.c.transfer_seq)
    found = select(hour, whose, func.count()).select_from(joined).where(*well).group_by(hour, whose)
    if until is not None:
        found = found.where(attempts.c.finished_at < until)
    if connection:
        found = found.where(is_of(transfers.c.connection, connection))
    return {(begin, name): total for begin, name, total in session.execute(found)}


def _hour(session: Session, moment: ColumnElement[float]) -> ColumnElement[int]:
    return _whole(session, moment / float(HOUR)) * HOUR


def _place(session: Session, seconds: ColumnElement[float]) -> ColumnElement[int]:
    """The place of a duration on the ladder."""
    rungs, below, first = [], 0.0, 0
    for top, step in LADDER:
        rungs.append((seconds < top, first + _whole(session, (seconds - below) / step)))
        first += round((top - below) / step)
        below = top
    return case((seconds < 0, 0), *rungs, else_=first)


def _whole(session: Session, number: ColumnElement[float]) -> ColumnElement[int]:
    """Without its digits: SQLite cuts them, PostgreSQL would round."""
    return cast(number if session.is_sqlite else func.floor(number), BigInteger)
