"""A transfer's story, told from its attempts: received, loaded, upserted, written back, reconciled. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from app.outbound.calls import status_line
from app.outbound.noting import SYSTEMS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from app.ledger.stored import Attempt, Stored
    from app.outbound.noting import Call

State = Literal["done", "failed", "skipped", "open"]

_NOT_REACHED = "not reached"
_STEPS: Final = (
    ("load", "Loaded"),
    ("upsert", "Upserted"),
    ("write_back", "Written back"),
    ("subscription", "Reconciled"),
)
_TRIGGERS: Final = {
    "webhook": "by webhook",
    "manual": "by hand (Manual Sync of one customer)",
    "sync": "by hand (Manual Sync)",
    "verify": "by the service itself, after a call to Stamped.io without an answer",
}
_OPERATIONS: Final = {
    "create": "create the customer",
    "update": "update the customer",
    "read": "read the customer",
    "find": "find the customer by e-mail",
    "load": "load the record",
    "write back": "write back the external ID",
}


@dataclass(frozen=True, slots=True)
class Event:
    """One line of the story; `at` in seconds since 1970, `seconds` how long it took."""

    name: str
    state: State
    text: str
    at: float | None = None
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class WriteBack:
    """`wanted`: IPAAS_API_URL is set. `done`: iPaaS.com knows the external ID."""

    wanted: bool
    done: bool


def story(transfer: Stored, attempts: Sequence[Attempt], write_back: WriteBack) -> list[Event]:
    """By the last attempt."""
    received = f"{transfer.scope}, {_TRIGGERS.get(transfer.trigger, transfer.trigger)}"
    events = [Event("Received", "done", received, transfer.created_at)]
    last = attempts[-1] if attempts else None
    if last is not None:
        at = last.started_at
        for step, name in _STEPS:
            seconds = last.steps.get(step)
            if step == "upsert":
                at += last.steps.get("link", 0.0)
            events.append(_event(step, name, at, transfer, last, write_back))
            at += seconds or 0.0
    events.append(_end(transfer))
    return events


def in_words(call: Call) -> str:
    """One call, and what came of it."""
    operation = _OPERATIONS.get(call.operation, call.operation)
    came = status_line(call.status) if call.status else "no answer"
    return f"{SYSTEMS.get(call.system, call.system)}: {operation}, try {call.number}: {came}"


def _event(  # noqa: PLR0913 - what a step is told from
    step: str, name: str, at: float, transfer: Stored, last: Attempt, write_back: WriteBack
) -> Event:
    seconds = last.steps.get(step)
    if last.failure is not None and step == _failed_step(last):
        return Event(name, "failed", last.failure.detail, at, seconds)
    if step == "write_back":
        return _write_back(name, at, transfer, last, write_back)
    if seconds is None:
        return Event(name, "skipped", _NOT_REACHED)
    return Event(name, "done", _text(step, transfer), at, seconds)


def _text(step: str, transfer: Stored) -> str:
    if step == "load":
        return "fetched from iPaaS.com" if transfer.fetched else "the record that was received"
    if step == "upsert":
        return f"{transfer.action or 'saved'} at Stamped.io as customer {transfer.external_id}"
    return {
        "subscribed": "subscribed",
        "unsubscribed": "unsubscribed",
        "unchanged": "the subscription was already as it should be",
        "not_mapped": "consent is not mapped, or the record has none: the subscription was left as it is",
    }.get(transfer.subscription or "", "done")


def _write_back(name: str, at: float, transfer: Stored, last: Attempt, write_back: WriteBack) -> Event:
    seconds = last.steps.get("write_back")
    if transfer.external_id is None or "upsert" not in last.steps:
        return Event(name, "skipped", _NOT_REACHED)
    if write_back.done and seconds is not None:
        return Event(name, "done", f"iPaaS.com has external ID {transfer.external_id}", at, seconds)
    if write_back.done:
        return Event(name, "skipped", f"iPaaS.com already had external ID {transfer.external_id}")
    if not write_back.wanted:
        return Event(name, "skipped", "IPAAS_API_URL is not set, so the external ID stays here")
    return Event(
        name, "failed", "iPaaS.com did not take the external ID; the next transfer tries again", at, seconds
    )


def _failed_step(attempt: Attempt) -> str:
    """The last step that began; a record that cannot be mapped fails before the upsert."""
    begun = [step for step in ("load", "link", "upsert", "write_back", "subscription") if step in attempt.steps]
    last = begun[-1] if begun else "load"
    stayed = attempt.failure is not None and attempt.failure.slug == "customer-not-loaded"
    if last == "load" and not stayed:
        return "upsert"
    return "load" if last == "link" else last


def _end(transfer: Stored) -> Event:
    at, reason = transfer.finished_at, transfer.reason or ""
    waits = transfer.pause.sentence if transfer.pause else None
    events = {
        "succeeded": Event("Succeeded", "done", reason, at),
        "failed": Event("Failed", "failed", "waits for somebody to re-run it", at),
        "skipped": Event("Skipped", "skipped", reason, at),
        "cancelled": Event("Cancelled", "skipped", reason, at),
        "waiting": Event("Waiting", "open", waits or "runs again by itself", transfer.next_attempt_at),
        "running": Event("Running", "open", "an attempt is under way", transfer.started_at),
        "accepted": Event("Accepted", "open", waits or "stored; an attempt begins as soon as there is room"),
    }
    return events[transfer.status]
