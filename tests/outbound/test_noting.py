"""What is kept of calls, and of what it does not tell."""

from __future__ import annotations

import asyncio
import json

import pytest

from app.outbound.calls import CallError
from app.outbound.noting import MOST_KEPT, NOTING, Call, Noting, dump, load
from app.outbound.status_table import Kind
from app.outbound.tries import Tries
from app.telemetry.redaction import Redactor
from tests.api.operating import Gate
from tests.support import EMAIL, PRIVATE_KEY, RECORD, FakeClock, Wire, make_connection

NAMES = (RECORD["first_name"], RECORD["last_name"])


def hide(text: str) -> str:
    return Redactor([PRIVATE_KEY]).text(text, names=NAMES)


def call(number: int = 1, message: str | None = None) -> Call:
    return Call("stamped", "find", number, 1000.0 + number, 0.25, "refused", 400, message)


def test_what_is_kept_comes_back_in_seconds_since_1970() -> None:
    kept = dump([call(1), call(2, "No.")], 1_795_000_000.0, hide)
    assert json.loads(kept)[0] == ["stamped", "find", 1, 1_795_001_001.0, 0.25, "refused", 400, None]
    assert load(kept) == [
        Call("stamped", "find", 1, 1_795_001_001.0, 0.25, "refused", 400),
        Call("stamped", "find", 2, 1_795_001_002.0, 0.25, "refused", 400, "No."),
    ]
    assert dump([], 0.0, hide) == "[]"
    assert load("[]") == []


def test_no_time_is_rounded_beyond_the_end_of_its_attempt() -> None:
    (kept,) = load(dump([Call("ipaas", "load", 1, 0.7316601, 0.123456789)], 1_795_000_000.0, hide))
    assert (kept.started_at, kept.seconds) == (1_795_000_000.73166, 0.1235)


def test_a_message_names_nobody_and_no_key() -> None:
    said = f"{NAMES[0]} {NAMES[1].upper()} <{EMAIL}> may not use {PRIVATE_KEY}"
    one = call(1, said)
    (kept,) = load(dump([one], 0.0, hide))
    assert kept.message == "… … <a…@example.com> may not use ***"
    assert one.message == said, "what is kept twice is hidden twice"


def test_only_the_begin_of_a_message_is_kept_in_whole_words() -> None:
    (kept,) = load(dump([call(1, f"{'word ' * 39}{NAMES[1]} {EMAIL}")], 0.0, hide))
    assert kept.message == f"{'word ' * 39}… …"
    assert len(kept.message) <= 200


@pytest.mark.parametrize("made", [MOST_KEPT, MOST_KEPT + 1, MOST_KEPT + 12])
def test_of_many_calls_the_first_ones_and_the_last_are_kept(made: int) -> None:
    calls = [call(number, "no") for number in range(1, made + 1)]
    kept = load(dump(calls, 0.0, hide))
    assert [each.number for each in kept] == [*range(1, MOST_KEPT), made]
    missing = made - MOST_KEPT
    assert kept[-1].message == (f"{missing} calls before this one are left out. no" if missing else "no")
    assert len(calls) == made
    assert calls[-1].message == "no"


def test_a_success_that_was_of_no_use_is_told_as_what_it_was() -> None:
    first, second = (Call("stamped", name, 1, 0.0, outcome="ok", status=200) for name in ("subscribe", "read"))
    noting = Noting([first, second], FakeClock(), 1)
    noting.judge(CallError("subscribe", Kind.UNAVAILABLE, 200, "the answer does not say that it was done"))
    assert (first.outcome, first.message) == ("unavailable", "the answer does not say that it was done")
    assert (second.outcome, second.message) == ("ok", None)
    noting.judge(CallError("create", Kind.UNAVAILABLE, 200, "nobody called"))
    noting.judge(CallError("subscribe", Kind.TIMEOUT, None, "another"))
    assert first.outcome == "unavailable", "a failure is told as it came"


async def test_attempts_that_share_a_client_are_kept_apart() -> None:
    connection, clock, gates = make_connection(wire := Wire()), FakeClock(), (Gate(), Gate())
    wire.script(add=gates)
    kept: tuple[list[Call], ...] = ([], [])

    async def two() -> None:
        await connection.stamped.add({"email": EMAIL})
        await connection.stamped.get("143491")

    both = [asyncio.create_task(Tries(2000.0, clock, calls)(two)) for calls in kept]
    for gate in gates:
        await gate.reached.wait()
    clock.advance(0.5)
    for gate in gates:
        gate.opened.set()
    await asyncio.gather(*both)
    for calls in kept:
        assert [(each.operation, each.seconds) for each in calls] == [("create", 0.5), ("read", 0.0)]
    await connection.aclose()


async def test_a_call_that_is_cancelled_is_told_so() -> None:
    connection, calls = make_connection(Wire(add=(gate := Gate()))), list[Call]()
    task = asyncio.create_task(Tries(2000.0, FakeClock(), calls)(lambda: connection.stamped.add({})))
    await gate.reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [(each.outcome, each.status, each.message) for each in calls] == [("cancelled", None, None)]
    await connection.aclose()


async def test_outside_of_an_attempt_nothing_is_noted() -> None:
    connection, calls = make_connection(Wire(), ipaas=True), list[Call]()
    assert connection.ipaas is not None
    await Tries(2000.0, FakeClock(), calls)(connection.stamped.check)
    await connection.stamped.check()
    assert await connection.ipaas.external_id("1", "2") is None
    assert [each.operation for each in calls] == ["check"]
    assert list(NOTING.get().calls) == []
    await connection.aclose()
