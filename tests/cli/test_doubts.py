"""Which fields of a mapping are doubted: those of the record itself, and Stamped.io's."""

from __future__ import annotations

import pytest

from app.cli.doubts import doubts
from app.mapping import BUILT_IN, load_mapping


@pytest.mark.parametrize(
    ("expression", "doubted"),
    [
        ("EmailAddress || email_address", []),
        ("email_adress || EmailAddress", ["email_adress"]),
        ("join(' ', [first_name, lastname])", ["lastname"]),
        ("custom_field('x')", []),
        ("custom_fields[0].valu", []),
        ("extension_fields.anything", []),
        ("external_ids[?system_id == '1'].external_id | [0]", []),
        ("max_by(custom_fields, &value).value", []),
        ("customfields[*].value", ["customfields"]),
        ("{a: compny}", ["compny"]),
    ],
)
def test_fields_of_the_record(expression: str, doubted: list[str]) -> None:
    mapping = load_mapping(f'[customer]\nemail = """{expression}"""\n')
    assert [each.split()[2].rstrip(",") for each in doubts(mapping)] == doubted


def test_fields_of_stamped() -> None:
    mapping = load_mapping('[customer]\nemail = "email_address"\nexternalID = "id"\ntags = "comment"\n')
    (doubt,) = doubts(mapping)
    assert doubt.startswith("externalID: ")
    assert doubt.endswith("did you mean externalId?")
    assert doubts(load_mapping(BUILT_IN, subscription_field="Consent")) == []
