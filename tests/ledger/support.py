"""The ledger with a time of its own, and short names for what tests do with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Concatenate, ParamSpec, TypeVar
from uuid import uuid4

from sqlalchemy import Connection, select

from app.attempt import Failure, Progress
from app.catalog import Slug
from app.ipaas.models import CustomerRecord
from app.ledger import endings, moves, reports
from app.ledger.database import Database
from app.ledger.endings import AttemptResult, Finished
from app.ledger.moves import Entered, NewTransfer
from app.ledger.stored import Stored, Trigger
from app.ledger.tables import transfers
from tests.support import record_of

P = ParamSpec("P")
T = TypeVar("T")

START = 1_800_000_000.0
OWNER = "replica-1"
OTHER = "replica-2"
CUSTOMER = "150713"
RETRYABLE = Failure(Slug.CUSTOMER, 502, "Stamped.io was away.", retryable=True)
REFUSED = Failure(Slug.CUSTOMER, 422, "Stamped.io refused the data.", retryable=False)


def changed(minute: int | None) -> CustomerRecord:
    """A record that was changed in this minute of an hour; None = it does not say when."""
    moment = None if minute is None else datetime(2026, 11, 24, 10, minute, tzinfo=UTC).isoformat()
    return record_of(updated_datetime=moment, first_name=f"minute {minute}")


def change(
    minute: int | None = None,
    *,
    guid: str | None = None,
    customer: str = CUSTOMER,
    trigger: Trigger = "webhook",
    promised: bool = False,
    connection: str = "default",
    record: CustomerRecord | None = None,
) -> NewTransfer:
    """A notification; each is another one unless `guid` says that it is the same again."""
    guid = guid or str(uuid4())
    return NewTransfer(
        connection=connection,
        customer_id=customer,
        tracking_guid=guid,
        repeat_key=guid if trigger == "webhook" else None,
        scope="customer/updated",
        trigger=trigger,
        record=record or changed(minute),
        promised=promised,
    )


@dataclass
class Ledger:
    """Moves on one database; `now` only moves when told."""

    database: Database
    now: float = START

    async def do(self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await self.database.run(work, *args, **kwargs)

    async def accept(self, new: NewTransfer, owner: str | None = OWNER) -> Entered:
        return await self.do(moves.accept, new, owner, self.now)

    async def running(self, new: NewTransfer | None = None, owner: str = OWNER) -> Stored:
        """A transfer that this owner runs."""
        entered = await self.accept(new or change(), owner)
        assert entered.claimed
        return entered.transfer

    async def waiting(self, new: NewTransfer | None = None) -> Stored:
        """A promised transfer that failed once."""
        claimed = await self.running(new or change(promised=True))
        finished = await self.finish(claimed, RETRYABLE)
        assert finished.transfer.status == "waiting"
        return finished.transfer

    async def failed(self, new: NewTransfer | None = None) -> Stored:
        """A transfer whose caller was told the error."""
        finished = await self.finish(await self.running(new), RETRYABLE)
        assert finished.transfer.status == "failed"
        return finished.transfer

    async def claim(self, seq: int, owner: str = OWNER) -> Entered | None:
        return await self.do(moves.claim, seq, owner, self.now)

    async def rerun(self, seq: int, owner: str | None = OWNER, *, promised: bool = False) -> Entered | None:
        return await self.do(moves.rerun, seq, owner, self.now, promised=promised)

    async def may_finish(self, claimed: Stored, failure: Failure | None = None, **more: Any) -> Finished | None:
        """None where the attempt is not this owner's any more."""
        upserted = failure is None or failure.slug is not Slug.CUSTOMER
        progress = Progress(action="created" if upserted else None, external_id="143491")
        values = {"progress": progress, "superseded_by": None} | more
        result = AttemptResult(finished_at=self.now, failure=failure, **values)
        return await self.do(endings.finish, claimed, result, 0.0)

    async def finish(self, claimed: Stored, failure: Failure | None = None, **more: Any) -> Finished:
        finished = await self.may_finish(claimed, failure, **more)
        assert finished is not None
        return finished

    async def row(self, transfer: Stored | int) -> Stored:
        seq = transfer if isinstance(transfer, int) else transfer.seq
        return await self.database.read(reports.by_seq, seq)

    async def statuses(self) -> list[str]:
        """Of all transfers, in the order of receipt."""

        def read(connection: Connection) -> list[str]:
            return list(connection.execute(select(transfers.c.status).order_by(transfers.c.seq)).scalars())

        return await self.database.read(read)
