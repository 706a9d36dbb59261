"""One sentence for each case: every status, trigger and class of error."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import pytest

from app.attempt import NO_CONSENT, Failure, StampedAnswer
from app.error_catalog import Slug
from app.ledger.stored import Attempt, Stored
from app.ledger.trail import Deed
from app.outbound.noting import Call
from app.outbound.pauses import Pause
from app.sentence import sentence

USUAL: dict[str, Any] = dict.fromkeys(Stored.__dataclass_fields__) | {
    "id": "1",
    "trigger": "webhook",
    "status": "succeeded",
    "action": "created",
    "external_id": "77",
    "subscription": "subscribed",
    "fetched": False,
    "promised": False,
    "tries": 0,
    "attempts": 1,
    "started_at": 60.0,
}
FAILED: dict[str, Any] = {"status": "failed", "action": None, "external_id": None, "subscription": None}
WAITING = FAILED | {"status": "waiting", "promised": True, "tries": 2, "next_attempt_at": 3600.0}
PAUSED = Pause("throttled", 0.0, 600.0)
CUSTOMER, SUBSCRIPTION, LOADED = Slug.CUSTOMER, Slug.SUBSCRIPTION, Slug.NOT_LOADED
DENIED, REFUSED, UNAVAILABLE, TIMEOUT = (502, False), (422, False), (502, True), (504, True)


def failure(slug: Slug, kind: tuple[int, bool], *stamped: Any, reason: str = "Its message.") -> dict[str, str]:
    """`stamped`: operation, status and message."""
    status, retryable = kind
    made = Failure.of(slug, status, reason, retryable=retryable, stamped=StampedAnswer(*stamped))
    return {"failure": json.dumps(asdict(made)), "error": slug.value}


def told(fields: dict[str, Any], *deeds: Deed, calls: tuple[Call, ...] = (), outcome: str = "failed") -> str:
    transfer = Stored(**(USUAL | fields))
    attempts = [Attempt(1, 0.0, 1.0, outcome, transfer.documented_failure(), {}, list(calls))]
    return sentence(transfer, attempts, deeds, unit_seconds=600.0)


CASES: list[tuple[dict[str, Any], str]] = [
    ({}, "Created at Stamped.io as customer 77 and subscribed."),
    (
        {"action": "updated", "subscription": "unchanged", "attempts": 3},
        (
            "Updated at Stamped.io as customer 77; the subscription was already as it should be. It took 3 "
            "attempts."
        ),
    ),
    (
        {"subscription": "not_mapped"},
        ("Created at Stamped.io as customer 77; consent is not mapped, so the subscription was left as it is."),
    ),
    (
        {"subscription": "not_mapped", "reason": f"A note. {NO_CONSENT}"},
        (
            "Created at Stamped.io as customer 77; the record carries no consent, so the subscription was "
            "left as it is. A note."
        ),
    ),
    ({"trigger": "manual"}, "Manual Sync: Created at Stamped.io as customer 77 and subscribed."),
    (
        {"trigger": "sync", "subscription": "unsubscribed"},
        "Manual Sync of several: Created at Stamped.io as customer 77 and unsubscribed.",
    ),
    (
        {"trigger": "verify", "action": None, "reason": "Nothing differed."},
        "Looked after by the service itself, as a call had no answer: Nothing differed.",
    ),
    (
        {"status": "skipped", "superseded_by": "9"},
        "Superseded by transfer 9, with a newer record of the same customer.",
    ),
    ({"status": "skipped", "reason": "scope customer/deleted"}, "Scope customer/deleted."),
    ({"status": "cancelled", "attempts": 0}, "Cancelled by hand, before anything was sent. It can be re-run."),
    ({"status": "running", "attempts": 1}, "Attempt 1 is under way since 1970-01-01 00:01:00 UTC."),
    ({"status": "accepted", "attempts": 0}, "Stored; an attempt begins as soon as there is room."),
    (
        {"status": "accepted", "pause": PAUSED},
        (
            "Waits for the throttle of Stamped.io's calls until 1970-01-01 00:10:00 UTC. It goes on by "
            "itself, and no try is used up."
        ),
    ),
    (
        FAILED | failure(CUSTOMER, DENIED, "create", 401, "No."),
        (
            "Stamped.io refused the key (HTTP status 401) when the customer was to be created; nothing was "
            "saved. Mend the keys, then re-run."
        ),
    ),
    (
        FAILED | {"external_id": "77"} | failure(CUSTOMER, DENIED, "update", 404, ""),
        (
            "Stamped.io does not know the store (HTTP status 404) when the customer was to be updated; "
            "customer 77 stays as it was. Check store hash and address, then re-run."
        ),
    ),
    (
        FAILED | failure(CUSTOMER, REFUSED, "create", 400, "Email is not valid."),
        (
            "Stamped.io refused the customer's data (HTTP status 400: Email is not valid) when the customer "
            "was to be created; nothing was saved. Mend the record in iPaaS.com, which then sends it anew."
        ),
    ),
    (
        FAILED | {"fetched": True} | failure(CUSTOMER, REFUSED, reason="The record has no e-mail address."),
        (
            "Nothing was sent to Stamped.io: the record has no e-mail address. Mend the record in iPaaS.com, "
            "then re-run."
        ),
    ),
    (
        FAILED | {"external_id": "77"} | failure(CUSTOMER, TIMEOUT, "update", None, "timed out after 15 s"),
        (
            "Stamped.io gave no answer in time when the customer was to be updated; customer 77 may stay as "
            "it was. That may pass by itself: re-run it when Stamped.io is well again."
        ),
    ),
    (
        FAILED | failure(CUSTOMER, UNAVAILABLE, "create", None, "no connection (ConnectError)"),
        (
            "Stamped.io could not be reached (no connection (ConnectError)) when the customer was to be "
            "created; nothing is known to be saved. That may pass by itself: re-run it when Stamped.io is "
            "well again."
        ),
    ),
    (
        FAILED | {"promised": True, "tries": 6} | failure(CUSTOMER, UNAVAILABLE, "find", 200, "no customer"),
        (
            "Stamped.io gave an answer that makes no sense (HTTP status 200: no customer) when the customer "
            "was to be found by e-mail; nothing was saved. The service gave up after 6 tries: re-run it when "
            "Stamped.io is well again."
        ),
    ),
    (
        FAILED | {"external_id": "77"} | failure(SUBSCRIPTION, DENIED, "subscribe", 403, "No."),
        (
            "Stamped.io refused the key (HTTP status 403) when the customer was to be subscribed; it is saved "
            "as customer 77, but its subscription is not as it should be. Mend the keys, then re-run."
        ),
    ),
    (
        FAILED | {"external_id": "77"} | failure(SUBSCRIPTION, REFUSED, reason="The consent value '…' is none."),
        (
            "Saved as customer 77, its subscription as before: the consent value '…' is none. Mend the record "
            "in iPaaS.com, which then sends it anew."
        ),
    ),
    (
        FAILED
        | {"external_id": "77", "subscription": "unsubscribed"}
        | failure(SUBSCRIPTION, REFUSED, reason="The consent value '…' is none."),
        (
            "Saved as customer 77, unsubscribed for what was said before: the consent value '…' is none. Mend "
            "the record in iPaaS.com, which then sends it anew."
        ),
    ),
    (
        FAILED | failure(LOADED, REFUSED, reason="There is no record: none came along."),
        (
            "Nothing was sent to Stamped.io: there is no record: none came along. Set IPAAS_API_URL and "
            "IPAAS_API_TOKEN, or send the record along."
        ),
    ),
    (
        FAILED | failure(Slug.INTERNAL_ERROR, (500, True), reason="It broke."),
        (
            "Something went wrong inside the bridge. It broke. Re-run it; if it fails again, tell whoever "
            "runs this."
        ),
    ),
    (
        WAITING | failure(CUSTOMER, UNAVAILABLE, "create", 503, "Busy"),
        (
            "Stamped.io failed (HTTP status 503: Busy) when the customer was to be created; nothing is known "
            "to be saved. Waits for try 3 of 6 at 1970-01-01 01:00:00 UTC; gives up if try 6 fails, too, at "
            "about 1970-01-01 11:20:00 UTC."
        ),
    ),
    (
        WAITING | {"tries": 5} | failure(CUSTOMER, UNAVAILABLE, "create", 503, "Busy"),
        (
            "Stamped.io failed (HTTP status 503: Busy) when the customer was to be created; nothing is known "
            "to be saved. Waits for try 6 of 6 at 1970-01-01 01:00:00 UTC, the last one."
        ),
    ),
    (
        WAITING | {"pause": PAUSED} | failure(CUSTOMER, UNAVAILABLE, "create", 503, ""),
        (
            "Stamped.io failed (HTTP status 503) when the customer was to be created; nothing is known to be "
            "saved. Waits for the throttle of Stamped.io's calls until 1970-01-01 00:10:00 UTC."
        ),
    ),
    (
        FAILED | {"status": "running", "attempts": 2} | failure(CUSTOMER, DENIED, "create", 401, ""),
        (
            "Attempt 2 is under way since 1970-01-01 00:01:00 UTC. Last attempt: Stamped.io refused the key "
            "(HTTP status 401) when the customer was to be created; nothing was saved."
        ),
    ),
]


@pytest.mark.parametrize(("fields", "words"), CASES)
def test_each_case_has_its_sentence(fields: dict[str, Any], words: str) -> None:
    assert told(fields) == words


@pytest.mark.parametrize(
    ("kind", "status", "operation", "words"),
    [
        (DENIED, 401, "load", "iPaaS.com refused the token (HTTP status 401) when the record was to be loaded"),
        (REFUSED, 404, "load", "iPaaS.com does not know the customer (HTTP status 404: Gone) when"),
        (REFUSED, 400, "load", "iPaaS.com did not give the record (HTTP status 400: Gone) when"),
        (UNAVAILABLE, 500, "look up the external ID", "when the external ID was to be looked up"),
        (TIMEOUT, None, "load", "iPaaS.com gave no answer in time when"),
    ],
)
def test_what_ipaas_answered_comes_from_its_call(
    kind: tuple[int, bool], status: int | None, operation: str, words: str
) -> None:
    asked = Call("ipaas", operation, 1, 0.0, outcome="x", status=status, message="Gone")
    calls = (asked, Call("stamped", "read", 1, 0.0, outcome="ok", status=200))
    found = told(FAILED | failure(LOADED, kind), calls=calls)
    assert words in found
    assert "; nothing was sent to Stamped.io. " in found


def test_who_cancelled_is_named_and_when() -> None:
    deeds = [Deed(60.0, "re-run", "bob", None, "api"), Deed(120.0, "cancelled", "ada", None, "page")]
    assert told({"status": "cancelled", "attempts": 2}, *deeds) == (
        "Cancelled by ada at 1970-01-01 00:02:00 UTC, after 2 attempts. It can be re-run."
    )


def test_an_attempt_that_nobody_saw_end_is_told() -> None:
    assert told({"status": "accepted"}, outcome="interrupted") == (
        "The last attempt was interrupted; an attempt begins as soon as there is room."
    )


def test_a_long_message_is_cut_between_words() -> None:
    found = told(FAILED | failure(CUSTOMER, REFUSED, "create", 400, "word " * 60))
    assert len(found) < 350
    assert "word …) when" in found
