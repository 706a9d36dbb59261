"""How a run ends: each ending is one function that runs in one transaction. The states are drawn in `moves`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import insert

from app.attempt import Failure
from app.catalog import Slug
from app.ledger.links import remember_result
from app.ledger.moves import Entered
from app.ledger.scene import change, enter, enter_by_seq, is_older, supersede_pending, superseded
from app.ledger.stored import Stored, dump_failure, retry_at
from app.ledger.tables import RUNNING, attempts

if TYPE_CHECKING:
    from sqlalchemy import Connection, RowMapping

    from app.attempt import Progress

_MOST_ATTEMPTS = 50  # what takes the process down each time must end, too
_ATTEMPT = insert(attempts)


@dataclass(frozen=True, slots=True)
class AttemptResult:
    """How one attempt ended: `failure` None and no `superseded_by` = it succeeded."""

    progress: Progress
    finished_at: float
    failure: Failure | None = None
    superseded_by: str | None = None


@dataclass(frozen=True, slots=True)
class Finished:
    """A transfer after an attempt, and the customer's next one that is due now."""

    transfer: Stored
    next_seq: int | None = None
    ended: tuple[Stored, ...] = ()


def finish(connection: Connection, claimed: Stored, result: AttemptResult, chance: float) -> Finished | None:
    """Record an attempt and what follows from it. None = the transfer was taken over meanwhile."""
    scene = enter(connection, claimed.connection, claimed.customer_id)
    row = scene.running(claimed)
    if row is None:
        return None
    now = result.finished_at
    values = _outcome(row, result, chance)
    following = scene.pending()
    ended: tuple[Stored, ...] = ()
    if values["status"] == "waiting" and following is not None:
        if is_older(row, following):
            values |= superseded(following["id"], now)
        else:
            ended = supersede_pending(connection, scene, row["id"], now)
            following = None
    transfer = change(connection, row, values)
    outcome = "skipped" if result.superseded_by else "failed" if result.failure else "succeeded"
    steps = json.dumps(result.progress.seconds)
    _record_attempt(connection, row, now, outcome, failure=values["failure"], steps=steps)
    remember_result(connection, transfer, result.progress)
    due = following is not None and (following["next_attempt_at"] or 0) <= now
    return Finished(transfer, following["seq"] if following is not None and due else None, ended)


def give_up(connection: Connection, seq: int, owner: str, now: float) -> Entered | None:
    """End the attempt of a replica that is gone; the transfer runs again. None = it ended meanwhile."""
    found = enter_by_seq(connection, seq)
    if found is None or (found[0]["status"], found[0]["owner"]) != (RUNNING, owner):
        return None
    row, scene = found
    ended: tuple[Stored, ...] = ()
    values: dict[str, Any] = {"status": "accepted", "owner": None, "promised": True, "next_attempt_at": now}
    pending = scene.pending()
    if row["attempts"] >= _MOST_ATTEMPTS:
        sentence = f"The attempt was interrupted {row['attempts']} times."
        failure = dump_failure(Failure(Slug.INTERNAL_ERROR, 500, sentence, retryable=True))
        values |= {"status": "failed", "error": Slug.INTERNAL_ERROR.value, "reason": sentence}
        values |= {"failure": failure, "finished_at": now, "next_attempt_at": None}
    elif pending is not None and is_older(row, pending):
        values |= superseded(pending["id"], now)
    else:
        ended = supersede_pending(connection, scene, row["id"], now)
    _record_attempt(connection, row, now, "interrupted", failure=None, steps="{}")
    transfer = change(connection, row, values)
    return Entered(transfer, ended=(transfer, *ended) if transfer.is_final else ended)


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
        return values | superseded(result.superseded_by, now)
    if failure is None:
        return values | {"status": "succeeded"}
    values |= {"error": failure.slug.value, "failure": dump_failure(failure), "reason": failure.detail}
    tries = row["tries"] + 1
    again = retry_at(tries, failure, now, chance) if row["promised"] else None
    if again is None:
        return values | {"status": "failed", "tries": tries}
    return values | {"status": "waiting", "tries": tries, "next_attempt_at": again, "finished_at": None}


def _record_attempt(  # noqa: PLR0913 - the columns
    connection: Connection, row: RowMapping, now: float, outcome: str, *, failure: str | None, steps: str
) -> None:
    values = {
        "transfer_seq": row["seq"],
        "number": row["attempts"],
        "started_at": row["started_at"],
        "finished_at": now,
        "outcome": outcome,
        "failure": failure,
        "steps": steps,
    }
    connection.execute(_ATTEMPT, values)
