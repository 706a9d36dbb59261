"""What makes one change newer than another, when a failed one runs again, and what is kept of a record."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.attempt import Failure, StampedAnswer
from app.catalog import Slug
from app.ledger.stored import (
    MAX_TRIES,
    dump_failure,
    dump_record,
    hash_email,
    hashed,
    load_failure,
    new_id,
    older,
    retry_at,
)
from tests.ledger.support import REFUSED, RETRYABLE, changed
from tests.support import record_of

MINUTE = 60.0
moments = st.none() | st.floats(0, 4e9)
places = st.integers(1, 2**62)


@given(moments, places, moments, places)
def test_two_changes_are_never_older_than_each_other(
    first: float | None, place: int, second: float | None, other: int
) -> None:
    assert not (older(first, place, second, other) and older(second, other, first, place))
    assert not older(first, place, first, place)


@given(st.floats(0, 4e9), places, st.floats(0, 4e9), places)
def test_dated_changes_are_compared_by_their_dates_alone(
    first: float, place: int, second: float, other: int
) -> None:
    assert older(first, place, second, other) is (first < second)


@given(moments, places, places)
def test_receipt_decides_where_one_says_nothing(moment: float | None, place: int, other: int) -> None:
    assert older(moment, place, None, other) is (place < other)
    assert older(None, place, moment, other) is (place < other)


@pytest.mark.parametrize(("tries", "minutes"), [(1, 20), (2, 60), (3, 120), (4, 200), (5, 300)])
def test_the_schedule(tries: int, minutes: int) -> None:
    assert minutes == 10 * tries * (tries + 1)
    assert retry_at(tries, RETRYABLE, 1000.0, 0.0) == 1000 + minutes * MINUTE
    assert retry_at(tries, RETRYABLE, 1000.0, 1.0) == pytest.approx(1000 + minutes * MINUTE * 1.1)


@given(st.integers(1, MAX_TRIES - 1), st.floats(0, 1, exclude_max=True), st.floats(0, 86_400))
def test_jitter_only_comes_on_top(tries: int, chance: float, retry_after: float) -> None:
    at = retry_at(tries, replace(RETRYABLE, retry_after=retry_after), 0.0, chance)
    assert at is not None
    least = max(10 * tries * (tries + 1) * MINUTE, retry_after)
    assert least <= at <= least * 1.1


@pytest.mark.parametrize(("retry_after", "pause"), [(5.0, 1200.0), (7200.0, 7200.0), (None, 1200.0)])
def test_a_longer_retry_after_is_honoured(retry_after: float | None, pause: float) -> None:
    assert retry_at(1, replace(RETRYABLE, retry_after=retry_after), 0.0, 0.0) == pause


def test_no_seventh_try_and_none_where_it_cannot_help() -> None:
    assert MAX_TRIES == 6
    assert retry_at(6, RETRYABLE, 0.0, 0.0) is None
    assert retry_at(1, REFUSED, 0.0, 0.0) is None


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


def test_a_failure_comes_back_as_it_was_stored() -> None:
    answer = StampedAnswer("create", 503, "Busy, später ✓")
    failure = Failure(Slug.CUSTOMER, 503, "…", retryable=True, stamped=answer, retry_after=7.5)
    assert load_failure(dump_failure(failure)) == failure
    assert load_failure(dump_failure(None)) is None


@pytest.mark.parametrize("moment", ["", "yesterday", "2026-13-01", None])
def test_a_date_that_cannot_be_read_is_none(moment: str | None) -> None:
    assert record_of(updated_datetime=moment).updated_at is None
