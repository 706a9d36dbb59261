"""A webhook's body → the transfers to store. Pure."""

from __future__ import annotations

import re
from math import isinf
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from pydantic import ValidationError
from pydantic_core import from_json

from app.ipaas.models import (
    MOST_FAULTS,
    TRANSFERRED,
    BareRecord,
    Notification,
    Outline,
    faults_of,
    guid_for,
    read_guid,
    shown_scope,
)
from app.ledger.triggers import NewTransfer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from app.connections import Connection, Connections
    from app.ipaas.models import CustomerRecord

_BARE_SCOPE = "customer/updated"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_HUGE = re.compile(rb"\d[eE]\+?\d|\d{300}")  # what a number too large for a float has; looking is cheaper


class WrongBody(Exception):
    """The body has a wrong shape; `faults` has a JSON pointer (RFC 6901) and a sentence for each."""

    def __init__(self, faults: list[dict[str, str]]) -> None:
        super().__init__("a body of a wrong shape")
        self.faults = faults


def parse_json(raw: bytes) -> Any:
    """A body as JSON. Raises ValueError."""
    body = from_json(raw.removeprefix(_BYTE_ORDER_MARK), allow_inf_nan=False)
    if _HUGE.search(raw) and _has_infinity(body):
        raise ValueError
    return body


def _has_infinity(value: Any) -> bool:
    """`1e999` is a number in JSON, but none that can be sent on."""
    if isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, list):
        return isinstance(value, float) and isinf(value)
    return any(_has_infinity(item) for item in value if isinstance(item, float | dict | list))


def read_intake(
    body: Any, headers: Mapping[str, str], connection: str, hide: Callable[[str], str] = str
) -> list[NewTransfer]:
    """One transfer per notification, in order; of scopes what `hide` leaves. Raises WrongBody."""
    if not isinstance(body, dict):
        raise WrongBody([{"pointer": "", "detail": "Input should be an object."}])
    correlation = read_guid(headers.get("x-correlation-id"))
    try:
        if "notifications" not in body:
            record = BareRecord.model_validate(body)
            return [_from_bare_record(record, correlation, headers.get("idempotency-key"), connection)]
        outline = Outline.model_validate(body)
    except ValidationError as error:
        raise WrongBody(_told(error)) from None
    return _from_envelope(_notifications(outline.notifications), correlation, connection, hide)


def _notifications(bodies: list[Any]) -> list[Notification]:
    """One after the other, and no further than there are faults to tell. Raises WrongBody."""
    found: list[Notification] = []
    faults: list[dict[str, str]] = []
    for index, each in enumerate(bodies):
        at = f"/notifications/{index}"
        try:
            found.append(Notification.model_validate(each))
        except ValidationError as error:
            faults += [fault | {"pointer": at + fault["pointer"]} for fault in _told(error)]
        if len(faults) >= MOST_FAULTS:
            break
    faults = faults[:MOST_FAULTS] or [
        {"pointer": f"/notifications/{index}/id", "detail": "Field required."}
        for index, each in enumerate(found)
        if each.plain_scope in TRANSFERRED and _customer_id(each) is None
    ]
    if faults:
        raise WrongBody(faults)
    return found


def _told(error: ValidationError) -> list[dict[str, str]]:
    return faults_of(error.errors(include_url=False, include_input=False, include_context=False))


def _from_bare_record(
    record: CustomerRecord, correlation: str | None, idempotency_key: str | None, connection: str
) -> NewTransfer:
    stand_in = guid_for(idempotency_key)
    guid = (
        read_guid(record.tracking_guid)
        or stand_in
        or correlation
        or guid_for(record.tracking_guid)
        or str(uuid4())
    )
    return NewTransfer(connection, record.id, guid, stand_in or guid, _BARE_SCOPE, record=record)


def _from_envelope(
    notifications: list[Notification], correlation: str | None, connection: str, hide: Callable[[str], str]
) -> list[NewTransfer]:
    """`X-Correlation-Id` stands in once per customer, else one of two changes would pass for a repeat."""
    stood_in = {_customer_id(each) for each in notifications if read_guid(each.tracking_guid) == correlation}
    news = []
    for each in notifications:
        customer_id = _customer_id(each)
        guid = read_guid(each.tracking_guid)
        if guid is None and correlation is not None and customer_id not in stood_in:
            stood_in.add(customer_id)
            guid = correlation
        guid = guid or guid_for(each.tracking_guid) or str(uuid4())
        reason, scope = None, each.plain_scope
        if each.plain_scope not in TRANSFERRED:
            scope = shown_scope(hide(scope))
            reason = f"Only customer/created and customer/updated are sent to Stamped.io, not {scope}."
        news.append(
            NewTransfer(
                connection=connection,
                customer_id=customer_id,
                tracking_guid=guid,
                repeat_key=guid if customer_id is not None and reason is None else None,
                scope=scope,
                destination=each.destination,
                debug=each.debug,
                record=each.customer if reason is None else None,
                skip_reason=reason,
            )
        )
    return news


def _customer_id(notification: Notification) -> str | None:
    return notification.id or (notification.customer.id if notification.customer else None)


def chosen(connections: Connections, connection: str | None) -> Connection:
    """The one that an operator names; where there is one only, none need be. Raises WrongBody."""
    found = connections.get(connection) if connection else connections.only()
    if found is None:
        ids = ", ".join(each.id for each in connections)
        said = "There is no such connection, but" if connection else "Say which connection is meant:"
        raise WrongBody([{"pointer": "/connection", "detail": f"{said} {ids}."}])
    return found
