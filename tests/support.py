"""The fakes of all tests: time, the network to Stamped.io and iPaaS.com, and the bridge itself."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx

from app.attempt import NOTHING_DUE, Change, Failure, Link, Progress, TransferFailed
from app.attempt import Consent as DueConsent
from app.clock import Clock
from app.connections import Connection
from app.ipaas.client import IpaasAccount, IpaasClient
from app.ipaas.models import CustomerRecord, read_record
from app.keys import Key, Keyring, Who, digests_of, read_key
from app.ledger.database import Database
from app.ledger.database_url import read_url
from app.ledger.trail import By
from app.main import create_app
from app.mapping import BUILT_IN, load_mapping
from app.outbound.tries import Tries
from app.settings import Settings
from app.stamped.client import StampedAccount, StampedClient
from app.telemetry.redaction import Redactor
from app.transfer import Transfer, load_record

PUBLIC_KEY = "pubkey-Zq4vT1"
PRIVATE_KEY = "key-Wm8rX2"
STORE = "270392"
SCOPE = f"default@{STORE}"
WEBHOOK_KEY = "hook-Lk3sN5-Vb7qD1"
OPERATOR_KEY = "oper-Ht9dB7-Xc2wK8"
VIEWER_KEY = "view-Rd2mC5-Jp6zG4"
IPAAS_TOKEN = "tok-Pc6gJ4"
STAMPED_URL = "https://stamped.test"
IPAAS_URL = "https://ipaas.test/customers"
WEBHOOK = "/webhooks/customers"
GUID = "3c90c3cc-0d44-4b50-8888-8dd25736052a"
ZEROS = "00000000-0000-0000-0000-000000000000"
IPAAS: dict[str, Any] = {"ipaas_api_url": IPAAS_URL, "ipaas_api_token": IPAAS_TOKEN}
RECORD: dict[str, Any] = {
    "id": 150713,
    "customer_number": "C-1001",
    "first_name": "Annabell",
    "last_name": "Quisling",
    "email_address": "annabell.quisling@example.com",
}
EMAIL: str = RECORD["email_address"]
STAMPED_ID = 143491
BY = By("ada", "203.0.113.7", "api")


def keyring(operator: str, viewer: str = VIEWER_KEY, webhook: str = WEBHOOK_KEY) -> Keyring:
    """With one key for each door."""
    people = [read_key("operator", operator), read_key("viewer", viewer)]
    hooks = digests_of([Key(Who("webhook", "default"), webhook)])
    return Keyring(people, lambda: hooks)


class FakeClock(Clock):
    """Time that moves only when told; `slept` holds every pause between tries.

    Such a pause passes at once. Whoever else sleeps, a loop in the background, wakes when `advance` gets there.
    """

    slept: list[float]
    _seconds: list[float]
    _asleep: list[tuple[float, asyncio.Future[None]]]

    def __init__(self, chance: float = 0.5) -> None:
        for name, value in (("slept", []), ("_seconds", [1000.0]), ("_asleep", [])):
            object.__setattr__(self, name, value)
        super().__init__(
            monotonic=lambda: self._seconds[0],
            now=lambda: datetime(2026, 11, 24, 10, tzinfo=UTC) + timedelta(seconds=self._seconds[0] - 1000),
            sleep=self._sleep,
            random=lambda: chance,
        )

    def advance(self, seconds: float) -> None:
        self._seconds[0] += seconds
        awake = [each for each in self._asleep if each[0] <= self._seconds[0]]
        self._asleep[:] = [each for each in self._asleep if each[0] > self._seconds[0]]
        for _, future in awake:
            if not future.done():
                future.set_result(None)

    def _sleep(self, seconds: float) -> Awaitable[None]:
        if sys._getframe(1).f_globals["__name__"] == "app.outbound.tries":
            self.slept.append(seconds)
            self.advance(seconds)
            return asyncio.sleep(0)
        future = asyncio.get_running_loop().create_future()
        self._asleep.append((self._seconds[0] + seconds, future))
        return future


Answer = Callable[[httpx.Request], httpx.Response | Awaitable[httpx.Response]]


def reply(
    status: int = 200, body: Any = None, *, text: str | None = None, headers: dict[str, str] | None = None
) -> Answer:
    """An answer with `body` as JSON, or with `text` as it is."""

    def answer(_request: httpx.Request) -> httpx.Response:
        content = json.dumps(body) if text is None else text
        return httpx.Response(status, text=content, headers=headers)

    return answer


def raising(error: Exception) -> Answer:
    """No answer: the transport raises."""

    def answer(_request: httpx.Request) -> httpx.Response:
        raise error

    return answer


async def never(_request: httpx.Request) -> httpx.Response:
    """No answer, however long one waits."""
    await asyncio.Event().wait()
    raise AssertionError


def customer(customer_id: Any = STAMPED_ID, email: str = EMAIL, **fields: Any) -> dict[str, Any]:
    """A customer as Stamped.io answers it."""
    return {"id": customer_id, "email": email, "isSubscribed": False} | fields


def sent(request: httpx.Request) -> Any:
    """The JSON that a request carried; None for an empty body."""
    return json.loads(request.content) if request.content else None


def operation_of(request: httpx.Request) -> str:
    """What a request to either system is for."""
    path = request.url.path
    if "/v2/Customer/" in path:
        return "load"
    if "/v2/External/" in path:
        return "lookup" if "LookupExternal" in path else "write_back"
    last = path.rsplit("/", 1)[-1]
    if last in {"add", "subscribe", "unsubscribe"}:
        return last
    if last == "customers":
        return "search"
    return "get" if request.method == "GET" else "update"


def _usual(request: httpx.Request) -> httpx.Response:
    """What a healthy system would say: nobody is linked, and nobody is subscribed."""
    match operation_of(request):
        case "add":
            body: Any = customer(email=sent(request)["email"])
        case "update":
            body = customer(int(request.url.path.rsplit("/", 1)[-1]), sent(request)["email"])
        case "get":
            body = customer(int(request.url.path.rsplit("/", 1)[-1]))
        case "search":
            body = {"results": []}
        case "load":
            body = RECORD
        case "lookup":
            return httpx.Response(404, json={"message": "NFND-1: no link"})
        case _:
            body = {}
    return httpx.Response(200, json=body)


class Wire(httpx.MockTransport):
    """Both foreign systems behind one transport; answers by operation, the last one repeats."""

    def __init__(self, **answers: Answer | Sequence[Answer]) -> None:
        super().__init__(self._handle)
        self.requests: list[httpx.Request] = []
        self._answers: dict[str, list[Answer]] = {}
        self.script(**answers)

    def script(self, **answers: Answer | Sequence[Answer]) -> None:
        """From now on answer these operations so."""
        for operation, given in answers.items():
            self._answers[operation] = [given] if callable(given) else list(given)

    @property
    def operations(self) -> list[str]:
        return [operation_of(request) for request in self.requests]

    def last(self, operation: str) -> httpx.Request:
        return next(each for each in reversed(self.requests) if operation_of(each) == operation)

    async def _handle(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        queue = self._answers.get(operation_of(request)) or [_usual]
        answer = (queue.pop(0) if len(queue) > 1 else queue[0])(request)
        return answer if isinstance(answer, httpx.Response) else await answer


def migrate(url: str) -> None:
    """Bring a database to the present schema. Not where a loop runs."""

    async def bring() -> None:
        database = Database(read_url(url))
        await database.migrate()
        await database.aclose()

    asyncio.run(bring())


def make_settings(directory: Path, **overrides: Any) -> Settings:
    """Settings that start the bridge, whatever the environment says."""
    values: dict[str, Any] = {
        "_env_file": None,
        "database_url": f"sqlite:///{directory}/bridge.db",
        "stamped_api_url": STAMPED_URL,
        "stamped_api_public_key": PUBLIC_KEY,
        "stamped_api_private_key": PRIVATE_KEY,
        "stamped_api_store_hash": STORE,
        "ipaas_webhook_api_key": WEBHOOK_KEY,
        "operator_api_key": OPERATOR_KEY,
    }
    return Settings(**(values | overrides))


@asynccontextmanager
async def open_bridge(
    settings: Settings,
    transport: httpx.AsyncBaseTransport,
    clock: Clock | None = None,
    *,
    started: bool = True,
) -> AsyncIterator[httpx.AsyncClient]:
    """The whole product over HTTP, with the webhook key set; `started` False leaves the lifespan out."""
    app = create_app(settings, clock=clock or FakeClock(), transport=transport)
    client = httpx.AsyncClient(
        transport=httpx.ASGITransport(app=app, raise_app_exceptions=False),
        base_url="http://bridge.test",
        headers={"Authorization": f"Bearer {WEBHOOK_KEY}"},
    )
    async with client:
        if not started:
            yield client
            return
        async with app.router.lifespan_context(app):
            async with asyncio.timeout(10):
                while (await client.get("/readyz")).status_code != HTTPStatus.OK:  # noqa: ASYNC110 - over HTTP only
                    await asyncio.sleep(0.001)  # the database is opened in the background
            yield client


def notification(**fields: Any) -> dict[str, Any]:
    """A notification that carries its record; a field given as `...` is left out."""
    usual: dict[str, Any] = {
        "id": "150713",
        "destination": "1796",
        "scope": "customer/updated",
        "tracking_guid": GUID,
        "customer": RECORD,
    }
    return {name: value for name, value in (usual | fields).items() if value is not ...}


def envelope(*notifications: dict[str, Any]) -> dict[str, Any]:
    """iPaaS.com's envelope, with one usual notification unless others are given."""
    return {"id": "7f2c1c1e", "attempt": 0, "notifications": list(notifications or [notification()])}


@dataclass
class FakeLinks:
    """Remembers one customer's link; `kept` has every id that was handed over, in order.

    `left`: what a call without an answer left; `others`: ids of other customers.
    """

    link: Link | None = None
    kept: list[str] = field(default_factory=list)
    left: str | None = None
    others: frozenset[str] = frozenset()

    async def known(self) -> Link | None:
        return self.link

    async def unseen(self) -> str | None:
        return self.left

    async def is_anothers(self, external_id: str) -> bool:
        return external_id in self.others

    async def remember(self, external_id: str) -> None:
        self.link = Link(external_id, written_back=False)
        self.kept.append(external_id)


@dataclass
class Ran:
    """How a transfer ended."""

    progress: Progress
    failure: Failure | None
    links: FakeLinks

    @property
    def failed(self) -> Failure:
        assert self.failure is not None, self.progress
        return self.failure

    @property
    def reason(self) -> str:
        return " ".join(self.progress.notes)


def make_connection(wire: Wire, *, ipaas: bool = False, consent: str | None = None) -> Connection:
    """A connection over the wire; `consent` is the name of the consent field."""
    account = StampedAccount(STAMPED_URL, PUBLIC_KEY, PRIVATE_KEY, STORE)
    return connection_over(wire, account, ipaas=wire if ipaas else None, consent=consent)


def connection_over(
    transport: httpx.AsyncBaseTransport,
    account: StampedAccount,
    *,
    ipaas: httpx.AsyncBaseTransport | None = None,
    consent: str | None = None,
    **settings: Any,
) -> Connection:
    """The one that is called `default`; `ipaas`: where records are loaded from."""
    redactor = Redactor()
    loads_from = IpaasAccount(IPAAS_URL, IPAAS_TOKEN)
    return Connection(
        id="default",
        name="default",
        scope=SCOPE,
        stamped=StampedClient(account, redactor, transport),
        ipaas=IpaasClient(loads_from, redactor, ipaas) if ipaas else None,
        mapping=load_mapping(BUILT_IN, subscription_field=consent),
        redactor=redactor,
        settings=make_settings(Path(), **settings),
        keys=(),
    )


async def transfer(
    wire: Wire,
    record: dict[str, Any] | None = RECORD,
    *,
    ipaas: bool = False,
    consent: str | None = None,
    links: FakeLinks | None = None,
    clock: FakeClock | None = None,
    due: DueConsent = NOTHING_DUE,
    verifies: bool = False,
) -> Ran:
    """Run the flow once; a record of None is loaded from iPaaS.com."""
    clock, links, progress = clock or FakeClock(), links or FakeLinks(), Progress()
    connection = make_connection(wire, ipaas=ipaas, consent=consent)
    change = Change("150713", GUID, "1796", read_record(record) if record is not None else None)
    tries = Tries(clock.monotonic() + 25, clock, progress.calls)
    try:
        loaded = await load_record(change, connection, tries)
        await Transfer(change, loaded, connection, links, tries, clock, progress, due, verifies=verifies).run()
    except TransferFailed as failed:
        return Ran(progress, failed.failure, links)
    finally:
        await connection.aclose()
    return Ran(progress, None, links)


def with_consent(value: Any, **fields: Any) -> dict[str, Any]:
    """The usual record with the custom field `Consent`; `...` leaves it out."""
    custom = [] if value is ... else [{"custom_field_name": "Consent", "value": value}]
    return RECORD | {"custom_fields": custom} | fields


def record_of(**fields: Any) -> CustomerRecord:
    """The usual record, read, with other fields; `...` leaves one out."""
    return read_record({name: value for name, value in (RECORD | fields).items() if value is not ...})
