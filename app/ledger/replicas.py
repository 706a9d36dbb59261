"""Which replicas live, and what the dead ones left running."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import delete, func, insert, select, update

from app.ledger.tables import is_running, replicas, transfers

if TYPE_CHECKING:
    from sqlalchemy import Connection

HEARTBEAT_SECONDS = 5.0
DEAD_AFTER_SECONDS = 40.0
# a replica that could not say that it lives stops its own work before the others take it over
FENCE_SECONDS = 20.0


def beat(connection: Connection, replica: str, now: float | None = None) -> list[tuple[int, str, float]]:
    """Say that this replica lives; `(seq, owner, started_at)` of all that runs under a dead one or under it.

    Without `now` by PostgreSQL's clock: those of the replicas may differ.
    """
    if now is None:
        now = float(connection.execute(select(func.extract("epoch", func.clock_timestamp()))).scalar_one())
    renewed = connection.execute(update(replicas).where(replicas.c.id == replica).values(seen_at=now))
    if renewed.rowcount == 0:
        connection.execute(insert(replicas).values(id=replica, seen_at=now))
    dead = select(replicas.c.id).where(replicas.c.seen_at < now - DEAD_AFTER_SECONDS)
    dead = dead.with_for_update(skip_locked=True)  # one that is locked says at this moment that it lives
    connection.execute(delete(replicas).where(replicas.c.id.in_(dead)))
    others = select(replicas.c.id).where(replicas.c.id != replica)
    orphans = select(transfers.c.seq, transfers.c.owner, transfers.c.started_at).where(
        is_running, transfers.c.owner.not_in(others)
    )
    return [(row.seq, row.owner, row.started_at) for row in connection.execute(orphans)]


def leave(connection: Connection, replica: str | None = None) -> None:
    """Forget a replica that stops; None = every one (SQLite has one process, so all others are dead)."""
    statement = delete(replicas)
    connection.execute(statement if replica is None else statement.where(replicas.c.id == replica))
