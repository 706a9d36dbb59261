"""Stamped.io's answers, read tolerantly (the V2 API is documented by its paths only)."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any

from app.outbound.calls import ENVELOPES

if TYPE_CHECKING:
    from collections.abc import Iterator

_ENVELOPES = (*ENVELOPES, "customers")
_DEPTH = 4
_PARTS = 2_000  # of an answer that are looked at
_DIGITS = 40


@dataclass(frozen=True, slots=True)
class StampedCustomer:
    """What the flow needs of a customer. `is_subscribed` None = unknown, which is not False."""

    id: str
    email: str | None
    is_subscribed: bool | None
    answered: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)

    def holds(self, fields: dict[str, Any]) -> bool:
        """Whether every one of these fields was answered just so; numbers may come as text."""
        return all(str(self.answered.get(name)) == str(value) for name, value in fields.items())

    def is_known_as(self, external_id: Any) -> bool:
        """Whether it carries this id of the other side; nobody is known by none."""
        return external_id is not None and str(self.answered.get("externalId")) == str(external_id)


def customer_in(body: Any) -> StampedCustomer | None:
    """The customer of an answer: flat, in an envelope, or the first of a list. None = there is none."""
    return next(customers_in(body), None)


def customers_in(body: Any) -> Iterator[StampedCustomer]:
    """The customers of an answer, in order; of a huge one only those at its begin."""
    return filter(None, islice(_look(body, _DEPTH), _PARTS))


def _look(part: Any, depth: int) -> Iterator[StampedCustomer | None]:
    """Something for each part that was looked at."""
    found = _customer(part) if isinstance(part, dict) else None
    yield found
    if isinstance(part, list):
        for item in part:
            yield from _look(item, depth)
    elif isinstance(part, dict) and found is None and depth:
        for name in _ENVELOPES:
            if isinstance(part.get(name), dict | list):
                yield from _look(part[name], depth - 1)


def _customer(body: dict[str, Any]) -> StampedCustomer | None:
    customer_id = _id(body.get("id"))
    if customer_id is None:
        return None
    email = body.get("email")
    known = email if isinstance(email, str) else None
    return StampedCustomer(customer_id, known, _flag(body.get("isSubscribed")), body)


def _id(value: Any) -> str | None:
    """A number or a numeric string, above zero, of at most 40 digits; kept as a string."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = str(value).strip() if isinstance(value, str | int) and not isinstance(value, bool) else ""
    is_id = len(text) <= _DIGITS and text.isascii() and text.isdecimal() and text.strip("0")
    return text if is_id else None


def _flag(value: Any) -> bool | None:
    if isinstance(value, bool):
        return value
    text = str(value).strip().lower() if isinstance(value, str | int) else ""
    return {"true": True, "1": True, "false": False, "0": False}.get(text)
