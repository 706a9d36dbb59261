"""The rules of order and consent, and when what is promised is tried again, or looked at."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.ledger.order import Change, Moment, Wanted, without
from app.ledger.retry_schedule import MAX_TRIES, retry_at, verify_at
from tests.ledger.support import REFUSED, RETRYABLE

MINUTE = 60.0
dates = st.floats(0, 4e9)
places = st.integers(1, 2**62)
consents = st.sampled_from([True, False, None])
moments = st.builds(Moment, st.none() | dates, places)


def received(*said: tuple[float | None, bool | None], base: Wanted | None = None) -> Wanted:
    """What is wanted after these changes, each a date and a consent, in the order of receipt."""
    return after(base or Wanted(), changes(*said))


def changes(*said: tuple[float | None, bool | None], first: int = 1) -> list[Change]:
    return [Change(f"id-{at}", Moment(at, place), consent) for place, (at, consent) in enumerate(said, first)]


def after(wanted: Wanted, known: list[Change]) -> Wanted:
    for each in known:
        wanted = wanted.after(each)
    return wanted


class Known(NamedTuple):
    """What is wanted, without the places in the order of receipt."""

    id: str | None
    consent: bool | None
    consented_at: float | None

    @classmethod
    def of(cls, wanted: Wanted) -> Known:
        at = wanted.consented.at if wanted.consented else None
        return cls(wanted.id, wanted.consent, at)


@given(moments, moments)
def test_two_changes_never_precede_each_other(one: Moment, other: Moment) -> None:
    assert not (one.precedes(other) and other.precedes(one))
    assert not one.precedes(one)
    assert not one.precedes(None)
    assert one.precedes(other) or other.precedes(one) or one.place == other.place


@given(dates, places, dates, places)
def test_dates_decide_alone_where_both_have_one_and_they_differ(
    at: float, place: int, other: float, another: int
) -> None:
    if at != other:
        assert Moment(at, place).precedes(Moment(other, another)) is (at < other)


@given(st.none() | dates, places, places)
def test_receipt_decides_a_tie_and_where_one_has_no_date(at: float | None, place: int, another: int) -> None:
    for one, other in ((at, None), (None, at), (at, at)):
        assert Moment(one, place).precedes(Moment(other, another)) is (place < another)


@pytest.mark.parametrize(
    ("said", "newest", "consent"),
    [
        ([(1, True)], 1, True),
        ([(1, False)], 1, False),
        ([(1, None)], 1, None),
        ([(2, False), (3, None)], 3, False),
        ([(2, True), (3, None)], 3, True),
        ([(3, None), (2, True)], 3, True),
        ([(3, None), (2, False)], 3, False),
        ([(9, False), (5, True)], 9, False),
        ([(9, True), (5, False)], 9, True),
        ([(5, True), (9, False)], 9, False),
        ([(2, False), (3, None), (4, True)], 4, True),
        ([(5, True), (5, False)], 5, False),
        ([(5, False), (5, True)], 5, True),
        ([(None, False), (None, True)], None, True),
        ([(5, False), (None, None)], None, False),
        ([(9, True), (None, None), (5, False)], 5, False),  # the newest by receipt, so what it says itself counts
        ([(9, False), (None, None), (5, True)], 5, False),  # but no yes comes before a newer no
        ([(9, None), (5, False), (3, True)], 9, False),
        ([(9, None), (3, True), (5, False)], 9, False),
    ],
    ids=str,
)
def test_what_is_wanted(
    said: list[tuple[float | None, bool | None]],
    newest: float | None,
    consent: bool | None,  # noqa: FBT001 - three-valued
) -> None:
    wanted = received(*said)
    assert wanted.moment is not None
    assert (wanted.id, wanted.moment.at) == (f"id-{newest}", newest)
    assert wanted.consent is consent


@pytest.mark.parametrize("consent", [True, False, None])
@pytest.mark.parametrize("told", [True, False, None])
def test_only_a_no_is_due_beside_the_record_and_until_it_was_told(
    consent: bool | None,  # noqa: FBT001 - three-valued
    told: bool | None,  # noqa: FBT001 - three-valued
) -> None:
    for wanted in (received((1, consent)), received((1, consent), (2, None)), received((2, None), (1, consent))):
        assert wanted.owes_no(told) is (consent is False and told is not False)


dated = st.lists(st.tuples(dates, consents), unique_by=lambda said: said[0], max_size=6)


@given(dated, dated, st.data())
def test_the_order_of_receipt_of_dated_changes_changes_nothing(
    earlier: list[tuple[float, bool | None]], said: list[tuple[float, bool | None]], data: st.DataObject
) -> None:
    base = received(*earlier)
    known = {each[0] for each in earlier}
    fresh = [each for each in said if each[0] not in known]
    other = data.draw(st.permutations(fresh))
    one = after(base, changes(*fresh, first=len(earlier) + 1))
    two = after(base, changes(*other, first=len(earlier) + 1))
    assert Known.of(one) == Known.of(two)


@given(dated.filter(bool))
def test_the_newest_record_and_the_newest_readable_consent_are_wanted(
    said: list[tuple[float, bool | None]],
) -> None:
    newest, said_last = max(said)[0], max([each for each in said if each[1] is not None], default=None)
    wanted = received(*said)
    assert wanted.id == f"id-{newest}"
    if said_last is None:
        assert (wanted.consent, wanted.consented) == (None, None)
        return
    at, consent = said_last
    assert Known.of(wanted) == (f"id-{newest}", consent, at)


@given(st.lists(st.tuples(st.none() | st.sampled_from([1.0, 2.0, 3.0]), consents), min_size=1, max_size=6))
def test_a_no_of_the_newest_record_always_counts_and_a_yes_only_if_nothing_newer_was_said(
    said: list[tuple[float | None, bool | None]],
) -> None:
    """Also where records without a date make the order one of receipt, which a newer consent may be out of."""
    wanted = Wanted()
    for each in changes(*said):
        wanted, before = wanted.after(each), wanted
        is_newest = wanted.moment == each.moment
        assert is_newest is not each.moment.precedes(before.moment)
        if each.consent is None:
            assert (wanted.consent, wanted.consented) == (before.consent, before.consented)
        elif before.consented is None or not each.moment.precedes(before.consented):
            assert (wanted.consent, wanted.consented) == (each.consent, each.moment)
        elif is_newest and each.consent is False:
            assert wanted.consent is False
            assert wanted.consented == Moment(before.consented.at, each.moment.place)
        else:
            assert (wanted.consent, wanted.consented) == (before.consent, before.consented)


def test_a_late_yes_does_not_follow_a_late_no_past_the_newest_dated_no() -> None:
    """The late "no" is the newest by receipt, for one without a date came before it."""
    wanted = received((2, False), (None, None), (1, False), (1, True))
    assert wanted.owes_no(told=True)


@given(moments, st.lists(moments))
def test_no_number_of_absent_consents_loses_a_no(said: Moment, absent: list[Moment]) -> None:
    wanted = Wanted().after(Change("no", said, consent=False))
    wanted = after(wanted, [Change("absent", moment, None) for moment in absent])
    assert wanted.owes_no(None)
    assert wanted.consented == said


@given(st.none() | dates, st.none() | dates)
def test_a_yes_is_the_newest_records_own_or_none(at: float | None, later: float | None) -> None:
    """A cleared field may mean withdrawn: nothing beside the record asks for a yes."""
    wanted = received((at, True), (later, None))
    is_own = wanted.consented == wanted.moment
    assert is_own is (at is not None and later is not None and later < at)
    assert not any(wanted.owes_no(told) for told in (True, False, None))


def test_a_no_that_came_while_a_yes_was_applied_is_due() -> None:
    begun_with = received((1, True))
    since = begun_with.after(Change("since", Moment(2, 2), consent=False))
    assert since.owes_no(begun_with.consent)


def test_an_absent_consent_makes_nothing_due_again() -> None:
    begun_with = received((1, False))
    since = begun_with.after(Change("since", Moment(2, 2), None))
    assert since.id == "since"
    assert not since.owes_no(begun_with.consent)


def test_a_no_is_due_again_where_a_yes_was_told_since() -> None:
    """Whatever became of the yes: what counts is what Stamped.io was told last."""
    no, yes = changes((1, False), (2, True))
    told = Wanted().after(no).after(yes).consent
    assert without(Wanted().after(no), []).owes_no(told)


@given(st.lists(st.tuples(st.none() | dates, consents), min_size=1, max_size=6), dated, st.data())
def test_without_one_all_is_as_if_it_had_never_come(
    said: list[tuple[float | None, bool | None]], earlier: list[tuple[float, bool | None]], data: st.DataObject
) -> None:
    base = received(*earlier)
    known = changes(*said, first=len(earlier) + 1)
    left_out = data.draw(st.sampled_from(known))
    rest = [each for each in known if each is not left_out]
    assert without(base, rest) == after(base, rest)


def test_without_what_an_absent_consent_had_dropped_a_yes_is_the_records_own_again() -> None:
    yes, absent, no = changes((2, True), (3, None), (4, False))
    assert without(Wanted(), [yes, absent, no]).owes_no(True)  # noqa: FBT003 - what Stamped.io was told
    dropped, left = without(Wanted(), [yes, absent]), without(Wanted(), [yes])
    assert (dropped.consent, dropped.consented == dropped.moment) == (True, False)
    assert (left.consent, left.consented == left.moment) == (True, True)


@given(st.builds(Wanted, st.none() | st.text(), st.none() | moments, consents, st.none() | moments))
def test_what_is_wanted_comes_back_as_it_was_stored(wanted: Wanted) -> None:
    assert Wanted.load(wanted.dump()) == wanted


def test_nothing_is_wanted_of_a_customer_who_was_never_heard_of() -> None:
    assert Wanted.load(None) == Wanted()
    assert Known.of(Wanted()) == (None, None, None)
    assert not Wanted().owes_no(None)


@pytest.mark.parametrize(("tries", "minutes"), [(1, 20), (2, 60), (3, 120), (4, 200), (5, 300)])
def test_the_schedule(tries: int, minutes: int) -> None:
    assert minutes == 10 * tries * (tries + 1)
    assert retry_at(tries, RETRYABLE, 1000.0, 600.0, 0.0) == 1000 + minutes * MINUTE
    assert retry_at(tries, RETRYABLE, 1000.0, 600.0, 1.0) == pytest.approx(1000 + minutes * MINUTE * 1.1)
    assert retry_at(tries, RETRYABLE, 1000.0, 60.0, 0.0) == 1000 + minutes * MINUTE / 10


@given(st.integers(1, MAX_TRIES - 1), st.floats(0, 1, exclude_max=True), st.floats(0, 86_400))
def test_jitter_only_comes_on_top(tries: int, chance: float, retry_after: float) -> None:
    at = retry_at(tries, replace(RETRYABLE, retry_after=retry_after), 0.0, 600.0, chance)
    assert at is not None
    least = max(10 * tries * (tries + 1) * MINUTE, retry_after)
    assert least <= at <= least * 1.1


@pytest.mark.parametrize(("retry_after", "pause"), [(5.0, 1200.0), (7200.0, 7200.0), (None, 1200.0)])
def test_a_longer_retry_after_is_honoured(retry_after: float | None, pause: float) -> None:
    assert retry_at(1, replace(RETRYABLE, retry_after=retry_after), 0.0, 600.0, 0.0) == pause


def test_no_seventh_try_and_none_where_it_cannot_help() -> None:
    assert MAX_TRIES == 6
    assert retry_at(6, RETRYABLE, 0.0, 600.0, 0.0) is None
    assert retry_at(1, REFUSED, 0.0, 600.0, 0.0) is None


@given(st.floats(1, 120), st.floats(0, 1))
def test_what_an_unanswered_call_did_is_looked_at_between_two_and_four_time_outs(
    timeout: float, seconds: float
) -> None:
    """The dispatcher looks every second."""
    looked_after = verify_at(1000.0, timeout) + seconds - 1000.0
    assert 2 * timeout <= looked_after <= 4 * timeout
