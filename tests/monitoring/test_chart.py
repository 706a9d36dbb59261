"""How numbers, durations and times are drawn and written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.monitoring.chart import HEIGHT, OUTCOMES, WIDTH, draw
from app.monitoring.rendering import duration, error_title, when

FIRST = 1_763_942_400  # 2025-11-24 00:00 UTC
HOUR = 3600
STATUSES = [status for _, statuses in OUTCOMES for status in statuses]
COUNTS = st.dictionaries(st.tuples(st.integers(0, 23), st.sampled_from(STATUSES)), st.integers(0, 10**7))


@given(COUNTS)
def test_bars_stay_in_the_picture_and_nothing_is_lost(counts: dict[tuple[int, str], int]) -> None:
    chart = draw({(FIRST + hour * HOUR, status): total for (hour, status), total in counts.items()}, FIRST, 24)
    assert all(bar.x >= 0 and bar.x + bar.width <= WIDTH for bar in chart.bars)
    assert all(bar.y >= 0 and bar.y + bar.height <= HEIGHT for bar in chart.bars)
    assert sum(chart.total(outcome) for outcome, _ in OUTCOMES) == sum(counts.values())
    assert len(chart.hours) == 24


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
    assert [line.text for line in draw({(FIRST, "succeeded"): most}, FIRST, 24).lines] == lines


def test_every_third_hour_has_a_label() -> None:
    labels = [hour.label for hour in draw({}, FIRST, 24).hours]
    assert labels[:4] == ["00:00", "", "", "03:00"]


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


def test_times_are_utc_and_unknown_errors_stay_readable() -> None:
    assert when(FIRST + 0.999) == "2025-11-24 00:00:00Z"
    assert error_title("customer-not-loaded") == "Customer could not be loaded from iPaaS.com"
    assert error_title("of-a-later-version") == "of-a-later-version"
