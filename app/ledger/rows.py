"""Statements about single transfers, built once: building them anew costs more than running them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, bindparam, not_, select
from sqlalchemy.dialects import postgresql, sqlite

from app.ledger.grouping import group_of
from app.ledger.order import Change, Moment
from app.ledger.ranks import Rank
from app.ledger.session import Query
from app.ledger.stored import Stored, dump_failure, dump_record, hash_email, hashed
from app.ledger.tables import DAY, PENDING, attempts, is_open, transfers

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from app.attempt import Failure
    from app.ipaas.models import CustomerRecord
    from app.ledger.customers import Customer
    from app.ledger.session import Session

_OF_FAILURE = ("error", "stamped_status", "failure_group", "failure")
_REPEAT = ("connection", "customer_id", "repeat_key")
_ADD = Query(
    {
        name: dialect.insert(transfers).on_conflict_do_nothing(index_elements=_REPEAT).returning(transfers.c.seq)
        for name, dialect in (("sqlite", sqlite), ("postgresql", postgresql))
    }
)
_BY_SEQ = select(transfers).where(transfers.c.seq == bindparam("wanted"))
_ONE = Query(_BY_SEQ)
_ONE_LOCKED = Query(_BY_SEQ.with_for_update())
_BY_ID = Query(select(transfers).where(transfers.c.id == bindparam("wanted")))
_RECORD = Query(select(transfers.c.record).where(transfers.c.id == bindparam("wanted")))
_OF_CUSTOMER = and_(
    transfers.c.connection == bindparam("name"), transfers.c.customer_id == bindparam("customer_id")
)
_SAME = Query(select(transfers).where(_OF_CUSTOMER, transfers.c.repeat_key == bindparam("key")).with_for_update())
_OPEN = select(transfers).where(_OF_CUSTOMER, is_open, not_(transfers.c.loading)).order_by(transfers.c.seq)
_OPEN_OF = Query(_OPEN)
_OPEN_OF_LOCKED = Query(_OPEN.with_for_update())
_SINCE = Query(
    select(transfers)
    .where(_OF_CUSTOMER, transfers.c.entered > bindparam("place"), transfers.c.record_hash.is_not(None))
    .where(transfers.c.status != "cancelled")
    .order_by(transfers.c.entered)
)
_PARKED = Query(
    select(attempts.c.number).where(attempts.c.transfer_seq == bindparam("wanted"), attempts.c.outcome == "down")
)
_LATEST = 2.0**50  # no number of a transfer is as high
_INTERRUPTED = Query(
    select(attempts.c.number).where(
        attempts.c.transfer_seq == bindparam("wanted"), attempts.c.outcome == "interrupted"
    )
)
EMPTY: dict[str, Any] = {column.name: None for column in transfers.columns if column.name != "seq"} | {
    "debug": False,
    "fetched": False,
    "loading": False,
    "promised": False,
    "tries": 0,
    "attempts": 0,
    "rank": Rank.PROMISED.value,
}


def by_seq(session: Session, seq: int, *, locked: bool = False) -> Stored:
    """One transfer that exists. `locked`: to the end of the transaction; always after its customer."""
    if session.ahead is not None and seq in session.ahead.transfers:
        return Stored.of(session.ahead.transfers[seq])
    return Stored.of(session.rows(_ONE_LOCKED if locked else _ONE, {"wanted": seq})[0])


def by_id(session: Session, transfer_id: str | None) -> Stored | None:
    """One transfer by its public id."""
    found = session.rows(_BY_ID, {"wanted": transfer_id})
    return Stored.of(found[0]) if found else None


def same(session: Session, name: str, customer_id: str | None, key: str | None) -> Stored:
    """The customer's transfer with this repeat key, which exists; locked to the end of the transaction."""
    return Stored.of(session.rows(_SAME, {"name": name, "customer_id": customer_id, "key": key})[0])


def open_of(session: Session, customer: Customer, *, locked: bool = False) -> list[Stored]:
    """A customer's transfers that have not ended and whose record, if they have one, is in hand."""
    values = {"name": customer.connection, "customer_id": customer.customer_id}
    return [Stored.of(row) for row in session.rows(_OPEN_OF_LOCKED if locked else _OPEN_OF, values)]


def pending_of(session: Session, customer: Customer) -> list[Stored]:
    """Those of them that have not begun."""
    return [each for each in open_of(session, customer) if each.status in PENDING]


def since(session: Session, customer: Customer) -> list[Stored]:
    """Records that came, or came again, after what is settled, in this order, but those that were taken back."""
    values = {"name": customer.connection, "customer_id": customer.customer_id}
    return [Stored.of(row) for row in session.rows(_SINCE, values | {"place": customer.settled_place or 0})]


def record_of(session: Session, transfer_id: str | None) -> str | None:
    """The record (JSON) that a transfer brought; None = none, or it has been deleted."""
    found = session.rows(_RECORD, {"wanted": transfer_id})
    return found[0]["record"] if found else None


def add(session: Session, values: dict[str, Any]) -> Stored | None:
    """Insert a transfer. None = the same notification is there already."""
    row = EMPTY | values | {"day": int(values["created_at"] // DAY)}
    ahead = session.ahead
    if ahead is None:
        found = session.rows(_ADD, row)
        return Stored.of(row | found[0]) if found else None
    if tuple(row[name] for name in _REPEAT) in ahead.repeats:
        return None
    row["seq"] = ahead.numbers.pop(0)
    session.insert(transfers, row)
    return Stored.of(row)


def change(session: Session, transfer: Stored, values: Mapping[str, Any]) -> Stored:
    """Update a transfer that was read in this transaction, under its customer's lock or its own."""
    session.update(transfers, {"seq": transfer.seq}, dict(values))
    return transfer.but(values)


def add_attempt(  # noqa: PLR0913 - the columns
    session: Session,
    transfer: Stored,
    now: float,
    outcome: str,
    *,
    failure: str | None = None,
    steps: str = "{}",
    calls: str = "[]",
) -> None:
    """Keep an attempt that ended."""
    values = {
        "transfer_seq": transfer.seq,
        "number": transfer.attempts,
        "started_at": transfer.started_at,
        "finished_at": now,
        "outcome": outcome,
        "failure": failure,
        "steps": steps,
        "calls": calls,
    }
    session.insert(attempts, values)


def was_parked(session: Session, transfer: Stored) -> bool:
    """Whether an attempt of it ended with a call in which Stamped.io was down."""
    return bool(session.rows(_PARKED, {"wanted": transfer.seq}))


def interruptions(session: Session, transfer: Stored) -> int:
    """How many of its attempts nobody saw end."""
    return len(session.rows(_INTERRUPTED, {"wanted": transfer.seq}))


def kept(record: CustomerRecord | None, consent: bool | None = None) -> dict[str, Any]:  # noqa: FBT001 - three-valued
    """What is stored of a record; `consent` as the mapping reads it."""
    if record is None:
        return {}
    text, changed_at = dump_record(record), record.updated_at
    return {
        "record": text,
        "record_hash": hashed(text),
        "email_hash": hash_email(record.email_address) if record.email_address else None,
        "changed_at": changed_at.timestamp() if changed_at else None,
        "consent": consent,
    }


def superseded(by: str | None, now: float) -> dict[str, Any]:
    """What becomes of a change when a newer one makes it needless."""
    return ended("skipped", now) | {"reason": f"superseded by transfer {by}", "superseded_by": by}


def ended(status: str, now: float) -> dict[str, Any]:
    """A final state, without an error."""
    return {
        "status": status,
        "finished_at": now,
        "next_attempt_at": None,
        "owner": None,
        "loading": False,
        "before": None,
        **dict.fromkeys(_OF_FAILURE),
    }


def failed(failure: Failure) -> dict[str, Any]:
    """What is stored of an error."""
    found = (failure.slug.value, failure.stamped.status, group_of(failure), dump_failure(failure))
    return dict(zip(_OF_FAILURE, found, strict=True)) | {"reason": failure.detail}


def due() -> dict[str, Any]:
    """Accepted: due whatever the clock says (rule 10)."""
    return {"status": "accepted", "next_attempt_at": 0.0, "owner": None, "finished_at": None}


def due_at(transfer: Stored) -> float | None:
    """When it is. What is due whatever the clock says comes first, in the order of receipt."""
    at_once = transfer.next_attempt_at == 0.0
    return transfer.seq - _LATEST if at_once else transfer.next_attempt_at


def paused(now: float) -> dict[str, Any]:
    """Due again as soon as its connection flows; what it failed with before is its attempts' now."""
    return due() | {"next_attempt_at": now, "reason": None, **dict.fromkeys(_OF_FAILURE)}


def begun(transfer: Stored, owner: str, now: float) -> dict[str, Any]:
    """An attempt of it begins."""
    return {
        "status": "running",
        "owner": owner,
        "attempts": transfer.attempts + 1,
        "started_at": now,
        "next_attempt_at": None,
    }


def begun_or_due(transfer: Stored, owner: str | None, now: float) -> dict[str, Any]:
    """With an owner it begins at once."""
    return due() if owner is None else begun(transfer, owner, now)


_BEFORE = ("status", "reason", *_OF_FAILURE, "finished_at", "promised", "tries", "rank")
_BROUGHT = ("record", "record_hash", "email_hash", "changed_at", "consent", "fetched", "place", "entered")


def before(transfer: Stored) -> str | None:
    """How a failed one had ended, and with which record, for the case that its re-run is cancelled."""
    names = (*_BEFORE, *_BROUGHT)
    return json.dumps({name: getattr(transfer, name) for name in names}) if transfer.status == "failed" else None


def change_of(transfer: Stored) -> Change | None:
    """The record that it brought, in the order; None = it brought none."""
    if transfer.record_hash is None or transfer.place is None:
        return None
    return Change(transfer.id, Moment(transfer.changed_at, transfer.place), transfer.consent)


def changes_of(transfers_: Iterable[Stored]) -> list[Change]:
    """All of them."""
    return [each for each in map(change_of, transfers_) if each is not None]
