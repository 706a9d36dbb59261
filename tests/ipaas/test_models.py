"""iPaaS.com's envelope and record."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from app.ipaas.models import Envelope, Notification, faults_of, linked, read_guid, read_record, shown_scope
from tests.support import GUID, RECORD, ZEROS, record_of


@pytest.mark.parametrize(
    ("value", "read"),
    [
        pytest.param("143491", "143491", id="plain"),
        pytest.param('"143491"', "143491", id="quoted"),
        pytest.param(' "143491" ', "143491", id="quoted with blanks"),
        pytest.param("DELETED:143491", None, id="deleted"),
        pytest.param('"DELETED:143491"', None, id="quoted deleted"),
        pytest.param("deleted:143491", None, id="deleted in lower case"),
        pytest.param("143491 DELETED:", "143491 DELETED:", id="deleted elsewhere"),
        pytest.param('""', None, id="quoted nothing"),
        pytest.param("", None, id="empty"),
        pytest.param("  ", None, id="blank"),
        pytest.param(".", None, id="this folder"),
        pytest.param('".."', None, id="quoted folder above"),
        pytest.param("..", None, id="folder above"),
        pytest.param("...", "...", id="three dots"),
        pytest.param(None, None, id="null"),
    ],
)
def test_linked(value: str | None, read: str | None) -> None:
    assert linked(value) == read


@given(st.none() | st.text())
def test_no_external_id_breaks_the_reading(value: str | None) -> None:
    read = linked(value)
    assert read is None or (read and not read.upper().startswith("DELETED:"))


@pytest.mark.parametrize(
    ("value", "read"),
    [
        pytest.param(GUID, GUID, id="guid"),
        pytest.param(GUID.upper(), GUID, id="upper case"),
        pytest.param(f" {GUID} ", GUID, id="blanks"),
        pytest.param(f"{{{GUID}}}", GUID, id="braces"),
        pytest.param(GUID.replace("-", ""), GUID, id="no hyphens"),
        pytest.param(ZEROS, None, id="zeros"),
        pytest.param("", None, id="empty"),
        pytest.param("abc", None, id="no guid"),
        pytest.param(f"{GUID}0", None, id="too long"),
        pytest.param(None, None, id="null"),
        pytest.param(7, None, id="number"),
        pytest.param([GUID], None, id="list"),
    ],
)
def test_read_guid(value: Any, read: str | None) -> None:
    assert read_guid(value) == read


@given(st.none() | st.text() | st.integers() | st.floats() | st.lists(st.text()) | st.uuids().map(str))
def test_no_guid_breaks_the_reading(value: Any) -> None:
    read = read_guid(value)
    assert read is None or UUID(read).int


@pytest.mark.parametrize(
    ("given_id", "read"),
    [
        (150713, "150713"),
        ("150713", "150713"),
        (" 1 ", "1"),
        ("\t7\r\n", "7"),
        (-1, "-1"),
        (7.0, "7"),
        (10**19, f"1{'0' * 19}"),
        (None, None),
        ("", None),
    ],
)
def test_ids_are_numbers_or_text_and_kept_as_text(given_id: Any, read: str | None) -> None:
    record = record_of(id=given_id, customer_number=given_id)
    assert (record.id, record.customer_number) == (read, read)


@pytest.mark.parametrize(
    "given_id",
    [True, 1.5, 2.0**53, 10**100, [], {}, "x" * 101, "a\nb", "a\x00b", "  ", ".", "..", " .. "],
)
def test_what_is_no_id_is_pointed_at(given_id: Any) -> None:
    with pytest.raises(ValidationError) as raised:
        read_record(RECORD | {"id": given_id})
    (fault,) = faults_of(raised.value.errors())
    assert fault["pointer"] == "/id"
    assert fault["detail"].startswith("Input should be ")


@pytest.mark.parametrize("external_id", [True, 1.5, [], {}, "x" * 101, ".", "a\nb", 10**100])
def test_an_external_id_that_is_none_does_not_spoil_the_record(external_id: Any) -> None:
    record = record_of(external_ids=[{"system_id": "9", "external_id": external_id}])
    assert record.link("9") is None


@pytest.mark.parametrize("field", ["custom_fields", "external_ids"])
def test_a_list_without_end_is_refused_at_once(field: str) -> None:
    assert len(getattr(record_of(**{field: [{}] * 1000}), field)) == 1000
    with pytest.raises(ValidationError) as raised:
        record_of(**{field: [{}] * 1001})
    assert faults_of(raised.value.errors())[0]["pointer"] == f"/{field}"
    with pytest.raises(ValidationError) as raised:
        record_of(**{field: [7] * 500_000})
    assert raised.value.error_count() <= 1001


def test_at_most_a_hundred_faults_are_told() -> None:
    with pytest.raises(ValidationError) as raised:
        record_of(custom_fields=[7] * 500)
    assert len(faults_of(raised.value.errors())) == 100


def test_unknown_fields_pass() -> None:
    assert record_of(loyalty_tier={"a": [1]}).model_extra == {"loyalty_tier": {"a": [1]}}


@pytest.mark.parametrize(
    "field", ["first_name", "last_name", "email_address", "custom_fields", "external_ids", "updated_datetime"]
)
def test_a_field_may_be_null_or_absent(field: str) -> None:
    assert getattr(record_of(**{field: None}), field) is None
    assert getattr(record_of(**{field: ...}), field) is None


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"email_address": 7}, "/email_address"),
        ({"first_name": ["Vq7"]}, "/first_name"),
        ({"custom_fields": {}}, "/custom_fields"),
        ({"custom_fields": [{}, {"custom_field_name": 7}]}, "/custom_fields/1/custom_field_name"),
        ({"external_ids": [{"system_id": []}]}, "/external_ids/0/system_id"),
        ({"customer_number": "."}, "/customer_number"),
    ],
)
def test_a_wrong_field_is_pointed_at_and_not_shown(fields: dict[str, Any], pointer: str) -> None:
    with pytest.raises(ValidationError) as raised:
        record_of(**fields)
    (fault,) = faults_of(raised.value.errors())
    assert fault["pointer"] == pointer
    assert "Vq7" not in fault["detail"]


def test_a_pointer_is_escaped_and_may_leave_out_where_it_was_found() -> None:
    (fault,) = faults_of([{"loc": ("body", "a/b", "c~d", 0), "type": "other", "msg": "Wrong"}], skip=1)
    assert fault == {"pointer": "/a~1b/c~0d/0", "detail": "Wrong."}


def test_the_link_of_this_system_only() -> None:
    ids = [
        {"system_id": 1, "external_id": "one"},
        {"system_id": "1796", "external_id": 143491},
        {"external_id": "x"},
        {"system_id": 3, "external_id": ".."},
    ]
    record = record_of(external_ids=ids)
    assert record.link("1796") == "143491"
    assert record.link("1") == "one"
    assert record.link("2") is None
    assert record.link("3") is None
    assert record.link(None) is None


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-24T09:30:00Z", datetime(2026, 11, 24, 9, 30, tzinfo=UTC)),
        ("2026-11-24T10:30:00+01:00", datetime(2026, 11, 24, 9, 30, tzinfo=UTC)),
        ("2026-11-24T09:30:00", datetime(2026, 11, 24, 9, 30, tzinfo=UTC)),
        ("2026-11-24T09:30:00.1234567", datetime(2026, 11, 24, 9, 30, 0, 123456, tzinfo=UTC)),
        ("2026-11-24", datetime(2026, 11, 24, tzinfo=UTC)),
        ("yesterday", None),
        ("", None),
        (None, None),
    ],
)
def test_when_the_record_was_changed(text: str | None, moment: datetime | None) -> None:
    assert record_of(updated_datetime=text).updated_at == moment


@given(st.none() | st.text())
def test_no_moment_breaks_the_reading(text: str | None) -> None:
    moment = record_of(updated_datetime=text).updated_at
    assert moment is None or moment.tzinfo is not None


@pytest.mark.parametrize(
    ("scope", "plain", "debug"),
    [
        ("customer/updated", "customer/updated", False),
        ("Customer/Created", "customer/created", False),
        ("customer/updated/debug", "customer/updated", True),
        ("CUSTOMER/UPDATED/DEBUG", "customer/updated", True),
        (" customer/updated/ ", "customer/updated", False),
        ("customer/deleted", "customer/deleted", False),
        ("debug", "", True),
        ("", "", False),
    ],
)
def test_scopes(scope: str, plain: str, *, debug: bool) -> None:
    notification = Notification(scope=scope)
    assert (notification.plain_scope, notification.debug) == (plain, debug)


def test_a_scope_is_shown_without_what_is_no_scope() -> None:
    shown = shown_scope("customer/<script>\n" + "x" * 500)
    assert shown.startswith("customer/?script??xxx")
    assert len(shown) <= 60


def test_an_envelope_is_read_leniently() -> None:
    body: dict[str, Any] = {
        "id": None,
        "attempt": "first",
        "extra": 1,
        "notifications": [{"scope": "a", "action": 7, "type": None, "x": []}],
    }
    (notification,) = Envelope.model_validate(body).notifications
    assert (notification.id, notification.destination, notification.customer) == (None, None, None)


def test_of_several_links_in_one_system_the_first_valid_one_counts() -> None:
    links = [{"system_id": 1796, "external_id": each} for each in ("DELETED:1", "", "7", "8")]
    assert read_record({"external_ids": links}).link("1796") == "7"
