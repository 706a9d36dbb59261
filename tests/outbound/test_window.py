"""The throttle: whatever replicas do, no window holds more calls than its limit, and each has its share."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from app.outbound.window import Throttle, Window

NOW = 1_795_514_400.0
SKEW = 0.1  # what clocks may differ by
TEN = Throttle(10, 60.0)
ONE, OTHER = "replica-1", "replica-2"


def spent(throttle: Throttle, *used: tuple[float, int], held: int = 0) -> Window:
    """In which so many calls ended at these times."""
    window = Window(throttle)
    window.settle(ONE, held, dict(used))
    return window


# ---- places


def test_a_call_keeps_its_place_from_when_it_is_reserved_until_a_window_after_its_end() -> None:
    window = Window(TEN)
    assert window.left(NOW) == 10
    assert window.take(ONE, 4, 1, NOW) == 4
    assert window.left(NOW + 1e6) == 6, "it may still be under way"
    window.settle(ONE, 1, {NOW + 30: 2})  # the fourth was not needed
    assert window.left(NOW + 30) == 7
    assert window.left(NOW + 90) == 7
    assert window.left(NOW + 90 + SKEW) == 9
    window.settle(ONE, 0, {NOW + 100: 1})
    assert window.held == {}
    assert window.left(NOW + 100) == 9


def test_who_asks_for_more_than_is_left_gets_what_is_left_or_nothing_if_that_is_too_little() -> None:
    window = Window(TEN)
    assert window.take(ONE, 7, 2, NOW) == 7
    assert window.take(OTHER, 5, 4, NOW) == 0
    assert window.take(OTHER, 5, 3, NOW) == 3
    assert window.take(OTHER, 1, 0, NOW) == 0
    assert window.held == {ONE: 7, OTHER: 3}


def test_what_replicas_hold_is_told_as_a_whole() -> None:
    window = Window(TEN)
    window.take(ONE, 5, 1, NOW)
    window.take(OTHER, 3, 1, NOW)
    for _ in range(2):
        window.settle(ONE, 1, {})
        assert window.held == {ONE: 1, OTHER: 3}


def test_calls_that_end_in_one_step_are_counted_together() -> None:
    window = spent(TEN, (NOW, 2))
    window.settle(ONE, 0, {NOW: 3, NOW + 1: 0})
    assert window.spent == {NOW: 5}


def test_what_a_dead_replica_held_may_have_been_used_to_this_moment() -> None:
    window = Window(TEN)
    window.take(ONE, 4, 1, NOW)
    window.take(OTHER, 3, 1, NOW)
    window.bury({OTHER}, NOW + 40)
    window.bury({OTHER}, NOW + 50)
    assert (window.held, window.spent) == ({OTHER: 3}, {NOW + 40: 4})


def test_a_limit_that_was_lowered_leaves_less_than_nothing_as_nothing() -> None:
    assert Window(Throttle(3, 60.0), spent=spent(TEN, (NOW, 8)).spent).left(NOW) == 0


def test_only_what_keeps_no_place_is_forgotten() -> None:
    window = spent(TEN, (NOW, 1), (NOW + 10, 1), held=1)
    window.forget(NOW + 65)
    assert (window.held, window.spent) == ({ONE: 1}, {NOW + 10: 1})


@given(st.floats(0, 2e9), st.sampled_from((0.5, 1.0, 60.0, 3600.0)))
def test_a_step_is_never_before_and_little_after(at: float, seconds: float) -> None:
    throttle = Throttle(1, seconds)
    assert at - 1e-6 <= throttle.step(at) <= at + seconds / 100 + 1e-6
    assert throttle.step(throttle.step(at)) == pytest.approx(throttle.step(at), abs=seconds / 50)


# ---- no window holds more than the limit


@dataclass(eq=False)
class Replica:
    """What one does with its calls, by a clock of its own; `free`: reserved, and not begun."""

    name: str
    ahead: float
    free: int = 0
    under_way: list[Call] = field(default_factory=list)
    used: dict[float, int] = field(default_factory=dict)


@dataclass(eq=False)
class Call:
    """Stamped.io receives it at any moment between its begin and its end."""

    begin: float
    end: float = math.inf


@dataclass(frozen=True)
class Do:
    """One replica, or time, does something: as much as `number` says."""

    what: str
    who: int
    number: int


DOES = ("reserve", "reserve", "reserve", "begin", "begin", "end", "end", "give back", "tell", "die", "pace")
STEP = 7  # so many parts has a step of the window
PASSES = (0, 1, 6, 7, 70, 420, 630, 637, 694, 700, 707, 770, 2450, 7000, 7070)
deeds = st.lists(
    st.one_of(
        st.builds(Do, st.sampled_from(DOES), st.integers(0, 2), st.integers(1, 12)),
        st.builds(
            Do, st.just("pass"), st.just(0), st.sampled_from((0, 1, 10, 60, 100, 101, 110, 350, 1000, 1010))
        ),
    ),
    max_size=120,
)


def passes(number: int) -> Do:
    return Do("pass", 0, number)


def use(who: int, number: int, *meanwhile: Do) -> list[Do]:
    """Reserve, make and tell so many calls."""
    return [
        *(Do("reserve", who, number), Do("begin", who, number), *meanwhile),
        *(Do("end", who, number), Do("tell", who, 1)),
    ]


class World:
    """Replicas that share a window as a ledger keeps it; a `pass` is of parts of a step."""

    def __init__(self, throttle: Throttle) -> None:
        self._throttle = throttle
        self._kept: str | None = None
        self._now = NOW
        self._count = 0
        self._replicas = [self._born(ahead) for ahead in (0.0, SKEW / 2, SKEW)]
        self.calls: list[Call] = []

    def do(self, deed: Do) -> None:
        here = self._replicas[deed.who]
        match deed.what:
            case "pass":
                self._now += deed.number * self._throttle.seconds / 100 / STEP
            case "reserve":
                here.free += self._told(here).take(here.name, deed.number, min(deed.number, 2), self._at(here))
                self._keep()
            case "begin":
                for _ in range(min(deed.number, here.free)):
                    here.free -= 1
                    here.under_way.append(Call(self._now))
                    self.calls.append(here.under_way[-1])
            case "end":
                self._end(here, deed.number)
            case "give back":
                here.free = 0
            case "tell":
                self._told(here)
                self._keep()
            case "pace":
                self._told(here).pace(self._at(here) + deed.number - 1, min(deed.number, self._throttle.limit))
                self._keep()
            case "die":  # it goes on to the moment at which the others find it dead, and nobody hears of it
                self._end(here, len(here.under_way))
                self._replicas[deed.who] = self._born(here.ahead)
                window = self._read()
                window.bury({each.name for each in self._replicas}, self._at(self._replicas[deed.who]))
                self._keep()

    def check(self) -> None:
        """Wherever a window begins, no choice of moments puts more than the limit into it."""
        for first in [NOW, *(call.end for call in self.calls)]:
            last = first + self._throttle.seconds
            within = [call for call in self.calls if call.end >= first and call.begin < last - 1e-6]
            assert len(within) <= self._throttle.limit

    def _born(self, ahead: float) -> Replica:
        self._count += 1
        return Replica(f"replica-{self._count}", ahead)

    def _at(self, here: Replica) -> float:
        return self._now + here.ahead

    def _end(self, here: Replica, number: int) -> None:
        for call in here.under_way[:number]:
            call.end = self._now
            step = self._throttle.step(self._at(here))
            here.used[step] = here.used.get(step, 0) + 1
        del here.under_way[:number]

    def _read(self) -> Window:
        self._window = Window.load(self._kept, self._throttle)
        return self._window

    def _told(self, here: Replica) -> Window:
        """As in one transaction of this replica."""
        window = self._read()
        window.forget(self._at(here))
        window.settle(here.name, here.free + len(here.under_way), here.used)
        here.used = {}
        return window

    def _keep(self) -> None:
        self._kept = self._window.dump()


@settings(max_examples=250)
@given(st.integers(1, 12), st.sampled_from((1.0, 60.0)), deeds)
@example(2, 60.0, [*use(0, 2, passes(7000)), passes(420), *use(1, 2), passes(420), *use(1, 2)])  # it took long
@example(2, 1.0, [*use(0, 2, passes(420), Do("die", 0, 1)), passes(420), *use(1, 2)])  # nobody heard what it used
@example(2, 1.0, [*use(0, 2), passes(637), *use(2, 2)])  # the other's clock is ahead
@example(2, 1.0, [passes(6), *use(0, 2), passes(694), *use(2, 2)])  # it ended late in a step
@example(2, 1.0, use(0, 2, *use(1, 2)))  # it is under way
@example(2, 1.0, [*use(0, 1), *use(0, 1), *use(1, 1)])  # both ended in one step
@example(2, 1.0, [*use(0, 2), Do("pace", 0, 1), passes(420), *use(1, 2)])  # a pause ended meanwhile
def test_no_window_holds_more_calls_than_its_limit(limit: int, seconds: float, done: list[Do]) -> None:
    world = World(Throttle(limit, seconds))
    for deed in done:
        world.do(deed)
        world.check()


def test_one_window_after_another_is_used_to_the_full() -> None:
    """What keeps the limit by letting nothing through is no throttle."""
    world = World(Throttle(10, 1.0))
    for _ in range(20):
        for who in range(3):
            for what in ("reserve", "begin", "end", "tell"):
                world.do(Do(what, who, 10))
        world.do(passes(112 * STEP))  # with the skew, and one step
    world.check()
    assert len(world.calls) == 200


# ---- when it opens

ends = st.lists(st.tuples(st.integers(-6500, 200), st.integers(1, 6)), max_size=12)


def ended(limit: int, given_: Iterable[tuple[int, int]], held: int) -> Window:
    """At hundredths of seconds from now, and no more than the limit allows."""
    left, used = limit - held, dict[float, int]()
    for at, count in given_:
        count = min(count, left)  # noqa: PLW2901 - as many as there were
        left -= count
        used[NOW + at / 100] = used.get(NOW + at / 100, 0) + count
    return spent(Throttle(limit, 60.0), *used.items(), held=held)


@given(st.integers(1, 20), ends, st.integers(0, 20), st.integers(1, 20))
def test_it_opens_at_the_first_moment_at_which_so_many_are_left(
    limit: int, used: list[tuple[int, int]], held: int, calls: int
) -> None:
    """If all that are held were given back; no sooner in any case."""
    calls = min(calls, limit)
    window = ended(limit, used, min(held, limit))
    opens = window.opens_at(calls, NOW)
    moments = sorted({NOW, *(at for end in window.spent for at in _around(end + 60 + SKEW)), opens})
    for at in moments:
        if NOW <= at < opens:
            assert window.left(at) < calls
    window.settle(ONE, 0, {})
    assert [at for at in moments if at >= NOW and window.left(at) >= calls][0] == opens  # noqa: RUF015


def _around(at: float) -> tuple[float, float, float]:
    return math.nextafter(at, 0), at, math.nextafter(at, math.inf)


@given(st.integers(1, 20), ends, st.integers(1, 20), st.integers(0, 5))
def test_more_than_a_window_holds_takes_so_many_windows_more(
    limit: int, used: list[tuple[int, int]], calls: int, windows: int
) -> None:
    calls = min(calls, limit)
    window = ended(limit, used, 0)
    later = window.opens_at(calls + windows * limit, NOW)
    assert later == pytest.approx(window.opens_at(calls, NOW) + windows * 60, abs=1e-3)


def test_it_is_open_while_enough_are_left_and_with_less_than_one_wanted() -> None:
    window = spent(TEN, (NOW - 30, 4), (NOW, 4))
    assert [window.opens_at(calls, NOW) for calls in (0, 1, 2)] == [NOW] * 3
    assert [window.opens_at(calls, NOW) for calls in (3, 6)] == [NOW + 30 + SKEW] * 2
    assert window.opens_at(7, NOW) == NOW + 60 + SKEW


# ---- the pace after a pause


@given(
    st.integers(1, 30),
    ends,
    st.integers(0, 20),
    st.integers(1, 12),
    st.sampled_from((0.0, 0.5, 30.0, 60.0, 400.0)),
)
def test_the_pace_is_even_and_begins_with_a_burst(
    limit: int, used: list[tuple[int, int]], held: int, burst: int, after: float
) -> None:
    held, burst, at = min(held, limit), min(burst, limit), NOW + after
    before, window = ended(limit, used, held), ended(limit, used, held)
    window.pace(at, burst)
    slices = max(1, min(50, limit // burst))
    width = 60 / slices
    assert window.held == before.held
    assert window.left(math.nextafter(at, 0) - 1e-3) == 0, "nothing before its end"
    moments = [at + number * width / 3 + 1e-3 for number in range(3 * slices + 3)]
    for moment in moments:
        assert window.left(moment) <= before.left(moment), "no place is free before its time"
        share = min((moment - at) // width + 1, slices) / slices
        assert window.left(moment) <= math.ceil(limit * share), "at most evenly"
    assert window.left(at + 1e-3) >= min(burst, before.left(at + 1e-3)), "an attempt begins at once"
    assert window.left(at + 60) == before.left(at + 60), "after one window it is over"
    assert all(now <= later for now, later in pairwise(map(window.left, moments)))


def test_a_pace_that_is_set_again_is_the_same() -> None:
    window = spent(TEN, (NOW - 30, 4))
    window.pace(NOW, 2)
    first = window.dump()
    window.pace(NOW, 2)
    assert window.dump() == first
    assert [window.left(NOW + seconds) for seconds in (0, 11, 12, 24, 36, 48)] == [2, 2, 4, 6, 8, 10]


def test_a_pace_loses_no_place_where_the_limit_was_lowered() -> None:
    """More calls than the limit have ended: they keep their places as long as ever."""
    lowered = Window(TEN, spent={NOW - 50: 10, NOW - 1: 20})
    lowered.pace(NOW, 2)
    assert lowered.left(NOW + 58) == 0
    assert lowered.left(NOW + 60) == 10


# ---- the lowest's share


def test_nothing_is_set_aside_where_nobody_waits() -> None:
    window = Window(TEN)
    assert window.take(ONE, 10, 1, NOW) == 10
    assert window.owed == 0


def test_a_tenth_of_what_others_take_is_set_aside_for_the_lowest() -> None:
    window = Window(Throttle(100, 60.0), crowded=True)
    assert window.take(ONE, 18, 1, NOW) == 18
    assert window.owed == 2
    assert window.take(ONE, 100, 1, NOW) == 80, "but the two"
    assert window.left(NOW) == 2
    assert window.take(ONE, 1, 1, NOW) == 0
    assert window.take(ONE, 2, 2, NOW, aside=False) == 2


def test_what_the_lowest_takes_is_not_owed_to_it_once_more() -> None:
    window = Window(TEN, crowded=True)
    window.take(ONE, 9, 1, NOW, aside=False)
    assert window.owed == 0


def test_what_is_owed_keeps_nobody_out_before_an_attempt_can_begin_with_it() -> None:
    """Else none could, of anybody but the lowest, where one attempt needs all calls of a window."""
    window = Window(Throttle(5, 60.0), crowded=True)
    assert window.take(ONE, 5, 5, NOW) == 5
    window.settle(ONE, 0, {NOW: 5})
    assert window.take(ONE, 5, 5, NOW + 61) == 5


@pytest.mark.parametrize(("need", "least"), [(1, 10), (5, 10), (20, 20)])
def test_a_tenth_of_a_window_is_owed_at_most_or_an_attempt_and_never_much_more(need: int, least: int) -> None:
    """However long nobody comes for it."""
    window = Window(Throttle(100, 60.0), crowded=True)
    for number in range(200):
        taken = window.take(ONE, 50, need, NOW + number * 61)
        window.settle(ONE, 0, {NOW + number * 61: taken})
    assert least <= window.owed <= 2 * least + need


@given(st.integers(1, 6), st.integers(2, 120), st.lists(st.integers(1, 30), min_size=1, max_size=8))
def test_the_lowest_gets_at_least_a_tenth(need: int, limit: int, wishes: list[int]) -> None:
    """However much the others want in every window: as much as they can get, first come, first served."""
    limit = max(limit, need)
    window, others, lowest = Window(Throttle(limit, 60.0), crowded=True), 0, 0
    for number in range(300):
        now = NOW + number * 61.0
        window.settle(ONE, 0, {now - 61.0: sum(window.held.values())})
        for wish in wishes:
            owed = int(window.owed // need)
            taken = window.take(ONE, owed * need, need, now, aside=False) if owed else 0
            window.owed -= taken
            lowest += taken
            others += window.take(OTHER, wish * need, need, now)
        window.settle(OTHER, 0, {now: window.held.get(OTHER, 0)})
        if number % 2:
            window = Window.load(window.dump(), window.throttle)
    assert lowest >= (others + lowest) / 10 - need - limit / 9 - 1  # what is owed at the end


# ---- as it is kept


@given(
    st.dictionaries(st.text(max_size=5), st.integers(1, 500)),
    st.dictionaries(st.floats(0, 2e9), st.integers(1, 500)),
    st.floats(0, 50),
    st.booleans(),
)
def test_it_is_loaded_as_it_was_dumped(
    held: dict[str, int],
    used: dict[float, int],
    owed: float,
    crowded: bool,  # noqa: FBT001
) -> None:
    window = Window(TEN, held, used, owed, crowded)
    assert Window.load(window.dump(), TEN) == window
    json.loads(window.dump(), parse_constant=pytest.fail)


def test_one_of_which_nothing_is_known_is_empty() -> None:
    assert Window.load(None, TEN) == Window(TEN) == Window.load(Window(TEN).dump(), TEN)


def test_the_throttle_is_as_it_is_set_now() -> None:
    window = Window.load(spent(TEN, (NOW, 8)).dump(), Throttle(20, 30.0))
    assert window.left(NOW) == 12
    assert window.left(NOW + 30 + SKEW) == 20
