"""A transfer's story, told from its last attempt."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from app.attempt import Failure, StampedAnswer
from app.error_catalog import Slug
from app.ledger.stored import Attempt, Stored
from app.monitoring.timeline import Event, WriteBack, story

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
}


def transfer(**fields: Any) -> Stored:
    return Stored(**(USUAL | fields))


def attempt(*steps: str, slug: Slug | None = None) -> Attempt:
    failure = (
        Failure(slug, 502, "It failed.", retryable=True, stamped=StampedAnswer("x", 500, "")) if slug else None
    )
    taken = {step: seconds for step, seconds in STEPS.items() if not steps or step in steps}
    return Attempt(1, 11.0, 15.0, "failed" if slug else "succeeded", failure, taken, [])


def states(events: list[Event]) -> dict[str, str]:
    return {event.name: event.state for event in events}


def test_each_step_begins_when_the_one_before_ended() -> None:
    events = story(transfer(), [attempt()], DONE)
    assert [(event.name, event.at) for event in events] == [
        ("Received", 10.0),
        ("Loaded", 11.0),
        ("Upserted", 11.75),
        ("Written back", 12.75),
        ("Reconciled", 13.0),
        ("Succeeded", 15.0),
    ]
    assert set(states(events).values()) == {"done"}


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
    events = story(transfer(status="failed", external_id=saved), [attempt(*steps, slug=slug)], DONE)
    told = states(events)
    assert told.pop("Failed") == "failed"
    assert [name for name, state in told.items() if state == "failed"] == [failed]
    assert next(event.text for event in events if event.name == failed) == "It failed."


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
    event = story(transfer(), [attempt(*steps)], write_back)[3]
    assert event.state == state
    assert words in event.text


@pytest.mark.parametrize("status", ["accepted", "running", "waiting", "skipped", "cancelled", "failed"])
def test_every_status_has_an_end(status: Any) -> None:
    events = story(transfer(status=status), [], DONE)
    assert [event.name for event in events] == ["Received", status.capitalize()]


def test_an_interrupted_attempt_reached_nothing() -> None:
    interrupted = replace(attempt(), outcome="interrupted", steps={})
    told = states(story(transfer(status="accepted", external_id=None), [interrupted], DONE))
    assert [told[name] for name in ("Loaded", "Upserted", "Written back", "Reconciled")] == ["skipped"] * 4
