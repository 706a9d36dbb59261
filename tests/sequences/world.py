"""The product over HTTP between two scripted worlds, and short names for what happens to one customer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from http import HTTPStatus
from typing import Any
from uuid import uuid4

import httpx

from app.settings import Settings
from tests.support import IPAAS, OPERATOR_KEY, WEBHOOK, FakeClock, open_bridge, operation_of, sent

ASYNC = {"Prefer": "respond-async"}
TIMEOUT = 15.0
STEP = TIMEOUT / 1.5  # so that time never jumps over the moment at which something is to happen
RETRY_UNIT = 3.0
_OPEN = ("accepted", "waiting", "running")
_OPERATOR = {"Authorization": f"Bearer {OPERATOR_KEY}"}


@dataclass
class Customer:
    """As Stamped.io has it."""

    id: int
    email: str
    fields: dict[str, Any]
    subscribed: bool = False

    @property
    def version(self) -> str:
        return str(self.fields.get("firstName"))


class StampedStandIn:
    """Customers by e-mail. `down`: answers 503. `script` holds reactions to the next calls of an operation."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self.customers: list[Customer] = []
        self.calls: list[tuple[str, str | None]] = []
        self.at: list[float] = []
        self.down = False
        self.script: dict[str, list[str]] = {}
        self.gone: set[int] = set()
        self.late: list[Callable[[], object]] = []
        """Calls that had no answer and have not taken effect yet."""
        self.witness: Callable[[Customer], None] = lambda _customer: None
        """Sees who is about to be subscribed."""

    def on(self, operation: str, *reactions: str) -> None:
        """`500`, `422` …; `lost`: it takes effect, then the connection breaks.

        `late`: no answer, and it takes effect when the test says so; `timeout`: the same, as a time-out.
        """
        self.script.setdefault(operation, []).extend(reactions)

    def happen(self) -> None:
        """The calls that had no answer take effect now."""
        while self.late:
            self.late.pop(0)()

    def find(self, email: str) -> Customer | None:
        return next((each for each in self.customers if each.email == email and each.id not in self.gone), None)

    def named(self, number: str) -> Customer:
        """The only one with this external ID."""
        (found,) = (each for each in self.customers if each.fields.get("externalId") == number)
        return found

    async def answer(self, request: httpx.Request) -> httpx.Response:
        operation = operation_of(request)
        body = sent(request) or {}
        self.calls.append((operation, body.get("email") or request.url.params.get("search")))
        self.at.append(self._clock.monotonic())
        if self.down:
            return httpx.Response(503, json={"message": "Down for maintenance."})
        queue = self.script.get(operation, [])
        reaction = queue.pop(0) if queue else "ok"
        if reaction.isdecimal():
            return httpx.Response(int(reaction), json={"message": f"Told to answer {reaction}."})
        if reaction in {"late", "timeout"}:
            self.late.append(lambda: self._do(operation, request, body, again=True))
        else:
            response = self._do(operation, request, body)
        if reaction in {"lost", "late"}:
            message = "the connection broke"
            raise httpx.ReadError(message)
        if reaction == "timeout":
            raise httpx.ReadTimeout(reaction)
        return response

    def _do(
        self, operation: str, request: httpx.Request, body: dict[str, Any], *, again: bool = False
    ) -> httpx.Response:
        last = request.url.path.rsplit("/", 1)[-1]
        found: Customer | None
        match operation:
            case "search":
                wanted = request.url.params["search"]
                found_there = [each for each in self.customers if each.id not in self.gone]
                results = [self._shown(each) for each in found_there if wanted in each.email]
                return httpx.Response(200, json={"results": results})
            case "subscribe" | "unsubscribe":
                found = self.find(body["email"])
                if found is not None and operation == "subscribe" and not again:
                    self.witness(found)
                if found is not None:
                    found.subscribed = operation == "subscribe"
            case "add":
                found = self.find(body["email"])
                if found is None:
                    found = Customer(143491 + len(self.customers), body["email"], {})
                    self.customers.append(found)
                found.fields |= body
            case _:
                found = next((each for each in self.customers if str(each.id) == last), None)
                found = None if found is not None and found.id in self.gone else found
                if found is not None and operation == "update":
                    other = self.find(body["email"])
                    if other is not None and other is not found:
                        return httpx.Response(422, json={"message": "Another customer has this email."})
                    found.email = body["email"]
                    found.fields |= body
        if found is None:
            return httpx.Response(404, json={"message": "Customer not found."})
        return httpx.Response(200, json=self._shown(found))

    @staticmethod
    def _shown(customer: Customer) -> dict[str, Any]:
        return customer.fields | {"id": customer.id, "email": customer.email, "isSubscribed": customer.subscribed}


class IpaasStandIn:
    """Records by customer id; `status` other than 200: it answers that instead."""

    def __init__(self) -> None:
        self.records: dict[str, dict[str, Any]] = {}
        self.status = 200
        self.asked = 0
        """How often it was, for a record."""
        self.handing_out: Callable[[dict[str, Any]], dict[str, Any]] = lambda record: record
        """Sees each record that is handed out, and may hand out another one."""

    def answer(self, request: httpx.Request) -> httpx.Response:
        if operation_of(request) == "lookup":
            return httpx.Response(404, json={"message": "NFND-1: no link"})
        if operation_of(request) == "write_back":
            return httpx.Response(200, json={})
        self.asked += 1
        if self.status != HTTPStatus.OK:
            code = "AUTH-1" if self.status == HTTPStatus.UNAUTHORIZED else "INTL-1"
            return httpx.Response(self.status, json={"message": f"{code}: away"})
        record = self.records.get(request.url.path.rsplit("/", 1)[-1])
        if record is None:
            return httpx.Response(404, json={"message": "NFND-1"})
        return httpx.Response(200, json=self.handing_out(record))

    async def was_asked_since(self, asked: int) -> bool:
        """For a record, since it had been that often."""
        return self.asked > asked


def record(
    minute: int | None = None,
    consent: str | None = None,
    *,
    customer: str = "1",
    email: str | None = None,
    version: str | None = None,
    links: tuple[str, ...] = (),
) -> dict[str, Any]:
    """`consent` None: the field is absent."""
    found: dict[str, Any] = {
        "id": customer,
        "customer_number": f"C-{customer}",
        "first_name": version or f"T{minute} {consent}",
        "email_address": email or f"person{customer}@example.com",
        "custom_fields": [] if consent is None else [{"custom_field_name": "Consent", "value": consent}],
        "external_ids": [{"system_id": "1796", "external_id": each} for each in links],
    }
    if minute is not None:
        found["updated_datetime"] = f"2026-11-24T10:{minute:02}:00Z"
    return found


@dataclass
class World:
    """One bridge, and what its callers and operators do."""

    client: httpx.AsyncClient
    clock: FakeClock
    stamped: StampedStandIn
    ipaas: IpaasStandIn
    told: list[httpx.Response] = field(default_factory=list)

    async def tell(
        self,
        sends: dict[str, Any] | None,
        *,
        promised: bool = False,
        guid: str | None = None,
        customer: str = "1",
    ) -> httpx.Response:
        """A notification; `sends` None: without its record. `promised`: its caller does not wait."""
        customer = customer if sends is None else str(sends["id"])
        notification: dict[str, Any] = {
            "id": customer,
            "destination": "1796",
            "scope": "customer/updated",
            "tracking_guid": guid or str(uuid4()),
        }
        if sends is not None:
            notification["customer"] = sends
        body = {"notifications": [notification]}
        answer = await self.client.post(WEBHOOK, json=body, headers=ASYNC if promised else {})
        self.told.append(answer)
        return answer

    async def promise(self, sends: dict[str, Any] | None, **more: Any) -> str:
        """The address of a transfer that has been tried once and waits."""
        answer = await self.tell(sends, promised=True, **more)
        assert answer.status_code == HTTPStatus.ACCEPTED, answer.text
        where: str = answer.headers["Location"]
        await self.until(lambda: self.is_at_rest(where))
        return where

    async def operate(self, method: str, path: str, **more: Any) -> httpx.Response:
        return await self.client.request(method, path, headers=_OPERATOR, **more)

    async def show(self, where: str) -> dict[str, Any]:
        found: dict[str, Any] = (await self.operate("GET", where)).raise_for_status().json()
        return found

    async def transfers(self, **query: Any) -> list[dict[str, Any]]:
        found = (await self.operate("GET", "/transfers", params=query)).raise_for_status().json()["items"]
        return list(found)

    async def sync(self, *customers: str) -> str:
        """The address of a sync all of whose items are entered."""
        answer = await self.operate("POST", "/syncs", json={"customer_ids": list(customers)})
        where: str = answer.raise_for_status().headers["Location"]
        sync_id = where.rsplit("/", 1)[-1]

        async def entered() -> bool:
            return len(await self.transfers(sync_id=sync_id)) == len(customers)

        await self.until(entered)
        return where

    async def cancel(self, where: str) -> None:
        (await self.operate("POST", f"{where}/cancel")).raise_for_status()

    async def is_at_rest(self, where: str) -> bool:
        return self._waits_for_time(await self.show(where))

    async def at_rest(self) -> bool:
        """Nothing is under way, or is about to be, until time passes."""
        open_now = [each for status in ("accepted", "running") for each in await self.transfers(status=status)]
        return all(map(self._waits_for_time, open_now))

    def _waits_for_time(self, shown: dict[str, Any]) -> bool:
        """It has ended, or its next try, or the end of a pause, is still to come."""
        if shown["status"] not in {"accepted", "running"}:
            return True
        until = shown["next_attempt_at"]
        return until is not None and datetime.fromisoformat(until) > self.clock.now()

    async def all_ended(self) -> bool:
        """Nothing is left to do, however much time passes."""
        return not [each for status in _OPEN for each in await self.transfers(status=status)]

    async def until(self, holds: Callable[[], Awaitable[bool]]) -> None:
        async with asyncio.timeout(10):
            while not await holds():  # noqa: ASYNC110 - over HTTP only
                await asyncio.sleep(0.001)

    async def sleep(self, seconds: float) -> None:
        """As a machine that stood still: time jumps, then the service finds its feet again."""
        self.clock.advance(seconds)

        async def is_ready() -> bool:
            self.clock.advance(0.1)  # a heartbeat that was under way when time jumped has the next one to wait for
            return (await self.client.get("/readyz")).status_code == HTTPStatus.OK

        await self.until(is_ready)

    async def pass_time(self, seconds: float) -> None:
        """Step by step, with everything that becomes due done before the next step."""
        end = self.clock.monotonic() + seconds
        while self.clock.monotonic() < end:
            self.clock.advance(min(STEP, end - self.clock.monotonic()))
            await asyncio.sleep(0.02)  # the dispatcher's look, made short by the fixture
            await self.until(self.at_rest)

    async def up(self) -> None:
        """Stamped.io answers again, and all the time passes that anything waits for."""
        self.stamped.down = False
        await self.until(self.at_rest)
        for _ in range(40):
            if await self.all_ended():
                break
            await self.pass_time(20 * RETRY_UNIT)
        await self.pass_time(5 * TIMEOUT)
        await self.until(self.all_ended)  # what became due last may only now be taken, on a busy machine


@asynccontextmanager
async def open_world(
    settings: Callable[..., Settings], clock: FakeClock, *, ipaas: bool = False
) -> AsyncIterator[World]:
    stamped, hub = StampedStandIn(clock), IpaasStandIn()

    async def answer(request: httpx.Request) -> httpx.Response:
        return hub.answer(request) if "ipaas" in request.url.host else await stamped.answer(request)

    more: dict[str, Any] = IPAAS if ipaas else {}
    chosen = settings(
        subscription_field="Consent",
        retry_unit_seconds=RETRY_UNIT,
        stamped_timeout_seconds=TIMEOUT,
        **more,
    )
    async with open_bridge(chosen, httpx.MockTransport(answer), clock) as client:
        yield World(client, clock, stamped, hub)
