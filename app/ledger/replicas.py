"""Which replicas live, and what the dead ones left running."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import delete, func, insert, select, update

from app.ledger.tables import RUNNING, customers, is_loading, replicas, transfers

if TYPE_CHECKING:
    from app.ledger.session import Session

HEARTBEAT_SECONDS = 5.0
DEAD_AFTER_SECONDS = 40.0
# a replica that could not say that it lives stops its own work before the others take it over
FENCE_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Orphans:
    """What runs under a dead replica, or under the one that asks: customers and loads, each with its owner."""

    customers: list[tuple[str, str, str]]
    loads: list[tuple[int, str]]


def beat(session: Session, replica: str, now: float | None = None) -> float:
    """Say that this replica lives; the time by the database's clock, for those of the replicas may differ.

    With `now` by that one. It counts as soon as it is written: nothing else is done in its transaction.
    """
    if now is None:
        now = float(session.execute(select(func.extract("epoch", func.clock_timestamp()))).scalar_one())
    renewed = session.execute(update(replicas).where(replicas.c.id == replica).values(seen_at=now))
    if renewed.rowcount == 0:
        session.execute(insert(replicas).values(id=replica, seen_at=now))
    return now


def bury(session: Session, replica: str, now: float) -> Orphans:
    """Forget replicas that are dead; what they, and whoever left, still run."""
    dead = select(replicas.c.id).where(replicas.c.seen_at < now - DEAD_AFTER_SECONDS, replicas.c.id != replica)
    dead = dead.with_for_update(skip_locked=True)  # one that is locked says at this moment that it lives
    session.execute(delete(replicas).where(replicas.c.id.in_(dead)))
    others = select(replicas.c.id).where(replicas.c.id != replica)
    owned = select(customers.c.connection, customers.c.customer_id, customers.c.owner)
    owned = owned.where(customers.c.owner.is_not(None))
    loads = select(transfers.c.seq, transfers.c.owner).where(is_loading, transfers.c.status == RUNNING)
    return Orphans(
        [(row[0], row[1], row[2]) for row in session.execute(owned.where(customers.c.owner.not_in(others)))],
        [(row[0], row[1]) for row in session.execute(loads.where(transfers.c.owner.not_in(others)))],
    )


def leave(session: Session, replica: str | None = None) -> None:
    """Forget a replica that stops; None = every one (SQLite has one process, so all others are dead)."""
    statement = delete(replicas)
    session.execute(statement if replica is None else statement.where(replicas.c.id == replica))
