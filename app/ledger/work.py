"""What a replica is to do next of all connections: in turn, by rank, as far as the calls reach."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from sqlalchemy import text

from app.ledger import claims, gates
from app.ledger.gates import Gate
from app.ledger.ranks import Rank
from app.outbound.window import Window

if TYPE_CHECKING:
    from collections.abc import Sequence

    from app.ledger.claims import Claim
    from app.ledger.gates import Ask
    from app.ledger.session import Session
    from app.ledger.stored import Stored
    from app.outbound.pauses import State

_IS_DUE = """EXISTS (SELECT 1 FROM customers c WHERE c.connection = s.value AND c.rank IN (0, 1, 2, 3)
  AND c.due_at IS NOT NULL AND c.due_at <= :now AND c.owner IS NULL)"""
_IS_TO_VERIFY = """EXISTS (SELECT 1 FROM customers c WHERE c.connection = s.value AND c.verify_at IS NOT NULL
  AND c.verify_at <= :now AND c.due_at IS NULL AND c.owner IS NULL)"""
_IS_TO_LOAD = """EXISTS (SELECT 1 FROM transfers t WHERE t.connection = s.value AND t.rank IN (0, 1, 2, 3)
  AND loading AND t.next_attempt_at <= :now AND t.status IN ('accepted', 'waiting'))"""
_GIVEN = {True: "json_each(:scopes) AS s", False: "json_array_elements_text(CAST(:scopes AS json)) AS s(value)"}
_WITH_WORK = {
    is_sqlite: text(f"SELECT s.value, {_IS_DUE} OR {_IS_TO_VERIFY}, {_IS_TO_LOAD} FROM {given}")  # noqa: S608 - ours
    for is_sqlite, given in _GIVEN.items()
}


@dataclass(frozen=True, slots=True)
class Work:
    """What a replica is to do: attempts, loads, and connections to look at, for nothing else shows how they are.

    `gates`: as they are now. `told`: what a replica told of these was taken over. `queues`: where callers could
    not begin yet.
    """

    claims: list[Claim] = field(default_factory=list)
    loads: list[Stored] = field(default_factory=list)
    checks: list[str] = field(default_factory=list)
    gates: dict[str, Gate] = field(default_factory=dict)
    told: set[str] = field(default_factory=set)
    queues: set[str] = field(default_factory=set)

    def state(self, connection: str, now: float) -> State:
        """Of its gate."""
        gate = self.gates.get(connection)
        pause = gate.pauses.at(now) if gate else None
        return pause.state if pause else "flowing"


def claim_work(session: Session, asks: Sequence[Ask], owner: str, now: float, *, careful: bool = False) -> Work:
    """Begin what is due of these connections, with the calls reserved that it may need.

    Only of these: what is meant for a sandbox, or for a store that is served no more, waits. `careful`: what can't
    be begun is left out, and logged.
    """
    work = Work(gates=gates.look(session, {ask.connection: ask.throttle for ask in asks}))
    due, to_load = _with_work(session, [ask.connection for ask in asks if ask.room > 0], now)
    due = {each for each in due if work.state(each, now) == "flowing"}
    due |= {each for each, gate in work.gates.items() if gate.pauses.is_to_probe(now)}
    wanted = {ask.connection: ask.throttle for ask in asks if ask.tells or ask.connection in due}
    locked = gates.lock(session, wanted, now, owner, wait=False)  # who has it is at the same work
    work.gates.update(locked)
    due &= locked.keys()
    for ask in asks:
        gate = work.gates.setdefault(ask.connection, Gate(ask.connection, Window(ask.throttle)))
        if ask.connection in locked:
            gate.settle(ask, owner)
            work.told.add(ask.connection)
        if ask.connection in due | to_load:
            _Line(session, ask, gate, owner, now, careful).take(work, is_due=ask.connection in due)
        if ask.connection in locked:
            gates.write(session, gate)
    return work


@dataclass(frozen=True, slots=True)
class _Line:
    """What of one connection's due work may begin, in its order; its gate is locked where customers are due."""

    session: Session
    ask: Ask
    gate: Gate
    owner: str
    now: float
    careful: bool

    def take(self, work: Work, *, is_due: bool) -> None:
        """Rank by rank. Loads need no call to Stamped.io; those of bulk wait for what was loaded before."""
        state = work.state(self.ask.connection, self.now)
        if state == "paused":
            return
        if is_due and state == "down":
            work.claims.extend(self._probe(work))
        flows = state == "flowing"
        waiting = [rank for rank in Rank if self._waits(rank)] if is_due and flows else []
        room = self.ask.room - self._owed(work, waiting)
        for rank in Rank:
            loads: list[Stored] = []
            if rank in waiting:
                if rank is not Rank.BULK:
                    loads += self._loads(rank, (room + self.ask.odd) // 2)
                begun = self._of_rank(rank, room - len(loads), aside=rank != waiting[-1])
                work.claims.extend(begun)
                room -= len(begun)
            if rank is not Rank.BULK or (flows and not self._waits(rank)):
                loads += self._loads(rank, room - len(loads))
            work.loads.extend(loads)
            room -= len(loads)
        if waiting:
            self._remember(work, waiting)

    def _loads(self, rank: Rank, most: int) -> list[Stored]:
        return claims.claim_loads(self.session, self.ask.connection, rank, self.owner, self.now, most)

    def _owed(self, work: Work, waiting: Sequence[Rank]) -> int:
        """How many of the last begin first, of what was set aside for them."""
        window, need = self.gate.window, self.ask.need
        owed = window.set_aside(need) // need
        begun = self._of_rank(waiting[-1], min(owed, self.ask.room)) if owed and waiting else []
        window.owed -= need * len(begun)
        work.claims.extend(begun)
        return len(begun)

    def _remember(self, work: Work, waiting: Sequence[Rank]) -> None:
        """Who is left, for whoever comes next."""
        window = self.gate.window
        left = [rank for rank in waiting if self._waits(rank)]
        window.crowded = any(rank is not Rank.CALLER for rank in left)
        if not window.crowded:
            window.owed = 0.0
        if Rank.CALLER in left:
            work.queues.add(self.ask.connection)

    def _probe(self, work: Work) -> list[Claim]:
        """One transfer that was not tried since it does not answer, else a look at nothing in particular."""
        if not self.gate.pauses.is_to_probe(self.now):
            return []
        for rank in Rank:
            begun = self._of_rank(rank, 1, before=self.gate.pauses.down_at)
            if begun:
                self.gate.pauses = self.gate.pauses.probing(self.now)
                return [replace(begun[0], probes=True)]
        if self.gate.window.take(self.owner, 1, 1, self.now, aside=False):
            self.gate.pauses = self.gate.pauses.probing(self.now)
            work.checks.append(self.ask.connection)
        return []

    def _of_rank(self, rank: Rank, most: int, *, before: float | None = None, aside: bool = False) -> list[Claim]:
        window, need = self.gate.window, self.ask.need
        spare = window.left(self.now) - (window.set_aside(need) if aside else 0)
        most = min(most, spare // need)
        found = claims.claim_due(
            self.session,
            self.ask.connection,
            rank,
            self.owner,
            self.now,
            most,
            before=before,
            careful=self.careful,
        )
        if found:
            window.take(self.owner, need * len(found), need, self.now, aside=aside)
        return found

    def _waits(self, rank: Rank) -> bool:
        return claims.is_due(self.session, self.ask.connection, rank, self.now)


def _with_work(session: Session, scopes: Sequence[str], now: float) -> tuple[set[str], set[str]]:
    """Those in which an attempt is due, and those in which a load is."""
    if not scopes:
        return set(), set()
    found = session.execute(_WITH_WORK[session.is_sqlite], {"scopes": json.dumps(scopes), "now": now}).all()
    return {row[0] for row in found if row[1]}, {row[0] for row in found if row[2]}
