"""What is sent beside what was sent before, in the clear for who asked and masked for all others."""

from __future__ import annotations

import json
from typing import Any

import pytest

from app.mapping import BUILT_IN, load_mapping
from app.monitoring.comparison import Comparison, compare
from tests.support import EMAIL, RECORD

MAPPING = load_mapping(subscription_field="Consent")
ODD = load_mapping(BUILT_IN + 'id = "last_name"\nmessage = "first_name"\nvip = "custom_field(\'Vip\')"\n')


def record(consent: Any = None, **fields: Any) -> str:
    custom = [{"custom_field_name": "Consent", "value": consent}, {"custom_field_name": "Vip", "value": True}]
    return json.dumps(RECORD | {"id": "150713", "custom_fields": custom} | fields)


def rows(found: Comparison) -> dict[str, tuple[str | None, str | None, str]]:
    return {field.name: (field.was, field.now, field.change) for field in found.fields}


def test_each_field_says_what_it_was_and_is() -> None:
    before = record("yes", first_name="Ann", customer_number=None)
    found = compare(MAPPING, record("no", last_name=""), before, asked=True)
    assert not found.alone
    assert rows(found) == {
        "email": (EMAIL, EMAIL, "unchanged"),
        "firstName": ("Ann", "Annabell", "changed"),
        "lastName": ("Quisling", None, "removed"),
        "externalId": (None, "C-1001", "new"),
        "Consent": ("yes", "no", "changed"),
    }


def test_it_is_masked_until_somebody_asks_but_says_what_changed() -> None:
    found = rows(compare(MAPPING, record("maybe Annabell"), record(first_name="Ann"), asked=False))
    assert found["email"] == ("a…@example.com", "a…@example.com", "unchanged")
    assert found["firstName"] == ("…", "…", "changed")
    assert found["externalId"] == ("…", "…", "unchanged")
    assert found["Consent"] == ("none in the record", "cannot be read", "changed")
    assert "maybe Annabell" in str(rows(compare(MAPPING, record("maybe Annabell"), None, asked=True)))


def test_a_field_of_any_name_may_hold_a_person() -> None:
    found = compare(ODD, record(), record(), asked=False)
    assert rows(found)["vip"] == ("true", "true", "unchanged")
    assert not [name for name in (EMAIL, "Annabell", "Quisling", "C-1001") if name in str(found)]


def test_alone_there_is_nothing_to_compare_to() -> None:
    for before in (None, record(email_address=None)):  # the latter was sent by another mapping
        found = compare(MAPPING, record(), before, asked=True)
        assert found.alone
        assert {field.change for field in found.fields} == {"first"}
        assert all(field.was is None for field in found.fields)


@pytest.mark.parametrize(("email", "reason"), [(None, "no e-mail address"), ("nobody", "is not valid")])
def test_a_record_that_cannot_be_mapped_says_why(email: str | None, reason: str) -> None:
    found = compare(MAPPING, record(email_address=email), record(), asked=True)
    assert found.fields == []
    assert found.fault is not None
    assert reason in found.fault


def test_consent_that_nobody_maps_is_told() -> None:
    assert rows(compare(load_mapping(), record("yes"), None, asked=True))["Consent"] == (
        None,
        "not mapped",
        "first",
    )
