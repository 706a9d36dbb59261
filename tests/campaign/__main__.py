"""`make campaign`: 10,000 transfers on each database, while replicas die and both foreign systems fail.

Ends with a table of what is lost, doubled, stale or wrong in consent; exit code 1 if anything is. All of it is
written to a file, named for the seed (CAMPAIGN_SEED makes the same choices; the processes' timing is their own).
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Column, Table

from tests.durable.story import STORY, Findings, Story
from tests.durable.support import SHORT, Bridge, Nursery, StandIn, environment_of, open_stand_in
from tests.postgres import fresh_database, server_url

CALLERS = 24
PEOPLE = 1500
FAULTY_PERMILLE = 25
LATE_SECONDS = 1.5  # of STAMPED_TIMEOUT_SECONDS = 1: such a call has its effect after it was given up
LOADS_PER_FAULT = 20
OUTAGE_PERMILLE = 700
OUTAGE_SECONDS = 2.5
MOST_SECONDS = 250.0  # of load on one database
REST_SECONDS = 120.0
PAUSES = (1.0, 4.0)  # seconds between two harms
ENVIRONMENT = STORY | {"STAMPED_CONCURRENT_CONNECTIONS": "20", "LOG_LEVEL": "WARNING"}
console = Console()


@dataclass
class Campaign:
    """One database and its replicas."""

    name: str
    bridges: list[Bridge]
    stand_in: StandIn
    rng: random.Random
    story: Story = field(init=False)
    kills: int = 0
    freezes: int = 0
    outages: int = 0

    def __post_init__(self) -> None:
        self.story = Story(self.bridges, self.stand_in, self.rng, patience=3)
        for _ in range(PEOPLE):
            self.story.add_person()

    async def run(self, transfers: int) -> Findings:
        for bridge in self.bridges:
            bridge.start()
        for bridge in self.bridges:
            await bridge.wait_ready()
        await self._behave(FAULTY_PERMILLE, LOADS_PER_FAULT)
        end = time.monotonic() + MOST_SECONDS
        over = asyncio.Event()

        async def live() -> None:
            while len(self.story.promised) < transfers and time.monotonic() < end:
                await self.story.act()

        async with asyncio.TaskGroup() as tasks:
            dying = tasks.create_task(self._die(over))
            await asyncio.gather(*(tasks.create_task(live()) for _ in range(CALLERS)))
            over.set()
            await dying
        await self._behave(0, 0)
        await self.story.rest(REST_SECONDS)
        return await self.story.compare()

    async def _die(self, over: asyncio.Event) -> None:
        """One harm after the other."""
        while not over.is_set():
            try:
                async with asyncio.timeout(self.rng.uniform(*PAUSES)):
                    await over.wait()
            except TimeoutError:
                bridge = self.rng.choice(self.bridges)
                harms = [self._kill, self._kill, self._fail]
                if len(self.bridges) > 1:
                    harms.append(self._freeze)
                await self.rng.choice(harms)(bridge)

    async def _kill(self, bridge: Bridge) -> None:
        self.kills += 1
        bridge.kill()
        bridge.start()
        await bridge.wait_ready()

    async def _freeze(self, bridge: Bridge) -> None:
        """For longer than the others wait for it."""
        assert bridge.process is not None
        self.freezes += 1
        bridge.process.send(signal.SIGSTOP)
        await asyncio.sleep(SHORT["dead_after"] * 1.3)
        bridge.process.send(signal.SIGCONT)

    async def _fail(self, _bridge: Bridge) -> None:
        """Both foreign systems, most of the time: so long that transfers wait for their next try."""
        self.outages += 1
        await self._behave(OUTAGE_PERMILLE, 2)
        await asyncio.sleep(OUTAGE_SECONDS)
        await self._behave(FAULTY_PERMILLE, LOADS_PER_FAULT)

    async def _behave(self, permille: int, every: int) -> None:
        await self.stand_in.answers_after(0.005, permille=permille, late=LATE_SECONDS)
        await self.stand_in.fails_each(every)


@dataclass
class Row:
    """What is told of one database; `wrong` must be 0 throughout."""

    name: str
    counts: dict[str, int]
    wrong: dict[str, int]


@contextmanager
def _database(name: str, directory: Path) -> Iterator[str]:
    if name == "SQLite":
        yield f"sqlite:///{directory}/bridge.db"
        return
    with fresh_database(server_url()) as url:
        yield url


async def _campaign(nursery: Nursery, name: str, replicas: int, transfers: int, seed: int) -> Row:
    with tempfile.TemporaryDirectory(prefix="campaign-") as folder, _database(name, Path(folder)) as url:
        directory = Path(folder)
        stand_in = await open_stand_in(nursery, directory / "stand_in.log", 0.005)
        environment = environment_of(url, stand_in.url, **ENVIRONMENT, **stand_in.ipaas)
        options = SHORT if replicas > 1 else SHORT | {"dead_after": 0.5}
        bridges = [Bridge(nursery, directory / f"{each}.log", environment, options) for each in range(replicas)]
        campaign = Campaign(name, bridges, stand_in, random.Random(seed))  # noqa: S311 - not for secrets
        began = time.monotonic()
        try:
            findings = await campaign.run(transfers)
        finally:
            for bridge in bridges:
                bridge.kill()
                await bridge.client.aclose()
            await stand_in.client.aclose()
    _keep(name, seed, findings)
    counts = {"replicas": replicas, "killed": campaign.kills, "frozen": campaign.freezes}
    counts["outages of Stamped.io and iPaaS.com"] = campaign.outages
    counts |= {"seconds": round(time.monotonic() - began), "transfers": findings.transfers}
    counts |= {"of them verifications": findings.verified}
    return Row(name, counts, {kind: len(found) for kind, found in findings.found.items()})


def _keep(name: str, seed: int, findings: Findings) -> None:
    if not findings.wrong:
        return
    path = Path(tempfile.gettempdir()) / f"campaign-{name}-{seed}.txt"
    lines = (f"{kind}: {each}\n" for kind, found in findings.wrong.items() for each in found)
    path.write_text("".join(lines))
    console.print(f"What is wrong: {path}", highlight=False)


def main() -> int:
    parser = argparse.ArgumentParser(prog="make campaign", description=__doc__)
    parser.add_argument("--transfers", type=int, default=10_000, help="on each database")
    parser.add_argument("--only", choices=("SQLite", "PostgreSQL"), help="one of the databases")
    options = parser.parse_args()
    seed = int(os.environ.get("CAMPAIGN_SEED") or random.SystemRandom().getrandbits(32))
    console.print(f"CAMPAIGN_SEED={seed}", highlight=False)
    rows: list[Row] = []
    nursery = Nursery()
    try:
        for name, replicas in (("SQLite", 1), ("PostgreSQL", 2)):
            if options.only in {None, name}:
                rows.append(asyncio.run(_campaign(nursery, name, replicas, options.transfers, seed)))
    finally:
        nursery.close()
    table = Table("", *(Column(row.name, justify="right") for row in rows))
    for name in rows[0].counts:
        table.add_row(name, *(f"{row.counts[name]:,}" for row in rows))
    table.add_section()
    for name in rows[0].wrong:
        table.add_row(name, *(f"{row.wrong[name]:,}" for row in rows))
    console.print(table)
    return int(any(count for row in rows for count in row.wrong.values()))


if __name__ == "__main__":
    sys.exit(main())
