"""The one mask: whom a transfer is about is not to be seen in what is left."""

from __future__ import annotations

import json
from typing import Any

import pytest

from app.privacy import masked, masked_record

RECORD: dict[str, Any] = {
    "id": "150713",
    "first_name": "Bea",
    "LastName": "Quisling",
    "email_address": "bea@example.com",
    "EmailAddress2": "no address",
    "company": "Quisling & Sons",
    "customer_number": "C-1001",
    "comment": "Ask for Bea (bea@example.com)",
    "phone": 123,
    "birth_date": "1999-01-02",
    "is_active": True,
    "nothing": None,
    "blank": "",
    "external_id": "bea@example.com",
    "updated_datetime": "2026-11-24T09:30:00Z",
    "custom_fields": [{"custom_field_name": "Nickname", "value": "Bea"}, {"value": True}],
    "addresses": [{"street": "Elm 1", "system_id": 7}],
    "of bea@example.com": "Elm 2",
}


def test_what_is_left_of_a_record() -> None:
    assert masked_record(RECORD) == {
        "id": "150713",
        "first_name": "…",
        "LastName": "…",
        "email_address": "b…@example.com",
        "EmailAddress2": "***",
        "company": "…",
        "customer_number": "…",
        "comment": "…",
        "phone": "…",
        "birth_date": "…",
        "is_active": True,
        "nothing": None,
        "blank": "",
        "external_id": "b…@example.com",
        "updated_datetime": "2026-11-24T09:30:00Z",
        "custom_fields": [{"custom_field_name": "Nickname", "value": "…"}, {"value": True}],
        "addresses": [{"street": "…", "system_id": 7}],
        "of b…@example.com": "…",
    }
    assert RECORD["first_name"] == "Bea"


def test_masks_reach_everywhere() -> None:
    transfer = {
        "transfer_id": "0b0e7a52-4b3e-7c7f-9c59-6f0f3f1d2a10",
        "status": "failed",
        "reason": "Bea Quisling, bea@example.com, is refused.",
        "error": {"detail": "Quisling is refused.", "stamped": {"message": "bea@example.com"}},
        "attempts": [{"detail": "BEA is refused", "steps": {"upsert": 0.1}}],
        "record": RECORD,
        "trail": [{"who": "bea", "where": "203.0.113.7"}],
    }
    hidden = masked(transfer)
    assert hidden["trail"] == transfer["trail"], "that is about who did it"
    text = json.dumps(hidden | {"trail": []}).lower()
    assert not [word for word in ("bea", "quisling", "elm", "123", "1999") if word in text]
    assert hidden["attempts"][0]["steps"] == {"upsert": 0.1}
    assert hidden["reason"] == "… …, b…@example.com, is refused."
    assert masked({"record": None, "reason": None}) == {"record": None, "reason": None}


@pytest.mark.parametrize("name", ["Failed", "upsert", "Customer"])
def test_a_name_that_is_a_word_of_ours_changes_no_word_of_ours(name: str) -> None:
    transfer = {"status": "failed", "error": {"type": "/errors/customer"}, "attempts": [{"steps": {"upsert": 1}}]}
    assert masked(transfer | {"record": {"first_name": name}}) == transfer | {"record": {"first_name": "…"}}
