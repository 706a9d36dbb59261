"""The ledger with a time of its own, and short names for what tests do with it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Concatenate, ParamSpec, TypeVar
from uuid import uuid4

from sqlalchemy import select

from app.attempt import Failure, Progress
from app.error_catalog import Slug
from app.ipaas.models import CustomerRecord
from app.ledger import attempts, claims, customers, gates, reports, triggers
from app.ledger.attempts import AttemptResult, Finished, Terms
from app.ledger.claims import Claim
from app.ledger.customers import Customer
from app.ledger.database import Database
from app.ledger.gates import Ask
from app.ledger.order import Wanted
from app.ledger.ranks import Rank
from app.ledger.session import About, Session, shared
from app.ledger.stored import Stored, Trigger
from app.ledger.tables import replicas, transfers
from app.ledger.triggers import Entered, NewTransfer
from app.ledger.work import Work, claim_work
from app.outbound.window import Throttle
from tests.support import SCOPE, record_of

P = ParamSpec("P")
T = TypeVar("T")

START = 1_800_000_000.0
OWNER = "replica-1"
OTHER = "replica-2"
SANDBOX = "default@sandbox 2026-11-24T10:00:00.000000"
ELSEWHERE = "1797@270393"
CUSTOMER = "150713"
TERMS = Terms()
RETRYABLE = Failure(Slug.CUSTOMER, 502, "Stamped.io was away.", retryable=True)
REFUSED = Failure(Slug.CUSTOMER, 422, "Stamped.io refused the data.", retryable=False)
NOT_LOADED = Failure(Slug.NOT_LOADED, 503, "iPaaS.com was away.", retryable=True)


def changed(minute: int | None) -> CustomerRecord:
    """A record that was changed in this minute of an hour; None = it does not say when."""
    moment = None if minute is None else datetime(2026, 11, 24, 10, minute, tzinfo=UTC).isoformat()
    return record_of(updated_datetime=moment, first_name=f"minute {minute}")


def date(minute: int) -> float:
    """The moment of `changed`, as it is stored."""
    return datetime(2026, 11, 24, 10, minute, tzinfo=UTC).timestamp()


def change(
    minute: int | None = None,
    consent: bool | None = None,  # noqa: FBT001 - three-valued
    *,
    guid: str | None = None,
    customer: str = CUSTOMER,
    trigger: Trigger = "webhook",
    promised: bool = False,
    connection: str = SCOPE,
    record: CustomerRecord | None = None,
) -> NewTransfer:
    """A notification with its record; each is another one unless `guid` says that it is the same again."""
    guid = guid or str(uuid4())
    return NewTransfer(
        connection=connection,
        customer_id=customer,
        tracking_guid=guid,
        repeat_key=guid if trigger == "webhook" else None,
        trigger=trigger,
        record=record or changed(minute),
        consent=consent,
        promised=promised,
    )


def bare(
    trigger: Trigger = "webhook", *, customer: str = CUSTOMER, promised: bool = False, fetch: bool = True
) -> NewTransfer:
    """One that brings no record. `fetch`: it is loaded from iPaaS.com."""
    guid = str(uuid4())
    key = guid if trigger == "webhook" else None
    return NewTransfer(SCOPE, customer, guid, key, trigger=trigger, promised=promised, fetch=fetch)


PLENTY = Throttle(1_000_000, 60.0)


def ask(scope: str = SCOPE, room: int = 10, throttle: Throttle = PLENTY, need: int = 2, **more: Any) -> Ask:
    """What a replica asks for that has told nothing yet."""
    return Ask(scope, throttle, need, room, **more)


def due(session: Session, scope: str, owner: str, now: float, limit: int, *, careful: bool = False) -> list[Claim]:
    """Begin up to `limit` that are due, whatever their rank."""
    begun: list[Claim] = []
    for rank in Rank:
        begun += claims.claim_due(session, scope, rank, owner, now, limit - len(begun), careful=careful)
    return begun


def loads(session: Session, scope: str, owner: str, now: float, limit: int) -> list[Stored]:
    """Begin up to `limit` loads, whatever their rank."""
    begun: list[Stored] = []
    for rank in Rank:
        begun += claims.claim_loads(session, scope, rank, owner, now, limit - len(begun))
    return begun


SUBSCRIPTION = {True: "subscribed", False: "unsubscribed", None: "not_mapped"}


def applied(customer: Customer) -> bool | None:
    """The consent that an attempt with this claim tells Stamped.io: the record's own, or a "no" that is due."""
    wanted = customer.wanted
    is_own = wanted.consented == wanted.moment
    again = customer.doubt is not None and wanted.consent is False
    return wanted.consent if is_own or again or customer.owes_no else None


@dataclass
class Halfway:
    """Holds a transaction up in its thread, until the test lets it go on."""

    reached: asyncio.Event = field(default_factory=asyncio.Event)
    go_on: asyncio.Event = field(default_factory=asyncio.Event)
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)

    def stop(self) -> None:
        self.loop.call_soon_threadsafe(self.reached.set)
        asyncio.run_coroutine_threadsafe(self.go_on.wait(), self.loop).result(10)


@dataclass
class Ledger:
    """Transactions on one database; `now` only moves when told."""

    database: Database
    now: float = START

    async def do(self, work: Callable[Concatenate[Session, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await self.database.run(work, *args, **kwargs)

    async def accept(self, new: NewTransfer, owner: str | None = OWNER) -> Entered:
        return await self.do(triggers.accept, new, owner, self.now)

    async def begun(self, new: NewTransfer | None = None, owner: str = OWNER) -> Claim:
        """An attempt that this owner runs."""
        entered = await self.accept(new or change(), owner)
        assert entered.claim is not None
        return entered.claim

    async def pending(self, new: NewTransfer | None = None) -> Stored:
        """A promised one that nobody has begun."""
        return (await self.accept(new or change(promised=True), None)).transfer

    async def waiting(self, new: NewTransfer | None = None) -> Stored:
        """A promised one that failed once."""
        return await self._ended(new or change(promised=True), "waiting", RETRYABLE)

    async def failed(self, new: NewTransfer | None = None, failure: Failure = RETRYABLE) -> Stored:
        """One whose caller was told the error."""
        return await self._ended(new, "failed", failure)

    async def succeeded(self, new: NewTransfer | None = None) -> Stored:
        return await self._ended(new, "succeeded", None)

    async def _ended(self, new: NewTransfer | None, status: str, failure: Failure | None) -> Stored:
        claim = await self.begun(new)
        await self.finish(claim, failure)
        ended = await self.row(claim.lead)
        assert ended.status == status
        return ended

    async def loading(self, new: NewTransfer | None = None, owner: str = OWNER) -> Stored:
        """One whose record this owner fetches."""
        entered = await self.accept(new or bare(), owner)
        assert entered.loads
        return entered.transfer

    async def may_load(
        self,
        claimed: Stored,
        minute: int | None,
        consent: bool | None = None,  # noqa: FBT001 - three-valued
        owner: str | None = OWNER,
        calls: str = "[]",
    ) -> Entered | None:
        return await self.do(triggers.loaded, claimed, changed(minute), consent, owner, self.now, calls)

    async def loaded(
        self,
        claimed: Stored,
        minute: int | None,
        consent: bool | None = None,  # noqa: FBT001 - three-valued
        owner: str | None = OWNER,
        calls: str = "[]",
    ) -> Entered:
        entered = await self.may_load(claimed, minute, consent, owner, calls)
        assert entered is not None
        return entered

    async def not_loaded(self, claimed: Stored, failure: Failure = NOT_LOADED, calls: str = "[]") -> Stored | None:
        result = AttemptResult(Progress(), self.now, failure, calls=calls)
        return await self.do(attempts.not_loaded, claimed, result, TERMS)

    async def may_claim(self, customer: str = CUSTOMER, owner: str = OWNER) -> Claim | None:
        return await self.do(claims.claim, SCOPE, customer, owner, self.now)

    async def claim(self, customer: str = CUSTOMER, owner: str = OWNER) -> Claim:
        claim = await self.may_claim(customer, owner)
        assert claim is not None
        return claim

    async def claim_due(self, limit: int = 10, owner: str = OWNER) -> list[Claim]:
        return await self.do(due, SCOPE, owner, self.now, limit)

    async def claim_work(self, *asks: Ask, owner: str = OWNER) -> Work:
        asked = asks or (ask(),)
        await self.do(gates.put_up, {each.connection for each in asked})
        return await self.do(claim_work, asked, owner, self.now)

    async def may_finish(
        self,
        claim: Claim,
        failure: Failure | None = None,
        *,
        unanswered_at: float | None = None,
        answered_at: float | None = None,
        calls: str = "[]",
        **progress: Any,
    ) -> Finished | None:
        """None where the attempt is not this owner's any more. A success applies what was wanted."""
        usual: dict[str, Any] = {}
        if failure is None:
            told = applied(claim.customer)
            usual = {
                "action": "created",
                "external_id": claim.customer.external_id or f"9{claim.customer.customer_id}",
                "subscription": SUBSCRIPTION[told],
                "told": told,
            }
        done = Progress(**(usual | progress))
        result = AttemptResult(done, self.now, failure, unanswered_at, answered_at, calls)
        return await self.do(attempts.finish, claim, result, TERMS)

    async def finish(
        self,
        claim: Claim,
        failure: Failure | None = None,
        *,
        unanswered_at: float | None = None,
        answered_at: float | None = None,
        calls: str = "[]",
        **progress: Any,
    ) -> Finished:
        times = {"unanswered_at": unanswered_at, "answered_at": answered_at}
        finished = await self.may_finish(claim, failure, **times, calls=calls, **progress)
        assert finished is not None
        return finished

    async def release(self, customer: str = CUSTOMER, owner: str = OWNER) -> list[Stored] | None:
        return await self.do(attempts.release, SCOPE, customer, owner, self.now, TERMS)

    async def rerun(
        self, transfer: Stored, owner: str | None = OWNER, *, fetch: bool = False, promised: bool = False
    ) -> Entered | None:
        terms = {transfer.connection: fetch}
        return await self.do(triggers.rerun, transfer.seq, owner, self.now, fetch=terms, promised=promised)

    async def again(
        self, transfer: Stored, owner: str | None = OWNER, *, fetch: bool = False, promised: bool = False
    ) -> Entered:
        entered = await self.rerun(transfer, owner, fetch=fetch, promised=promised)
        assert entered is not None
        return entered

    async def cancel(self, transfer: Stored) -> list[Stored] | None:
        return await self.do(triggers.cancel, transfer.seq, self.now)

    async def row(self, transfer: Stored | int) -> Stored:
        seq = transfer if isinstance(transfer, int) else transfer.seq
        return await self.database.read(reports.by_seq, seq)

    async def customer(self, customer: str = CUSTOMER) -> Customer:
        found = await self.database.read(customers.look, SCOPE, customer)
        assert found is not None
        return found

    async def wanted(self) -> Wanted:
        return (await self.customer()).wanted

    async def outcomes(self, transfer: Stored) -> list[tuple[int, str]]:
        """Of its attempts: number and outcome."""
        found = await self.database.read(reports.attempts_of, transfer.seq)
        return [(each.number, each.outcome) for each in found]

    async def statuses(self) -> list[str]:
        """Of all transfers, in the order of receipt."""

        def read(session: Session) -> list[str]:
            return list(session.execute(select(transfers.c.status).order_by(transfers.c.seq)).scalars())

        return await self.database.read(read)

    async def blocked_or_done(self, task: asyncio.Task[Any]) -> bool:
        """Whether another backend (of PostgreSQL) waits for a lock before this task is done."""

        def blocked(session: Session) -> bool:
            return (
                session.connection.exec_driver_sql("SELECT 1 FROM pg_locks WHERE NOT granted").first() is not None
            )

        async with asyncio.timeout(10):
            while not task.done():
                if await self.database.read(blocked):
                    return True
        return False


@shared(lambda name, _runs: About("marks", name))
def mark(session: Session, name: str, runs: list[str]) -> str:
    """A work that may share its transaction, and leaves a row; `runs` says how often it ran, even in vain."""
    runs.append(name)
    session.insert(replicas, {"id": name, "seen_at": 1.0})
    return f"marked {name}"


@shared(lambda _halfway: About("held"))
def held(_session: Session, halfway: Halfway) -> None:
    """A work of a group that waits."""
    halfway.stop()


def marks(session: Session) -> set[str]:
    """What `mark` left."""
    return set(session.execute(select(replicas.c.id)).scalars())


async def queued(database: Database, number: int) -> None:
    """Until so many works wait for the group."""
    async with asyncio.timeout(10):
        while database._group._queue.qsize() < number:  # noqa: ASYNC110 - a thread's queue has no event
            await asyncio.sleep(0)


async def at_once(database: Database, *works: Coroutine[Any, Any, Any]) -> list[Any]:
    """What comes of works, results or errors, that wait for the group when it has time for them."""
    halfway = Halfway()
    first = asyncio.create_task(database.run(held, halfway))
    await halfway.reached.wait()
    tasks = [asyncio.create_task(work) for work in works]
    await queued(database, len(tasks))
    halfway.go_on.set()
    async with asyncio.timeout(10):
        await first
        return await asyncio.gather(*tasks, return_exceptions=True)
