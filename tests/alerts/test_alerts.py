"""Alerts arrive, once, without anybody in them, and are in nobody's way."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest

from app.alert_urls import Target, read_targets
from app.alerts.sending import Sender
from tests.conftest import BridgeFactory
from tests.support import EMAIL, OPERATOR_KEY, VIEWER_KEY, WEBHOOK, FakeClock, Wire, envelope, notification, reply

OPERATOR = {"Authorization": f"Bearer {OPERATOR_KEY}"}
WORD = "its-secret-path"


@dataclass
class Hook:
    """A target of alerts; `got` has what arrived; `answer`: MiB, of which so many are `written`."""

    url: str = ""
    status: int = 200
    answer: int = 0
    written: int = 0
    got: list[dict[str, str]] = field(default_factory=list)
    arrived: threading.Event = field(default_factory=threading.Event)

    async def next(self) -> str:
        assert await asyncio.to_thread(self.arrived.wait, 10)
        self.arrived.clear()
        return f"{self.got[-1]['title']} | {self.got[-1]['message']}"


@contextmanager
def target() -> Iterator[Hook]:
    hook = Hook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            hook.got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(hook.status)
            self.end_headers()
            with suppress(ConnectionError):
                for _ in range(hook.answer):
                    self.wfile.write(b"x" * 1024 * 1024)
                    hook.written += 1
            hook.arrived.set()

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    hook.url = f"json://127.0.0.1:{server.server_port}/{WORD}"
    try:
        yield hook
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def hook() -> Iterator[Hook]:
    with target() as found:
        yield found


async def later(clock: FakeClock, seconds: float) -> None:
    """In steps in which the service looks."""
    for _ in range(int(seconds // 15)):
        clock.advance(15)
        for _ in range(5):
            await asyncio.sleep(0)


async def until_quiet(hook: Hook, clock: FakeClock, number: int) -> None:
    """Moves the clock until so many have arrived."""
    async with asyncio.timeout(10):
        while len(hook.got) < number:
            clock.advance(5)
            await asyncio.sleep(0.01)  # a thread sends them


async def test_keys_that_are_refused_and_then_are_not(
    bridge: BridgeFactory, hook: Hook, capfd: pytest.CaptureFixture[str]
) -> None:
    clock = FakeClock()
    wire = Wire(add=[reply(401, {"message": f"{EMAIL} may not."}), reply(200, {"id": 7})])
    async with bridge(wire, clock=clock, alert_urls=hook.url) as client:
        await client.post(WEBHOOK, json=envelope(notification()))
        await until_quiet(hook, clock, 1)
        told = await hook.next()
        assert told.startswith(
            "iPaaS.com to Stamped.io: needs help | Stamped.io refuses our keys since 10:00 UTC: 1"
        )
        await later(clock, 600)
        assert len(hook.got) == 1
        await client.post(WEBHOOK, json=envelope(notification()))
        await until_quiet(hook, clock, 2)
        over = await hook.next()
    assert over.startswith("iPaaS.com to Stamped.io: over | Over after ")
    assert ": Stamped.io refuses our keys. Now: " in over
    everything = f"{hook.got} {''.join(capfd.readouterr())}"
    assert EMAIL not in everything
    assert WORD not in everything


async def test_the_page_is_named_as_it_was_opened_last(bridge: BridgeFactory, hook: Hook) -> None:
    async with bridge(alert_urls=hook.url) as client:
        await client.post("/login", data={"key": OPERATOR_KEY}, headers={"Accept": "text/html"})
        await client.get("/monitoring", headers={"Accept": "text/html"})
        await client.post("/alerts/test", headers=OPERATOR)
    assert hook.got[0]["message"].endswith("\nhttp://bridge.test/monitoring")


async def test_a_test_says_what_became_of_it_without_the_url(
    bridge: BridgeFactory, hook: Hook, capfd: pytest.CaptureFixture[str]
) -> None:
    with target() as other:
        other.status = 500
        async with bridge(alert_urls=f"{hook.url}  {other.url}") as client:
            answer = await client.post("/alerts/test", headers=OPERATOR)
            viewed = await client.post("/alerts/test", headers={"Authorization": f"Bearer {VIEWER_KEY}"})
            await client.post("/login", data={"key": OPERATOR_KEY}, headers={"Accept": "text/html"})
            settings = await client.get("/monitoring/settings", headers={"Accept": "text/html"})
    well = {"target": 1, "service": "JSON", "sent": True, "why": None}
    ill = {"target": 2, "service": "JSON", "sent": False, "why": "it did not take the message"}
    assert answer.json() == {"items": [well, ill]}
    assert viewed.status_code in {401, 403}
    assert "(2 targets)" in settings.text
    printed = "".join(capfd.readouterr())
    assert "an alert was not sent" in printed
    assert WORD not in answer.text + settings.text + printed


async def test_without_targets_nothing_is_looked_at(bridge: BridgeFactory) -> None:
    async with bridge() as client:
        answer = await client.post("/alerts/test", headers=OPERATOR)
    assert answer.status_code == httpx.codes.CONFLICT
    assert "ALERT_URLS is not set" in answer.json()["detail"]


@dataclass(frozen=True, slots=True)
class Slow(Target):
    """Takes a message when it is let, and raises."""

    let: threading.Event = field(default_factory=threading.Event)

    def send(self, title: str, text: str) -> bool:
        self.let.wait(10)
        raise RuntimeError(title + text)


async def test_one_that_hangs_is_waited_for_no_longer_than_it_may() -> None:
    slow = Slow(1, "Slow", None)
    sender = Sender([slow], seconds=0.01)
    (first,) = await sender.send("a", "b")
    (second,) = await sender.send("a", "b")
    assert (first.sent, first.why) == (False, "no answer within 0.01 s")
    assert second.why == "it still has the last message"
    slow.let.set()
    sender = Sender([slow])
    (third,) = await sender.send("a", "b")
    assert third.why == "it broke (RuntimeError)"


def test_a_huge_answer_is_not_read(hook: Hook) -> None:
    hook.answer = 100
    (found,) = read_targets(hook.url)
    assert found is not None
    assert found.send("a title", "a text")
    assert hook.arrived.wait(10)
    assert hook.written < hook.answer / 2


def test_a_url_that_is_none_has_no_target() -> None:
    found = read_targets("json://127.0.0.1/a nonsense://b slack://c")
    assert [each.service if each else None for each in found] == ["JSON", None, None]
