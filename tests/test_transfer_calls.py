"""Which calls of the flow are noted, and how."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from app.attempt import Link
from tests.support import (
    IPAAS_URL,
    Answer,
    FakeClock,
    FakeLinks,
    Wire,
    customer,
    raising,
    reply,
    transfer,
    with_consent,
)

BUSY = reply(503, {"message": "Busy."})
UNKNOWN_STATE = customer(isSubscribed=None)
PAGE = reply(text="<h1>We'll be right back</h1>")
LINKED = FakeLinks(Link("143491", written_back=True))


def taking(seconds: float, answer: Answer, clock: FakeClock) -> Answer:
    """It comes after so long."""

    def late(request: httpx.Request) -> Any:
        clock.advance(seconds)
        return answer(request)

    return late


async def noted(wire: Wire, *args: Any, **how: Any) -> list[tuple[Any, ...]]:
    ran = await transfer(wire, *args, **how)
    return [
        (each.system, each.operation, each.number, each.status, each.outcome, each.message)
        for each in ran.progress.calls
    ]


async def test_three_calls_and_a_repeat_are_four_lines() -> None:
    clock = FakeClock()
    wire = Wire(
        add=[taking(1.0, BUSY, clock), taking(0.25, reply(body=UNKNOWN_STATE), clock)],
        get=taking(0.5, reply(body=UNKNOWN_STATE), clock),
        subscribe=taking(2.0, reply(), clock),
    )
    ran = await transfer(wire, with_consent("yes"), consent="Consent", clock=clock)
    assert [(each.operation, each.number, each.outcome, each.status) for each in ran.progress.calls] == [
        ("create", 1, "unavailable", 503),
        ("create", 2, "ok", 200),
        ("read", 1, "ok", 200),
        ("subscribe", 1, "ok", 200),
    ]
    assert [each.message for each in ran.progress.calls] == ["Busy.", None, None, None]
    times = [(each.started_at, each.seconds) for each in ran.progress.calls]
    assert times == [(1000.0, 1.0), (1001.375, 0.25), (1001.625, 0.5), (1002.125, 2.0)]


async def test_calls_to_ipaas_are_noted_beside_them() -> None:
    wire = Wire(load=[BUSY, reply(body={"id": 150713, "email_address": "ada@example.com"})])
    assert await noted(wire, None, ipaas=True) == [
        ("ipaas", "load", 1, 503, "unavailable", "Busy."),
        ("ipaas", "load", 2, 200, "ok", None),
        ("ipaas", "look up the external ID", 1, 404, "ok", "NFND-1: no link"),
        ("stamped", "create", 1, 200, "ok", None),
        ("ipaas", "write back", 1, 200, "ok", None),
    ]


async def test_no_answer_has_no_status() -> None:
    wire = Wire(add=[raising(httpx.ReadTimeout("")), raising(httpx.ConnectError("")), reply(body=customer())])
    assert await noted(wire) == [
        ("stamped", "create", 1, None, "timeout", "timed out after 15 s"),
        ("stamped", "create", 2, None, "unavailable", "no connection (ConnectError)"),
        ("stamped", "create", 3, 200, "ok", None),
    ]


@pytest.mark.parametrize(("status", "outcome"), [(401, "denied"), (422, "refused"), (404, "denied")])
async def test_a_failure_is_told_by_its_kind(status: int, outcome: str) -> None:
    said = {"message": "No."}
    assert await noted(Wire(add=reply(status, said))) == [("stamped", "create", 1, status, outcome, "No.")]


async def test_a_web_page_is_no_success() -> None:
    lines = await noted(Wire(update=[PAGE, reply(body=customer())]), links=LINKED)
    assert lines == [
        ("stamped", "update", 1, 200, "unavailable", "the answer is a web page"),
        ("stamped", "update", 2, 200, "ok", None),
    ]


async def test_where_a_web_page_answers_a_subscription_both_calls_are_of_one_try() -> None:
    wire = Wire(unsubscribe=[PAGE, reply()], add=reply(body=customer(isSubscribed=True)))
    wire.script(get=reply(body=customer(isSubscribed=True)))
    lines = await noted(wire, with_consent("no"), consent="Consent")
    assert lines[1:] == [
        ("stamped", "unsubscribe", 1, 200, "unavailable", "the answer does not say that it was done"),
        ("stamped", "read", 1, 200, "ok", None),
        ("stamped", "unsubscribe", 2, 200, "ok", None),
    ]


async def test_a_verification_notes_what_it_reads() -> None:
    ran = await transfer(Wire(get=reply(body=customer(firstName="Annabell"))), links=LINKED, verifies=True)
    assert [(each.operation, each.outcome) for each in ran.progress.calls] == [("read", "ok"), ("update", "ok")]


async def test_nothing_of_an_address_is_noted() -> None:
    broken = raising(httpx.ConnectError(f"{IPAAS_URL}/v2/Customer/150713"))
    ran = await transfer(Wire(load=broken), None, ipaas=True)
    assert len(ran.progress.calls) == 3
    assert "150713" not in str(ran.progress.calls)
