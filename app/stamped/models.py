"""Stamped.io's answers, read tolerantly (the V2 API is documented by its paths only)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from app.calls import ENVELOPES

if TYPE_CHECKING:
    from collections.abc import Iterator

_ENVELOPES = (*ENVELOPES, "customers")
_DEPTH = 4


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


def customers_in(body: Any, depth: int = _DEPTH) -> Iterator[StampedCustomer]:
    """Every customer of an answer, in order."""
    if isinstance(body, list):
        for item in body:
            yield from customers_in(item, depth)
    elif isinstance(body, dict):
        found = _customer(body)
        if found is not None:
            yield found
        elif depth:
            for name in _ENVELOPES:
                if isinstance(body.get(name), dict | list):
                    yield from customers_in(body[name], depth - 1)


def _customer(body: dict[str, Any]) -> StampedCustomer | None:
    customer_id = _id(body.get("id"))
    if customer_id is None:
        return None
    email = body.get("email")
    known = email if isinstance(email, str) else None
    return StampedCustomer(customer_id, known, _flag(body.get("isSubscribed")), body)


def _id(value: Any) -> str | None:
    """A number or a numeric string, above zero; kept as a string."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = str(value).strip() if isinstance(value, str | int) and not isinstance(value, bool) else ""
    return text if text.isascii() and text.isdecimal() and text.strip("0") else None


def _flag(value: Any) -> bool | None:
    if isinstance(value, bool):
        return value
    text = str(value).strip().lower() if isinstance(value, str | int) else ""
    return {"true": True, "1": True, "false": False, "0": False}.get(text)
