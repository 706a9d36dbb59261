"""Why nothing is sent at the moment: each pause begins, changes and ends as the contract says under "Pauses"."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from app.outbound.calls import CallError
from app.outbound.pauses import FAILURES, Pause, Pauses, is_outage
from app.outbound.status_table import Kind

NOW = 1_795_514_400.0  # 2026-11-24 10:00:00 UTC
FLOWING = Pauses()
HOUR = 3600.0

Change = Callable[[Pauses], Pauses]
IS_THROTTLED = Pause("throttled", NOW, NOW + 60)
IS_DOWN = Pause("down", NOW, NOW + 5)
IS_PAUSED = Pause("paused", NOW, None, "stock-taking")


def throttled(before: Pauses) -> Pauses:
    return before.throttled(NOW, 60)


def down(before: Pauses) -> Pauses:
    return before.down(NOW)


def paused(before: Pauses) -> Pauses:
    return before.paused(NOW, "stock-taking")


def resumed(before: Pauses) -> Pauses:
    return before.resumed(NOW)


def error(kind: Kind, status: int | None) -> CallError:
    return CallError("update", kind, status, "no")


def test_it_flows_as_long_as_nothing_happens() -> None:
    assert FLOWING.at(NOW) is None
    assert not FLOWING.is_to_probe(NOW)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ([throttled], IS_THROTTLED),
        ([down], IS_DOWN),
        ([paused], IS_PAUSED),
        ([down, throttled], IS_DOWN),
        ([throttled, down], IS_DOWN),
        ([paused, down, throttled], IS_PAUSED),
        ([throttled, down, paused], IS_PAUSED),
        ([paused, resumed], None),
        ([down, Pauses.up], None),
        ([down, paused, resumed], Pause("down", NOW, NOW)),
        ([throttled, paused, resumed], IS_THROTTLED),
        ([throttled, down, Pauses.up], IS_THROTTLED),
        ([down, paused, Pauses.up], IS_PAUSED),
        ([down, paused, Pauses.up, resumed], None),
    ],
)
def test_by_hand_counts_before_down_and_this_before_the_throttle(
    changes: list[Change], expected: Pause | None
) -> None:
    """And the end of one is not the end of another."""
    pauses = FLOWING
    for change in changes:
        pauses = change(pauses)
    assert pauses.at(NOW) == expected


@pytest.mark.parametrize("end", [Pauses.up, resumed])
def test_what_is_over_is_not_over_twice(end: Change) -> None:
    assert end(FLOWING) == FLOWING
    for pauses in (throttled(FLOWING), down(FLOWING), paused(FLOWING)):
        assert end(end(pauses)) == end(pauses)


# ---- throttled


@pytest.mark.parametrize(
    ("asked", "seconds"),
    [
        (None, 60),
        (0.0, 1),
        (0.4, 1),
        (-1.0, 1),
        (-1e300, 1),
        (1.0, 1),
        (17.5, 17.5),
        (HOUR, HOUR),
        (HOUR + 1, HOUR),
        (1e300, HOUR),
        (float("inf"), HOUR),
    ],
)
def test_it_waits_as_stamped_asks_within_reason(asked: float | None, seconds: float) -> None:
    pauses = FLOWING.throttled(NOW, asked)
    assert pauses.at(NOW) == Pause("throttled", NOW, NOW + seconds)
    assert pauses.at(NOW + seconds - 0.01) is not None
    assert pauses.at(NOW + seconds) is None


@pytest.mark.parametrize(("again", "until"), [(5, 60), (50, 60), (55, 65), (HOUR * 9, HOUR + 10)])
def test_being_asked_again_makes_it_longer_and_never_shorter(again: float, until: float) -> None:
    pauses = FLOWING.throttled(NOW, 60).throttled(NOW + 10, again)
    assert pauses.at(NOW + 10) == Pause("throttled", NOW, NOW + until)


def test_after_its_end_another_one_begins() -> None:
    pauses = FLOWING.throttled(NOW, 60).throttled(NOW + 60, 5)
    assert pauses.at(NOW + 60) == Pause("throttled", NOW + 60, NOW + 65)


# ---- down


@pytest.mark.parametrize(
    ("failure", "counts"),
    [
        (error(Kind.TIMEOUT, None), True),
        (error(Kind.UNAVAILABLE, None), True),
        (error(Kind.UNAVAILABLE, 500), True),
        (error(Kind.UNAVAILABLE, 503), True),
        (error(Kind.UNAVAILABLE, 599), True),
        (error(Kind.UNAVAILABLE, 200), False),
        (error(Kind.UNAVAILABLE, 302), False),
        (error(Kind.THROTTLED, 429), False),
        (error(Kind.THROTTLED, 503), False),
        (error(Kind.DENIED, 401), False),
        (error(Kind.DENIED, 500), False),
        (error(Kind.REFUSED, 422), False),
    ],
)
def test_no_answer_and_5xx_are_an_outage_and_what_is_answered_is_none(failure: CallError, *, counts: bool) -> None:
    assert is_outage(failure) is counts


def test_five_in_a_row_are_one() -> None:
    assert FAILURES == 5


def test_probes_come_after_5_10_20_and_at_last_300_seconds() -> None:
    pauses, at, waits = FLOWING.down(NOW), NOW, []
    for _ in range(9):
        pause = pauses.at(at)
        assert pause is not None
        assert pause.until is not None
        assert (pause.state, pause.since) == ("down", NOW)
        assert not pauses.is_to_probe(pause.until - 0.01)
        assert pauses.is_to_probe(pause.until)
        waits.append(pause.until - at)
        at = pause.until
        pauses = pauses.probing(at)
        assert not pauses.is_to_probe(at), "one at a time"
    assert waits == [5, 10, 20, 40, 80, 160, 300, 300, 300]


def test_a_probe_that_comes_late_is_followed_as_late() -> None:
    assert FLOWING.down(NOW).probing(NOW + 100).probe_at == NOW + 110


def test_an_outage_of_months_is_still_probed() -> None:
    pauses = FLOWING.down(NOW)
    for _ in range(5000):
        pauses = pauses.probing(NOW)
    assert pauses.probe_at == NOW + 300


def test_to_be_down_twice_changes_nothing() -> None:
    probed = FLOWING.down(NOW).probing(NOW + 5)
    assert probed.down(NOW + 7) == probed


def test_the_next_outage_begins_anew() -> None:
    pauses = FLOWING.down(NOW).probing(NOW + 5).probing(NOW + 15).up().down(NOW + 100)
    assert pauses == FLOWING.down(NOW + 100)


def test_no_probe_before_the_end_of_the_throttle_or_of_a_pause_by_hand() -> None:
    asked = FLOWING.down(NOW).throttled(NOW + 1, 60)
    assert not asked.is_to_probe(NOW + 60)
    assert asked.is_to_probe(NOW + 61)
    by_hand = paused(down(FLOWING))
    assert not by_hand.is_to_probe(NOW + HOUR)
    assert by_hand.resumed(NOW + HOUR).is_to_probe(NOW + HOUR)


# ---- by hand


def test_a_pause_by_hand_ends_by_no_time() -> None:
    assert FLOWING.paused(NOW, None).at(NOW + 1e9) == Pause("paused", NOW, None, None)


def test_to_pause_again_only_changes_the_reason() -> None:
    pauses = FLOWING.paused(NOW, "stock-taking").paused(NOW + 60, "new keys")
    assert pauses.at(NOW + 60) == Pause("paused", NOW, None, "new keys")
    assert pauses.paused(NOW + 90, None).at(NOW + 90) == Pause("paused", NOW, None, None)
    assert pauses.resumed(NOW + 99) == FLOWING


def test_to_resume_is_to_look_at_once_whether_it_answers_again() -> None:
    """Also where it was not paused, as by hand there is no other way to say so."""
    probed = FLOWING.down(NOW).probing(NOW + 5).probing(NOW + 15)
    for pauses in (probed, probed.paused(NOW + 16, None)):
        hastened = pauses.resumed(NOW + 17)
        assert hastened.at(NOW + 17) == Pause("down", NOW, NOW + 17)
        assert hastened.is_to_probe(NOW + 17)
        assert hastened.probing(NOW + 17).probe_at == NOW + 17 + 40, "as it would have been"
    assert not probed.throttled(NOW + 16, 60).resumed(NOW + 17).is_to_probe(NOW + 17)


# ---- words


@pytest.mark.parametrize(
    ("pause", "sentence"),
    [
        (IS_THROTTLED, "Waits for the throttle of Stamped.io's calls until 2026-11-24 10:01:00 UTC."),
        (Pause("throttled", NOW), "Waits for the throttle of Stamped.io's calls."),
        (
            IS_DOWN,
            (
                "Waits for Stamped.io, which has not answered since 2026-11-24 10:00:00 UTC; "
                "it is tried again at 2026-11-24 10:00:05 UTC."
            ),
        ),
        (Pause("down", NOW), "Waits for Stamped.io, which has not answered since 2026-11-24 10:00:00 UTC."),
        (
            IS_PAUSED,
            "Waits, for the connection is paused by hand since 2026-11-24 10:00:00 UTC: stock-taking.",
        ),
        (Pause("paused", NOW), "Waits, for the connection is paused by hand since 2026-11-24 10:00:00 UTC."),
    ],
)
def test_people_are_told_why_and_until_when(pause: Pause, sentence: str) -> None:
    assert pause.sentence == sentence
