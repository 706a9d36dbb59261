"""Wrong keys, by caller."""

from __future__ import annotations

import asyncio

import pytest
from starlette.requests import Request

from app.api.guesses import Guesses
from app.api.security import address_of
from app.telemetry.metrics import Metrics
from tests.conftest import BridgeFactory
from tests.support import OPERATOR_KEY, FakeClock


class Guessing:
    """Guesses, and what is held back of them."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.metrics = Metrics()
        self.guesses = Guesses(self.clock, self.metrics)
        self._tasks: list[asyncio.Task[None]] = []

    async def seconds(self, address: str | None = "203.0.113.7") -> float:
        """How long one more is held back."""
        began = self.clock.monotonic()
        task = asyncio.create_task(self.guesses.wrong(address, "webhook"))
        await asyncio.sleep(0)
        while not task.done():
            self.clock.advance(0.125)
            await asyncio.sleep(0)
        return self.clock.monotonic() - began

    async def hold(self, address: str) -> asyncio.Task[None]:
        """One more, that is not waited for."""
        task = asyncio.create_task(self.guesses.wrong(address, "webhook"))
        await asyncio.sleep(0)
        self._tasks.append(task)
        return task


@pytest.fixture
def guessing() -> Guessing:
    return Guessing()


async def test_the_first_ten_are_mistakes_and_then_it_takes_ever_longer(guessing: Guessing) -> None:
    assert [await guessing.seconds() for _ in range(10)] == [0] * 10
    held = [await guessing.hold("203.0.113.7") for _ in range(40)]
    waiting = []
    for _ in range(20):
        waiting.append(sum(not task.done() for task in held))
        guessing.clock.advance(0.1001)
        await asyncio.sleep(0)
    assert waiting == list(range(40, 20, -1))
    await asyncio.gather(*held)  # nobody waits for more than 2 s
    assert b'ipaas_stamped_wrong_keys_total{door="webhook"} 50.0' in guessing.metrics.exposition()


async def test_a_mistake_is_forgotten(guessing: Guessing) -> None:
    for _ in range(12):
        await guessing.seconds()
    guessing.clock.advance(11 * 6)
    assert [await guessing.seconds() for _ in range(9)] == [0] * 9


async def test_others_are_not_slowed_down(guessing: Guessing) -> None:
    for _ in range(12):
        await guessing.seconds()
    assert await guessing.seconds("203.0.113.8") == 0
    assert await guessing.seconds(None) == 0
    assert await guessing.seconds("::ffff:203.0.113.9") == 0


async def test_a_network_of_ipv6_is_one_caller(guessing: Guessing) -> None:
    for last in range(10):
        assert await guessing.seconds(f"2001:db8:0:1::{last}") == 0
    assert await guessing.seconds("2001:db8:0:1:ffff::1") > 0
    assert await guessing.seconds("2001:db8:0:2::1") == 0


async def test_only_so_many_are_held_back_at_once(guessing: Guessing) -> None:
    for _ in range(10):
        await guessing.seconds()
    held = [await guessing.hold("203.0.113.7") for _ in range(201)]
    assert [task.done() for task in held] == [False] * 200 + [True]
    guessing.clock.advance(5)
    await asyncio.gather(*held)
    assert not (await guessing.hold("203.0.113.7")).done()


async def test_only_so_many_callers_are_known(guessing: Guessing) -> None:
    for _ in range(11):
        await guessing.seconds()
    for number in range(1000):
        await guessing.seconds(f"198.51.{number // 250}.{number % 250}")
    assert await guessing.seconds() == 0


async def test_bearer_guesses_are_slowed_down_and_the_right_key_is_not(bridge: BridgeFactory) -> None:
    clock = FakeClock()
    nobody = {"Authorization": "Bearer nobody"}
    async with bridge(clock=clock) as client:
        for _ in range(10):
            assert (await client.get("/transfers", headers=nobody)).status_code == 401
        wrong = asyncio.create_task(client.get("/transfers", headers=nobody))
        right = {"Authorization": f"Bearer {OPERATOR_KEY}"}
        assert (await client.get("/transfers", headers=right)).status_code == 200
        assert (await client.get("/transfers", headers={"Authorization": ""})).status_code == 401
        assert not wrong.done()
        while not wrong.done():
            clock.advance(0.25)
            await asyncio.sleep(0)
        assert (await wrong).status_code == 401
        assert 'wrong_keys_total{door="operator"} 11.0' in (await client.get("/metrics")).text


@pytest.mark.parametrize(
    ("client", "address"),
    [
        (("203.0.113.7", 1), "203.0.113.7"),
        (("2001:DB8::1", 1), "2001:db8::1"),
        (("unknown", 0), None),
        (("<script>" * 1000, 0), None),
        (("203.0.113.7, 10.0.0.1", 0), None),
        (None, None),
    ],
)
def test_an_address_is_one(client: tuple[str, int] | None, address: str | None) -> None:
    assert address_of(Request({"type": "http", "client": client})) == address
