"""Triggers come and go: each function is one transaction that changes what is wanted, or asks for it.

accepted → running → succeeded, skipped, failed, or waiting → running …; accepted and waiting → skipped, cancelled.
A skipped or cancelled one may be wanted again (rule 5). How an attempt begins and ends is in `attempts`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from app.ledger import attempts, claims, customers, order, rows, trail
from app.ledger.order import Change, Moment, Wanted
from app.ledger.ranks import Rank, first_of, without_caller
from app.ledger.reports import common_destination
from app.ledger.session import About, shared
from app.ledger.stored import Stored, new_id
from app.ledger.tables import PENDING, RERUNNABLE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from app.ipaas.models import CustomerRecord
    from app.ledger.claims import Claim
    from app.ledger.customers import Customer
    from app.ledger.session import Session
    from app.ledger.stored import Trigger
    from app.ledger.trail import By


@dataclass(frozen=True, slots=True)
class NewTransfer:
    """What is stored of a notification, or of a run by hand, before anything is done about it.

    `consent` as the mapping reads the record. `fetch`: without a record, one is fetched from iPaaS.com first.
    `by`: who runs it by hand. `traceparent`: the trace that it belongs to.
    """

    connection: str
    customer_id: str | None
    tracking_guid: str
    repeat_key: str | None = None
    scope: str = "customer/updated"
    trigger: Trigger = "webhook"
    destination: str | None = None
    debug: bool = False
    record: CustomerRecord | None = None
    consent: bool | None = None
    fetch: bool = True
    skip_reason: str | None = None
    promised: bool = False
    by: By | None = None
    traceparent: str | None = None

    @property
    def rank(self) -> Rank:
        """Whose turn it is where calls are scarce."""
        if self.trigger == "sync":
            return Rank.BULK
        return Rank.of(promised=self.promised)

    @property
    def is_loaded_first(self) -> bool:
        """Whether its record is to be fetched before it has a place in the order (rule 1)."""
        return self.record is None and self.fetch


@dataclass(frozen=True, slots=True)
class Entered:
    """A transfer after its trigger. `claim`: the caller must run this attempt. `loads`: it must fetch the record.

    `ended`: what this ended, others too.
    """

    transfer: Stored
    claim: Claim | None = None
    loads: bool = False
    replayed: bool = False
    ended: tuple[Stored, ...] = ()

    def knowing(self, record: CustomerRecord | None, text: str | None) -> Entered:
        """With the record as it came, so that its attempt, if it is this one's, need not parse the text again."""
        claim = self.claim
        if claim is None or record is None or claim.record != text:
            return self
        return replace(self, claim=replace(claim, parsed=record))


def _about(new: NewTransfer, _owner: str | None, _now: float) -> About:
    is_put = new.skip_reason is None and not new.is_loaded_first
    repeat = None if new.repeat_key is None else (new.customer_id, new.repeat_key)
    return About(new.connection, new.customer_id if is_put else None, repeat, adds=True)


@shared(_about)
def accept(session: Session, new: NewTransfer, owner: str | None, now: float) -> Entered:
    """Store a notification, or find the same one again. With an `owner` it is begun at once if it can be."""
    entered = _accept(session, new, owner, now)
    if new.by is not None:
        trail.note(session, new.by, "sync", now, seq=entered.transfer.seq)
    return entered


def _accept(session: Session, new: NewTransfer, owner: str | None, now: float) -> Entered:
    row: dict[str, Any] = {
        "id": new_id(now),
        "connection": new.connection,
        "customer_id": new.customer_id,
        "tracking_guid": new.tracking_guid,
        "repeat_key": new.repeat_key,
        "destination": new.destination,
        "traceparent": new.traceparent,
        "scope": new.scope,
        "trigger": new.trigger,
        "debug": new.debug,
        "promised": new.promised,
        "rank": new.rank.value,
        "created_at": now,
        **rows.kept(new.record, new.consent),
    }
    if new.skip_reason is not None or new.customer_id is None:
        values = rows.ended("skipped", now) | {"reason": new.skip_reason}
        return _settled(_added(session, row | values))
    if new.is_loaded_first:
        return _load_first(session, new, row, owner, now)
    customer = customers.enter(session, new.connection, new.customer_id)
    latest = customer.wanted.moment
    if new.record is not None and new.trigger != "webhook" and latest is not None and latest.at is not None:
        row["changed_at"] = max(row["changed_at"] or latest.at, latest.at)  # rule 2: it counts as the newest
    row |= {
        "place": customer.place,
        "entered": customer.place,
        "destination": _destination(session, new, customer),
    }
    arrived = Stored.of(rows.EMPTY | row | {"seq": 0, "status": "accepted"})
    verdict = _judge(session, customer, arrived, rows.change_of(arrived), owner)
    transfer = rows.add(session, row | verdict.values(arrived, owner, now))
    if transfer is None:
        return _repeat(session, new, owner, now)
    return _carry_out(session, customer, transfer, verdict, owner, now).knowing(new.record, transfer.record)


def rerun(  # noqa: PLR0913 - who runs it, and on which terms
    session: Session,
    seq: int,
    owner: str | None,
    now: float,
    *,
    fetch: Mapping[str, bool],
    promised: bool = False,
    rank: Rank | None = None,
    by: By | None = None,
) -> Entered | None:
    """Run a failed, cancelled or waiting transfer again; `rank`: unless who waits for it says it.

    `fetch`, by the scopes that are served: one without a record of its own is loaded first. None = it is in no
    such state; or it is of a scope that is not served, such as another run's sandbox.
    """
    found = rows.by_seq(session, seq)
    if found.customer_id is None or found.connection not in fetch:
        return None
    customer = customers.enter(session, found.connection, found.customer_id)
    transfer = rows.by_seq(session, seq, locked=True)
    if transfer.status not in RERUNNABLE:
        return None
    if by is not None:
        trail.note(session, by, "re-run", now, seq=seq)
    terms = {"promised": promised, "rank": (Rank.of(promised=promised) if rank is None else rank).value}
    return _again(session, customer, transfer, owner, now, terms, fetch=fetch[found.connection])


def _about_loaded(claimed: Stored, *_: object) -> About:
    return About(claimed.connection, claimed.customer_id or "", seq=claimed.seq)


@shared(_about_loaded)
def loaded(  # noqa: PLR0913 - what was loaded, and for whom
    session: Session,
    claimed: Stored,
    record: CustomerRecord,
    consent: bool | None,  # noqa: FBT001 - three-valued
    owner: str | None,
    now: float,
    calls: str = "[]",
) -> Entered | None:
    """Rule 1: its order begins now, with the record in hand. None = it was taken over meanwhile."""
    customer = customers.enter(session, claimed.connection, claimed.customer_id or "")
    transfer = rows.by_seq(session, claimed.seq, locked=True)
    if not attempts.still_loads(transfer, claimed):
        return None
    fresh = rows.kept(record, consent) | {"fetched": True}
    customer, put = _put(session, customer, transfer, fresh)
    values = {"loading": False, "attempts": transfer.attempts - 1, "entered": customer.place} | put
    values["destination"] = _destination(session, transfer, customer)
    arrived = transfer.but(values)
    verdict = _judge(session, customer, arrived, rows.change_of(arrived), owner)
    values |= verdict.values(arrived, owner, now)
    if verdict.begins:
        values["started_at"] = transfer.started_at  # it is the same attempt
    if not verdict.begins:  # what was loaded is told, also where the rest comes later
        values["attempts"] = transfer.attempts
        outcome = "skipped" if verdict.is_superseded else "loaded"
        rows.add_attempt(session, transfer, now, outcome, calls=calls)
    entered = _carry_out(session, customer, rows.change(session, transfer, values), verdict, owner, now)
    return entered.knowing(record, fresh["record"])


def promise(session: Session, seq: int) -> Stored:
    """From here on the service owns the retries; does nothing to a transfer that has ended. Idempotent."""
    found = rows.by_seq(session, seq)
    customer = customers.lock(session, found.connection, found.customer_id)
    transfer = rows.by_seq(session, seq, locked=True)
    if transfer.is_final:
        return transfer
    transfer = rows.change(session, transfer, {"promised": True, "rank": without_caller(transfer.rank)})
    if customer is not None and customer.due_at is not None and customer.rank == Rank.CALLER:
        customers.write(session, customer, rank=first_of(rows.pending_of(session, customer)))
    return transfer


def promise_all(session: Session, seqs: Sequence[int]) -> dict[int, Stored]:
    """The same for each of them, in an order in which no two of these wait for each other."""
    return {seq: promise(session, seq) for seq in sorted(seqs)}


def cancel(session: Session, seq: int, now: float, by: By | None = None) -> list[Stored] | None:
    """Rule 5: take back a trigger that has not begun; what it replaced is wanted again, promised.

    The transfer as it is now, and those that are open again. None = it has begun.
    """
    found = rows.by_seq(session, seq)
    customer = customers.lock(session, found.connection, found.customer_id)
    transfer = rows.by_seq(session, seq, locked=True)
    if transfer.status not in PENDING:
        return None
    if by is not None:
        trail.note(session, by, "cancelled", now, seq=seq)
    values = rows.ended("cancelled", now) | {"reason": "Cancelled by hand.", "superseded_by": None}
    if transfer.before is not None:
        values |= json.loads(transfer.before)
    cancelled = rows.change(session, transfer, values)
    if customer is None or transfer.loading:
        return [cancelled]
    wanted = customer.wanted
    reopened: list[Stored] = []
    if transfer.record_hash is not None:
        wanted, reopened = _taken_back(session, customer, cancelled)
    waiting = rows.open_of(session, customer)
    due_at = customers.earliest(map(rows.due_at, waiting))
    changed: dict[str, Any] = {"wanted": wanted, "due_at": due_at, "rank": first_of(waiting)}
    if due_at is None and customer.owner is None and wanted.id is not None:
        brought = transfer.record_hash is not None and transfer.id != wanted.id
        was_sent = brought and transfer.attempts > 0  # some of it may be there
        if was_sent or customer.doubt or wanted.owes_no(customer.told):
            changed |= {"doubt": customer.doubt or customers.NOBODY, "verify_at": customer.verify_at or now}
    elif wanted.id is None:  # there is nothing to set again
        changed["verify_at"] = None
    customers.write(session, customer, **changed)
    return [cancelled, *reopened]


@dataclass(frozen=True, slots=True)
class _Verdict:
    """What a trigger comes to: superseded at once, or open, then it replaces others; it may begin at once."""

    wanted: Wanted
    is_superseded: bool = False
    begins: bool = False
    replaced: tuple[Stored, ...] = ()
    beside: tuple[Stored, ...] = ()  # open still, and covered by the same attempt
    promised: bool = False

    def values(self, transfer: Stored, owner: str | None, now: float) -> dict[str, Any]:
        """For the trigger's own row."""
        if self.is_superseded:
            return rows.superseded(self.wanted.id, now)
        state = rows.begun_or_due(transfer, owner if self.begins else None, now)
        return state | {"promised": transfer.promised or self.promised}


def _judge(
    session: Session, customer: Customer, transfer: Stored, change: Change | None, owner: str | None
) -> _Verdict:
    """By the rules of order; `change` None: it only asks for what is wanted."""
    wanted = customer.wanted.after(change) if change else customer.wanted
    is_newest = change is not None and wanted.id == change.id
    owes_no = wanted.owes_no(customer.told)
    brings_no = owes_no and wanted.was_said_by(change)
    waits = customer.due_at is not None  # else nothing does, and need not be looked for
    waiting = rows.pending_of(session, customer) if waits else ()
    pending = [each for each in waiting if each.seq != transfer.seq]
    if not (is_newest or brings_no or transfer.always_sends) and (pending or not owes_no):
        return _Verdict(wanted, is_superseded=True)
    replaced = tuple(each for each in pending if is_newest and not each.brings_nothing)
    owed = bool(replaced) and owes_no and customer.owes_no
    return _Verdict(
        wanted,
        begins=owner is not None and customer.owner is None,
        replaced=replaced,
        beside=tuple(each for each in pending if each not in replaced),
        promised=owed or any(each.promised for each in pending),
    )


def _carry_out(  # noqa: PLR0913 - a verdict and whom it is about
    session: Session, customer: Customer, transfer: Stored, verdict: _Verdict, owner: str | None, now: float
) -> Entered:
    wanted = customer.but(wanted=verdict.wanted, destination=transfer.destination or customer.destination)
    if verdict.is_superseded:
        customers.write(session, customer, wanted=verdict.wanted)
        return _settled(transfer)
    ended = tuple(rows.change(session, each, rows.superseded(transfer.id, now)) for each in verdict.replaced)
    if verdict.begins and owner is not None:
        begun = (
            transfer,
            *(rows.change(session, each, rows.begun(each, owner, now)) for each in verdict.beside),
        )
        claim = claims.begin(session, wanted, begun, owner, now)
        return Entered(transfer, claim, ended=ended)
    rank = transfer.rank if customer.due_at is None else min(transfer.rank, customer.rank)
    due_at = customers.earliest([customer.due_at, rows.due_at(transfer)])
    values = {"wanted": wanted.wanted, "destination": wanted.destination, "due_at": due_at, "rank": rank}
    customers.write(session, customer, **values)
    return Entered(transfer, ended=ended)


def _load_first(session: Session, new: NewTransfer, row: dict[str, Any], owner: str | None, now: float) -> Entered:
    """Rule 1: loaded outside the order, whatever else happens to the customer."""
    arrived = Stored.of(rows.EMPTY | row | {"seq": 0, "status": "accepted"})
    transfer = rows.add(session, row | {"loading": True} | rows.begun_or_due(arrived, owner, now))
    if transfer is None:
        return _repeat(session, new, owner, now)
    return Entered(transfer, loads=owner is not None)


def _repeat(session: Session, new: NewTransfer, owner: str | None, now: float) -> Entered:
    """Succeeded before: the recorded answer; still open: wait for that one; failed before: run it again."""
    customer = customers.enter(session, new.connection, new.customer_id or "")
    transfer = rows.same(session, new.connection, new.customer_id, new.repeat_key)
    if transfer.status in {"succeeded", "skipped"}:
        return Entered(transfer, replayed=True)
    if transfer.status not in RERUNNABLE:
        return Entered(rows.change(session, transfer, {"promised": True}) if new.promised else transfer)
    values: dict[str, Any] = {"promised": new.promised, "rank": new.rank.value}
    if new.traceparent is not None:
        values["traceparent"] = new.traceparent
    fresh = rows.kept(new.record, new.consent)
    if fresh and fresh["record_hash"] != transfer.record_hash:
        customer, put = _put(session, customer, transfer, fresh)
        values |= {"fetched": False, "loading": False} | put
    return _again(session, customer, transfer, owner, now, values, fetch=new.record is None)


def _again(  # noqa: PLR0913 - as `rerun`
    session: Session,
    customer: Customer,
    transfer: Stored,
    owner: str | None,
    now: float,
    values: dict[str, Any],
    *,
    fetch: bool,
) -> Entered:
    waits = transfer.status == "waiting"
    values |= {"tries": 0, "finished_at": None, "superseded_by": None, "before": rows.before(transfer)}
    values["promised"] = bool(values["promised"]) or waits  # a promise is never taken back
    if waits:
        values["before"] = transfer.before
    arrived = transfer.but(values)
    without_record = arrived.record is None and (fetch or not arrived.always_sends)
    refetched = arrived.fetched and fetch and not waits  # it may have failed for what has been mended since
    if arrived.loading or without_record or refetched:
        values |= {"loading": True} | rows.begun_or_due(arrived, owner, now)
        return Entered(rows.change(session, transfer, values), loads=owner is not None)
    values |= {"entered": customer.place, "place": arrived.place or customer.place}
    arrived = arrived.but(values)
    verdict = _judge(session, customer, arrived, rows.change_of(arrived), owner)
    values |= verdict.values(arrived, owner, now)
    return _carry_out(session, customer, rows.change(session, transfer, values), verdict, owner, now)


def _put(
    session: Session, customer: Customer, transfer: Stored, fresh: dict[str, Any]
) -> tuple[Customer, dict[str, Any]]:
    """A record that replaces a transfer's own has its place from now; unless it is older than that very one."""
    moment = Moment(fresh["changed_at"], customer.place)
    if customer.wanted.id == transfer.id and transfer.record and moment.precedes(customer.wanted.moment):
        return customer, {}
    if transfer.id in customer.doubtful and transfer.record:  # whom it may have created is still to be found
        customer = customer.but(doubt=customers.doubting(customer, transfer.record))
        customers.write(session, customer, doubt=customer.doubt)
    return customer, fresh | {"place": customer.place}


def _taken_back(session: Session, customer: Customer, cancelled: Stored) -> tuple[Wanted, list[Stored]]:
    """What is wanted without this one, and the transfers that are open again for it."""
    settled = Wanted.load(customer.settled)
    rest = rows.since(session, customer)
    wanted = order.without(settled, rows.changes_of(rest))
    owes_no = wanted.owes_no(customer.told)
    skipped = [each for each in rest if each.status == "skipped"]
    asked = [each for each in skipped if owes_no and wanted.was_said_by(rows.change_of(each))]
    again = [each for each in skipped if each.id == wanted.id or each in asked]
    replaced = [each for each in skipped if each.superseded_by == cancelled.id]
    if owes_no and not again and not rows.pending_of(session, customer):  # it had come for that "no"
        again = replaced[-1:]
    values = rows.due() | {"promised": True, "tries": 0, "reason": None, "superseded_by": None}
    values["rank"] = Rank.PROMISED.value
    reopened = [rows.change(session, each, values | {"loading": each.record is None}) for each in again]
    for each in replaced:
        if each not in again:
            rows.change(session, each, rows.superseded(wanted.id, each.finished_at or 0.0))
    return wanted, reopened


def _destination(session: Session, new: NewTransfer | Stored, customer: Customer) -> str | None:
    """A run by hand goes where the customer's last one went, else where all of the connection's go."""
    if new.destination is not None or new.trigger == "webhook":
        return new.destination
    return customer.destination or common_destination(session, new.connection)


def _added(session: Session, row: dict[str, Any]) -> Stored:
    transfer = rows.add(session, row)
    if transfer is None:
        message = "what is skipped repeats nothing"
        raise LookupError(message)
    return transfer


def _settled(transfer: Stored) -> Entered:
    return Entered(transfer, ended=(transfer,))
