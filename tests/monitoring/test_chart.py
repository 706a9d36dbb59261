"""How attempts are drawn, and numbers, durations and times written."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.ledger.hours import HOUR
from app.ledger.tallies import Tally
from app.monitoring.chart import Chart, Slot, Span, draw
from app.monitoring.rendering import clocked, error_title, slot_name, when
from app.times import duration

FIRST = 1_763_942_400  # 2025-11-24 00:00 UTC, a Monday
DAY = 24 * HOUR
TODAY = Span(FIRST, FIRST + DAY, HOUR)
SHEETS = Path(__file__).parents[2] / "app/monitoring/static"
NUMBERS = st.integers(0, 10**7)


def tally(succeeded: int = 0, failed: int = 0, recovered: int = 0, put_off: int = 0) -> Tally:
    return Tally(succeeded, failed, min(recovered, failed), put_off)


def of_hour(chart: Chart, hour: int) -> dict[str, float]:
    """The heights of its bars."""
    slot = chart.slots[hour]
    return {bar.outcome: bar.height for bar in chart.bars if slot.x <= bar.x < slot.x + chart.width}


@given(st.dictionaries(st.integers(0, 23), st.builds(tally, NUMBERS, NUMBERS, NUMBERS, NUMBERS)))
def test_bars_stay_in_their_lane_and_nothing_is_lost(tallies: dict[int, Tally]) -> None:
    chart = draw({FIRST + hour * HOUR: each for hour, each in tallies.items()}, TODAY, FIRST)
    for bar in chart.bars:
        top, floor = (71, 89) if bar.outcome in {"failed", "recovered"} else (9, 60)
        assert 0 <= bar.x < bar.x + bar.width <= 100
        assert bar.height > 0
        assert top - 0.02 <= bar.y
        assert bar.y + bar.height <= floor + 0.02
    assert chart.total.total == sum(each.total for each in tallies.values())
    assert len(chart.slots) == 24


def test_three_failures_beside_three_thousand_are_seen_and_what_was_recovered_is_apart() -> None:
    chart = draw({FIRST: tally(3000, 3, 1, 1)}, TODAY, FIRST)
    heights = of_hour(chart, 0)
    assert heights["failed"] > 8, "two of three on a scale of their own, of 18 %"
    assert heights["recovered"] == pytest.approx(heights["failed"] / 2, rel=0.01)
    assert heights["put_off"] >= 1.6, "one beside 3,000"
    assert heights["succeeded"] > 35


@pytest.mark.parametrize(
    ("most", "lines"),
    [
        (0, ["0", "1", "2"]),
        (3, ["0", "2", "4"]),
        (7, ["0", "4", "8"]),
        (281, ["0", "150", "300"]),
        (999, ["0", "500", "1k"]),
        (2900, ["0", "1.5k", "3k"]),
    ],
)
def test_the_lines_have_round_numbers(most: int, lines: list[str]) -> None:
    chart = draw({FIRST: tally(most)}, TODAY, FIRST)
    assert [line.text for line in chart.lines] == [*lines, "0", "2"], "failures have a scale of their own"


def labelled(slots: list[Slot]) -> list[str]:
    return [slot.label for slot in slots if slot.label]


@pytest.mark.parametrize(
    ("seconds", "slots", "unit", "labels"),
    [
        (DAY, 24, "hour", ["15:00", "18:00", "21:00", "00:00", "03:00", "06:00", "09:00", "now"]),
        (7 * DAY, 28, "6 hours", ["Nov 18", "Nov 19", "Nov 20", "Nov 21", "Nov 22", "Nov 23", "now"]),
        (30 * DAY, 30, "day", ["Oct 29", "Nov 3", "Nov 8", "Nov 13", "Nov 18", "now"]),
    ],
)
def test_the_last_slot_runs_and_labels_have_room(seconds: int, slots: int, unit: str, labels: list[str]) -> None:
    now = FIRST + 12.5 * HOUR
    span = Span.ending(now, seconds)
    chart = draw({int(now // HOUR) * HOUR: tally(1)}, span, now)
    assert (len(chart.slots), span.unit) == (slots, unit)
    assert [slot.running for slot in chart.slots] == [False] * (slots - 1) + [True]
    assert chart.slots[-1].tally.succeeded == 1
    assert labelled(chart.slots) == labels


@given(st.floats(0, 2e9), st.floats(60, 366 * DAY))
def test_a_chosen_time_is_covered_by_few_whole_slots(since: float, seconds: float) -> None:
    until = since + seconds
    span = Span.of(since, until)
    assert span.first <= since
    assert until <= span.until
    assert span.first % span.width == span.until % span.width == 0
    assert len(span.begins()) <= 55
    assert until - since > span.until - span.first - 2 * span.width


def test_attempts_of_many_hours_are_joined_and_those_outside_left_out() -> None:
    span = Span(FIRST, FIRST + 2 * DAY, DAY)
    hours = {FIRST + number * HOUR: tally(1) for number in range(-3, 51)}
    assert [slot.tally.succeeded for slot in draw(hours, span, 0).slots] == [24, 24]


def test_slots_are_named_with_their_dates() -> None:
    assert slot_name(FIRST, FIRST + HOUR) == "2025-11-24 00:00 to 01:00 UTC"
    assert slot_name(FIRST + 18 * HOUR, FIRST + DAY) == "2025-11-24 18:00 to 00:00 UTC"
    assert slot_name(FIRST, FIRST + DAY) == "2025-11-24"
    assert slot_name(FIRST, FIRST + 7 * DAY) == "2025-11-24 00:00 to 2025-12-01 00:00 UTC"


def luminance(colour: str) -> float:
    """As WCAG has it, of `#rgb` or `#rrggbb`."""
    digits = colour.removeprefix("#")
    digits = "".join(each * 2 for each in digits) if len(digits) == 3 else digits
    parts = [int(digits[place : place + 2], 16) / 255 for place in (0, 2, 4)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.parametrize("theme", [0, 1])
def test_good_and_bad_are_told_apart_by_whoever_sees_no_colours(theme: int) -> None:
    text = "".join((SHEETS / name).read_text(encoding="utf-8") for name in ("monitoring.css", "chart.css"))

    def of(name: str) -> float:
        return luminance(re.findall(rf"--{name}: (#[0-9a-f]+)", text)[theme])

    def contrast(one: str, other: str) -> float:
        dark, light = sorted((of(one), of(other)))
        return (light + 0.05) / (dark + 0.05)

    for bar in ("bar-good", "bar-bad", "bar-off"):
        assert contrast(bar, "surface") >= 3, bar
    for bar in ("bar-good", "bar-bad"):
        assert contrast(bar, "now") >= 2.4, "the band of what still runs is quieter than its bars"
    assert contrast("bar-good", "bar-bad") >= 3


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0 ms"),
        (0.0384, "38 ms"),
        (4.12, "4.1 s"),
        (200, "3 min 20 s"),
        (3600, "1 h"),
        (7500, "2 h 5 min"),
        (273_600, "3 d 4 h"),
    ],
)
def test_durations_are_written_for_people(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_a_clock_in_a_headline_is_a_time_of_that_day() -> None:
    text = "A <b> since 14:02 UTC, not 2025-11-24 09:30:01 UTC, until 2025-11-25 00:10 UTC"
    told = clocked(text, FIRST + 15 * HOUR)
    assert re.findall(r'<time class="clock" datetime="([^"]+)" title="([^"]+)">([^<]+)</time>', told) == [
        ("2025-11-24T14:02:00.000Z", "2025-11-24 14:02:00 UTC", "14:02 UTC"),
        ("2025-11-25T00:10:00.000Z", "2025-11-25 00:10:00 UTC", "2025-11-25 00:10 UTC"),
    ]
    assert told.startswith("A &lt;b&gt; since <time")


def test_times_are_utc_and_unknown_errors_stay_readable() -> None:
    assert when(FIRST + 0.999) == "2025-11-24 00:00:00Z"
    assert error_title("customer-not-loaded") == "Customer could not be loaded from iPaaS.com"
    assert error_title("of-a-later-version") == "of-a-later-version"
