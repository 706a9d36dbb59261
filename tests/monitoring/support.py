"""Pages over HTTP, without a browser."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from tests.conftest import BridgeFactory
from tests.support import OPERATOR_KEY, RECORD, WEBHOOK, FakeClock, Wire, envelope, notification, reply

PAGES = (
    "/monitoring",
    "/monitoring/transfers",
    "/monitoring/errors",
    "/monitoring/syncs",
    "/monitoring/rejections",
    "/monitoring/connections",
    "/monitoring/settings",
)
REFUSED = reply(401, {"message": "The API key you supplied is not valid."})
HTML = {"Accept": "text/html"}


class Pages:
    """Whoever sits in front of the browser; `webhook` is iPaaS.com."""

    def __init__(self, client: httpx.AsyncClient, wire: Wire) -> None:
        self.client = client
        self.wire = wire

    async def get(self, path: str, **headers: str) -> httpx.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.client.get(path, headers=HTML | named)

    async def sign_in(self, key: str = OPERATOR_KEY, **fields: str) -> httpx.Response:
        return await self.client.post("/login", data={"key": key} | fields, headers=HTML)

    async def token(self, path: str = "/monitoring/syncs") -> str:
        found = re.search(r'name="form_token" value="([^"]+)"', (await self.get(path)).text)
        assert found
        return found[1]

    async def post(self, path: str, _headers: dict[str, str] | None = None, **fields: str) -> httpx.Response:
        """A form of our own page."""
        data = {"form_token": await self.token()} | fields
        return await self.client.post(path, data=data, headers=HTML | (_headers or {}))

    async def webhook(self, **fields: Any) -> str:
        """Sends a customer; the path of its page."""
        return await self.webhooks(notification(**fields))

    async def webhooks(self, *notifications: dict[str, Any]) -> str:
        answer = await self.client.post(WEBHOOK, json=envelope(*notifications))
        body = answer.json()
        transfer = body["instance"] if "instance" in body else f"/transfers/{body['results'][0]['transfer_id']}"
        return f"/monitoring{transfer}"


def person(number: int, **fields: Any) -> dict[str, Any]:
    """A notification about another customer."""
    record = RECORD | {"id": number, "email_address": f"person{number}@example.com"}
    guid = f"3c90c3cc-0d44-4b50-8888-{number:012}"
    return notification(id=str(number), tracking_guid=guid, customer=record) | fields


@asynccontextmanager
async def open_pages(
    bridge: BridgeFactory, wire: Wire | None = None, *, clock: FakeClock | None = None, **overrides: Any
) -> AsyncIterator[Pages]:
    """Nobody is signed in yet."""
    wire = wire or Wire()
    async with bridge(wire, clock=clock, **overrides) as client:
        yield Pages(client, wire)


@asynccontextmanager
async def signed_in(
    bridge: BridgeFactory, wire: Wire | None = None, *, clock: FakeClock | None = None, **overrides: Any
) -> AsyncIterator[Pages]:
    """With the operator's session."""
    async with open_pages(bridge, wire, clock=clock, **overrides) as pages:
        assert (await pages.sign_in()).status_code == 303
        yield pages


def text_of(html: str) -> str:
    """What is read, white space as one blank."""
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())
