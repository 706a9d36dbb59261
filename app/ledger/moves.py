"""Every change of a transfer's state, each one function that runs in one transaction.

accepted → running → succeeded, skipped, failed, or waiting → running …; accepted and waiting → skipped, cancelled.
The tables' unique indexes hold what these functions intend: one running and one pending transfer a customer.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import insert, select, update

from app.catalog import Slug
from app.ledger.database import lock_customer
from app.ledger.links import link_row, remember, remember_sent
from app.ledger.stored import (
    Status,
    Stored,
    dump_failure,
    dump_record,
    hash_email,
    hashed,
    new_id,
    older,
    retry_at,
)
from app.ledger.tables import PENDING, RUNNING, attempts, is_open, is_pending, is_running, transfers
from app.transfer import Failure

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Connection, RowMapping

    from app.ipaas.models import CustomerRecord
    from app.ledger.stored import Trigger
    from app.transfer import Progress

_MOST_ATTEMPTS = 50  # what takes the process down each time must end, too
NOT_YET = 2**62  # the place in the order of receipt of what is being received


@dataclass(frozen=True, slots=True)
class NewTransfer:
    """What is stored of a notification before anything is done about it."""

    connection: str
    customer_id: str | None
    tracking_guid: str
    repeat_key: str | None
    scope: str
    trigger: Trigger = "webhook"
    destination: str | None = None
    debug: bool = False
    record: CustomerRecord | None = None
    skip_reason: str | None = None
    promised: bool = False


@dataclass(frozen=True, slots=True)
class Entered:
    """A transfer after a move. `claimed`: the caller must run it. `ended`: others that this move ended."""

    transfer: Stored
    claimed: bool = False
    replayed: bool = False
    ended: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class AttemptResult:
    """How one attempt ended: `failure` None and no `superseded_by` = it succeeded."""

    progress: Progress
    started_at: float
    finished_at: float
    failure: Failure | None = None
    superseded_by: str | None = None


@dataclass(frozen=True, slots=True)
class Finished:
    """A transfer after an attempt, and the customer's next one that is due now."""

    transfer: Stored
    next_seq: int | None = None
    ended: tuple[int, ...] = ()


def accept(connection: Connection, new: NewTransfer, owner: str | None, now: float) -> Entered:
    """Store a notification, or find the same one again. With an `owner` it is claimed at once if it can be."""
    lock_customer(connection, new.connection, new.customer_id)
    same = _same_again(connection, new)
    if same is not None:
        return _repeat(connection, same, new, owner, now)
    row: dict[str, Any] = {
        "id": new_id(now),
        "connection": new.connection,
        "customer_id": new.customer_id,
        "tracking_guid": new.tracking_guid,
        "repeat_key": new.repeat_key,
        "destination": new.destination,
        "scope": new.scope,
        "trigger": new.trigger,
        "debug": new.debug,
        "fetched": False,
        **_kept(new.record),
        "promised": new.promised,
        "tries": 0,
        "attempts": 0,
        "created_at": now,
    }
    if new.skip_reason is not None:
        row |= {"status": "skipped", "reason": new.skip_reason, "finished_at": now}
        return Entered(_insert(connection, row))
    newer = _newer_than(connection, row | {"seq": NOT_YET})
    if newer is not None:
        return Entered(_insert(connection, row | _superseded(newer, now)))
    ended = _supersede_pending(connection, new.connection, new.customer_id, row["id"], now)
    claim = _claim_values(connection, row, owner, now)
    return Entered(_insert(connection, row | claim), claim["status"] == RUNNING, ended=ended)


def rerun(
    connection: Connection, seq: int, owner: str | None, now: float, *, promised: bool = False
) -> Entered | None:
    """Run a failed, cancelled or waiting transfer again. None = it is in no such state."""
    row = _locked(connection, seq)
    if row is None or row["status"] not in {"failed", "cancelled", "waiting"}:
        return None
    return _enter_again(connection, dict(row), owner, now, {"promised": promised})


def claim(connection: Connection, seq: int, owner: str, now: float) -> Entered | None:
    """Begin an attempt of a pending transfer. None = somebody else did, or the customer has one running."""
    row = _locked(connection, seq)
    if row is None or row["status"] not in PENDING:
        return None
    newer = _newer_than(connection, row, sent_only=True)
    if newer is not None:
        return Entered(_set(connection, seq, _superseded(newer, now)), ended=(seq,))
    values = _claim_values(connection, row, owner, now)
    if values["status"] != RUNNING:
        return None
    return Entered(_set(connection, seq, values), claimed=True)


def finish(connection: Connection, claimed: Stored, result: AttemptResult, chance: float) -> Finished | None:
    """Record an attempt and what follows from it. None = the transfer was taken over meanwhile."""
    row = _locked(connection, claimed.seq)
    if row is None or (row["status"], row["owner"], row["attempts"]) != (RUNNING, claimed.owner, claimed.attempts):
        return None
    now = result.finished_at
    values = _outcome(row, result, chance)
    ended: tuple[int, ...] = ()
    if values["status"] == "waiting":
        pending = _pending(connection, row["connection"], row["customer_id"])
        if pending is not None and _is_older(row, pending):
            values |= _superseded(pending["id"], now)
        else:
            ended = _supersede_pending(connection, row["connection"], row["customer_id"], row["id"], now)
    transfer = _set(connection, claimed.seq, values)
    _record_attempt(connection, transfer, result)
    if result.progress.external_id is not None:
        remember(connection, transfer, result.progress.external_id, written_back=result.progress.written_back)
    if transfer.status == "succeeded":
        remember_sent(connection, transfer)
    following = _pending(connection, row["connection"], row["customer_id"])
    due = following is not None and (following["next_attempt_at"] or 0) <= now
    return Finished(transfer, following["seq"] if following is not None and due else None, ended)


def keep_loaded(connection: Connection, claimed: Stored, record: CustomerRecord) -> str | None:
    """Keep a record that was fetched. The id of the newer change that was sent already, if there is one."""
    values = _kept(record) | {"fetched": True}
    connection.execute(update(transfers).where(transfers.c.seq == claimed.seq).values(values))
    row = connection.execute(select(transfers).where(transfers.c.seq == claimed.seq)).mappings().one()
    return _newer_than(connection, row, sent_only=True)


def give_up(connection: Connection, seq: int, owner: str, now: float) -> Entered | None:
    """End the attempt of a replica that is gone; the transfer runs again. None = it ended meanwhile."""
    row = _locked(connection, seq)
    if row is None or (row["status"], row["owner"]) != (RUNNING, owner):
        return None
    ended: tuple[int, ...] = ()
    values: dict[str, Any] = {"status": "accepted", "owner": None, "promised": True, "next_attempt_at": now}
    pending = _pending(connection, row["connection"], row["customer_id"])
    if row["attempts"] >= _MOST_ATTEMPTS:
        sentence = f"The attempt was interrupted {row['attempts']} times."
        values |= {"status": "failed", "error": Slug.INTERNAL_ERROR.value, "reason": sentence, "finished_at": now}
        failure = Failure(Slug.INTERNAL_ERROR, 500, sentence, retryable=True)
        values |= {"failure": dump_failure(failure), "next_attempt_at": None}
    elif pending is not None and _is_older(row, pending):
        values |= _superseded(pending["id"], now)
    else:
        ended = _supersede_pending(connection, row["connection"], row["customer_id"], row["id"], now)
    attempt = {"transfer_seq": seq, "number": row["attempts"], "started_at": row["started_at"]}
    attempt |= {"finished_at": now, "outcome": "interrupted", "failure": None, "steps": "{}"}
    connection.execute(insert(attempts).values(attempt))
    return Entered(_set(connection, seq, values), ended=ended)


def promise(connection: Connection, seq: int) -> Stored:
    """From here on the service owns the retries; does nothing to a transfer that has ended. Idempotent."""
    connection.execute(update(transfers).where(transfers.c.seq == seq, is_open).values(promised=True))
    row = connection.execute(select(transfers).where(transfers.c.seq == seq)).mappings().one()
    return Stored.of(row)


def cancel(connection: Connection, seq: int, now: float) -> Stored | None:
    """End a transfer that has not begun. None = it has."""
    row = _locked(connection, seq)
    if row is None or row["status"] not in PENDING:
        return None
    values = {"status": "cancelled", "reason": "Cancelled by hand.", "finished_at": now, "next_attempt_at": None}
    return _set(connection, seq, values)


def _kept(record: CustomerRecord | None) -> dict[str, Any]:
    """What is stored of a record."""
    if record is None:
        return {"record": None, "record_hash": None, "email_hash": None, "changed_at": None}
    text, changed_at = dump_record(record), record.updated_at
    return {
        "record": text,
        "record_hash": hashed(text),
        "email_hash": hash_email(record.email_address) if record.email_address else None,
        "changed_at": changed_at.timestamp() if changed_at else None,
    }


def _outcome(row: RowMapping, result: AttemptResult, chance: float) -> dict[str, Any]:
    progress, failure, now = result.progress, result.failure, result.finished_at
    values: dict[str, Any] = {
        "owner": None,
        "next_attempt_at": None,
        "finished_at": now,
        "action": progress.action,
        "external_id": progress.external_id,
        "subscription": progress.subscription,
        "reason": " ".join(progress.notes) or None,
        "error": None,
        "failure": None,
    }
    if result.superseded_by is not None:
        return values | _superseded(result.superseded_by, now)
    if failure is None:
        return values | {"status": "succeeded"}
    values |= {"error": failure.slug.value, "failure": dump_failure(failure), "reason": failure.detail}
    tries = row["tries"] + 1
    again = retry_at(tries, failure, now, chance) if row["promised"] else None
    if again is None:
        return values | {"status": "failed", "tries": tries}
    return values | {"status": "waiting", "tries": tries, "next_attempt_at": again, "finished_at": None}


def _record_attempt(connection: Connection, transfer: Stored, result: AttemptResult) -> None:
    outcome = "skipped" if result.superseded_by else "failed" if result.failure else "succeeded"
    connection.execute(
        insert(attempts).values(
            transfer_seq=transfer.seq,
            number=transfer.attempts,
            started_at=result.started_at,
            finished_at=result.finished_at,
            outcome=outcome,
            failure=dump_failure(result.failure),
            steps=json.dumps(result.progress.seconds),
        )
    )


def _same_again(connection: Connection, new: NewTransfer) -> RowMapping | None:
    if new.repeat_key is None or new.customer_id is None:
        return None
    wanted = select(transfers).where(
        transfers.c.connection == new.connection,
        transfers.c.customer_id == new.customer_id,
        transfers.c.repeat_key == new.repeat_key,
    )
    return connection.execute(wanted).mappings().one_or_none()


def _repeat(connection: Connection, row: RowMapping, new: NewTransfer, owner: str | None, now: float) -> Entered:
    """Succeeded before: the recorded answer; still open: wait for that one; failed before: run it again."""
    status: Status = row["status"]
    if status in {"succeeded", "skipped"}:
        return Entered(Stored.of(row), replayed=True)
    if status in {RUNNING, "accepted"}:
        return Entered(promise(connection, row["seq"]) if new.promised else Stored.of(row))
    fresh: dict[str, Any] = {"promised": new.promised}
    if new.record is not None:
        fresh |= {"fetched": False, **_kept(new.record)}
    return _enter_again(connection, dict(row), owner, now, fresh)


def _enter_again(
    connection: Connection, row: dict[str, Any], owner: str | None, now: float, fresh: dict[str, Any]
) -> Entered:
    row |= fresh
    seq = row["seq"]
    newer = _newer_than(connection, row)
    if newer is not None:
        return Entered(_set(connection, seq, _superseded(newer, now)), ended=(seq,))
    ended = _supersede_pending(connection, row["connection"], row["customer_id"], row["id"], now)
    values = _claim_values(connection, row, owner, now)
    values |= fresh | {"tries": 0, "finished_at": None, "superseded_by": None}
    return Entered(_set(connection, seq, values), values["status"] == RUNNING, ended=ended)


def _claim_values(connection: Connection, row: Any, owner: str | None, now: float) -> dict[str, Any]:
    if owner is None or _has_running(connection, row["connection"], row["customer_id"]):
        return {"status": "accepted", "next_attempt_at": now}
    return {
        "status": RUNNING,
        "owner": owner,
        "attempts": row["attempts"] + 1,
        "started_at": now,
        "next_attempt_at": None,
    }


def _newer_than(connection: Connection, row: Any, *, sent_only: bool = False) -> str | None:
    """The id of a change of this customer that was sent, or waits, and is newer than this one."""
    if row["trigger"] != "webhook":
        return None
    if not sent_only:
        pending = _pending(connection, row["connection"], row["customer_id"])
        if pending is not None and pending["id"] != row["id"] and _is_older(row, pending):
            return str(pending["id"])
    sent = link_row(connection, row["connection"], row["customer_id"])
    if sent is None or sent["sent_seq"] is None or sent["sent_transfer_id"] == row["id"]:
        return None
    if older(row["changed_at"], row["seq"], sent["sent_changed_at"], sent["sent_seq"]):
        return str(sent["sent_transfer_id"])
    return None


def _is_older(row: Any, than: RowMapping) -> bool:
    return older(row["changed_at"], row["seq"], than["changed_at"], than["seq"])


def _pending(connection: Connection, name: str, customer_id: str | None) -> RowMapping | None:
    wanted = select(transfers).where(*_of_customer(name, customer_id), is_pending)
    return connection.execute(wanted).mappings().first()


def _has_running(connection: Connection, name: str, customer_id: str | None) -> bool:
    wanted = select(transfers.c.seq).where(*_of_customer(name, customer_id), is_running)
    return connection.execute(wanted).first() is not None


def _of_customer(name: str, customer_id: str | None) -> tuple[ColumnElement[bool], ...]:
    return transfers.c.connection == name, transfers.c.customer_id == customer_id


def _supersede_pending(
    connection: Connection, name: str, customer_id: str | None, by: str, now: float
) -> tuple[int, ...]:
    others = (*_of_customer(name, customer_id), is_pending, transfers.c.id != by)
    ended = connection.execute(
        update(transfers).where(*others).values(_superseded(by, now)).returning(transfers.c.seq)
    )
    return tuple(row.seq for row in ended)


def _superseded(by: str, now: float) -> dict[str, Any]:
    return {
        "status": "skipped",
        "reason": f"superseded by the newer change of transfer {by}",
        "superseded_by": by,
        "error": None,
        "failure": None,
        "finished_at": now,
        "next_attempt_at": None,
        "owner": None,
    }


def _locked(connection: Connection, seq: int) -> RowMapping | None:
    """The row, with its customer locked."""
    wanted = select(transfers).where(transfers.c.seq == seq)
    row = connection.execute(wanted).mappings().one_or_none()
    if row is None or connection.dialect.name == "sqlite":
        return row
    lock_customer(connection, row["connection"], row["customer_id"])
    return connection.execute(wanted).mappings().one_or_none()


def _insert(connection: Connection, row: dict[str, Any]) -> Stored:
    return Stored.of(connection.execute(insert(transfers).values(row).returning(transfers)).mappings().one())


def _set(connection: Connection, seq: int, values: dict[str, Any]) -> Stored:
    statement = update(transfers).where(transfers.c.seq == seq).values(values).returning(transfers)
    return Stored.of(connection.execute(statement).mappings().one())
