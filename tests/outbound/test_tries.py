"""Repeats of a call within the caller's time."""

from __future__ import annotations

import pytest

from app.outbound.calls import CallError
from app.outbound.status_table import Kind
from app.outbound.tries import MAX_CALLS, Tries, pause_after
from tests.support import FakeClock

RETRYABLE = [Kind.THROTTLED, Kind.UNAVAILABLE, Kind.TIMEOUT]


class Call:
    """Fails as told, one error a call, then succeeds; each call takes `seconds`."""

    def __init__(self, clock: FakeClock, *errors: CallError, seconds: float = 0.0) -> None:
        self._clock = clock
        self._errors = list(errors)
        self._seconds = seconds
        self.count = 0

    async def __call__(self) -> str:
        self.count += 1
        self._clock.advance(self._seconds)
        if self._errors:
            raise self._errors.pop(0)
        return "done"


def failure(kind: Kind, retry_after: float | None = None) -> CallError:
    return CallError("create", kind, None if kind is Kind.TIMEOUT else 500, "no", retry_after)


async def run(call: Call, clock: FakeClock, budget: float = 25) -> str:
    return await Tries(clock.monotonic() + budget, clock)(call)


async def test_a_success_is_not_repeated() -> None:
    clock = FakeClock()
    call = Call(clock)
    assert await run(call, clock) == "done"
    assert (call.count, clock.slept) == (1, [])


@pytest.mark.parametrize("kind", RETRYABLE)
async def test_retryable_failures_are_tried_three_times(kind: Kind) -> None:
    clock = FakeClock()
    call = Call(clock, *[failure(kind)] * 5)
    with pytest.raises(CallError) as raised:
        await run(call, clock)
    assert raised.value.kind is kind
    assert call.count == MAX_CALLS == 3


@pytest.mark.parametrize("kind", RETRYABLE)
async def test_a_later_try_may_succeed(kind: Kind) -> None:
    clock = FakeClock()
    call = Call(clock, failure(kind), failure(kind))
    assert await run(call, clock) == "done"
    assert call.count == 3


@pytest.mark.parametrize("kind", [Kind.DENIED, Kind.REFUSED])
async def test_nothing_else_is_repeated(kind: Kind) -> None:
    clock = FakeClock()
    call = Call(clock, failure(kind))
    with pytest.raises(CallError):
        await run(call, clock)
    assert (call.count, clock.slept) == (1, [])


async def test_other_exceptions_pass_at_once() -> None:
    clock = FakeClock()

    async def broken() -> None:
        raise KeyError

    with pytest.raises(KeyError):
        await Tries(clock.monotonic() + 25, clock)(broken)
    assert clock.slept == []


@pytest.mark.parametrize(
    ("chance", "pauses"), [(0.0, [0.25, 0.5]), (0.5, [0.375, 0.75]), (0.999, [0.49975, 0.9995])]
)
async def test_pauses_grow_exponentially_with_jitter(chance: float, pauses: list[float]) -> None:
    clock = FakeClock(chance)
    await run(Call(clock, *[failure(Kind.UNAVAILABLE)] * 2), clock)
    assert clock.slept == pytest.approx(pauses)


@pytest.mark.parametrize("chance", [0.0, 0.5, 0.999])
async def test_retry_after_is_honoured_when_it_fits(chance: float) -> None:
    clock = FakeClock(chance)
    call = Call(clock, failure(Kind.THROTTLED, 7))
    assert await run(call, clock) == "done"
    assert call.count == 2
    assert 7 <= clock.slept[0] <= 7.5


async def test_retry_after_that_does_not_fit_is_left_to_the_caller() -> None:
    clock = FakeClock()
    call = Call(clock, failure(Kind.THROTTLED, 60))
    with pytest.raises(CallError) as raised:
        await run(call, clock)
    assert raised.value.retry_after == 60
    assert (call.count, clock.slept) == (1, [])


async def test_no_try_begins_after_the_deadline() -> None:
    clock = FakeClock()
    call = Call(clock, *[failure(Kind.UNAVAILABLE)] * 3, seconds=10)
    with pytest.raises(CallError):
        await run(call, clock, budget=15)
    assert call.count == 2


@pytest.mark.parametrize(
    ("took", "budget", "count"),
    [
        pytest.param(15, 25, 1, id="less time left than it took"),
        pytest.param(10, 25, 2, id="enough left for one more"),
        pytest.param(5, 25, 3, id="enough left for all"),
    ],
)
async def test_a_timeout_is_repeated_only_with_as_much_time_left(took: float, budget: float, count: int) -> None:
    clock = FakeClock()
    call = Call(clock, *[failure(Kind.TIMEOUT)] * 5, seconds=took)
    with pytest.raises(CallError):
        await run(call, clock, budget)
    assert call.count == count


@pytest.mark.parametrize("number", [3, 4])
def test_there_is_no_pause_after_the_last_try(number: int) -> None:
    assert pause_after(failure(Kind.UNAVAILABLE), number, 0.5) is None
