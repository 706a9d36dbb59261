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
from typing import Any

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
MOST_SECONDS = 250.0  # of load on one database
REST_SECONDS = 120.0
PAUSES = (1.5, 6.0)  # between two that die
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

    def __post_init__(self) -> None:
        self.story = Story(self.bridges, self.stand_in, self.rng, patience=3)
        for _ in range(PEOPLE):
            self.story.add_person()

    async def run(self, transfers: int) -> Findings:
        for bridge in self.bridges:
            bridge.start()
        for bridge in self.bridges:
            await bridge.wait_ready()
        await self.stand_in.answers_after(0.005, permille=FAULTY_PERMILLE, late=LATE_SECONDS)
        await self.stand_in.fails_each(LOADS_PER_FAULT)
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
        await self.stand_in.answers_after(0.005)
        await self.stand_in.fails_each(0)
        await self.story.rest(REST_SECONDS)
        return await self.story.compare()

    async def _die(self, over: asyncio.Event) -> None:
        """One after the other is killed, or stands still for longer than the others wait for it."""
        while not over.is_set():
            try:
                async with asyncio.timeout(self.rng.uniform(*PAUSES)):
                    await over.wait()
            except TimeoutError:
                await self._harm(self.rng.choice(self.bridges))

    async def _harm(self, bridge: Bridge) -> None:
        if len(self.bridges) > 1 and self.rng.random() < 0.3 and bridge.process is not None:
            self.freezes += 1
            bridge.process.send(signal.SIGSTOP)
            await asyncio.sleep(SHORT["dead_after"] * 1.3)
            bridge.process.send(signal.SIGCONT)
            return
        self.kills += 1
        bridge.kill()
        bridge.start()
        await bridge.wait_ready()


@contextmanager
def _database(name: str, directory: Path) -> Iterator[str]:
    if name == "SQLite":
        yield f"sqlite:///{directory}/bridge.db"
        return
    with fresh_database(server_url()) as url:
        yield url


async def _campaign(nursery: Nursery, name: str, replicas: int, transfers: int, seed: int) -> list[Any]:
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
    counted = [findings.lost, findings.doubled, findings.stale, findings.consent]
    harmed = f"{campaign.kills}/{campaign.freezes}"
    seconds = round(time.monotonic() - began)
    return [name, replicas, findings.transfers, findings.verified, harmed, *map(len, counted), seconds]


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
    headings = ("", "replicas", "transfers", "verified", "killed/frozen")
    wrong = ("lost", "doubled", "stale", "wrong in consent")
    table = Table(*(Column(each, no_wrap=True) for each in (*headings, *wrong, "s")))
    failed = False
    nursery = Nursery()
    try:
        for name, replicas in (("SQLite", 1), ("PostgreSQL", 2)):
            if options.only in {None, name}:
                row = asyncio.run(_campaign(nursery, name, replicas, options.transfers, seed))
                failed |= any(row[len(headings) : len(headings) + len(wrong)])
                table.add_row(*map(str, row))
    finally:
        nursery.close()
    console.print(table)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
