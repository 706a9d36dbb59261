"""What the stand-in remembers: customers, the calls it got, and the style it answers in."""

from collections import deque
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, StringConstraints
from pydantic.alias_generators import to_camel

Operation = Literal["add", "update", "get", "search", "subscribe", "unsubscribe"]
Style = Literal[
    "flat",
    "nested",
    "data",
    "result",
    "list",
    "text_id",
    "no_subscribed",
    "null_subscribed",
    "no_id",
    "empty",
    "null",
    "true",
    "text",
]
Email = Annotated[str, StringConstraints(pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$", max_length=254)]
# The limit also makes pydantic refuse lone surrogates, which no answer could carry.
Text = Annotated[str, StringConstraints(max_length=10_000)]


class Throttle(BaseModel):
    """At most so many calls in any window of so many seconds; the next one is answered with 429.

    `most` is how many it has seen in one, `refused` how many it has answered so, since it was set.
    """

    limit: int = Field(default=1_000_000, ge=1)
    seconds: float = Field(default=60.0, gt=0, le=3600, allow_inf_nan=False)
    most: int = 0
    refused: int = 0
    _begun: deque[float] = PrivateAttr(default_factory=deque)

    def begins(self, now: float) -> float | None:
        """A call came: None, or the seconds after which it would not have been too many."""
        while self._begun and self._begun[0] <= now - self.seconds:
            self._begun.popleft()
        self._begun.append(now)
        self.most = max(self.most, len(self._begun))
        if len(self._begun) <= self.limit:
            return None
        self.refused += 1
        return self._begun[-self.limit - 1] + self.seconds - now


FIRST_ID = 143491
CALLS_KEPT = 1000


class RefusalError(Exception):
    """An answer of 4xx: Stamped.io understood the call and said no."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class CustomerFields(BaseModel):
    """What a caller may write. Other fields are ignored, numbers are taken as text."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        validate_by_name=True,
        coerce_numbers_to_str=True,
        extra="ignore",
    )

    email: Email | None = None
    first_name: Text | None = None
    last_name: Text | None = None
    name: Text | None = None
    external_id: Text | None = None
    tags: Text | None = None
    country: Text | None = None
    notes: Text | None = None

    def changes(self) -> dict[str, Any]:
        """Return the fields that were sent. A null clears a field, except the e-mail."""
        sent = self.model_dump(exclude_unset=True)
        return {field: value for field, value in sent.items() if field != "email" or value is not None}


class SeedFields(CustomerFields):
    """What the control API may write: also what Stamped.io keeps to itself."""

    is_subscribed: bool = False
    is_confirmed: bool = False
    points: int = 0


class Customer(SeedFields):
    """A customer as Stamped.io has it. The dates are UTC and carry no zone."""

    id: int
    email: Email
    date_created: str
    date_updated: str

    def answer(self) -> dict[str, Any]:
        """Return the V2 JSON object; a name that was never sent is made of first and last name."""
        fields = self.model_dump(by_alias=True)
        fields["name"] = self.name or " ".join(filter(None, (self.first_name, self.last_name))) or None
        return {"id": fields.pop("id"), **fields}


class Call(BaseModel):
    """One V2 call. The status is null while it runs, and stays so if the connection was cut."""

    method: str
    path: str
    operation: Operation
    email: str | None
    status: int | None = None


class Store:
    """Customers by id and, ignoring case, by e-mail."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget everything, the style too; ids begin anew."""
        self._customers: dict[int, Customer] = {}
        self._ids: dict[str, int] = {}
        self.calls: deque[Call] = deque(maxlen=CALLS_KEPT)
        self.style: Style = "flat"
        self.throttle = Throttle()

    def customers(self) -> list[Customer]:
        """Return them in a new list, in the order of their creation."""
        return list(self._customers.values())

    def get(self, customer_id: int | None) -> Customer:
        """Return that customer; refuse with 404."""
        customer = None if customer_id is None else self._customers.get(customer_id)
        if customer is None:
            raise RefusalError(404, "Customer not found.")
        return customer

    def add(self, fields: CustomerFields) -> Customer:
        """Create a customer, or update the one who has this e-mail; refuse a missing e-mail with 400."""
        if fields.email is None:
            raise RefusalError(400, "Email is not valid.")
        known = self._ids.get(fields.email.casefold())
        if known is not None:
            return self.update(known, fields)
        now = _now()
        customer_id = FIRST_ID + len(self._customers)
        customer = Customer(id=customer_id, date_created=now, date_updated=now, **fields.changes())
        self._keep(customer)
        return customer

    def update(self, customer_id: int | None, fields: CustomerFields) -> Customer:
        """Change the fields that were sent; refuse an unknown id with 404, another's e-mail with 409."""
        before = self.get(customer_id)
        changes = fields.changes()
        email = changes.get("email", before.email).casefold()
        if self._ids.get(email, before.id) != before.id:
            raise RefusalError(409, "Another customer has this email.")
        del self._ids[before.email.casefold()]
        customer = before.model_copy(update={**changes, "date_updated": _now()})
        self._keep(customer)
        return customer

    def set_subscribed(self, email: str | None, *, subscribed: bool) -> Customer:
        """Subscribe or unsubscribe by e-mail; refuse an unknown one with 404."""
        if email is None:
            raise RefusalError(400, "Email is not valid.")
        before = self.get(self._ids.get(email.casefold()))
        customer = before.model_copy(update={"is_subscribed": subscribed, "date_updated": _now()})
        self._keep(customer)
        return customer

    def search(self, text: str) -> list[Customer]:
        """Return those whose e-mail or name contains the text, ignoring case; all for an empty text."""
        wanted = text.casefold()
        return [
            customer
            for customer in self._customers.values()
            if wanted in customer.email.casefold() or wanted in (customer.answer()["name"] or "").casefold()
        ]

    def _keep(self, customer: Customer) -> None:
        self._customers[customer.id] = customer
        self._ids[customer.email.casefold()] = customer.id


def _now() -> str:
    return datetime.now(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds")
