"""The engine in this process, foreign systems whose calls wait to be answered, and a way to await stillness."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Concatenate, Literal, ParamSpec, TypeVar
from uuid import uuid4

import httpx
from sqlalchemy import select

from app.clock import Clock
from app.connections import Connection, Connections
from app.engine import Engine, Operations, Outcome
from app.ipaas.models import read_record
from app.ledger import replicas, reports
from app.ledger.database import Database
from app.ledger.database_url import read_url
from app.ledger.faults import DatabaseGone
from app.ledger.session import Session
from app.ledger.stored import Stored
from app.ledger.tables import transfers
from app.ledger.triggers import NewTransfer
from app.stamped.client import StampedAccount
from tests.support import SCOPE, STORE, FakeClock, connection_over, operation_of, sent

P = ParamSpec("P")
T = TypeVar("T")
Kind = Literal["add", "update", "subscribe", "unsubscribe", "get", "search"]

_STILL_ROUNDS = 25  # turns of the loop without any work in the database; no chain of callbacks is that long
_READS = ("get", "search")
_UNANSWERED = ("lost", "late")
_REPEATED = ("away", "garbled", *_UNANSWERED)
BACKGROUND = 3
TIMEOUT = 15.0


def record(
    version: int,
    moment: str | None = None,
    *,
    customer: int = 1,
    email: str | None = None,
    consent: bool | str | None = None,
) -> dict[str, Any]:
    """What iPaaS.com holds of a customer; a consent of None is absent."""
    fields = [] if consent is None else [{"custom_field_name": "Consent", "value": consent}]
    return {
        "id": customer,
        "customer_number": f"C-{customer}",
        "first_name": str(version),
        "email_address": email or f"person{customer}@example.com",
        "updated_datetime": moment,
        "custom_fields": fields,
    }


def change(
    version: int,
    moment: str | None = None,
    *,
    customer: int = 1,
    guid: str | None = None,
    email: str | None = None,
    promised: bool = False,
    consent: bool | str | None = None,
) -> NewTransfer:
    """A notification whose record says which version it is."""
    known = read_record(record(version, moment, customer=customer, email=email, consent=consent))
    guid = guid or str(uuid4())
    return NewTransfer(SCOPE, str(customer), guid, guid, record=known, promised=promised)


def ask(*, customer: int = 1, guid: str | None = None) -> NewTransfer:
    """A notification without a record: it is to be loaded from iPaaS.com."""
    guid = guid or str(uuid4())
    return NewTransfer(SCOPE, str(customer), guid, guid)


@dataclass
class Person:
    """A customer at Stamped.io."""

    email: str
    external_id: str | None = None
    version: int = 0
    subscribed: bool = False


@dataclass(eq=False)
class Call:
    """One call at Stamped.io that waits for its answer; `target`: the id that is updated or read.

    `customer` is the customer number that it is about, as far as it can be known. `happen`: it takes effect, now,
    whatever became of its answer.
    """

    kind: Kind
    customer: str
    version: int
    email: str
    target: str | None
    answer: asyncio.Future[httpx.Response]
    happen: Callable[[], httpx.Response]


class SlowStamped(httpx.AsyncBaseTransport):
    """Holds every call until `release`, reads only with `slow_reads`; `people` has its customers by id."""

    def __init__(self, *, slow_reads: bool = False, subscribes: bool = False) -> None:
        self.open: list[Call] = []
        self.most_at_once = 0
        self.searched = 0
        self.read = 0
        self.slow_reads = slow_reads
        self.subscribes = subscribes
        """Whoever is added."""
        self.sent: list[tuple[str, int]] = []
        """What was saved: customer number and version."""
        self.told: list[tuple[str, bool]] = []
        """Who was subscribed (True) or unsubscribed: by e-mail."""
        self.people: dict[str, Person] = {}

    @property
    def held(self) -> dict[str, int]:
        """Each customer number's version."""
        return {each.external_id: each.version for each in self.people.values() if each.external_id}

    @property
    def emails(self) -> dict[str, str]:
        """Of each customer, by id."""
        return {key: each.email for key, each in self.people.items()}

    @property
    def subscribed(self) -> dict[str, bool]:
        """Of each e-mail."""
        return {each.email: each.subscribed for each in self.people.values()}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        call = self._read(request)
        if call.kind == "search":
            self.searched += 1
        if call.kind == "get":
            self.read += 1
        if call.kind in _READS and not self.slow_reads:
            return call.happen()
        self.open.append(call)
        mine = [each for each in self.open if each.customer == call.customer]
        self.most_at_once = max(self.most_at_once, len(mine))
        try:
            return await call.answer
        finally:
            self.open.remove(call)

    def release(self, call: Call, outcome: str = "ok") -> None:
        """`ok`; `lost`: it took effect, then the connection broke; `away`: 500; `refused`: 422; `gone`: 404.

        `late`: the connection broke; it takes effect when the test says `call.happen()`. `garbled`: an answer that
        cannot be read, which fails like 500 and yet is one: no number of them makes the connection `down`.
        """
        if outcome in _UNANSWERED:
            if outcome == "lost":
                call.happen()
            call.answer.set_exception(httpx.ReadError("the connection broke"))
            return
        if outcome == "ok":
            call.answer.set_result(call.happen())
            return
        if outcome == "garbled":
            call.answer.set_result(
                httpx.Response(200, headers={"content-encoding": "gzip"}, stream=httpx.ByteStream(b"no gzip"))
            )
            return
        if outcome == "gone" and call.target is not None:
            self.people.pop(call.target, None)
        status = {"away": 500, "refused": 422, "gone": 404}[outcome]
        call.answer.set_result(httpx.Response(status, json={"message": outcome}))

    def _read(self, request: httpx.Request) -> Call:
        operation = operation_of(request)
        body, last = sent(request) or {}, request.url.path.rsplit("/", 1)[-1]
        answer: asyncio.Future[httpx.Response] = asyncio.get_running_loop().create_future()
        match operation:
            case "add" | "update":
                number, version, email = body["externalId"], int(body["firstName"]), body["email"]
                target = None if operation == "add" else last
                return Call(
                    operation,
                    number,
                    version,
                    email,
                    target,
                    answer,
                    lambda: self._save(number, version, email, target),
                )
            case "subscribe" | "unsubscribe":
                email, wanted = body["email"], operation == "subscribe"
                number = self._number(lambda each, _: each.email == email)
                return Call(operation, number, 0, email, None, answer, lambda: self._tell(email, wanted=wanted))
            case "get":
                number = self._number(lambda _, key: key == last)
                return Call("get", number, 0, "", last, answer, lambda: self._answer(last))
        email = request.url.params["search"]
        number = self._number(lambda each, _: each.email == email)
        return Call("search", number, 0, email, None, answer, lambda: self._search(email))

    def _number(self, is_meant: Callable[[Person, str], bool]) -> str:
        return next((each.external_id or "" for key, each in self.people.items() if is_meant(each, key)), "")

    def _save(self, number: str, version: int, email: str, target: str | None) -> httpx.Response:
        """An add updates whoever has this e-mail."""
        if target is not None and target not in self.people:
            return self._answer(target)
        known = next((key for key, each in self.people.items() if each.email == email), None)
        key = target or known or str(143491 + len(self.people))
        person = self.people.setdefault(key, Person(email, subscribed=self.subscribes))
        person.email, person.external_id, person.version = email, number, version
        self.sent.append((number, version))
        return self._answer(key)

    def _tell(self, email: str, *, wanted: bool) -> httpx.Response:
        self.told.append((email, wanted))
        for person in self.people.values():
            if person.email == email:
                person.subscribed = wanted
        return httpx.Response(200, json={"email": email})

    def _search(self, text: str) -> httpx.Response:
        found = [self._shown(key) for key, each in self.people.items() if text in each.email]
        return httpx.Response(200, json={"results": found})

    def _answer(self, key: str) -> httpx.Response:
        if key not in self.people:
            return httpx.Response(404, json={"message": "gone"})
        return httpx.Response(200, json=self._shown(key))

    def _shown(self, key: str) -> dict[str, Any]:
        person = self.people[key]
        return {
            "id": key,
            "email": person.email,
            "firstName": str(person.version),
            "externalId": person.external_id,
            "isSubscribed": person.subscribed,
        }


@dataclass(eq=False)
class Load:
    """One record that is being loaded."""

    customer: str
    answer: asyncio.Future[httpx.Response]


class SlowIpaas(httpx.AsyncBaseTransport):
    """Holds every load until `release`; `records` by customer id. Nobody is linked there."""

    def __init__(self, *records: dict[str, Any]) -> None:
        self.open: list[Load] = []
        self.records = {str(each["id"]): each for each in records}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        match operation_of(request):
            case "lookup":
                return httpx.Response(404, json={"message": "NFND-1: no link"})
            case "write_back":
                return httpx.Response(200, json={})
        if request.url.path.endswith("/0"):  # the first call of a start
            return httpx.Response(404, json={"message": "NFND-1: nobody"})
        load = Load(request.url.path.rsplit("/", 1)[-1], asyncio.get_running_loop().create_future())
        self.open.append(load)
        try:
            return await load.answer
        finally:
            self.open.remove(load)

    def release(self, load: Load, outcome: str = "ok") -> None:
        """`ok`: the record as it is now; `away`: 503; `denied`: 401."""
        if outcome == "ok":
            load.answer.set_result(httpx.Response(200, json=self.records[load.customer]))
            return
        status = {"away": 503, "denied": 401}[outcome]
        load.answer.set_result(httpx.Response(status, json={"message": outcome}))


class JumpingClock(FakeClock):
    """Whose time of day can be set, while time passes as ever."""

    def jump(self, seconds: float) -> None:
        now = self.now
        object.__setattr__(self, "now", lambda: now() + timedelta(seconds=seconds))


class WatchedDatabase(Database):
    """Knows whether it works, and what was asked of it by name; can be away."""

    def __init__(self, path: Path) -> None:
        super().__init__(read_url(f"sqlite:///{path}"))
        self.away = False
        self.asked: Counter[str] = Counter()
        self._busy = 0
        self._idle = asyncio.Event()
        self._idle.set()

    async def run(self, work: Callable[Concatenate[Session, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        with self._working(work):
            return await super().run(work, *args, **kwargs)

    async def read(self, work: Callable[Concatenate[Session, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        with self._working(work):
            return await super().read(work, *args, **kwargs)

    async def beat(self, work: Callable[Concatenate[Session, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        with self._working(work):
            return await super().beat(work, *args, **kwargs)

    async def still(self) -> None:
        """Until nothing happens any more by itself."""
        rounds = 0
        while rounds < _STILL_ROUNDS:
            await self._idle.wait()
            await asyncio.sleep(0)
            rounds = 0 if self._busy else rounds + 1

    def _working(self, work: Callable[..., Any]) -> _Working:
        if self.away:
            raise DatabaseGone("away")
        self.asked[getattr(work, "__name__", "")] += 1
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
    operations: Operations
    connection: Connection
    timeout: float = TIMEOUT
    callers: list[asyncio.Task[Any]] = field(default_factory=list)

    @property
    def fake_clock(self) -> JumpingClock:
        assert isinstance(self.clock, JumpingClock)
        return self.clock

    @property
    def now(self) -> float:
        """As this replica tells the time."""
        return self.engine.pulse.now()

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

    async def release(self, outcome: str = "ok", *, again: bool = True) -> Call:
        """Answer the call that is open, and its repeats; the call."""
        await self.still()
        (call,) = self.stamped.open
        self.stamped.release(call, outcome)
        await self.still()
        while again and outcome in _REPEATED and self.stamped.open:
            self.stamped.release(self.stamped.open[0], outcome)
            await self.still()
        return call

    async def release_all(self) -> None:
        """Answer every call at Stamped.io, and those that follow."""
        await self.still()
        while self.stamped.open:
            self.stamped.release(self.stamped.open[0])
            await self.still()

    async def advance(self, seconds: float) -> None:
        """Time passes, and the dispatcher takes its regular look."""
        self.fake_clock.advance(seconds)
        await self.still()
        self.engine.settle()
        await self.still()

    async def beat(self, times: int = 1) -> None:
        """So many heartbeats pass."""
        for _ in range(times):
            self.fake_clock.advance(replicas.HEARTBEAT_SECONDS)
            await self.still()

    async def rows(self) -> list[Stored]:
        """All transfers, in the order of receipt."""

        def read(connection: Session) -> list[Stored]:
            found = connection.execute(select(transfers).order_by(transfers.c.seq)).mappings()
            return [Stored.of(row) for row in found]

        return await self.database.read(read)

    async def row(self, transfer: Stored) -> Stored:
        return await self.database.read(reports.by_seq, transfer.seq)

    async def statuses(self) -> list[str]:
        """Of all transfers, in the order of receipt."""
        return [row.status for row in await self.rows()]

    async def verifications(self) -> list[str]:
        """Their statuses."""
        return [row.status for row in await self.rows() if row.trigger == "verify"]


@asynccontextmanager
async def room(
    path: Path,
    clock: Clock | None = None,
    *,
    wait_seconds: float = 25,
    stamped: SlowStamped | None = None,
    consent: bool = False,
    ipaas: httpx.AsyncBaseTransport | None = None,
    retry_unit_seconds: float = 600,
    timeout: float = TIMEOUT,  # noqa: ASYNC109 - of Stamped.io's calls
    beside: Room | None = None,
) -> AsyncIterator[Room]:
    """An engine on this SQLite file, which may have been another one's. `beside`: as a replica of that one.

    `consent`: the custom field `Consent` is mapped. `ipaas`: where records are loaded from.
    """
    stamped = stamped or (beside.stamped if beside else SlowStamped())
    account = StampedAccount("http://stamped.test", "pubkey-1", "key-1", STORE, timeout_seconds=timeout)
    connection = connection_over(
        stamped,
        account,
        ipaas=ipaas,
        consent="Consent" if consent else None,
        stamped_concurrent_connections=2 * BACKGROUND,
    )
    connections = Connections(connection.settings, connection.redactor, lambda *_: connection)
    database = beside.database if beside else WatchedDatabase(path)
    clock = clock or (beside.clock if beside else JumpingClock())
    engine = Engine(
        connections,
        database,
        clock,
        wait_seconds=wait_seconds,
        retention_days=30,
        retry_unit_seconds=retry_unit_seconds,
    )
    operations = Operations(engine, database)
    opened = Room(engine, database, stamped, clock, operations, connection, timeout)
    engine.start()
    await opened.still()
    assert engine.taking
    if beside is not None:
        await opened.beat()  # SQLite's first act is to forget all others
    try:
        yield opened
    finally:
        database.away = False
        for caller in opened.callers:
            caller.cancel()
        await asyncio.gather(*opened.callers, return_exceptions=True)
        await engine.drain(0)
        await connections.aclose()
        if beside is None:
            await database.aclose()
