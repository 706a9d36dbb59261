"""Attempts end: each function is one transaction. They begin in `claims`; what is wanted, `order` says."""

from __future__ import annotations

import json
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from app.attempt import Failure
from app.error_catalog import Slug
from app.ledger import customers, retry_schedule, rows
from app.ledger.claims import Claim
from app.ledger.customers import Customer
from app.ledger.ranks import after_failure, first_of, without_caller
from app.ledger.session import About, shared
from app.ledger.stored import Stored, dump_failure
from app.ledger.tables import PENDING, RUNNING
from app.ledger.tables import customers as table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from app.attempt import Progress
    from app.ledger.session import Session

_MOST_ATTEMPTS = 50  # what takes the process down each time must end, too


@dataclass(frozen=True, slots=True)
class Terms:
    """RETRY_UNIT_SECONDS, STAMPED_TIMEOUT_SECONDS, and a chance in [0, 1) for the jitter."""

    unit_seconds: float = 600.0
    timeout_seconds: float = 15.0
    chance: float = 0.0


@dataclass(frozen=True, slots=True)
class AttemptResult:
    """How an attempt ended; `failure` None = well.

    `answered_at`: when Stamped.io named the link, if it is new. `unanswered_at`: when a call without an answer was
    given up. `calls`: as they are kept. `paused`: it ended for its connection's pause, which is no failure; if one
    call had brought that about, `failure` says what it answered.
    """

    progress: Progress
    finished_at: float
    failure: Failure | None = None
    unanswered_at: float | None = None
    answered_at: float | None = None
    calls: str = "[]"
    paused: bool = False

    @property
    def ways(self) -> dict[str, str]:
        """How it went, as it is kept: the seconds of its steps, and its calls."""
        return {"steps": json.dumps(self.progress.seconds), "calls": self.calls}

    @property
    def is_well(self) -> bool:
        """Whether all was done."""
        return self.failure is None and not self.paused


@dataclass(frozen=True, slots=True)
class Finished:
    """The transfers that an attempt covered, as they are now, and whether another attempt is due."""

    settled: tuple[Stored, ...]
    is_due: bool = False


def _about(claimed: Claim, result: AttemptResult, _terms: Terms) -> About:
    customer, external_id = claimed.customer, result.progress.external_id
    taken = None if external_id == customer.external_id else external_id
    return About(customer.connection, customer.customer_id, external_id=taken)


@shared(_about)
def finish(session: Session, claimed: Claim, result: AttemptResult, terms: Terms) -> Finished | None:
    """Record an attempt and what follows from it. None = it was taken over meanwhile."""
    customer = customers.lock(session, claimed.customer.connection, claimed.customer.customer_id)
    if customer is None or not customers.is_claimed(customer, claimed.customer):
        return None
    now, progress = result.finished_at, result.progress
    external_id = progress.external_id or customer.external_id
    link: dict[str, Any] = {}
    if external_id != customer.external_id and external_id is not None:
        other = customers.freed(session, customer, external_id, result.answered_at)
        if other is not None:
            return _lost_link(session, customer, other, now, terms)
        link = {"external_id": external_id, "linked_at": result.answered_at, "written_back_to": None}
    if result.is_well:
        settled = _succeeded(session, claimed, result)
    else:
        settled = _failed(session, customer, claimed, result, terms)
    due_at = customers.earliest([customer.due_at, *map(rows.due_at, settled)])
    rank = _rank_of(customer, settled)
    if progress.written_back and claimed.lead.destination is not None:
        link["written_back_to"] = claimed.lead.destination
    customers.write(
        session,
        customer,
        owner=None,
        sending=None,
        due_at=due_at,
        rank=rank,
        written_back=progress.written_back if progress.external_id else customer.written_back,
        **link,
        **_known_now(customer, claimed, result, settled),
        **_doubt_left(customer, claimed, result, settled, terms),
    )
    return Finished(settled, due_at is not None and due_at <= now)


def release(  # noqa: PLR0913 - whose work, and on which terms
    session: Session, name: str, customer_id: str, owner: str, now: float, terms: Terms
) -> list[Stored] | None:
    """End the attempt of a replica that is gone: it runs again, in doubt. None = it ended, or is locked."""
    customer = customers.lock(session, name, customer_id, wait=False)
    if customer is None or customer.owner != owner:
        return None
    return list(_interrupted(session, customer, _running(session, customer), now, terms))


def doubt(session: Session, lost: Claim, now: float, terms: Terms) -> None:
    """Rule 7: what others took over may have sent its own calls after theirs. Idempotent."""
    customer = customers.lock(session, lost.customer.connection, lost.customer.customer_id)
    if customer is not None:
        doubtful = customers.doubting(customer, lost.customer.sending)
        verify_at = retry_schedule.verify_at(now, terms.timeout_seconds)
        customers.write(session, customer, doubt=doubtful, verify_at=verify_at)


@shared(lambda claimed, _result, _terms: About(claimed.connection, seq=claimed.seq))
def not_loaded(session: Session, claimed: Stored, result: AttemptResult, terms: Terms) -> Stored | None:
    """Rule 1: that trigger alone fails, or waits. None = it was taken over meanwhile."""
    transfer = rows.by_seq(session, claimed.seq, locked=True)
    if not still_loads(transfer, claimed):
        return None
    return _record_failure(session, transfer, result, terms)


def release_load(session: Session, seq: int, owner: str, now: float) -> Stored | None:
    """A load of a replica that is gone is done again. None = it ended meanwhile."""
    transfer = rows.by_seq(session, seq, locked=True)
    if not transfer.loading or (transfer.status, transfer.owner) != (RUNNING, owner):
        return None
    return _interrupt(session, transfer, None, now)


def still_loads(transfer: Stored, claimed: Stored) -> bool:
    """Whether this claim of a load still holds."""
    mine = (RUNNING, True, claimed.owner, claimed.attempts)
    return (transfer.status, transfer.loading, transfer.owner, transfer.attempts) == mine


def _succeeded(session: Session, claimed: Claim, result: AttemptResult) -> tuple[Stored, ...]:
    """Rule 4: the one whose record was sent, and those that brought none, succeeded; others were superseded."""
    progress, sent = result.progress, claimed.customer.wanted.id
    ways = result.ways
    settled = []
    for transfer in claimed.covered:
        if transfer.id == sent or transfer.brings_nothing:
            values = rows.ended("succeeded", result.finished_at) | _achieved(progress)
        else:
            values = rows.superseded(sent, result.finished_at) | {"external_id": progress.external_id}
        rows.add_attempt(session, transfer, result.finished_at, "succeeded", **ways)
        settled.append(rows.change(session, transfer, values))
    return tuple(settled)


def _failed(
    session: Session, customer: Customer, claimed: Claim, result: AttemptResult, terms: Terms
) -> tuple[Stored, ...]:
    """Each by its own promise. What is promised and has a newer one behind it leaves its promise to that."""
    following = _following(session, customer, claimed.customer.wanted.id)
    open_now = {each.seq: each for each in rows.open_of(session, customer, locked=True)}
    settled = []
    for covered in claimed.covered:
        transfer = open_now[covered.seq]
        after = _record_failure(session, transfer, result, terms)
        if after.status in PENDING and following is not None and not transfer.brings_nothing:
            after = rows.change(session, after, rows.superseded(following.id, result.finished_at))
            if transfer.promised:
                rows.change(session, following, {"promised": True})
        settled.append(after)
    return tuple(settled)


def _record_failure(session: Session, transfer: Stored, result: AttemptResult, terms: Terms) -> Stored:
    failure, progress, now = result.failure, result.progress, result.finished_at
    again_down = result.paused and _why_paused(result) == "down" and rows.was_parked(session, transfer)
    if result.paused and not again_down:  # else Stamped.io has answered others since, and breaks at this one
        return _record_pause(session, transfer, result)
    if failure is None:
        message = "only a failed attempt has a failure"
        raise ValueError(message)
    tries = transfer.tries + 1
    again = None
    if transfer.promised:
        again = retry_schedule.retry_at(tries, failure, now, terms.unit_seconds, terms.chance)
    values = rows.ended("failed" if again is None else "waiting", now) | _achieved(progress)
    values |= rows.failed(failure) | {"tries": tries}
    if again is not None:
        values |= {"next_attempt_at": again, "finished_at": None, "rank": after_failure(transfer.rank)}
        values |= {"loading": transfer.loading, "before": transfer.before}
    rows.add_attempt(session, transfer, now, "failed", failure=values["failure"], **result.ways)
    return rows.change(session, transfer, values)


def _why_paused(result: AttemptResult) -> str:
    """The outcome of an attempt that is to wait: by its last call, if that brought it about."""
    if result.failure is None:
        return "paused"
    return "throttled" if result.failure.stamped.status == HTTPStatus.TOO_MANY_REQUESTS else "down"


def _record_pause(session: Session, transfer: Stored, result: AttemptResult) -> Stored:
    """It is due again as soon as its connection flows: no try is used up, and nobody was told of an error."""
    values = rows.paused(result.finished_at) | {"external_id": result.progress.external_id}
    failure = dump_failure(result.failure)
    rows.add_attempt(session, transfer, result.finished_at, _why_paused(result), failure=failure, **result.ways)
    return rows.change(session, transfer, values)


def _interrupted(
    session: Session, customer: Customer, running: Sequence[Stored], now: float, terms: Terms
) -> tuple[Stored, ...]:
    """An attempt that nobody saw end: what it covered is due at once, and the customer is in doubt."""
    following = _following(session, customer, customer.sending)
    settled = tuple(_interrupt(session, each, following, now) for each in running)
    customers.write(
        session,
        customer,
        owner=None,
        sending=None,
        due_at=customers.earliest([customer.due_at, *map(rows.due_at, settled)]),
        rank=_rank_of(customer, settled),
        doubt=customers.doubting(customer, customer.sending),
        verify_at=retry_schedule.verify_at(now, terms.timeout_seconds),
    )
    return settled


def _interrupt(session: Session, transfer: Stored, following: Stored | None, now: float) -> Stored:
    values: dict[str, Any] = rows.due() | {"promised": True, "rank": without_caller(transfer.rank)}
    if transfer.attempts >= _MOST_ATTEMPTS and rows.interruptions(session, transfer) >= _MOST_ATTEMPTS - 1:
        sentence = f"The attempt was interrupted {_MOST_ATTEMPTS} times."
        failure = Failure(Slug.INTERNAL_ERROR, 500, sentence, retryable=True)
        values = rows.ended("failed", now) | rows.failed(failure)
    elif following is not None and not transfer.brings_nothing:
        values = rows.superseded(following.id, now)
        rows.change(session, following, {"promised": True})
    rows.add_attempt(session, transfer, now, "interrupted")
    return rows.change(session, transfer, values)


def _rank_of(customer: Customer, settled: Sequence[Stored]) -> int:
    """Of what waits for this customer now."""
    again = first_of(each for each in settled if each.status in PENDING)
    return again if customer.due_at is None else min(again, customer.rank)


def _running(session: Session, customer: Customer) -> list[Stored]:
    return [each for each in rows.open_of(session, customer, locked=True) if each.status == RUNNING]


def _following(session: Session, customer: Customer, sent: str | None) -> Stored | None:
    """The open transfer that brought a newer record than the one that was sent."""
    if customer.wanted.id == sent or customer.due_at is None:
        return None
    found = rows.by_id(session, customer.wanted.id)
    return found if found is not None and found.status in PENDING and not found.loading else None


def _lost_link(session: Session, customer: Customer, other: str, now: float, terms: Terms) -> Finished:
    """Rule 8: another customer was added under this id meanwhile. This one is added anew, that one looked at."""
    settled = _interrupted(session, customer, _running(session, customer), now, terms)
    overwritten = customers.look(session, customer.connection, other)
    if overwritten is not None:
        key = {"connection": overwritten.connection, "customer_id": other}
        session.update(table, key, {"doubt": customers.doubting(overwritten), "verify_at": now})
    return Finished(settled, is_due=True)


def _known_now(
    customer: Customer, claimed: Claim, result: AttemptResult, settled: Sequence[Stored]
) -> dict[str, Any]:
    """What Stamped.io was told, and what nobody can take back any more."""
    told, progress = customer.told, result.progress
    if progress.told is not None or progress.external_id not in {None, customer.external_id}:
        told = progress.told  # another id was told nothing yet
    values: dict[str, Any] = {"told": told}
    if result.is_well or all(each.status == "failed" for each in settled):
        values |= {"settled": claimed.customer.wanted.dump(), "settled_place": claimed.customer.place}
    return values


def _doubt_left(
    customer: Customer, claimed: Claim, result: AttemptResult, settled: Sequence[Stored], terms: Terms
) -> dict[str, Any]:
    """Rule 7: doubt begins with a call without an answer, and ends with an attempt after it had its effect."""
    looked = customer.verify_at is not None and claimed.began_at >= customer.verify_at
    if result.unanswered_at is not None:
        doubtful = customers.doubting(customer, claimed.customer.sending)
        verify_at = retry_schedule.verify_at(result.unanswered_at, terms.timeout_seconds)
        return {"doubt": doubtful, "verify_at": verify_at}
    if customer.doubt is None or (customer.verify_at is not None and not looked):
        return {}
    if result.is_well:
        return {"doubt": None, "verify_at": None}
    tries_again = any(each.status in PENDING for each in settled)
    if tries_again:
        return {"verify_at": None}
    if claimed.verifies:  # in doubt still, but nobody's record is kept for ever
        return {"doubt": customers.NOBODY, "verify_at": None}
    return {"verify_at": retry_schedule.verify_at(result.finished_at, terms.timeout_seconds)}


def _achieved(progress: Progress) -> dict[str, Any]:
    return {
        "action": progress.action,
        "external_id": progress.external_id,
        "subscription": progress.subscription,
        "reason": " ".join(progress.notes) or None,
    }
