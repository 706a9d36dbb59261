"""A webhook's body → what to transfer. Pure."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from uuid import NAMESPACE_URL, uuid4, uuid5

from pydantic import ValidationError

from app.api.problems import ProblemError
from app.catalog import Slug
from app.engine import Intake
from app.ipaas.models import Envelope, faults_of, read_guid, read_record
from app.transfer import Change

if TYPE_CHECKING:
    from collections.abc import Mapping

    from app.ipaas.models import CustomerRecord, Notification

TRANSFERRED = frozenset({"customer/created", "customer/updated"})
_BARE_SCOPE = "customer/updated"


def read_intakes(body: Any, headers: Mapping[str, str]) -> list[Intake]:
    """One intake per notification, in order. Raises ProblemError 422 that points at each fault."""
    if not isinstance(body, dict):
        raise _invalid([{"pointer": "", "detail": "Input should be an object."}])
    correlation = read_guid(headers.get("x-correlation-id"))
    if "notifications" not in body:
        return [_from_bare_record(read_customer(body), correlation, headers.get("idempotency-key"))]
    try:
        envelope = Envelope.model_validate(body)
    except ValidationError as error:
        raise _invalid(faults_of(error)) from None
    missing = [
        {"pointer": f"/notifications/{index}/id", "detail": "Field required."}
        for index, each in enumerate(envelope.notifications)
        if each.plain_scope in TRANSFERRED and _customer_id(each) is None
    ]
    if missing:
        raise _invalid(missing)
    return _from_envelope(envelope, correlation)


def read_customer(body: Any) -> CustomerRecord:
    """A bare record. Raises ProblemError 422 that points at each fault."""
    try:
        record = read_record(body)
    except ValidationError as error:
        raise _invalid(faults_of(error)) from None
    if record.id is None:
        raise _invalid([{"pointer": "/id", "detail": "Field required."}])
    return record


def _from_bare_record(record: CustomerRecord, correlation: str | None, idempotency_key: str | None) -> Intake:
    stand_in = (
        (read_guid(idempotency_key) or str(uuid5(NAMESPACE_URL, idempotency_key))) if idempotency_key else None
    )
    guid = read_guid(record.tracking_guid) or stand_in or correlation or str(uuid4())
    change = Change(record.id or "", guid, record=record)
    return Intake(guid, record.id, _BARE_SCOPE, change)


def _from_envelope(envelope: Envelope, correlation: str | None) -> list[Intake]:
    """`X-Correlation-Id` stands in once per customer, else one of two changes would pass for a repeat."""
    stood_in: set[str | None] = set()
    intakes = []
    for each in envelope.notifications:
        customer_id = _customer_id(each)
        guid = read_guid(each.tracking_guid)
        if guid is None and correlation is not None and customer_id not in stood_in:
            stood_in.add(customer_id)
            guid = correlation
        guid = guid or str(uuid4())
        if customer_id is not None and each.plain_scope in TRANSFERRED:
            change = Change(customer_id, guid, each.destination, each.customer)
            intakes.append(Intake(guid, customer_id, each.plain_scope, change, debug=each.debug))
        else:
            reason = f"Only customer/created and customer/updated are sent to Stamped.io, not {each.shown_scope}."
            intakes.append(Intake(guid, customer_id, each.shown_scope, skip_reason=reason, debug=each.debug))
    return intakes


def _customer_id(notification: Notification) -> str | None:
    return notification.id or (notification.customer.id if notification.customer else None)


def _invalid(errors: list[dict[str, str]]) -> ProblemError:
    return ProblemError(Slug.INVALID_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY, "See `errors`.", errors=errors)
