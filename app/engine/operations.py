"""What operators do by hand: sync one or many customers, re-run, cancel. A run by hand repeats nothing.

Who does it stands in the trail, written in the same transaction.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar
from uuid import uuid4

import structlog

from app.engine.callers import NotTaking, Outcome
from app.engine.engine import Engine
from app.ledger import acknowledgements, bulk, reports, trail, triggers
from app.ledger.faults import DatabaseGone
from app.ledger.ranks import Rank
from app.ledger.stored import Stored, new_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from app.connections import Connection
    from app.ipaas.models import CustomerRecord
    from app.ledger.acknowledgements import Acknowledgement
    from app.ledger.database import Database
    from app.ledger.reports import Filter
    from app.ledger.session import Session
    from app.ledger.trail import By
    from app.outbound.pauses import Pause

log = structlog.stdlib.get_logger("operators")

P = ParamSpec("P")
T = TypeVar("T")


class NoRecord(Exception):
    """There is no record of this customer to send, and none can be fetched."""


@dataclass(frozen=True, slots=True)
class Flow:
    """How a connection is, for all replicas. `waiting`: transfers that have not begun, by rank."""

    id: str
    name: str
    pause: Pause | None
    calls_left: int
    waiting: tuple[int, ...]


class Operations:
    """Each method raises NotTaking while nothing can be started."""

    def __init__(self, engine: Engine, database: Database) -> None:
        self._engine = engine
        self._database = database

    async def sync_customer(
        self,
        connection: Connection,
        customer_id: str,
        record: CustomerRecord | None,
        wait_seconds: float | None,
        by: By,
    ) -> Outcome:
        """Send one customer: the given record, else iPaaS.com's, else the newest received. Raises NoRecord."""
        fetch = connection.ipaas is not None
        if record is None and not fetch:
            newest = await self._read(reports.wanted_record, connection.scope, customer_id)
            if newest is None:
                raise NoRecord
        guid = str(uuid4())
        new = triggers.NewTransfer(
            connection.scope, customer_id, guid, trigger="manual", record=record, fetch=fetch, by=by
        )
        outcomes = await self._engine.run([new], wait_seconds)
        return outcomes[0]

    async def sync_customers(self, connection: Connection, customer_ids: Sequence[str], by: By) -> str:
        """Send all of these in the background; the id of the sync to follow."""
        return await self._open("customers", connection.scope, list(dict.fromkeys(customer_ids)), by)

    async def count(self, wanted: Filter) -> int:
        """How many transfers these are."""
        return await self._read(reports.count, wanted)

    async def retry_all(self, wanted: Filter, by: By, *, one_first: bool = False) -> str:
        """Run all of these again in the background; the id of the sync to follow.

        `one_first`: the rest only when one has succeeded.
        """
        seqs = await self._read(reports.seqs, wanted)
        return await self._open("retry", bulk.EVERY, seqs, by, one_first=one_first)

    async def go_on(self, sync_id: str, by: By) -> bool:
        """Run the rest of it all the same. False = nothing of it waits for its first."""
        went_on = await self._write(bulk.go_on, sync_id, self.now(), by)
        self._engine.entry.wake()
        return went_on

    async def acknowledge(self, group: str, by: By) -> Acknowledgement | None:
        """Somebody has taken note of a group of failures. None = there is no such group."""
        return await self._write(acknowledgements.add, group, self.now(), by)

    async def unacknowledge(self, group: str, by: By) -> bool:
        """That is taken back. False = there is no such group. Idempotent."""
        return await self._write(acknowledgements.remove, group, self.now(), by)

    async def retry(self, transfer: Stored, wait_seconds: float | None, by: By) -> Outcome | None:
        """Run a failed, cancelled or waiting transfer again, now. None = it is in no such state."""
        return await self._engine.rerun(transfer, wait_seconds, by)

    async def cancel(self, transfer: Stored, by: By) -> Stored | None:
        """Take back a trigger that has not begun; what it replaced is wanted again. None = it has begun."""
        changed = await self._write(triggers.cancel, transfer.seq, self.now(), by)
        if changed is None:
            return None
        self._engine.settle(*changed)
        return changed[0]

    async def cancel_sync(self, sync_id: str, by: By) -> None:
        """Take back what has not begun of a sync, some at a time. Idempotent."""
        seqs = await self._write(bulk.close_sync, sync_id, self.now(), by)
        for first in range(0, len(seqs), bulk.BLOCK):
            some = seqs[first : first + bulk.BLOCK]
            self._engine.settle(*await self._write(bulk.cancel_some, some, self.now()))

    async def cancel_all(self, wanted: Filter, by: By) -> int:
        """Take back all of these that have not begun, some at a time; how many. Each keeps who did it."""
        seqs, total = await self._read(bulk.cancellable, wanted), 0
        for first in range(0, len(seqs), bulk.BLOCK):
            some = seqs[first : first + bulk.BLOCK]
            changed = await self._write(bulk.cancel_some, some, self.now(), by)
            self._engine.settle(*changed)
            total += sum(each.seq in some for each in changed)
        return total

    async def flows(self) -> list[Flow]:
        """Every connection that is served."""
        with _taking():
            waiting = await self._engine.gates.look()
        found = []
        for connection in self._engine.connections:
            here = self._engine.gates.at(connection.scope)
            counts = waiting.get(connection.scope, {})
            ranked = tuple(counts.get(rank, 0) for rank in Rank)
            found.append(Flow(connection.id, connection.name, here.pause(), here.calls_left, ranked))
        return found

    async def pause(self, connection_id: str, reason: str | None, by: By) -> bool:
        """By hand. False = it is not served. Idempotent."""
        with self._at(connection_id) as connection:
            if connection is not None:
                await self._engine.gates.pause(connection.scope, reason, by)
        return connection is not None

    async def resume(self, connection_id: str, by: By) -> bool:
        """The end of that. False = it is not served. Idempotent."""
        with self._at(connection_id) as connection:
            if connection is not None:
                await self._engine.gates.resume(connection.scope, by)
        return connection is not None

    @contextmanager
    def _at(self, connection_id: str) -> Iterator[Connection | None]:
        if not self._engine.taking:
            raise NotTaking
        with _taking():
            yield self._engine.connections.get(connection_id)

    def explain(self, transfer: Stored) -> Stored:
        """With the pause that it waits for, if it does."""
        return self._engine.gates.explain(transfer)

    async def reveal(self, transfer: Stored, by: By) -> None:
        """Its record is about to be shown in clear: the log says so, and its trail, once an hour for the same.

        To who does not act it is shown masked.
        """
        if not transfer.record or not by.acts:
            return
        ids = {"transfer_id": transfer.id, "tracking_guid": transfer.tracking_guid}
        log.info("record shown", **ids, customer_id=transfer.customer_id, who=by.who, address=by.where)
        now = self.now()
        if not await self._read(trail.has_revealed, transfer.seq, by, now):
            await self._write(trail.note, by, "revealed", now, seq=transfer.seq)

    async def reveal_all(self, by: By) -> None:
        """Many records are about to be exported in clear: the log says so, and the trail."""
        log.info("records exported", who=by.who, address=by.where)
        await self._write(trail.note, by, "exported", self.now(), subject="transfers")

    async def _open(
        self, kind: bulk.Kind, scope: str, items: list[str] | list[int], by: By, *, one_first: bool = False
    ) -> str:
        if not self._engine.taking:
            raise NotTaking
        now = self.now()
        sync_id = new_id(now)
        await self._write(bulk.open_sync, sync_id, scope, kind, items, now, by, one_first=one_first)
        self._engine.entry.wake()
        return sync_id

    def now(self) -> float:
        """By the clock that all replicas share."""
        return self._engine.pulse.now()

    async def _read(self, work: Callable[Concatenate[Session, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        with _taking():
            return await self._database.read(work, *args, **kwargs)

    async def _write(self, work: Callable[Concatenate[Session, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        with _taking():
            return await self._database.run(work, *args, **kwargs)


@contextmanager
def _taking() -> Iterator[None]:
    """Without a database nothing is taken."""
    try:
        yield
    except DatabaseGone:
        raise NotTaking from None
