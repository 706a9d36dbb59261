"""Real processes and what callers do with them. Deadlines are bounds, never pauses."""

from __future__ import annotations

import asyncio
import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx

from app.sandbox import SANDBOX_PRIVATE_KEY, SANDBOX_PUBLIC_KEY, SANDBOX_STORE_HASH
from tests.support import IPAAS_TOKEN, OPERATOR_KEY, WEBHOOK, WEBHOOK_KEY

ROOT = Path(__file__).parents[2]
ASYNC = {"Prefer": "respond-async"}
# so short that a test of what takes half a minute in the product ends; their proportions are the product's
SHORT: dict[str, Any] = {
    "heartbeat": 0.25,
    "dead_after": 3.0,
    "fence": 2.0,
    "look": 0.25,
    "entry_look": 0.5,
    "probe": 0.5,
    "leaving": 0.1,
}
OPEN = ("accepted", "running", "waiting")
_LONGEST_SECONDS = 20.0
_POLL_SECONDS = 0.01


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


async def until(holds: Callable[[], Awaitable[Any]], what: str, seconds: float = _LONGEST_SECONDS) -> Any:
    """Polls another process until what it says is true; what that was."""
    try:
        async with asyncio.timeout(seconds):
            while not (found := await holds()):  # noqa: ASYNC110 - another process tells nobody
                await asyncio.sleep(_POLL_SECONDS)
    except TimeoutError:
        message = f"not within {seconds:g} s: {what}"
        raise AssertionError(message) from None
    return found


class Process:
    """One process that this test started."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._descriptor = os.pidfd_open(pid)

    def send(self, number: signal.Signals) -> None:
        if not self.has_ended():
            signal.pidfd_send_signal(self._descriptor, number)

    def has_ended(self, seconds: float = 0) -> bool:
        return bool(select.select([self._descriptor], [], [], seconds)[0])

    def kill(self) -> None:
        """`kill -9`, and it is gone."""
        self.send(signal.SIGKILL)
        assert self.has_ended(_LONGEST_SECONDS)

    def is_stopped(self) -> bool:
        """By SIGSTOP."""
        return Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"

    async def end(self, seconds: float = _LONGEST_SECONDS) -> None:
        assert await asyncio.to_thread(self.has_ended, seconds), "the process goes on"


class Nursery:
    """Starts processes (see `nursery.py`) and ends all of them."""

    def __init__(self) -> None:
        self._mother = subprocess.Popen(
            [sys.executable, "-m", "tests.durable.nursery"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._children: list[Process] = []
        assert self._answer() == "ready"

    def start(
        self, what: str, port: int, log: Path, environment: dict[str, str] | None = None, **options: Any
    ) -> Process:
        order = {"what": what, "port": port, "log": str(log), "environment": environment or {}, "options": options}
        assert self._mother.stdin is not None
        self._mother.stdin.write(json.dumps(order) + "\n")
        self._mother.stdin.flush()
        child = Process(int(self._answer()))
        self._children.append(child)
        return child

    def close(self) -> None:
        for child in self._children:
            child.kill()
        self._mother.communicate(timeout=_LONGEST_SECONDS)

    def _answer(self) -> str:
        assert self._mother.stdout is not None
        return self._mother.stdout.readline().strip()


@dataclass
class StandIn:
    """The Stamped.io stand-in, alone, so that its memory outlives the bridges; iPaaS.com's is beside it."""

    url: str

    def __post_init__(self) -> None:
        self.client = httpx.AsyncClient(base_url=self.url, timeout=_LONGEST_SECONDS)

    @property
    def ipaas(self) -> dict[str, Any]:
        """The settings of a bridge that fetches its records here."""
        return {"IPAAS_API_URL": f"{self.url}/customers", "IPAAS_API_TOKEN": IPAAS_TOKEN}

    async def customers(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = await self._get("/_sandbox/customers")
        return found

    async def seen(self) -> dict[str, Any]:
        """`calls` so far; `written`: customer and first name, in order; `overlaps`: customers that two writes
        were about at the same time."""
        found: dict[str, Any] = await self._get("/_witness")
        return found

    async def answers_after(self, seconds: float, *, permille: int = 0, late: float = 0) -> None:
        """From now on; so many of a thousand calls fail, some of them have their effect when `late` is over."""
        behaves = {"milliseconds": seconds * 1000, "permille": permille, "late_milliseconds": late * 1000}
        await self._put("/_witness", params={name: round(value) for name, value in behaves.items()})

    async def fails(self, **fault: Any) -> None:
        (await self.client.post("/_sandbox/faults", json=fault)).raise_for_status()

    async def throttles(self, limit: int, seconds: float) -> None:
        """From now on it answers 429 to what is more, and counts."""
        await self._put("/_sandbox/throttle", json={"limit": limit, "seconds": seconds})

    async def throttle(self) -> dict[str, Any]:
        """`most`: how many calls it has seen in one window; `refused`: how often there were too many."""
        found: dict[str, Any] = await self._get("/_sandbox/throttle")
        return found

    async def holds_record(self, customer_id: str, record: dict[str, Any]) -> None:
        """At iPaaS.com."""
        await self._put(f"/_records/{customer_id}", json=record)

    async def fails_each(self, every: int) -> None:
        """Each so many-th load of a record at iPaaS.com; 0 = none."""
        await self._put("/_records", params={"every": every})

    async def _put(self, path: str, **more: Any) -> None:
        (await self.client.put(path, **more)).raise_for_status()

    async def _get(self, path: str) -> Any:
        return (await self.client.get(path)).raise_for_status().json()


async def open_stand_in(nursery: Nursery, log: Path, delay_seconds: float = 0.02, **options: Any) -> StandIn:
    port = free_port()
    process = nursery.start("stand_in", port, log, delay_seconds=delay_seconds, **options)
    opened = StandIn(f"http://127.0.0.1:{port}")

    async def answers() -> bool:
        assert not process.has_ended(), f"see {log}"
        try:
            return await opened.customers() == []
        except httpx.TransportError:
            return False

    await until(answers, "the stand-in answers")
    return opened


@dataclass
class Bridge:
    """One replica that can die and come back on the same port."""

    nursery: Nursery
    log: Path
    environment: dict[str, str]
    options: dict[str, Any]
    port: int = field(default_factory=free_port)
    process: Process | None = None
    ready: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.client = httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{self.port}",
            headers={"Authorization": f"Bearer {WEBHOOK_KEY}"},
            timeout=_LONGEST_SECONDS,
        )

    def start(self) -> None:
        self.process = self.nursery.start("bridge", self.port, self.log, self.environment, **self.options)

    def kill(self) -> None:
        assert self.process is not None
        self.ready.clear()
        self.process.kill()

    async def is_ready(self) -> bool:
        return await self.readyz() == HTTPStatus.OK

    async def readyz(self) -> int | None:
        try:
            return (await self.client.get("/readyz")).status_code
        except httpx.TransportError:
            return None

    async def wait_ready(self) -> None:
        await until(self.is_ready, f"{self.port} is ready; its log:\n{self.log_text()[-4000:]}")
        self.ready.set()

    def log_text(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    async def post(self, *notifications: dict[str, Any], **headers: str) -> httpx.Response:
        return await self.client.post(WEBHOOK, json={"notifications": list(notifications)}, headers=headers)

    async def operate(self, method: str, path: str, **more: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {OPERATOR_KEY}"} | more.pop("headers", {})
        return await self.client.request(method, path, headers=headers, **more)

    async def transfers(self, **query: Any) -> AsyncIterator[dict[str, Any]]:
        """All of them, page by page."""
        cursor: str | None = None
        while True:
            page = {"limit": 200} | query | ({"cursor": cursor} if cursor else {})
            found = (await self.operate("GET", "/transfers", params=page)).raise_for_status().json()
            for each in found["items"]:
                yield each
            cursor = found["next"]
            if cursor is None:
                return

    async def all_ended(self) -> bool:
        for status in OPEN:
            async for _ in self.transfers(status=status, limit=1):
                return False
        # one that was taken over between these looks has been in none of them; what has ended stays so
        return {each["status"] async for each in self.transfers()}.isdisjoint(OPEN)


def environment_of(database_url: str, stamped_url: str, **more: str) -> dict[str, str]:
    return {
        "DATABASE_URL": database_url,
        "STAMPED_API_URL": stamped_url,
        "STAMPED_API_PUBLIC_KEY": SANDBOX_PUBLIC_KEY,
        "STAMPED_API_PRIVATE_KEY": SANDBOX_PRIVATE_KEY,
        "STAMPED_API_STORE_HASH": SANDBOX_STORE_HASH,
        "STAMPED_API_THROTTLE_LIMIT": "1000000",
        "IPAAS_WEBHOOK_API_KEY": WEBHOOK_KEY,
        "OPERATOR_API_KEY": OPERATOR_KEY,
        **more,
    }
