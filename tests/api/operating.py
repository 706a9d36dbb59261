"""An operator, and what operators and callers meet."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

import httpx

from tests.support import (
    OPERATOR_KEY,
    RECORD,
    WEBHOOK,
    customer,
    envelope,
    notification,
    reply,
    sent,
    with_consent,
)

ASYNC = {"Prefer": "respond-async"}
OPERATOR = {"Authorization": f"Bearer {OPERATOR_KEY}"}
AWAY = reply(302, {"message": "Something went wrong."})  # it may pass, and is no outage
REFUSED = reply(422, {"message": "Email is not valid."})
SYNC = "/customers/150713/sync"


class Operator:
    """Calls with the operator's key, or another; every answer must say that nobody may keep it."""

    def __init__(self, client: httpx.AsyncClient, key: str = OPERATOR_KEY) -> None:
        self._client = client
        self._headers = {"Authorization": f"Bearer {key}"}

    async def call(self, method: str, path: str, **more: Any) -> httpx.Response:
        answer = await self._client.request(method, path, headers=self._headers | more.pop("headers", {}), **more)
        assert answer.headers["Cache-Control"] == "no-store"
        return answer

    async def get(self, path: str, **query: Any) -> Any:
        answer = await self.call("GET", path, params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def post(self, path: str, body: Any = None, **headers: str) -> httpx.Response:
        return await self.call("POST", path, **({} if body is None else {"json": body}), headers=headers)

    async def until(self, path: str, **wanted: Any) -> Any:
        """What is there, as soon as it says so."""
        async with asyncio.timeout(10):
            while True:
                found = await self.get(path)
                if all(found[name] == value for name, value in wanted.items()):
                    return found
                await asyncio.sleep(0.002)  # the engine works in the background


def person(number: int, **fields: Any) -> dict[str, Any]:
    record = RECORD | {"id": number, "email_address": f"person{number}@example.com"} | fields
    return notification(id=str(number), tracking_guid=str(uuid4()), customer=record)


def consenting(word: str, minute: int) -> dict[str, Any]:
    """A change of the usual customer's consent, made in this minute."""
    record = with_consent(word, updated_datetime=f"2026-11-24T10:{minute:02}:00Z")
    return envelope(notification(tracking_guid=str(uuid4()), customer=record))


async def failed(client: httpx.AsyncClient, *numbers: int) -> list[str]:
    """Transfers that failed, oldest first."""
    found = []
    for number in numbers or (1,):
        answer = await client.post(WEBHOOK, json=envelope(person(number)))
        assert answer.status_code in {422, 502}
        found.append(answer.json()["instance"].removeprefix("/transfers/"))
    return found


class Gate:
    """Stamped.io does not answer before it is opened."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self.opened = asyncio.Event()

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        self.reached.set()
        await self.opened.wait()
        body = sent(request)
        return httpx.Response(200, json=customer(email=body["email"]) if body else RECORD)
