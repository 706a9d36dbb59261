"""Which time a page is about."""

from __future__ import annotations

import pytest

from app.monitoring.guard import PageFault
from app.monitoring.ranges import Range, address

NOW = 1_764_151_200.5  # 2025-11-26T10:00:00.5Z


def test_a_window_moves_with_the_clock_until_it_is_fixed() -> None:
    chosen = Range.of({}, usual="24h")
    assert (chosen.name, chosen.is_closed) == ("the last 24 hours", False)
    assert chosen.bounds(NOW) == (NOW + 0.5 - 86_400, None)
    fixed = chosen.fixed(NOW)
    assert fixed == Range(since="2025-11-25T10:00:01", until="2025-11-26T10:00:01")
    assert fixed.is_closed
    assert fixed.bounds(NOW + 3600) == (NOW + 0.5 - 86_400, NOW + 0.5)


def test_written_times_win_over_a_window_and_either_may_be_open() -> None:
    chosen = Range.of({"last": "7d", "since": " 2026-11-24 "}, usual="24h")
    assert chosen == Range(since="2026-11-24")
    assert chosen.bounds(NOW) == (1_795_478_400.0, None)
    assert (chosen.name, chosen.is_closed) == ("the chosen time", False)


def test_any_time_is_chosen_in_spite_of_what_is_usual() -> None:
    assert Range.of({"last": "any"}, usual="24h") == Range()
    assert Range().bounds(NOW) == (None, None)
    assert Range().name == "all time"


@pytest.mark.parametrize(
    ("values", "what"), [({"last": "8d"}, "window"), ({"since": "soon"}, "time"), ({"until": "1"}, "time")]
)
def test_what_no_form_sends_is_refused(values: dict[str, str], what: str) -> None:
    with pytest.raises(PageFault) as refused:
        Range.of(values).bounds(NOW)
    assert refused.value.text.startswith(f"There is no such {what}.")


def test_an_address_has_what_is_not_empty() -> None:
    assert address("/x", {"a": "", "b": "1 2"}, Range(last="1h").given) == "/x?b=1+2&last=1h"
    assert address("/x", {}) == "/x"
