"""Attempts begin: each function is one transaction, which puts a replica to work on a customer, or on a load."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import structlog
from sqlalchemy import Float, Integer, String, and_, bindparam, select

from app.ledger import customers, rows
from app.ledger.customers import Customer
from app.ledger.ranks import Rank
from app.ledger.session import Query
from app.ledger.stored import Stored, new_id
from app.ledger.tables import RUNNING, is_loading, is_pending, transfers
from app.ledger.tables import customers as table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import ColumnElement

    from app.ipaas.models import CustomerRecord
    from app.ledger.session import Session

log = structlog.stdlib.get_logger("ledger")

_LEFT_OUT = 100  # so many that cannot be begun keep nobody from those that can
_SCOPE = bindparam("scope", type_=String)
_NOW, _BEFORE = bindparam("now", type_=Float), bindparam("before", type_=Float)
_RANK, _MOST = bindparam("rank", type_=Integer), bindparam("most", type_=Integer)


def _due_customers(
    *due: ColumnElement[bool], order: ColumnElement[Any] | tuple[ColumnElement[Any], ...]
) -> tuple[Query, Query]:
    """To begin them, and whether there are any."""
    mine = and_(table.c.connection == _SCOPE, table.c.owner.is_(None), *due)
    by = order if isinstance(order, tuple) else (order,)
    begun = select(table).where(mine).order_by(*by).limit(_MOST).with_for_update(skip_locked=True)
    return Query(begun), Query(select(table.c.customer_id).where(mine).limit(_MOST))


_DUE, _WAITS = _due_customers(table.c.rank == _RANK, table.c.due_at <= _NOW, order=table.c.due_at)
_DUE_TO_PROBE, _ = _due_customers(
    table.c.rank == _RANK,
    table.c.due_at <= _NOW,
    table.c.due_at < _BEFORE,
    order=(table.c.due_at >= 0.0, table.c.due_at.desc()),  # what was never tried, the newest first
)
_DUE_TO_VERIFY, _WAITS_TO_BE_VERIFIED = _due_customers(
    table.c.due_at.is_(None), table.c.verify_at <= _NOW, order=table.c.verify_at
)
_DUE_LOADS = Query(
    select(transfers)
    .where(transfers.c.connection == _SCOPE, transfers.c.rank == _RANK)
    .where(is_loading, is_pending, transfers.c.next_attempt_at <= _NOW)
    .order_by(transfers.c.next_attempt_at, transfers.c.seq)
    .limit(_MOST)
    .with_for_update(skip_locked=True)
)


@dataclass(frozen=True, slots=True)
class Claim:
    """An attempt that begins: what is wanted of this customer (`record` as JSON, None = deleted), and who asked.

    `lead` gives it its tracking GUID and destination; `covered` end with it. `parsed`: the record as it came.
    `probes`: it looks whether Stamped.io answers again.
    """

    customer: Customer
    lead: Stored
    covered: tuple[Stored, ...]
    record: str | None
    began_at: float
    parsed: CustomerRecord | None = None
    probes: bool = False

    @property
    def verifies(self) -> bool:
        """Nobody asked: it looks what calls without an answer have done."""
        return self.lead.trigger == "verify"


def begin(session: Session, customer: Customer, covered: Sequence[Stored], owner: str, now: float) -> Claim:
    """Rules 4 and 6: from here on this customer is `owner`'s, and what is wanted now is applied."""
    wanted = customer.wanted
    values: dict[str, Any] = {"owner": owner, "runs": customer.runs + 1, "sending": wanted.id, "due_at": None}
    customers.write(session, customer, wanted=wanted, destination=customer.destination, **values)
    lead = next((each for each in covered if each.id == wanted.id), covered[-1])
    record = lead.record if lead.id == wanted.id else rows.record_of(session, wanted.id)
    return Claim(customer.but(**values), lead, tuple(covered), record, now)


def claim(session: Session, name: str, customer_id: str | None, owner: str, now: float) -> Claim | None:
    """Begin what is due of this customer. None = nothing is, or somebody is at work."""
    customer = customers.lock(session, name, customer_id)
    if customer is None or customer.owner is not None or customer.due_at is None or customer.due_at > now:
        return None
    return _begin_due(session, customer, owner, now)


def claim_due(  # noqa: PLR0913 - who claims what
    session: Session,
    scope: str,
    rank: Rank,
    owner: str,
    now: float,
    limit: int,
    *,
    before: float | None = None,
    careful: bool = False,
) -> list[Claim]:
    """Begin what is due of up to `limit` customers that nobody is at work on, what waited longest first.

    A verification is only due where nothing else is to be tried: that would set what is wanted anyway, and has its
    own schedule. `before`: only what is due since before then, the newest first.
    """
    if limit <= 0:
        return []
    most = limit + _LEFT_OUT if careful else limit
    wanted = {"scope": scope, "now": now, "most": most}
    if before is None:
        due = session.rows(_DUE, wanted | {"rank": rank})
    else:
        due = session.rows(_DUE_TO_PROBE, wanted | {"rank": rank, "before": before})
    if rank is Rank.RETRY:
        due += session.rows(_DUE_TO_VERIFY, wanted)
    claims: list[Claim] = []
    for row in due[:most]:
        try:
            with session.begin_nested() if careful else nullcontext():
                begun = _begin_due(session, Customer.of(row), owner, now)
        except Exception:
            if not careful:
                raise
            log.exception("cannot be begun", customer_id=row["customer_id"])
            continue
        claims += [begun] if begun else []
        if len(claims) == limit:
            break
    return claims


def is_due(session: Session, scope: str, rank: Rank, now: float) -> bool:
    """Whether a customer waits to be begun."""
    one = {"scope": scope, "now": now, "most": 1}
    found = session.rows(_WAITS, one | {"rank": rank})
    return bool(found or (rank is Rank.RETRY and session.rows(_WAITS_TO_BE_VERIFIED, one)))


def claim_loads(  # noqa: PLR0913 - who claims what
    session: Session, scope: str, rank: Rank, owner: str, now: float, limit: int
) -> list[Stored]:
    """Begin to fetch the records of up to `limit` transfers that are due for it."""
    if limit <= 0:
        return []
    due = session.rows(_DUE_LOADS, {"scope": scope, "rank": rank, "now": now, "most": limit})
    return [rows.change(session, each, rows.begun(each, owner, now)) for each in map(Stored.of, due)]


def _begin_due(session: Session, customer: Customer, owner: str, now: float) -> Claim | None:
    pending = rows.pending_of(session, customer)
    covered = [rows.change(session, each, rows.begun(each, owner, now)) for each in pending]
    if not covered and customer.verify_at is not None and customer.verify_at <= now:
        covered = _verification(session, customer, owner, now)
    if not covered:
        customers.write(session, customer, due_at=None)
        return None
    return begin(session, customer, covered, owner, now)


def _verification(session: Session, customer: Customer, owner: str, now: float) -> list[Stored]:
    """Rule 7: the one trigger that nobody sent."""
    added = rows.add(
        session,
        {
            "id": new_id(now),
            "connection": customer.connection,
            "customer_id": customer.customer_id,
            "tracking_guid": str(uuid4()),
            "destination": customer.destination,
            "scope": "customer/updated",
            "trigger": "verify",
            "place": customer.place,
            "promised": True,
            "created_at": now,
            "status": RUNNING,
            "owner": owner,
            "attempts": 1,
            "started_at": now,
        },
    )
    return [added] if added else []
