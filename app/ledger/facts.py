"""What a verdict is made of, one connection at a time; every query is bounded, and by an index (docs/adr/0023)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import ColumnElement, Integer, cast, func, select, union_all

from app.error_catalog import Slug
from app.ledger import statistics
from app.ledger.grouping import tag_of
from app.ledger.reports import NO_SEQ, seq_since
from app.ledger.stored import load_failure
from app.ledger.tables import DAY, is_counted, is_open, rejections, transfers
from app.outbound.status_table import Kind, classify

if TYPE_CHECKING:
    from app.ledger.grouping import Tag
    from app.ledger.session import Session

HOUR: Final = 3600.0
SLOT: Final = 600.0  # seconds
WEEK: Final = 7 * DAY
_RECEIVED: Final = ("webhook", "manual", "sync")
_NEWEST: Final = 30  # of each kind of trigger; of what ended lately, by connection, as many more
_ENDED: Final = 100  # of all connections together
_REJECTIONS: Final = 10_000
_STATUS = re.compile(r"HTTP status (\d{3})")
_DENIED: Final = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}
_columns = transfers.c


@dataclass(frozen=True, slots=True)
class Word:
    """What Stamped.io or iPaaS.com said last; `failed` False: it did as asked. `status` None = no answer."""

    at: float
    failed: bool
    status: int | None = None


@dataclass(frozen=True, slots=True)
class Alike:
    """The commonest group of failures: how many, what the newest of them says, and what mends them."""

    total: int
    error: str | None
    reason: str | None
    tag: Tag


@dataclass(frozen=True, slots=True)
class Failed:
    """How many are failed now of those received in the last day and hour, and the commonest group of them.

    `first_at`: when the first of them was received.
    """

    day: int
    hour: int
    first_at: float
    commonest: Alike | None


@dataclass(frozen=True, slots=True)
class Refused:
    """How many failed for one reason, and when the first of them did since things last went well."""

    total: int
    since: float | None


@dataclass(frozen=True, slots=True)
class Counted:
    """Of one connection, at one moment. `day`, `hour`: received in the last; `today`: since midnight, UTC."""

    first_webhook: float | None
    last_webhook: float | None
    today: int
    day: int
    hour: int
    failed: Failed | None
    stamped: Word | None
    ipaas: Word | None
    refused: Refused
    unloaded: int


@dataclass(frozen=True, slots=True)
class Rejected:
    """A request that was refused before it became a transfer."""

    at: float
    status: int


def counted(session: Session, scope: str, now: float) -> Counted:
    """What is stored of the connection whose transfers are kept under `scope`."""
    first, last = (_webhook(session, scope, each) for each in (func.min, func.max))
    stamped, ipaas, well_at = _last_words(session, scope)
    statuses = _statuses(stamped)
    refusal = _columns.stamped_status.in_(statuses)
    not_loaded = _columns.error == Slug.NOT_LOADED.value
    return Counted(
        first_webhook=first,
        last_webhook=last,
        today=_received(session, scope, now // DAY * DAY),
        day=_received(session, scope, now - DAY),
        hour=_received(session, scope, now - HOUR),
        failed=_failed(session, scope, now),
        stamped=stamped,
        ipaas=ipaas,
        refused=_refused(session, scope, now, refusal, well_at) if statuses else Refused(0, None),
        unloaded=_refused(session, scope, now, not_loaded).total if ipaas and ipaas.failed else 0,
    )


def slots(session: Session, scope: str, until: float) -> dict[int, int]:
    """How many webhooks came in each ten minutes of the week before; by their number since 1970."""
    number = _columns.created_at / SLOT
    slot = (cast(number, Integer) if session.is_sqlite else cast(func.floor(number), Integer)).label("slot")
    mine = (*_of(scope), _columns.trigger == "webhook", _columns.created_at >= until - WEEK)
    found = session.execute(select(slot, func.count()).where(*mine, _columns.created_at <= until).group_by(slot))
    return {row[0]: row[1] for row in found}


def waiting_since(session: Session, before: float) -> dict[str, tuple[float, int]]:
    """By connection, where the oldest open one came before that time: when, and how many are open.

    Without those that are run again: they wait since somebody asked, not since they came.
    """
    oldest = statistics.oldest_open(session)
    if oldest is None or oldest.created_at >= before:
        return {}
    came = _columns.before.is_(None)
    first, number = func.min(_columns.created_at).filter(came), func.count().filter(came)
    found = session.execute(
        select(_columns.connection, first, number).where(is_open).group_by(_columns.connection)
    )
    return {row[0]: (row[1], row[2]) for row in found if row[1] is not None and row[1] < before}


def rejected(session: Session, since: float) -> list[Rejected]:
    """Newest first, and no more than are worth counting."""
    statement = select(rejections.c.at, rejections.c.status).where(rejections.c.at >= since)
    found = session.execute(statement.order_by(rejections.c.at.desc()).limit(_REJECTIONS))
    return [Rejected(row[0], row[1]) for row in found]


def _of(scope: str) -> tuple[ColumnElement[bool], ...]:
    """Said so that the index on connection and trigger is of use."""
    return is_counted, _columns.connection == scope


def _webhook(session: Session, scope: str, which: Any) -> float | None:
    mine = (*_of(scope), _columns.trigger == "webhook")
    found: float | None = session.execute(select(which(_columns.created_at)).where(*mine)).scalar()
    return found


def _received(session: Session, scope: str, since: float) -> int:
    mine = (*_of(scope), _columns.trigger.in_(_RECEIVED), _columns.created_at >= since)
    found: int = session.execute(select(func.count()).select_from(transfers).where(*mine)).scalar_one()
    return found


def _failed(session: Session, scope: str, now: float) -> Failed | None:
    mine = _failed_lately(session, scope, now)
    lately = func.count().filter(_columns.created_at >= now - HOUR)
    day, hour, first = session.execute(
        select(func.count(), lately, func.min(_columns.created_at)).select_from(transfers).where(*mine)
    ).one()
    if not day:
        return None
    return Failed(day, hour, first, _commonest(session, mine))


def _failed_lately(session: Session, scope: str, now: float) -> tuple[ColumnElement[bool], ...]:
    """Of those received in the last day. Their first place as a number: PostgreSQL plans by how many there are."""
    first = session.execute(select(seq_since(now - DAY))).scalar()
    place = NO_SEQ if first is None else first
    return _columns.status == "failed", _columns.connection == scope, _columns.seq >= place


def _commonest(session: Session, failed: tuple[ColumnElement[bool], ...]) -> Alike | None:
    newest = func.max(_columns.seq)
    groups = select(func.count(), newest).where(*failed, _columns.failure_group.is_not(None))
    most = groups.group_by(_columns.failure_group).order_by(func.count().desc(), newest.desc()).limit(1)
    found = session.execute(most).one_or_none()
    if found is None:
        return None
    said = select(_columns.error, _columns.reason, _columns.failure).where(_columns.seq == found[1])
    error, reason, failure = session.execute(said).one()
    return Alike(found[0], error, reason, tag_of(load_failure(failure)))


def _last_words(session: Session, scope: str) -> tuple[Word | None, Word | None, float]:
    """Of Stamped.io, of iPaaS.com, and when the former last did as asked; of the newest transfers.

    Those that were received last, and those that ended last, for a re-run may be old.
    """
    newest = [
        select(_columns.seq)
        .where(*_of(scope), _columns.trigger == trigger)
        .order_by(_columns.created_at.desc())
        .limit(_NEWEST)
        .subquery()
        for trigger in _RECEIVED
    ]
    ended = (
        select(_columns.seq)
        .where(_columns.record.is_not(None), _columns.finished_at.is_not(None))
        .order_by(_columns.finished_at.desc())
        .limit(_ENDED)
        .subquery()
    )
    seqs = list(session.execute(union_all(*(select(each.c.seq) for each in (*newest, ended)))).scalars())
    told = ("connection", "status", "action", "error", "reason", "stamped_status", "fetched", "finished_at")
    statement = (
        select(*(_columns[name] for name in told))
        .where(_columns.seq.in_(seqs), _columns.finished_at.is_not(None))
        .order_by(_columns.finished_at.desc())
    )
    rows = [
        row for row in session.execute(statement) if row.connection == scope
    ]  # asked for, SQLite walks them all
    stamped = [word for row in rows if (word := _of_stamped(row)) is not None]
    ipaas = [word for row in rows if (word := _of_ipaas(row)) is not None]
    well_at = next((word.at for word in stamped if not word.failed), 0.0)
    return next(iter(stamped), None), next(iter(ipaas), None), well_at


def _of_stamped(row: Any) -> Word | None:
    """None = it was not asked, or did not answer. One that refuses the data has taken keys and store."""
    if row.stamped_status is not None:
        return Word(row.finished_at, classify(row.stamped_status) is not Kind.REFUSED, row.stamped_status)
    return Word(row.finished_at, failed=False) if row.status == "succeeded" or row.action else None


def _of_ipaas(row: Any) -> Word | None:
    """One that only does not know the customer has taken the token."""
    if row.error != Slug.NOT_LOADED.value:
        return Word(row.finished_at, failed=False) if row.fetched else None
    found = _STATUS.search(row.reason or "")
    status = int(found[1]) if found else None
    answered = status is not None and status < HTTPStatus.INTERNAL_SERVER_ERROR and status not in _DENIED
    return Word(row.finished_at, failed=not answered, status=status)


def _statuses(word: Word | None) -> set[int]:
    """What Stamped.io refuses everything with, where it does."""
    if word is None or not word.failed:
        return set()
    return next((each for each in ({401, 403}, {404}) if word.status in each), set())


def _refused(session: Session, scope: str, now: float, why: ColumnElement[bool], after: float = 0.0) -> Refused:
    """Of those received in the last day."""
    mine = _failed_lately(session, scope, now)
    since = func.min(_columns.finished_at).filter(_columns.finished_at > after)
    row = session.execute(select(func.count(), since).select_from(transfers).where(*mine, why)).one()
    return Refused(*row)
