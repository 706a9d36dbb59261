"""A transfer as a trace: what happened in order, each attempt with a lane per step and a line per call. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

from app.error_catalog import Slug
from app.ledger.retry_schedule import MAX_TRIES, tries_ahead
from app.monitoring.trace import Bar, Strip, Tick, bar, strip
from app.outbound.calls import status_line
from app.outbound.noting import SYSTEMS
from app.outbound.status_table import Kind
from app.sentence import short_of, subscription_left

if TYPE_CHECKING:
    from collections.abc import Sequence

    from app.ledger.stored import Attempt, Stored
    from app.ledger.trail import Deed
    from app.outbound.noting import Call

State = Literal["done", "failed", "skipped", "open", "deed"]

_NOT_REACHED = "not reached"
_LANES: Final = {
    "Loaded": ("load",),
    "Upserted": ("link", "upsert"),
    "Written back": ("write_back",),
    "Reconciled": ("subscription",),
}
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
_OF_LANE: Final = {  # what is not here belongs to the upsert
    "load": "Loaded",
    "write back": "Written back",
    "subscribe": "Reconciled",
    "unsubscribe": "Reconciled",
}
_UPSERTS: Final = frozenset({"create", "update"})
_DEEDS: Final = {
    "re-run": "Re-run",
    "cancelled": "Cancelled",
    "revealed": "Record shown",
    "sync": "Manual Sync begun",
    "sync cancelled": "Sync cancelled",
    "re-run all": "Re-run with others",
    "paused": "Connection paused",
    "resumed": "Connection resumed",
}
_WAYS: Final = {"api": "API", "page": "page"}
_PAUSED: Final = frozenset({"paused", "throttled", "down"})  # outcomes that are no failure


@dataclass(frozen=True, slots=True)
class Line:
    """One call; the bar is on the axis of its attempt."""

    text: str
    seconds: float
    state: State
    message: str | None
    bar: Bar


@dataclass(frozen=True, slots=True)
class Lane:
    """One step of an attempt, with its calls; `seconds` None = it was not reached."""

    name: str
    state: State
    text: str
    seconds: float | None = None
    lines: list[Line] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Event:
    """One entry; `at` in seconds since 1970, `seconds` how long it took. `ahead`: tries after that at `at`."""

    name: str
    state: State
    text: str
    at: float | None = None
    seconds: float | None = None
    outcome: str | None = None
    lanes: list[Lane] = field(default_factory=list)
    ahead: list[tuple[int, float]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class WriteBack:
    """`wanted`: IPAAS_API_URL is set. `done`: iPaaS.com knows the external ID."""

    wanted: bool
    done: bool


def story(
    transfer: Stored,
    attempts: Sequence[Attempt],
    deeds: Sequence[Deed],
    write_back: WriteBack,
    unit_seconds: float,
) -> list[Event]:
    """All that happened, in order, and what is to come; `unit_seconds`: RETRY_UNIT_SECONDS."""
    received = f"{transfer.scope}, {_TRIGGERS.get(transfer.trigger, transfer.trigger)}"
    events = [Event("Received", "done", received, transfer.created_at)]
    events += [_deed(each) for each in deeds]  # a re-run begins in the moment in which it is asked for
    events += [_attempt(transfer, each, write_back, is_last=each is attempts[-1]) for each in attempts]
    events.append(_end(transfer, unit_seconds))
    return sorted(events, key=lambda event: float("inf") if event.at is None else event.at)


def tries(transfer: Stored, attempts: Sequence[Attempt], now: float, unit_seconds: float) -> Strip | None:
    """All attempts on one axis, and the tries to come; None where there is but one, and none to come."""
    ticks = [Tick(str(each.number), each.started_at, _tick_state(each)) for each in attempts]
    ticks += [Tick("", at, "ahead") for _, at in _ahead(transfer, unit_seconds)]
    if len(ticks) < 2:  # noqa: PLR2004 - as it says
        return None
    return strip(transfer.created_at, ticks, None if transfer.is_final else now)


def in_words(call: Call) -> str:
    """One call, and what came of it."""
    operation = _OPERATIONS.get(call.operation, call.operation)
    came = status_line(call.status) if call.status else "no answer"
    return f"{SYSTEMS.get(call.system, call.system)}: {operation}, try {call.number}: {came}"


def _attempt(transfer: Stored, attempt: Attempt, write_back: WriteBack, *, is_last: bool) -> Event:
    name, took = f"Attempt {attempt.number}", attempt.finished_at - attempt.started_at
    text = {
        "interrupted": "Nobody saw its end: the process that was at work on it is gone. It runs again.",
        "paused": "It waits, for its connection is paused.",
        "throttled": "Stamped.io asked to wait; no try is used up.",
        "down": "Stamped.io does not answer; no try is used up.",
    }.get(attempt.outcome, "")
    states: dict[str, State] = {"succeeded": "done", "failed": "failed"}
    lanes = [] if attempt.outcome == "interrupted" else _lanes(transfer, attempt, write_back, is_last=is_last)
    state = states.get(attempt.outcome, "open")
    return Event(name, state, text, attempt.started_at, took, attempt.outcome, lanes)


def _lanes(transfer: Stored, attempt: Attempt, write_back: WriteBack, *, is_last: bool) -> list[Lane]:
    calls = _by_lane(attempt)
    failed = _failed_lane(attempt)
    lanes = []
    for name, steps in _LANES.items():
        taken = [attempt.steps[step] for step in steps if step in attempt.steps]
        seconds = sum(taken) if steps[-1] in attempt.steps or name == failed else None
        lines = [_line(each, attempt) for each in calls.get(name, ())]
        state, text = _lane(name, transfer, attempt, write_back, calls.get(name, ()), is_last=is_last)
        lanes.append(Lane(name, state, text, None if state == "skipped" else seconds, lines))
    return lanes


def _line(call: Call, attempt: Attempt) -> Line:
    place = bar(call.started_at, call.seconds, attempt.started_at, attempt.finished_at)
    states: dict[str, State] = {"ok": "done", Kind.THROTTLED: "open"}
    return Line(in_words(call), call.seconds, states.get(call.outcome, "failed"), call.message, place)


def _by_lane(attempt: Attempt) -> dict[str, list[Call]]:
    """A customer is read by the upsert, to verify; else after it, to reconcile."""
    found: dict[str, list[Call]] = {}
    was_upserted = "upsert" not in attempt.steps
    for call in attempt.calls:
        lane = _OF_LANE.get(call.operation, "Upserted")
        if call.operation == "read" and was_upserted and "subscription" in attempt.steps:
            lane = "Reconciled"
        was_upserted = was_upserted or call.operation in _UPSERTS or (call.operation == "read" and _is_well(call))
        found.setdefault(lane, []).append(call)
    return found


def _is_well(call: Call) -> bool:
    return call.outcome == "ok"


def _lane(  # noqa: PLR0913 - what a step is told from
    name: str,
    transfer: Stored,
    attempt: Attempt,
    write_back: WriteBack,
    calls: Sequence[Call],
    *,
    is_last: bool,
) -> tuple[State, str]:
    if name == _failed_lane(attempt):
        if attempt.outcome in _PAUSED:
            return "open", "begun, and to be begun anew"
        told_below = any(call.message for call in calls)
        return "failed", short_of(attempt.failure) if attempt.failure and not told_below else "failed"
    if name == "Written back":
        return _written_back(transfer, attempt, write_back, is_last=is_last)
    if _LANES[name][-1] not in attempt.steps:
        return "skipped", _NOT_REACHED
    return "done", _text(name, transfer, is_last=is_last)


def _text(name: str, transfer: Stored, *, is_last: bool) -> str:
    if name == "Loaded":
        return "fetched from iPaaS.com" if transfer.fetched else "the record that was received"
    if name == "Upserted":
        saved = transfer.action if is_last and transfer.action else "saved"
        return f"{saved} at Stamped.io as customer {transfer.external_id}"
    if not is_last:
        return "done"
    return {
        "subscribed": "subscribed",
        "unsubscribed": "unsubscribed",
        "unchanged": "the subscription was already as it should be",
        "not_mapped": f"{subscription_left(transfer)}: the subscription was left as it is",
    }.get(transfer.subscription or "", "done")


def _written_back(
    transfer: Stored, attempt: Attempt, write_back: WriteBack, *, is_last: bool
) -> tuple[State, str]:
    tried = "write_back" in attempt.steps
    if transfer.external_id is None or "upsert" not in attempt.steps or _failed_lane(attempt) == "Upserted":
        return "skipped", _NOT_REACHED
    if not is_last:
        return ("done", "the external ID was sent to iPaaS.com") if tried else ("skipped", _NOT_REACHED)
    if write_back.done and tried:
        return "done", f"iPaaS.com has external ID {transfer.external_id}"
    if write_back.done:
        return "skipped", f"iPaaS.com already had external ID {transfer.external_id}"
    if not write_back.wanted:
        return "skipped", "IPAAS_API_URL is not set, so the external ID stays here"
    return "failed", "iPaaS.com did not take the external ID; the next transfer tries again"


def _failed_lane(attempt: Attempt) -> str | None:
    """Where it ended, if not well: the last step that began. What cannot be mapped fails before the upsert."""
    if attempt.failure is None and attempt.outcome not in _PAUSED:
        return None
    steps = ("load", "link", "upsert", "write_back", "subscription")
    begun = [step for step in steps if step in attempt.steps]
    last = begun[-1] if begun else "load"
    if last in {"load", "link"}:
        return "Loaded" if attempt.failure and attempt.failure.slug is Slug.NOT_LOADED else "Upserted"
    return next(name for name, of in _LANES.items() if last in of)


def _deed(deed: Deed) -> Event:
    where = f"from {deed.where}, " if deed.where else ""
    name = f"{_DEEDS.get(deed.what, deed.what)} by {deed.who}"
    return Event(name, "deed", f"{where}by {_WAYS.get(deed.via, deed.via)}", deed.at)


def _tick_state(attempt: Attempt) -> str:
    return {"succeeded": "done", "failed": "failed", "interrupted": "failed"}.get(attempt.outcome, "open")


def _ahead(transfer: Stored, unit_seconds: float) -> list[tuple[int, float]]:
    if transfer.status != "waiting" or not transfer.next_attempt_at:
        return []
    return tries_ahead(transfer.tries, transfer.next_attempt_at, unit_seconds)


def _end(transfer: Stored, unit_seconds: float) -> Event:
    at, reason = transfer.finished_at, transfer.reason or ""
    if transfer.status == "waiting":
        ahead = _ahead(transfer, unit_seconds)
        text = f"runs again by itself: try {ahead[0][0]} of {MAX_TRIES}" if ahead else "runs again by itself"
        if transfer.pause:
            text = transfer.pause.sentence
        return Event("Waiting", "open", text, transfer.next_attempt_at, ahead=ahead[1:])
    waits = transfer.pause.sentence if transfer.pause else None
    events = {
        "succeeded": Event("Succeeded", "done", reason, at),
        "failed": Event("Failed", "failed", "waits for somebody to re-run it", at),
        "skipped": Event("Skipped", "skipped", reason, at),
        "cancelled": Event("Cancelled", "skipped", reason, at),
        "running": Event("Running", "open", "an attempt is under way", transfer.started_at),
        "accepted": Event("Accepted", "open", waits or "stored; an attempt begins as soon as there is room"),
    }
    return events[transfer.status]
