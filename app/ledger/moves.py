"""A transfer's way into a run, or past it: each move is one function that runs in one transaction.

accepted → running → succeeded, skipped, failed, or waiting → running …; accepted and waiting → skipped, cancelled.
The tables' unique indexes hold what these functions intend: one running and one pending transfer a customer.
How a run ends is in `endings`.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from app.ipaas.models import read_record
from app.ledger.reports import last_destination, last_record
from app.ledger.scene import (
    Scene,
    add,
    change,
    enter,
    enter_by_seq,
    supersede_pending,
    superseded,
)
from app.ledger.stored import Stored, dump_record, hash_email, hashed, new_id
from app.ledger.tables import PENDING, RERUNNABLE, RUNNING, SANDBOX

if TYPE_CHECKING:
    from sqlalchemy import Connection, RowMapping

    from app.ipaas.models import CustomerRecord
    from app.ledger.stored import Trigger

NOT_YET = 2**62  # the place in the order of receipt of what is being received


@dataclass(frozen=True, slots=True)
class NewTransfer:
    """What is stored of a notification, or of a run by hand, before anything is done about it.

    `send_last`: without a record of its own, the last one that was received.
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
    send_last: bool = False
    skip_reason: str | None = None
    promised: bool = False


@dataclass(frozen=True, slots=True)
class Entered:
    """A transfer after a move. `claimed`: the caller must run it. `ended`: what this move ended, others too.

    `link`: what is remembered of the customer, where the move looked.
    """

    transfer: Stored
    claimed: bool = False
    link: RowMapping | None = None
    replayed: bool = False
    ended: tuple[Stored, ...] = ()


def accept(connection: Connection, new: NewTransfer, owner: str | None, now: float) -> Entered:
    """Store a notification, or find the same one again. With an `owner` it is claimed at once if it can be."""
    scene = enter(connection, new.connection, new.customer_id, new.repeat_key)
    same = scene.same(new.repeat_key)
    if same is not None:
        return _repeat(connection, scene, same, new, owner, now)
    new = _by_hand(connection, scene, new) if new.trigger != "webhook" else new
    row: dict[str, Any] = {
        "seq": NOT_YET,
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
    newer = None if new.skip_reason else scene.newer(row)
    ended: tuple[Stored, ...] = ()
    if new.skip_reason is not None:
        values = {"status": "skipped", "reason": new.skip_reason, "finished_at": now}
    elif newer is not None:
        values = superseded(newer, now)
    else:
        ended = supersede_pending(connection, scene, row["id"], now)
        values = _claim(scene, row, owner, now)
    del row["seq"]
    transfer = add(connection, row | values)
    ended = (transfer, *ended) if transfer.is_final else ended
    return Entered(transfer, transfer.status == RUNNING, scene.link, ended=ended)


def rerun(  # noqa: PLR0913 - who runs it, and on which terms
    connection: Connection,
    seq: int,
    owner: str | None,
    now: float,
    *,
    promised: bool = False,
    sandbox: bool = False,
) -> Entered | None:
    """Run a failed, cancelled or waiting transfer again.

    None = it is in no such state; or it is of a sandbox and this is a real store, or the other way round.
    """
    found = enter_by_seq(connection, seq)
    if found is None or found[0]["status"] not in RERUNNABLE:
        return None
    row, scene = found
    if row["connection"].startswith(SANDBOX) is not sandbox:
        return None
    return _enter_again(connection, scene, row, owner, now, {"promised": promised or _replaces_promise(scene)})


def claim(connection: Connection, seq: int, owner: str, now: float) -> Entered | None:
    """Begin an attempt of a due transfer. None = somebody else did, or the customer has one running."""
    found = enter_by_seq(connection, seq)
    if found is None or found[0]["status"] not in PENDING or found[0]["next_attempt_at"] > now:
        return None  # who asks may have seen it due before an attempt that moved its next time
    row, scene = found
    newer = scene.sent_newer(row)
    if newer is not None:
        return _settled(change(connection, row, superseded(newer, now)))
    if scene.has_running():
        return None
    return Entered(change(connection, row, _claim(scene, row, owner, now)), claimed=True, link=scene.link)


def repair(connection: Connection, lost: Stored, now: float, *, fetch: bool) -> Entered | None:
    """Send a customer's newest change again: an attempt that others took for dead may have sent its own after it.

    None = nothing newer was sent meanwhile, or what waits will be sent anyway.
    """
    scene = enter(connection, lost.connection, lost.customer_id)
    overtaken = scene.has_running(but=lost.seq) or scene.sent_newer(asdict(lost)) is not None
    if not overtaken or scene.pending() is not None:
        return None
    guid, newest = lost.tracking_guid, not fetch
    new = NewTransfer(lost.connection, lost.customer_id, guid, trigger="repair", send_last=newest, promised=True)
    return accept(connection, new, None, now)


def keep_loaded(connection: Connection, claimed: Stored, record: CustomerRecord) -> str | None:
    """Keep a record that was fetched. The id of the newer change that was sent already, if there is one."""
    scene = enter(connection, claimed.connection, claimed.customer_id)
    row = scene.running(claimed)
    if row is None:
        return None
    values = _kept(record) | {"fetched": True}
    change(connection, row, values)
    return scene.sent_newer({**row, **values})


def promise(connection: Connection, seq: int) -> Stored:
    """From here on the service owns the retries; does nothing to a transfer that has ended. Idempotent."""
    found = enter_by_seq(connection, seq)
    if found is None:
        message = "only a transfer that was read can be promised"
        raise LookupError(message)
    row, scene = found
    return change(connection, row, {"promised": True}) if scene.row(seq) else Stored.of(row)


def cancel(connection: Connection, seq: int, now: float) -> Stored | None:
    """End a transfer that has not begun. None = it has."""
    found = enter_by_seq(connection, seq)
    if found is None or found[0]["status"] not in PENDING:
        return None
    values = {"status": "cancelled", "reason": "Cancelled by hand.", "finished_at": now, "next_attempt_at": None}
    return change(connection, found[0], values)


def _by_hand(connection: Connection, scene: Scene, new: NewTransfer) -> NewTransfer:
    """It goes where the customer's last one went, and keeps the promise of what it supersedes."""
    whose = (connection, new.connection, new.customer_id)
    last = last_record(*whose) if new.send_last and new.record is None else None
    return replace(
        new,
        record=read_record(json.loads(last)) if last else new.record,
        destination=new.destination or last_destination(*whose),
        promised=new.promised or _replaces_promise(scene),
    )


def _replaces_promise(scene: Scene) -> bool:
    pending = scene.pending()
    return pending is not None and bool(pending["promised"])


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


def _repeat(  # noqa: PLR0913 - a repeat is judged by all that is known
    connection: Connection, scene: Scene, row: RowMapping, new: NewTransfer, owner: str | None, now: float
) -> Entered:
    """Succeeded before: the recorded answer; still open: wait for that one; failed before: run it again."""
    if row["status"] in {"succeeded", "skipped"}:
        return Entered(Stored.of(row), replayed=True)
    if row["status"] in {RUNNING, "accepted"}:
        return Entered(change(connection, row, {"promised": True}) if new.promised else Stored.of(row))
    fresh: dict[str, Any] = {"promised": new.promised}
    if new.record is not None:
        fresh |= {"fetched": False, **_kept(new.record)}
    return _enter_again(connection, scene, row, owner, now, fresh)


def _enter_again(  # noqa: PLR0913 - as above
    connection: Connection, scene: Scene, old: RowMapping, owner: str | None, now: float, fresh: dict[str, Any]
) -> Entered:
    fresh |= {"promised": fresh["promised"] or old["status"] == "waiting"}  # a promise is never taken back
    row = {**old, **fresh}
    newer = scene.newer(row)
    if newer is not None:
        return _settled(change(connection, old, fresh | superseded(newer, now)))
    ended = supersede_pending(connection, scene, row["id"], now)
    values = fresh | {"tries": 0, "finished_at": None, "superseded_by": None} | _claim(scene, row, owner, now)
    transfer = change(connection, old, values)
    return Entered(transfer, transfer.status == RUNNING, scene.link, ended=ended)


def _settled(transfer: Stored) -> Entered:
    return Entered(transfer, ended=(transfer,))


def _claim(scene: Scene, row: Any, owner: str | None, now: float) -> dict[str, Any]:
    """Running under `owner`; accepted where there is none, or where the customer has one running."""
    if owner is None or scene.has_running():
        return {"status": "accepted", "next_attempt_at": now}
    return {
        "status": RUNNING,
        "owner": owner,
        "attempts": row["attempts"] + 1,
        "started_at": now,
        "next_attempt_at": None,
    }
