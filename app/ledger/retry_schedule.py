"""When what is promised is tried again, and when a call without an answer is looked after. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from app.attempt import Failure

MAX_TRIES: Final = 6
_JITTER = 0.1
_VERIFY_AFTER = 2.5  # time-outs of a call; two to four are promised, and the dispatcher looks every second


def retry_at(tries: int, failure: Failure, now: float, unit_seconds: float, chance: float) -> float | None:
    """When what is promised is tried again after try number `tries` failed; None = never.

    After n · (n + 1) units (RETRY_UNIT_SECONDS), up to a tenth later; `Retry-After` where that is longer.
    """
    if not failure.retryable or tries >= MAX_TRIES:
        return None
    pause = max(unit_seconds * tries * (tries + 1), failure.retry_after or 0.0)
    return now + pause * (1 + _JITTER * chance)


def tries_ahead(tries: int, next_at: float, unit_seconds: float) -> list[tuple[int, float]]:
    """The numbers of the tries that are left after `tries` failed ones, and when each is due at the earliest.

    The first is due at `next_at`; with the last one the service gives up. Retry-After may put them off.
    """
    ahead, at = [], next_at
    for number in range(tries + 1, MAX_TRIES + 1):
        ahead.append((number, at))
        at += unit_seconds * number * (number + 1)
    return ahead


def verify_at(unanswered_at: float, timeout_seconds: float) -> float:
    """Rule 7: when a call that had no answer has had its effect, if it has any."""
    return unanswered_at + _VERIFY_AFTER * timeout_seconds
