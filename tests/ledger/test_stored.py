"""What is kept of a record, of a failure and of a customer, and what a transfer says of itself."""

from __future__ import annotations

import pytest

from app.attempt import Failure, StampedAnswer
from app.error_catalog import Slug
from app.ledger import rows
from app.ledger.customers import earliest
from app.ledger.order import Change, Moment
from app.ledger.stored import (
    Stored,
    Trigger,
    dump_failure,
    dump_record,
    hash_email,
    hashed,
    load_failure,
    new_id,
)
from app.ledger.tables import FINAL, OPEN
from tests.ledger.support import START, changed, date
from tests.support import record_of


def stored(trigger: Trigger = "webhook", **fields: object) -> Stored:
    usual = {
        "seq": 1,
        "id": "id-1",
        "scope": "customer/updated",
        "status": "accepted",
        "created_at": START,
        "day": 1,
    }
    return Stored.of(rows.EMPTY | usual | {"trigger": trigger} | fields)


def test_ids_are_sorted_by_time() -> None:
    ids = [new_id(1_800_000_000 + number) for number in range(100)]
    assert sorted(ids) == ids
    assert len({new_id(1.0) for _ in range(1000)}) == 1000
    assert {identifier[14] for identifier in ids} == {"7"}


def test_the_same_record_has_the_same_hash() -> None:
    text = dump_record(changed(5))
    assert dump_record(changed(5)) == text
    assert hashed(text) != hashed(dump_record(changed(6)))
    assert hash_email(" Ada@Example.com ") == hash_email("ada@example.com")
    assert hash_email("ada@example.com") != hash_email("ida@example.com")


def test_what_is_kept_of_a_record() -> None:
    record = changed(5)
    kept = rows.kept(record, consent=False)
    assert kept == {
        "record": dump_record(record),
        "record_hash": hashed(dump_record(record)),
        "email_hash": hash_email(record.email_address or ""),
        "changed_at": date(5),
        "consent": False,
    }
    assert rows.kept(None) == {}
    assert rows.kept(record_of(email_address=None))["email_hash"] is None
    back = stored(**kept).customer_record()
    assert back is not None
    assert (back.first_name, back.updated_at) == ("minute 5", record.updated_at)


def test_a_failure_comes_back_as_it_was_stored() -> None:
    answer = StampedAnswer("create", 503, "Busy, später ✓")
    failure = Failure(Slug.CUSTOMER, 503, "…", retryable=True, stamped=answer, retry_after=7.5)
    assert load_failure(dump_failure(failure)) == failure
    assert load_failure(dump_failure(None)) is None


@pytest.mark.parametrize("moment", ["", "yesterday", "2026-13-01", None])
def test_a_date_that_cannot_be_read_is_none(moment: str | None) -> None:
    record = record_of(updated_datetime=moment)
    assert record.updated_at is None
    assert rows.kept(record)["changed_at"] is None


@pytest.mark.parametrize("trigger", ["webhook", "manual", "sync", "verify"])
def test_what_was_run_by_hand_always_sends(trigger: Trigger) -> None:
    assert stored(trigger).always_sends is (trigger != "webhook")


@pytest.mark.parametrize("trigger", ["manual", "sync", "verify"])
def test_only_a_run_by_hand_brings_nothing_and_only_if_nobody_sent_its_record(trigger: Trigger) -> None:
    assert stored(trigger).brings_nothing
    assert stored(trigger, record_hash="hash", fetched=True).brings_nothing
    assert not stored(trigger, record_hash="hash").brings_nothing
    assert not stored("webhook").brings_nothing
    assert not stored("webhook", record_hash="hash", fetched=True).brings_nothing


def test_its_change_outlives_its_record() -> None:
    one = stored(place=7, record=None, record_hash="hash", changed_at=5.0, consent=False)
    assert rows.change_of(one) == Change("id-1", Moment(5.0, 7), consent=False)
    assert rows.change_of(stored(place=7)) is None, "it brought no record"
    assert rows.change_of(stored(record_hash="hash")) is None, "its record has no place yet"
    assert rows.changes_of([stored(), one]) == [rows.change_of(one)]


@pytest.mark.parametrize("status", [*OPEN, *FINAL])
def test_nothing_happens_any_more_to_what_is_final(status: str) -> None:
    assert stored(status=status).is_final is (status in FINAL)


def test_the_earliest_of_some_times() -> None:
    assert earliest([None, 3.0, 0.0, None]) == 0.0
    assert earliest([None]) is None
    assert earliest([]) is None
