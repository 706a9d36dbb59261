"""The customer row: locked by reading it for a change, written by one statement. The rules are in `order`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, bindparam, select, update
from sqlalchemy.dialects import postgresql, sqlite

from app.ledger.order import Wanted
from app.ledger.tables import customers

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sqlalchemy import Connection

_KEY = and_(
    customers.c.connection == bindparam("of_connection"), customers.c.customer_id == bindparam("of_customer")
)
_LOOK = select(customers).where(_KEY)
_LOCK = _LOOK.with_for_update()
_LOCK_IF_FREE = _LOOK.with_for_update(skip_locked=True)
_WRITE = update(customers).where(_KEY)
NOBODY = "[]"  # in doubt, with nobody to look for
_EMPTY: dict[str, Any] = {column.name: None for column in customers.columns}
_FIRST = _EMPTY | {"written_back": False, "place": 1, "runs": 0}


@dataclass(frozen=True, slots=True)
class Customer:
    """One row of `customers`; times are seconds since 1970, UTC."""

    connection: str
    customer_id: str
    external_id: str | None
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
    owner: str | None
    sending: str | None
    runs: int

    @classmethod
    def of(cls, row: Mapping[Any, Any]) -> Customer:
        """From a row's mapping."""
        return cls(**{**row, "wanted": Wanted.load(row["wanted"])})

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


def _next_place() -> dict[str, Any]:
    """For each database: lock the customer, make the row if there is none, and take the next place."""
    statements = {}
    for name, dialect in (("sqlite", sqlite), ("postgresql", postgresql)):
        statement: Any = dialect.insert(customers)
        statement = statement.on_conflict_do_update(
            index_elements=("connection", "customer_id"), set_={"place": customers.c.place + 1}
        )
        statements[name] = statement.returning(customers)
    return statements


_NEXT_PLACE = _next_place()


def enter(connection: Connection, name: str, customer_id: str) -> Customer:
    """Lock the customer to the end of the transaction (rule 6), with a new place in the order of receipt."""
    values = _FIRST | {"connection": name, "customer_id": customer_id}
    return Customer.of(connection.execute(_NEXT_PLACE[connection.dialect.name], values).mappings().one())


def lock(connection: Connection, name: str, customer_id: str | None, *, wait: bool = True) -> Customer | None:
    """The same without a place. None = this customer was never heard of, or is locked and nobody is to wait."""
    return _one(connection, _LOCK if wait else _LOCK_IF_FREE, name, customer_id)


def look(connection: Connection, name: str, customer_id: str | None) -> Customer | None:
    """Without a lock."""
    return _one(connection, _LOOK, name, customer_id)


def write(connection: Connection, customer: Customer, **values: Any) -> None:
    """Change a customer that is locked."""
    if isinstance(values.get("wanted"), Wanted):
        values["wanted"] = values["wanted"].dump()
    key = {"of_connection": customer.connection, "of_customer": customer.customer_id}
    connection.execute(_WRITE, values | key)


def is_claimed(customer: Customer | None, claimed: Customer) -> bool:
    """Whether this claim is still the one that is at work on the customer."""
    return customer is not None and (customer.owner, customer.runs) == (claimed.owner, claimed.runs)


def take(connection: Connection, claimed: Customer, external_id: str) -> None:
    """Rule 8: this Stamped.io id is from now on this customer's, and nobody else's. Idempotent."""
    mine = lock(connection, claimed.connection, claimed.customer_id)
    if mine is None or not is_claimed(mine, claimed):
        return
    same_id = (customers.c.connection == mine.connection, customers.c.external_id == external_id)
    lost = {"external_id": None, "written_back": False, "told": None}
    connection.execute(update(customers).where(*same_id, customers.c.customer_id != mine.customer_id).values(lost))
    write(connection, mine, external_id=external_id, written_back=False, written_back_to=None, told=None)


def owner_of(connection: Connection, name: str, external_id: str, but: str) -> str | None:
    """Another customer whose link this Stamped.io id is."""
    same_id = (customers.c.connection == name, customers.c.external_id == external_id)
    return connection.execute(
        select(customers.c.customer_id).where(*same_id, customers.c.customer_id != but)
    ).scalar()


def doubting(customer: Customer, *sent: str | None) -> str:
    """Rule 7: the doubt, with these transfers' records sent without an answer, too."""
    return json.dumps(list(dict.fromkeys([*customer.doubtful, *filter(None, sent)])))


def earliest(times: Iterable[float | None]) -> float | None:
    """The first of these that is one."""
    return min((time for time in times if time is not None), default=None)


def _one(connection: Connection, statement: Any, name: str, customer_id: str | None) -> Customer | None:
    found = connection.execute(statement, {"of_connection": name, "of_customer": customer_id})
    row = found.mappings().one_or_none()
    return Customer.of(row) if row else None
