"""Repeats of a single call within the time that its caller is kept waiting."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from app.outbound.calls import CallError
from app.outbound.noting import NOTING, UNMETERED, Noting
from app.outbound.pauses import Paused
from app.outbound.status_table import Kind

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from app.clock import Clock
    from app.outbound.noting import Call, Meter

MAX_CALLS = 3
_FIRST_PAUSE = 0.5

T = TypeVar("T")


class Tries:
    """Tries each call up to three times, as long as the next try begins before `deadline`.

    `deadline` is in `clock.monotonic` seconds. It never cuts a call that has begun; each has a time-out of its
    own. A call that timed out is only repeated when as much time is left as it took.

    `unanswered_at`: when a call that may have taken effect was last given up without an answer, also where a
    repeat of it succeeded. `calls`: where each call is noted. `meter` lets calls to Stamped.io through.
    """

    def __init__(
        self, deadline: float, clock: Clock, calls: list[Call] | None = None, meter: Meter | None = None
    ) -> None:
        self._deadline = deadline
        self._clock = clock
        self._calls = [] if calls is None else calls
        self._meter = meter or UNMETERED
        self.unanswered_at: float | None = None

    async def __call__(self, call: Callable[[], Awaitable[T]]) -> T:
        """Raises the last CallError; Paused where the connection is to wait after it."""
        number = 0
        while True:
            number += 1
            began = self._clock.monotonic()
            noting = Noting(self._calls, self._clock, number, self._meter)
            before = NOTING.set(noting)
            try:
                return await call()
            except CallError as error:
                noting.judge(error)
                now = self._clock.monotonic()
                if error.is_unanswered:
                    self.unanswered_at = now
                if noting.stops(error):
                    raise Paused(error) from None
                least = now - began if error.kind is Kind.TIMEOUT else 0
                pause = pause_after(error, number, self._clock.random())
                if pause is None or pause + least > self._deadline - now:
                    raise
            finally:
                NOTING.reset(before)
            await self._clock.sleep(pause)


def pause_after(error: CallError, number: int, chance: float) -> float | None:
    """Seconds before the next try after try `number`; None = no more. Jitter goes on top of `Retry-After`."""
    if not error.kind.retryable or number >= MAX_CALLS:
        return None
    backoff: float = _FIRST_PAUSE * 2.0 ** (number - 1)
    if error.retry_after is not None:
        return error.retry_after + backoff * chance
    return backoff * (0.5 + 0.5 * chance)
