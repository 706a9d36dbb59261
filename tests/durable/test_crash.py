"""`kill -9` at random points: nothing that was answered 202 is lost, stays in the middle, is doubled, or turns a
consent round; whatever was sent, fetched, synced or cancelled meanwhile.

A seed that failed is run again with CRASH_SEED.
"""

from __future__ import annotations

import asyncio
import os
import random

from tests.durable.conftest import BridgeFactory
from tests.durable.story import STORY, Story
from tests.durable.support import SHORT, Bridge, StandIn

KILLS = 7
CHANGES_PER_KILL = 26
FIRST_CUSTOMERS = 30
NEW_CUSTOMERS_PER_KILL = 2
LATEST_KILL_SECONDS = 0.25
LATEST_START_SECONDS = 0.15


class Run:
    """A story, and a bridge that dies again and again."""

    def __init__(self, bridge: Bridge, stand_in: StandIn, rng: random.Random) -> None:
        self._bridge = bridge
        self._rng = rng
        self.story = Story([bridge], stand_in, rng, patience=0.5)
        for _ in range(FIRST_CUSTOMERS):
            self.story.add_person()
        self.kills = 0

    async def phase(self) -> None:
        """Some changes are sent while the bridge dies and comes back."""
        people = self.story.people
        new = [self.story.add_person() for _ in range(NEW_CUSTOMERS_PER_KILL)]
        chosen = self._rng.choices(people, k=CHANGES_PER_KILL - len(new))
        async with asyncio.TaskGroup() as tasks:
            for person in [*chosen, *new]:
                tasks.create_task(self.story.tell(person))
            tasks.create_task(self.story.cancel(self._rng.choice(people)))
            tasks.create_task(self.story.sync_one(self._rng.choice(people)))
            several = self._rng.sample(people, 4)
            tasks.create_task(self.story.sync_many(several, cancelled=self._rng.random() < 0.5))
            tasks.create_task(self._kill())

    async def _kill(self) -> None:
        await asyncio.sleep(self._rng.uniform(0, LATEST_KILL_SECONDS))  # the random point
        self._bridge.kill()
        self.kills += 1
        self._bridge.start()
        if self._rng.random() < 0.2:  # and once more, while it starts
            await asyncio.sleep(self._rng.uniform(0, LATEST_START_SECONDS))
            self._bridge.kill()
            self.kills += 1
            self._bridge.start()
        await self._bridge.wait_ready()


async def test_nothing_is_lost_by_kills(start_bridge: BridgeFactory, stand_in: StandIn, database_url: str) -> None:
    seed = int(os.environ.get("CRASH_SEED") or random.SystemRandom().getrandbits(32))
    print(f"CRASH_SEED={seed}")  # noqa: T201 - pytest shows it when the test fails
    alone = SHORT | {"dead_after": 0.5}  # nobody takes over from it while it lives
    bridge = await start_bridge(database_url, alone, **STORY, **stand_in.ipaas)
    run = Run(bridge, stand_in, random.Random(seed))  # noqa: S311 - not for secrets
    for _ in range(KILLS):
        await run.phase()
    await run.story.rest()
    findings = await run.story.compare()
    assert run.kills >= KILLS
    assert len(run.story.promised) >= 25 * KILLS
    assert findings.verified > 0, "kills leave customers in doubt"
    assert findings.wrong == {}
