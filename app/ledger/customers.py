"""The customer row: locked by reading it for a change, written by one statement. The rules are in `order`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, bindparam, select
from sqlalchemy.dialects.postgresql import insert

from app.ledger.order import Wanted
from app.ledger.ranks import Rank
from app.ledger.session import About, Query, Row, Session, shared
from app.ledger.tables import customers

if TYPE_CHECKING:
    from collections.abc import Iterable

_KEY = and_(
    customers.c.connection == bindparam("of_connection"), customers.c.customer_id == bindparam("of_customer")
)
_LOOK = Query(select(customers).where(_KEY))
_LOCK = Query(select(customers).where(_KEY).with_for_update())
_LOCK_IF_FREE = Query(select(customers).where(_KEY).with_for_update(skip_locked=True))
_OWNERS = Query(
    select(customers.c.customer_id, customers.c.linked_at).where(
        customers.c.connection == bindparam("of_connection"), customers.c.external_id == bindparam("link")
    )
)
NOBODY = "[]"  # in doubt, with nobody to look for
_EMPTY: dict[str, Any] = {column.name: None for column in customers.columns}
_FIRST = _EMPTY | {"written_back": False, "place": 1, "runs": 0, "rank": Rank.PROMISED.value}


@dataclass(frozen=True)
class Customer:
    """One row of `customers`; times are seconds since 1970, UTC. Made without its constructor, as `Stored`."""

    connection: str
    customer_id: str
    external_id: str | None
    linked_at: float | None
    written_back: bool
    written_back_to: str | None
    destination: str | None
    place: int
    wanted: Wanted
    settled: str | None
    settled_place: int | None
    told: bool | None
    doubt: str | None
    verify_at: float | None
    due_at: float | None
    rank: int
    owner: str | None
    sending: str | None
    runs: int
    is_new: bool = False  # it has no row yet

    @classmethod
    def of(cls, row: Row) -> Customer:
        """From a row's mapping."""
        made = object.__new__(cls)
        made.__dict__.update(row, wanted=Wanted.load(row["wanted"]))
        return made

    def but(self, **values: Any) -> Customer:
        """With other values."""
        made = object.__new__(Customer)
        made.__dict__.update(self.__dict__, **values)
        return made

    @property
    def owes_no(self) -> bool:
        """Rule 3: whether a "no" is due beside the wanted record."""
        return self.wanted.owes_no(self.told)

    @property
    def doubtful(self) -> list[str]:
        """What was sent without an answer: ids of transfers, or records (JSON) that are no transfer's any more."""
        found: list[str] = json.loads(self.doubt) if self.doubt else []
        return found

    def knows_link_at(self, destination: str | None) -> bool:
        """Whether the system of this destination was told the link."""
        there = None in {self.written_back_to, destination} or self.written_back_to == destination
        return self.written_back and there


def _made() -> Query:
    """Lock the customer, whether or not there is one, and take the next place."""
    statement: Any = insert(customers)
    statement = statement.on_conflict_do_update(
        index_elements=("connection", "customer_id"), set_={"place": customers.c.place + 1}
    )
    return Query(statement.returning(customers))


_MADE = _made()


def enter(session: Session, name: str, customer_id: str) -> Customer:
    """Lock the customer to the end of the transaction (rule 6), with a new place in the order of receipt.

    Who gives that place to somebody writes it, too.
    """
    if session.is_sqlite or session.ahead is not None:  # nobody else can make it meanwhile, or this all fails
        found = lock(session, name, customer_id)
        if found is not None:
            return found.but(place=found.place + 1)
        return Customer.of(_FIRST | {"connection": name, "customer_id": customer_id, "is_new": True})
    values = _FIRST | {"connection": name, "customer_id": customer_id}
    return Customer.of(session.rows(_MADE, values)[0])


def lock(session: Session, name: str, customer_id: str | None, *, wait: bool = True) -> Customer | None:
    """The same without a place. None = this customer was never heard of, or is locked and nobody is to wait."""
    if session.ahead is not None and customer_id is not None and (name, customer_id) in session.ahead.customers:
        row = session.ahead.customers[name, customer_id]
        return Customer.of(row) if row else None
    return _one(session, _LOCK if wait else _LOCK_IF_FREE, name, customer_id)


def look(session: Session, name: str, customer_id: str | None) -> Customer | None:
    """Without a lock."""
    return _one(session, _LOOK, name, customer_id)


def write(session: Session, customer: Customer, **values: Any) -> None:
    """Change a customer that is locked, once in a transaction where it is new."""
    if isinstance(values.get("wanted"), Wanted):
        values["wanted"] = values["wanted"].dump()
    values["place"] = customer.place
    key = {"connection": customer.connection, "customer_id": customer.customer_id}
    if customer.is_new:
        session.insert(customers, _FIRST | key | values)
    else:
        session.update(customers, key, values)


def is_claimed(customer: Customer | None, claimed: Customer) -> bool:
    """Whether this claim is still the one that is at work on the customer."""
    return customer is not None and (customer.owner, customer.runs) == (claimed.owner, claimed.runs)


def _about(claimed: Customer, external_id: str, _answered_at: float) -> About:
    return About(claimed.connection, claimed.customer_id, external_id=external_id)


@shared(_about)
def take(session: Session, claimed: Customer, external_id: str, answered_at: float) -> None:
    """Rule 8: this Stamped.io id, named at that time, is this customer's, and nobody else's. Idempotent."""
    mine = lock(session, claimed.connection, claimed.customer_id)
    if mine is None or not is_claimed(mine, claimed) or mine.external_id == external_id:
        return
    if freed(session, mine, external_id, answered_at) is None:
        link = {"external_id": external_id, "linked_at": answered_at, "written_back": False}
        write(session, mine, **link, written_back_to=None, told=None)


def freed(session: Session, mine: Customer, external_id: str, answered_at: float | None) -> str | None:
    """Rule 8: another customer loses this id, unless it was answered later: then that one is returned.

    None for the time: it loses it to nobody.
    """
    if session.ahead is not None:  # it was looked whether it is somebody's
        return None
    for owner, linked_at in _owners(session, mine.connection, external_id, mine.customer_id):
        if answered_at is None or (linked_at is not None and linked_at > answered_at):
            return owner
        other = lock(session, mine.connection, owner)
        if other is not None and other.external_id == external_id:
            write(session, other, external_id=None, linked_at=None, written_back=False, told=None)
    return None


def owner_of(session: Session, name: str, external_id: str, but: str) -> str | None:
    """Another customer whose link this Stamped.io id is."""
    return next((owner for owner, _ in _owners(session, name, external_id, but)), None)


def _owners(session: Session, name: str, external_id: str, but: str) -> list[tuple[str, float | None]]:
    """None but one, as a rule, and since when."""
    found = session.rows(_OWNERS, {"of_connection": name, "link": external_id})
    return [(row["customer_id"], row["linked_at"]) for row in found if row["customer_id"] != but]


def doubting(customer: Customer, *sent: str | None) -> str:
    """Rule 7: the doubt, with these transfers' records sent without an answer, too."""
    return json.dumps(list(dict.fromkeys([*customer.doubtful, *filter(None, sent)])))


def earliest(times: Iterable[float | None]) -> float | None:
    """The first of these that is one."""
    return min((time for time in times if time is not None), default=None)


def _one(session: Session, query: Query, name: str, customer_id: str | None) -> Customer | None:
    found = session.rows(query, {"of_connection": name, "of_customer": customer_id})
    return Customer.of(found[0]) if found else None
