"""What stands before a connection's calls to Stamped.io: its throttle and its pauses, as all replicas share them.

A replica reserves calls where it claims what needs them, in the same transaction; a few it holds in advance, for
webhooks that begin at once. What a dead one held counts as used when others find it dead.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from sqlalchemy import func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from app.ledger import trail
from app.ledger.ranks import Rank
from app.ledger.tables import gates, is_pending, replicas, sync_blocks, syncs, transfers
from app.outbound.pauses import Pause, Pauses
from app.outbound.window import Throttle, Window

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from app.ledger.session import Session
    from app.ledger.trail import By

T = TypeVar("T")
Turn = Literal["throttled", "down", "up"]
_PAUSES = tuple(each.name for each in fields(Pauses))


@dataclass(frozen=True, slots=True)
class Ask:
    """What a replica tells of one connection's calls, and wants to know.

    `need`: so many may one attempt need. `room`: so many attempts may begin here. `held`: reserved here, and not
    ended; `used`: ended since it told last, by the time of their end; `tells`: whether that is news. `odd`: an odd
    place is a load's.
    """

    connection: str
    throttle: Throttle
    need: int
    room: int = 0
    held: int = 0
    used: Mapping[float, int] = field(default_factory=dict)
    tells: bool = False
    odd: bool = False


@dataclass(slots=True)
class Gate:
    """One connection's; `window` as of the moment at which it was read."""

    connection: str
    window: Window
    pauses: Pauses = field(default_factory=Pauses)

    def pause(self, now: float, need: int) -> Pause | None:
        """Why nothing can begin: a pause, or too few calls are left for an attempt."""
        pause = self.pauses.at(now)
        if pause is not None:
            return pause
        opens = self.window.opens_at(need, now)
        if opens <= now:
            return None
        since = max((end for end in self.window.spent if end <= now), default=now)
        return Pause("throttled", since, opens)

    def settle(self, ask: Ask, replica: str) -> None:
        """Take over what a replica tells."""
        self.window.settle(replica, ask.held, ask.used)


def look(session: Session, throttles: Mapping[str, Throttle]) -> dict[str, Gate]:
    """Those of these connections, as they are."""
    return _read(session, throttles, locked=False)


def lock(
    session: Session, throttles: Mapping[str, Throttle], now: float, owner: str = "", *, wait: bool = True
) -> dict[str, Gate]:
    """The same, to the end of the transaction. `wait` False: those that are there and nobody else has locked.

    What replicas held that are dead by now is spent.
    """
    if not throttles:
        return {}
    found = _read(session, throttles, locked=True, wait=wait)
    if wait and len(found) < len(throttles):
        put_up(session, throttles.keys())
        found = _read(session, throttles, locked=True)
    living = {owner, *session.execute(select(replicas.c.id)).scalars()}
    for gate in found.values():
        gate.window.forget(now)
        gate.window.bury(living, now)
    return found


def put_up(session: Session, connections: Collection[str]) -> None:
    """So that each has one. Idempotent; it only waits for others who do the same."""
    there = set(session.execute(select(gates.c.connection).where(gates.c.connection.in_(connections))).scalars())
    new = [{"connection": each, "probes": 0} for each in sorted(set(connections) - there)]
    if new:
        insert = sqlite.insert(gates) if session.is_sqlite else postgresql.insert(gates)
        session.execute(insert.on_conflict_do_nothing(), new)


def write(session: Session, gate: Gate) -> None:
    """Keep one that is locked."""
    values = asdict(gate.pauses) | {"calls": gate.window.dump()}
    session.update(gates, {"connection": gate.connection}, values)


def lease(  # noqa: PLR0913 - whose calls, how many, and what for
    session: Session, ask: Ask, most: int, least: int, owner: str, now: float, *, has_begun: bool = False
) -> tuple[Gate, int]:
    """Reserve calls for what begins at once: up to `most`, or none where `least` are not left.

    For an attempt that `has_begun` also those that were set aside for others.
    """
    gate = _one(session, ask, now, owner)
    gate.settle(ask, owner)
    taken = gate.window.take(owner, most, least, now, aside=not has_begun)
    write(session, gate)
    return gate, taken


def turn(session: Session, ask: Ask, how: Turn, now: float, seconds: float | None) -> Gate:
    """Stamped.io asks to wait for so many seconds, does not answer, or answers again. Idempotent."""
    gate = _one(session, ask, now)
    before = gate.pauses
    if how == "throttled":
        gate.pauses = before.throttled(now, seconds)
        gate.window.pace(gate.pauses.throttled_until or now, ask.need)
    elif how == "down":
        gate.pauses = before.down(now)
    else:
        gate.pauses = before.up()
        if before.down_at is not None:
            gate.window.pace(now, ask.need)
    write(session, gate)
    return gate


def pause(session: Session, ask: Ask, reason: str | None, now: float, by: By) -> Gate:
    """By hand; again, with another reason."""
    gate = _one(session, ask, now)
    gate.pauses = gate.pauses.paused(now, reason)
    write(session, gate)
    trail.note(session, by, "paused", now, subject=ask.connection)
    return gate


def resume(session: Session, ask: Ask, now: float, by: By) -> Gate:
    """The end of that; where Stamped.io is down it is probed at once. Idempotent."""
    gate = _one(session, ask, now)
    before, gate.pauses = gate.pauses, gate.pauses.resumed(now)
    if before.paused_at is not None:
        gate.window.pace(now, ask.need)
        trail.note(session, by, "resumed", now, subject=ask.connection)
    write(session, gate)
    return gate


def hasten(session: Session, now: float) -> None:
    """What is down is probed at once: whoever starts a service may have mended it."""
    session.execute(update(gates).where(gates.c.down_at.is_not(None)).values(probe_at=now))


def _one(session: Session, ask: Ask, now: float, owner: str = "") -> Gate:
    return lock(session, {ask.connection: ask.throttle}, now, owner)[ask.connection]


def survey(
    session: Session, throttles: Mapping[str, Throttle], count: Callable[[Session, Collection[str]], T]
) -> tuple[dict[str, Gate], T]:
    """Those of these connections as they are, and what else is to be counted of these, at the same moment."""
    return look(session, throttles), count(session, throttles.keys())


def waiting(session: Session, connections: Collection[str]) -> dict[str, dict[Rank, int]]:
    """By connection: how many transfers of each rank have not begun, or are still to be entered."""
    mine = transfers.c.connection
    counts = select(mine, transfers.c.rank, func.count()).where(is_pending)  # few, whosever they are
    found: dict[str, dict[Rank, int]] = {each: dict.fromkeys(Rank, 0) for each in connections}
    for connection, rank, count in session.execute(counts.group_by(mine, transfers.c.rank)):
        if connection in found:
            found[connection][Rank(rank)] += count
    for connection, count in still_to_enter(session).items():
        if connection in found:
            found[connection][Rank.BULK] += count
    return found


def still_to_enter(session: Session) -> dict[str, int]:
    """By connection: how many transfers syncs are still to become."""
    left = select(syncs.c.connection, func.sum(sync_blocks.c.size)).join(
        syncs, syncs.c.id == sync_blocks.c.sync_id
    )
    return {connection: int(count) for connection, count in session.execute(left.group_by(syncs.c.connection))}


def _read(
    session: Session, throttles: Mapping[str, Throttle], *, locked: bool, wait: bool = True
) -> dict[str, Gate]:
    wanted = select(gates).where(gates.c.connection.in_(throttles)).order_by(gates.c.connection)
    found = session.execute(wanted.with_for_update(skip_locked=not wait) if locked else wanted).mappings()
    return {row["connection"]: _gate(row, throttles[row["connection"]]) for row in found}


def _gate(row: Mapping[Any, Any], throttle: Throttle) -> Gate:
    pauses = Pauses(**{name: row[name] for name in _PAUSES})
    return Gate(row["connection"], Window.load(row["calls"], throttle), pauses)
