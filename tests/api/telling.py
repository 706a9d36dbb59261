"""A teller sends requests to a bridge of its own, and writes down what was answered."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.support import (
    OPERATOR_KEY,
    RECORD,
    VIEWER_KEY,
    WEBHOOK,
    WEBHOOK_KEY,
    ZEROS,
    FakeClock,
    Wire,
    customer,
    envelope,
    make_settings,
    notification,
    open_bridge,
    sent,
)

_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_SHOWN = 160


_CALLS_LEFT = re.compile(r'"calls_left":\d+')  # what was used is told a little later


class Teller:
    """Sends requests and writes down what was answered."""

    def __init__(self, client: httpx.AsyncClient, wire: Wire, clock: FakeClock) -> None:
        self.wire = wire
        self.clock = clock
        self.told: list[str] = []
        self._client = client
        self._given: set[str] = set()
        self._names: dict[str, str] = {}

    async def hook(self, body: Any = None, key: str = WEBHOOK_KEY, **more: Any) -> httpx.Response:
        return await self.call("POST", WEBHOOK, body, key, **more)

    async def get(self, path: str, **more: Any) -> httpx.Response:
        return await self.call("GET", path, **more)

    async def post(self, path: str, body: Any = None, **more: Any) -> httpx.Response:
        return await self.call("POST", path, body, **more)

    async def call(
        self, method: str, path: str, body: Any = None, key: str | None = OPERATOR_KEY, **headers: str
    ) -> httpx.Response:
        """`body` as JSON unless it is bytes; a `key` with a space is the whole header."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        content = {} if body is None else {"content": body} if isinstance(body, bytes) else {"json": body}
        request = self._client.build_request(method, path, headers=named, **content)
        del request.headers["Authorization"]
        if key is not None:
            request.headers["Authorization"] = key if " " in key else f"Bearer {key}"
        asked = _UUID.findall(f"{path} {named} {request.content!r}".lower())
        self._given.update(each for each in asked if each not in self._names)
        answer = await self._client.send(request)
        parts = [f"{method} {path}", *(f"{name}: {value}" for name, value in named.items())]
        text = request.content[: _SHOWN + 1].decode(errors="replace").encode("unicode_escape").decode()
        parts += [text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"] if text else []
        self.told.append(self._named(" | ".join(parts)) + "\n" + self._shown(answer))
        return answer

    async def until(self, path: str, **wanted: Any) -> None:
        """Wait for it; none of this is written down."""
        headers = {"Authorization": f"Bearer {VIEWER_KEY}"}  # whose looking leaves no trail
        async with asyncio.timeout(10):
            while True:
                found = await self._client.get(path, headers=headers)
                if found.is_success and all(found.json()[name] == value for name, value in wanted.items()):
                    return
                await asyncio.sleep(0.002)

    async def ready(self) -> None:
        """`GET /readyz`, after all that ran has ended."""
        async with asyncio.timeout(10):
            while (await self._client.get("/readyz")).json()["checks"][0]["running"]:  # noqa: ASYNC110 - over HTTP only
                await asyncio.sleep(0.002)
        await self.get("/readyz", key=None)

    def _shown(self, answer: httpx.Response) -> str:
        text = answer.content.decode()
        body = self._named(text)
        lines = [str(answer.status_code)]
        for name, value in sorted((name.decode(), value.decode()) for name, value in answer.headers.raw):
            if name == "content-length" and value == str(len(answer.content)) and body != text:
                lines.append(f"{name}: <n>")
            elif name != "date":
                lines.append(f"{name}: {self._named(value)}")
        return "\n".join([*lines, "", body])

    def _named(self, text: str) -> str:
        """Ids that the product made up at random, by number; what is derived from a text (version 5) stays."""

        def name(found: re.Match[str]) -> str:
            made = found[0]
            if made in self._given or made[14] == "5" or made == ZEROS:
                return made
            return self._names.setdefault(made, f"<id {len(self._names) + 1}>")

        return _CALLS_LEFT.sub('"calls_left":<n>', _UUID.sub(name, text))


Play = Callable[[Teller], Awaitable[None]]


@dataclass(frozen=True)
class Scene:
    """One bridge, from its start to its end, and what is asked of it."""

    name: str
    play: Play
    settings: dict[str, Any]
    started: bool

    async def answers(self, directory: Path) -> str:
        """All that was told, with a database in this directory."""
        wire, clock = Wire(add=own_id), FakeClock()
        settings = make_settings(directory, log_level="ERROR", viewer_api_key=VIEWER_KEY, **self.settings)
        async with open_bridge(settings, wire, clock, started=self.started) as client:
            teller = Teller(client, wire, clock)
            await self.play(teller)
        return "\n\n".join(teller.told)


SCENES: list[Scene] = []


def scene(*, started: bool = True, **settings: Any) -> Callable[[Play], Play]:
    """Makes a scene of a function, with these settings."""

    def add(play: Play) -> Play:
        name = play.__name__.replace("_", " ")
        SCENES.append(Scene(name, play, settings, started))
        return play

    return add


def guid(number: int) -> str:
    return f"3c90c3cc-0d44-4b50-8888-{number:012}"


def person(number: int, **fields: Any) -> dict[str, Any]:
    record = RECORD | {"id": number, "email_address": f"person{number}@example.com"}
    return notification(**({"id": str(number), "tracking_guid": guid(number), "customer": record} | fields))


def change(number: int, **fields: Any) -> dict[str, Any]:
    """One more change of the usual customer."""
    return envelope(notification(tracking_guid=guid(number), **fields))


def own_id(request: httpx.Request) -> httpx.Response:
    """Everybody has a customer of their own at Stamped.io."""
    email = sent(request)["email"]
    number = re.sub(r"\D", "", email)
    return httpx.Response(200, json=customer(int(f"9{number}") if number else 143491, email))
