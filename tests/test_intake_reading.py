"""No JSON breaks the reading of a webhook's body."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.intake import WrongBody, parse_json, read_intake
from app.ipaas.models import Notification

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["notifications", "scope", "id", "customer", "tracking_guid"]), inner)
    ),
    max_leaves=12,
)


def refusal_of(body: Any) -> WrongBody | None:
    try:
        transfers = read_intake(body, {}, "default")
    except WrongBody as error:
        return error
    assert all(UUID(transfer.tracking_guid).int for transfer in transfers)
    return None


@given(JSON)
def test_no_json_breaks_the_reading(body: Any) -> None:
    refusal = refusal_of(body)
    assert refusal is None or refusal.faults


def test_no_more_is_looked_at_than_faults_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of these has a fault for every two bytes."""
    looked = 0
    validate = Notification.model_validate

    def counting(value: Any) -> Notification:
        nonlocal looked
        looked += 1
        return validate(value)

    monkeypatch.setattr("app.intake.Notification.model_validate", counting)
    one = {"id": 1, "scope": "customer/updated", "customer": {"custom_fields": [0] * 60}}
    refusal = refusal_of({"notifications": [one] * 100})
    assert refusal is not None
    assert len(refusal.faults) == 100
    assert refusal.faults[-1]["pointer"] == "/notifications/1/customer/custom_fields/39"
    assert looked == 2


@pytest.mark.parametrize("name", ["custom_fields", "external_ids"])
def test_a_list_of_a_record_is_bounded(name: str) -> None:
    refusal = refusal_of({"id": 1, name: [0] * 300_000})
    assert refusal is not None
    assert [fault["pointer"] for fault in refusal.faults] == [f"/{name}"]


@pytest.mark.parametrize(
    "text", ["1e999", "-1E+999", "[1e400]", '{"a": {"b": 1e999}}', "1" * 400 + ".0", "1e0999"]
)
def test_a_number_that_cannot_be_sent_on_is_no_json(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - it has no text
        parse_json(text.encode())


@given(st.floats(allow_nan=False, allow_infinity=False) | st.integers())
def test_a_number_that_can_be_is(number: float) -> None:
    assert parse_json(json.dumps([number]).encode()) == [number]
