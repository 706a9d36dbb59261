"""A transfer's trace: what happened in order, each attempt with its steps and calls, and where in time."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from app.attempt import NO_CONSENT, Failure, StampedAnswer
from app.error_catalog import Slug
from app.ledger.retry_schedule import tries_ahead
from app.ledger.stored import Attempt, Stored
from app.ledger.trail import Deed
from app.monitoring.timeline import Event, Lane, WriteBack, story, tries
from app.monitoring.trace import Bar, Tick, bar, strip
from app.outbound.noting import Call

DONE = WriteBack(wanted=True, done=True)
STEPS = {"load": 0.5, "link": 0.25, "upsert": 1.0, "write_back": 0.25, "subscription": 2.0}
USUAL: dict[str, Any] = dict.fromkeys(Stored.__dataclass_fields__) | {
    "seq": 1,
    "id": "1",
    "scope": "customer/updated",
    "trigger": "webhook",
    "status": "succeeded",
    "action": "created",
    "external_id": "143491",
    "subscription": "subscribed",
    "created_at": 10.0,
    "day": 0,
    "started_at": 11.0,
    "finished_at": 15.0,
    "fetched": False,
    "attempts": 1,
    "tries": 0,
}
WAITING: dict[str, Any] = {"status": "waiting", "tries": 2, "next_attempt_at": 60.0, "finished_at": None}


def transfer(**fields: Any) -> Stored:
    return Stored(**(USUAL | fields))


def attempt(*steps: str, slug: Slug | None = None, calls: tuple[Call, ...] = ()) -> Attempt:
    stamped = StampedAnswer("x", 500, "")
    failure = Failure.of(slug, 502, "It failed.", retryable=True, stamped=stamped) if slug else None
    taken = {step: seconds for step, seconds in STEPS.items() if not steps or step in steps}
    return Attempt(1, 11.0, 15.0, "failed" if slug else "succeeded", failure, taken, list(calls))


def call(operation: str, at: float = 11.0, outcome: str = "ok", **fields: Any) -> Call:
    return Call("stamped", operation, fields.pop("number", 1), at, 1.0, outcome, **fields)


def told(of: Stored, attempts: list[Attempt], *deeds: Deed, write_back: WriteBack = DONE) -> list[Event]:
    return story(of, attempts, deeds, write_back, 1.0)


def lanes(of: Stored, *attempts: Attempt, write_back: WriteBack = DONE) -> dict[str, Lane]:
    """Of the last attempt."""
    events = [event for event in told(of, list(attempts), write_back=write_back) if event.outcome]
    return {lane.name: lane for lane in events[-1].lanes}


def test_each_step_is_a_lane_that_says_how_long_it_took() -> None:
    received, tried, end = told(transfer(), [attempt()])
    assert (received.at, tried.at, tried.seconds, end.at) == (10.0, 11.0, 4.0, 15.0)
    assert [(lane.name, lane.state, lane.seconds) for lane in tried.lanes] == [
        ("Loaded", "done", 0.5),
        ("Upserted", "done", 1.25),
        ("Written back", "done", 0.25),
        ("Reconciled", "done", 2.0),
    ]


def test_what_people_did_stands_among_the_attempts_in_time_order() -> None:
    again = replace(attempt(), number=2, started_at=30.0, finished_at=31.0)
    deeds = [
        Deed(20.0, "revealed", "ada", "203.0.113.7", "page"),
        Deed(30.0, "re-run", "bob", None, "api"),
        Deed(99.0, "revealed", "eve", None, "page"),
    ]
    events = told(transfer(finished_at=31.0), [attempt(slug=Slug.CUSTOMER), again], *deeds)
    assert [event.name for event in events] == [
        "Received",
        "Attempt 1",
        "Record shown by ada",
        "Re-run by bob",
        "Attempt 2",
        "Succeeded",
        "Record shown by eve",
    ]
    assert [event.text for event in events if event.state == "deed"][:2] == ["from 203.0.113.7, by page", "by API"]


@pytest.mark.parametrize(
    ("slug", "steps", "failed"),
    [
        (Slug.NOT_LOADED, ("load",), "Loaded"),
        (Slug.NOT_LOADED, ("load", "link"), "Loaded"),
        (Slug.CUSTOMER, ("load",), "Upserted"),  # the record cannot be mapped
        (Slug.CUSTOMER, ("load", "link", "upsert"), "Upserted"),
        (Slug.SUBSCRIPTION, (), "Reconciled"),
        (Slug.INTERNAL_ERROR, ("load", "link", "upsert"), "Upserted"),
    ],
)
def test_the_step_that_failed_is_named(slug: Slug, steps: tuple[str, ...], failed: str) -> None:
    saved = "143491" if slug is Slug.SUBSCRIPTION else None
    found = lanes(transfer(status="failed", external_id=saved), attempt(*steps, slug=slug))
    assert [name for name, lane in found.items() if lane.state == "failed"] == [failed]
    assert found[failed].text == "It failed."


@pytest.mark.parametrize(
    ("write_back", "steps", "state", "words"),
    [
        (DONE, (), "done", "iPaaS.com has external ID 143491"),
        (DONE, ("load", "link", "upsert", "subscription"), "skipped", "already had"),
        (WriteBack(wanted=False, done=False), (), "skipped", "IPAAS_API_URL is not set"),
        (WriteBack(wanted=True, done=False), (), "failed", "did not take"),
    ],
)
def test_writing_back_is_told_apart(write_back: WriteBack, steps: tuple[str, ...], state: str, words: str) -> None:
    lane = lanes(transfer(), attempt(*steps), write_back=write_back)["Written back"]
    assert lane.state == state
    assert words in lane.text


@pytest.mark.parametrize(
    ("reason", "words"), [(None, "consent is not mapped"), (NO_CONSENT, "the record carries no consent")]
)
def test_a_consent_that_is_missing_is_not_called_unmapped(reason: str | None, words: str) -> None:
    of = transfer(subscription="not_mapped", reason=reason)
    assert lanes(of, attempt())["Reconciled"].text == f"{words}: the subscription was left as it is"


@pytest.mark.parametrize("status", ["accepted", "running", "waiting", "skipped", "cancelled", "failed"])
def test_every_status_has_an_end(status: Any) -> None:
    events = told(transfer(status=status, finished_at=None), [])
    assert [event.name for event in events] == ["Received", status.capitalize()]


def test_an_interrupted_attempt_reached_nothing() -> None:
    interrupted = replace(attempt(), outcome="interrupted", steps={})
    event = told(transfer(status="accepted", external_id=None), [interrupted])[1]
    assert (event.lanes, event.state) == ([], "open")
    assert "Nobody saw its end" in event.text


def test_a_pause_is_no_failure_and_what_it_ended_is_begun_anew() -> None:
    throttled = replace(attempt("load", "link", "upsert"), outcome="throttled")
    found = lanes(transfer(status="accepted", action=None), throttled)
    states = {name: lane.state for name, lane in found.items()}
    assert states == {"Loaded": "done", "Upserted": "open", "Written back": "skipped", "Reconciled": "skipped"}
    assert found["Written back"].text == "not reached"


@pytest.mark.parametrize(
    ("steps", "operations", "where"),
    [
        ((), ["create", "read", "subscribe"], ["Upserted", "Reconciled", "Reconciled"]),
        ((), ["find", "update", "read"], ["Upserted", "Upserted", "Reconciled"]),
        ((), ["read", "read", "unsubscribe"], ["Upserted", "Reconciled", "Reconciled"]),  # it verifies
        (("load", "link", "subscription"), ["read"], ["Reconciled"]),  # a "no" of what cannot be mapped
        (("load", "link", "upsert"), ["update", "create"], ["Upserted", "Upserted"]),
        ((), ["load", "look up the external ID", "write back"], ["Loaded", "Upserted", "Written back"]),
    ],
)
def test_each_call_stands_in_the_lane_of_its_step(
    steps: tuple[str, ...], operations: list[str], where: list[str]
) -> None:
    found = lanes(transfer(), attempt(*steps, calls=tuple(call(each) for each in operations)))
    assert [lane.name for lane in found.values() for _ in lane.lines] == where


def test_a_call_says_what_came_of_it_and_when() -> None:
    calls = (call("create", 12.0, "throttled", status=429, message="Slow down."), call("create", 14.0, number=2))
    first, second = lanes(transfer(), attempt(calls=calls))["Upserted"].lines
    assert first.text == "Stamped.io: create the customer, try 1: HTTP status 429 Too Many Requests"
    assert (first.state, first.message, first.bar) == ("open", "Slow down.", Bar(25.0, 25.0))
    assert (second.state, second.bar) == ("done", Bar(75.0, 25.0))


def test_the_tries_ahead_are_told_until_the_service_gives_up() -> None:
    of = transfer(**WAITING)
    end = told(of, [attempt(slug=Slug.CUSTOMER)])[-1]
    assert (end.at, end.text) == (60.0, "runs again by itself: try 3 of 6")
    assert end.ahead == [(4, 72.0), (5, 92.0), (6, 122.0)]
    found = tries(of, [attempt(slug=Slug.CUSTOMER)], 40.0, 1.0)
    assert found is not None
    assert [(tick.label, tick.state) for tick in found.ticks] == [("1", "failed"), *[("", "ahead")] * 4]
    assert (found.begin, found.end) == (10.0, 122.0)
    assert found.now is not None
    assert found.ticks[0].x < found.now < found.ticks[1].x


def test_one_attempt_alone_needs_no_axis() -> None:
    assert tries(transfer(), [attempt()], 40.0, 1.0) is None


def test_tries_ahead_follow_the_schedule() -> None:
    assert tries_ahead(1, 100.0, 10.0) == [(2, 100.0), (3, 160.0), (4, 280.0), (5, 480.0), (6, 780.0)]
    assert tries_ahead(6, 100.0, 10.0) == []


@pytest.mark.parametrize(
    ("at", "seconds", "place"),
    [
        (0.0, 10.0, Bar(0.0, 100.0)),
        (5.0, 2.5, Bar(50.0, 25.0)),
        (10.0, 0.0, Bar(99.0, 1.0)),  # seen at the very end, too
        (-3.0, 0.0, Bar(0.0, 1.0)),
        (9.0, 5.0, Bar(90.0, 10.0)),
    ],
)
def test_a_bar_never_leaves_its_axis(at: float, seconds: float, place: Bar) -> None:
    assert bar(at, seconds, 0.0, 10.0) == place
    assert bar(at, seconds, 5.0, 5.0) == Bar(0.0, 100.0)


@pytest.mark.parametrize(
    "times", [[0.0] * 4, [9.0, 9.1, 9.2, 10.0], [0.0, 5.0, 10.0], [float(n) for n in range(60)]]
)
def test_ticks_keep_their_order_and_stand_apart(times: list[float]) -> None:
    found = strip(0.0, [Tick("", at, "failed") for at in times], None)
    places = [tick.x for tick in found.ticks]
    apart = min(4.5, 96 / (len(times) - 1))
    assert all(after - before >= apart - 0.02 for before, after in pairwise(places))
    assert places[0] >= 0
    assert places[-1] <= 98
