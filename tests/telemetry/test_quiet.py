"""What is said once a minute."""

from __future__ import annotations

from app.telemetry.quiet import Quiet
from tests.support import FakeClock


def test_the_same_passes_once_a_minute_and_what_did_not_is_counted() -> None:
    clock = FakeClock()
    quiet = Quiet(clock.monotonic)
    assert [quiet.passes("a"), quiet.passes("a"), quiet.passes("b"), quiet.passes("a")] == [
        True,
        False,
        True,
        False,
    ]
    clock.advance(59.9)
    assert not quiet.passes("a")
    clock.advance(0.1)
    assert quiet.passes("a")
    assert (quiet.withheld("a"), quiet.withheld("a"), quiet.withheld("b")) == (3, 0, 0)


def test_what_is_forgotten_is_new() -> None:
    quiet = Quiet(FakeClock().monotonic)
    quiet.passes("a")
    quiet.passes("a")
    quiet.forget()
    assert quiet.passes("a")
    assert quiet.withheld("a") == 0
