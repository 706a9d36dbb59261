"""The engine in this process, a Stamped.io whose every call waits to be answered, and a way to await stillness."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar
from uuid import uuid4

import httpx
from sqlalchemy import Connection, select

from app.clock import Clock
from app.connection import Connection as Bridged
from app.engine import Engine, Outcome
from app.ipaas.models import read_record
from app.ledger import reports
from app.ledger.database import Database, DatabaseGone, read_url
from app.ledger.moves import NewTransfer
from app.ledger.stored import Stored
from app.ledger.tables import transfers
from app.mapping import BUILT_IN, load_mapping
from app.redaction import Redactor
from app.stamped.client import StampedAccount, StampedClient
from tests.support import FakeClock, sent

P = ParamSpec("P")
T = TypeVar("T")

_STILL_ROUNDS = 25  # turns of the loop without any work in the database; no chain of callbacks is that long
BACKGROUND = 3


def change(
    version: int,
    moment: str | None = None,
    *,
    customer: int = 1,
    guid: str | None = None,
    email: str | None = None,
    promised: bool = False,
) -> NewTransfer:
    """A notification whose record says which version it is."""
    guid = guid or str(uuid4())
    record: dict[str, Any] = {
        "id": customer,
        "customer_number": f"C-{customer}",
        "first_name": str(version),
        "email_address": email or f"person{customer}@example.com",
        "updated_datetime": moment,
    }
    known = read_record(record)
    return NewTransfer("default", str(customer), guid, guid, "customer/updated", record=known, promised=promised)


@dataclass
class Call:
    """One call at Stamped.io that waits for its answer; `target`: the id that is updated."""

    customer: str
    version: int
    email: str
    target: str | None
    answer: asyncio.Future[httpx.Response]


class SlowStamped(httpx.AsyncBaseTransport):
    """Holds every call but a search until `release`; `held` has each customer's version that it keeps."""

    def __init__(self) -> None:
        self.open: list[Call] = []
        self.most_at_once = 0
        self.searched = 0
        self.sent: list[tuple[str, int]] = []
        self.held: dict[str, int] = {}
        self.emails: dict[str, str] = {}
        """Of each customer, by id."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            self.searched += 1
            wanted = request.url.params["search"]
            found = [{"id": key, "email": email} for key, email in self.emails.items() if wanted in email]
            return httpx.Response(200, json={"results": found})
        body = sent(request)
        last = request.url.path.rsplit("/", 1)[-1]
        call = Call(
            body["externalId"],
            int(body["firstName"]),
            body["email"],
            None if last == "add" else last,
            asyncio.get_running_loop().create_future(),
        )
        self.open.append(call)
        mine = [each for each in self.open if each.customer == call.customer]
        self.most_at_once = max(self.most_at_once, len(mine))
        try:
            return await call.answer
        finally:
            self.open.remove(call)

    def release(self, call: Call, outcome: str = "ok") -> None:
        """`ok`; `lost`: it took effect, then the connection broke; `away`: 500; `refused`: 422."""
        body: dict[str, Any] = {"message": outcome}
        if outcome in {"ok", "lost"}:
            self.sent.append((call.customer, call.version))
            self.held[call.customer] = call.version
            known = next((key for key, email in self.emails.items() if email == call.email), None)
            customer_id = call.target or known or str(143491 + len(self.emails))
            self.emails[customer_id] = call.email
            body = {"id": customer_id, "email": call.email, "isSubscribed": False}
        if outcome == "lost":
            call.answer.set_exception(httpx.ReadError("the connection broke"))
            return
        status = {"ok": 200, "away": 500, "refused": 422}[outcome]
        call.answer.set_result(httpx.Response(status, json=body))


class WatchedDatabase(Database):
    """Knows whether it works, and can be away."""

    def __init__(self, path: Path) -> None:
        super().__init__(read_url(f"sqlite:///{path}"))
        self.away = False
        self._busy = 0
        self._idle = asyncio.Event()
        self._idle.set()

    async def run(self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        with self._working():
            return await super().run(work, *args, **kwargs)

    async def read(self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        with self._working():
            return await super().read(work, *args, **kwargs)

    async def still(self) -> None:
        """Until nothing happens any more by itself."""
        rounds = 0
        while rounds < _STILL_ROUNDS:
            await self._idle.wait()
            await asyncio.sleep(0)
            rounds = 0 if self._busy else rounds + 1

    def _working(self) -> _Working:
        if self.away:
            raise DatabaseGone("away")
        return _Working(self)


class _Working:
    def __init__(self, database: WatchedDatabase) -> None:
        self._database = database

    def __enter__(self) -> None:
        self._database._busy += 1
        self._database._idle.clear()

    def __exit__(self, *_: object) -> None:
        self._database._busy -= 1
        if not self._database._busy:
            self._database._idle.set()


@dataclass
class Room:
    """An engine with all that belongs to it."""

    engine: Engine
    database: WatchedDatabase
    stamped: SlowStamped
    clock: Clock
    callers: list[asyncio.Task[Any]] = field(default_factory=list)

    @property
    def fake_clock(self) -> FakeClock:
        assert isinstance(self.clock, FakeClock)
        return self.clock

    async def still(self) -> None:
        await self.database.still()

    def send(self, *news: NewTransfer, wait: float | None = None) -> asyncio.Task[list[Outcome]]:
        """A caller."""
        caller = asyncio.create_task(self.engine.run(list(news), wait))
        self.callers.append(caller)
        return caller

    async def promise(self, *news: NewTransfer) -> list[Stored]:
        """Callers that don't wait; all of it is accepted."""
        return [outcome.transfer for outcome in await self.engine.run(list(news), 0)]

    async def release(self, outcome: str = "ok", *, again: bool = True) -> None:
        """Answer the call that is open, and its repeats."""
        await self.still()
        (call,) = self.stamped.open
        self.stamped.release(call, outcome)
        await self.still()
        while again and outcome in {"away", "lost"} and self.stamped.open:
            self.stamped.release(self.stamped.open[0], outcome)
            await self.still()

    async def advance(self, seconds: float) -> None:
        """Time passes, and the dispatcher takes its regular look."""
        self.fake_clock.advance(seconds)
        await self.still()
        self.engine.settle()
        await self.still()

    async def rows(self) -> list[Stored]:
        """All transfers, in the order of receipt."""

        def read(connection: Connection) -> list[Stored]:
            found = connection.execute(select(transfers).order_by(transfers.c.seq)).mappings()
            return [Stored.of(row) for row in found]

        return await self.database.read(read)

    async def row(self, transfer: Stored) -> Stored:
        return await self.database.read(reports.by_seq, transfer.seq)


@asynccontextmanager
async def room(
    path: Path, clock: Clock | None = None, *, wait_seconds: float = 25, stamped: SlowStamped | None = None
) -> AsyncIterator[Room]:
    """An engine on this SQLite file, which may have been another one's."""
    stamped, redactor = stamped or SlowStamped(), Redactor()
    account = StampedAccount("http://stamped.test", "pubkey-1", "key-1", "270392")
    client = StampedClient(account, redactor, stamped)
    connection = Bridged(client, None, load_mapping(BUILT_IN), redactor)
    database = WatchedDatabase(path)
    clock = clock or FakeClock()
    engine = Engine(
        connection, database, clock, wait_seconds=wait_seconds, background=BACKGROUND, retention_days=30
    )
    opened = Room(engine, database, stamped, clock)
    engine.start()
    await opened.still()
    assert engine.taking
    try:
        yield opened
    finally:
        database.away = False
        for caller in opened.callers:
            caller.cancel()
        await asyncio.gather(*opened.callers, return_exceptions=True)
        await engine.drain(0)
        await connection.aclose()
        await database.aclose()
