"""A webhook's body → the transfers to store. Pure."""

from __future__ import annotations

from math import isinf
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from pydantic import ValidationError
from pydantic_core import from_json

from app.ipaas.models import TRANSFERRED, BareRecord, Envelope, faults_of, guid_for, read_guid
from app.ledger.triggers import NewTransfer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from app.connections import Connection, Connections
    from app.ipaas.models import CustomerRecord, Notification

_BARE_SCOPE = "customer/updated"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class WrongBody(Exception):
    """The body has a wrong shape; `faults` has a JSON pointer (RFC 6901) and a sentence for each."""

    def __init__(self, faults: list[dict[str, str]]) -> None:
        super().__init__("a body of a wrong shape")
        self.faults = faults


def parse_json(raw: bytes) -> Any:
    """A body as JSON. Raises ValueError."""
    body = from_json(raw.removeprefix(_BYTE_ORDER_MARK), allow_inf_nan=False)
    if _has_infinity(body):
        raise ValueError
    return body


def _has_infinity(value: Any) -> bool:
    """`1e999` is a number in JSON, but none that can be sent on."""
    if isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, list):
        return isinstance(value, float) and isinf(value)
    return any(_has_infinity(item) for item in value if isinstance(item, float | dict | list))


def read_intake(body: Any, headers: Mapping[str, str], connection: str) -> list[NewTransfer]:
    """One transfer per notification, in order. Raises WrongBody."""
    if not isinstance(body, dict):
        raise WrongBody([{"pointer": "", "detail": "Input should be an object."}])
    correlation = read_guid(headers.get("x-correlation-id"))
    try:
        if "notifications" not in body:
            record = BareRecord.model_validate(body)
            return [_from_bare_record(record, correlation, headers.get("idempotency-key"), connection)]
        envelope = Envelope.model_validate(body)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_input=False, include_context=False)
        raise WrongBody(faults_of(faults)) from None
    missing = [
        {"pointer": f"/notifications/{index}/id", "detail": "Field required."}
        for index, each in enumerate(envelope.notifications)
        if each.plain_scope in TRANSFERRED and _customer_id(each) is None
    ]
    if missing:
        raise WrongBody(missing)
    return _from_envelope(envelope, correlation, connection)


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


def _from_envelope(envelope: Envelope, correlation: str | None, connection: str) -> list[NewTransfer]:
    """`X-Correlation-Id` stands in once per customer, else one of two changes would pass for a repeat."""
    stood_in = {
        _customer_id(each) for each in envelope.notifications if read_guid(each.tracking_guid) == correlation
    }
    news = []
    for each in envelope.notifications:
        customer_id = _customer_id(each)
        guid = read_guid(each.tracking_guid)
        if guid is None and correlation is not None and customer_id not in stood_in:
            stood_in.add(customer_id)
            guid = correlation
        guid = guid or guid_for(each.tracking_guid) or str(uuid4())
        reason = None
        if each.plain_scope not in TRANSFERRED:
            reason = f"Only customer/created and customer/updated are sent to Stamped.io, not {each.shown_scope}."
        news.append(
            NewTransfer(
                connection=connection,
                customer_id=customer_id,
                tracking_guid=guid,
                repeat_key=guid if customer_id is not None and reason is None else None,
                scope=each.shown_scope,
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
