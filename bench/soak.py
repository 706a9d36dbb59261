"""`make soak`: ten minutes of steady load while Stamped.io fails and service and database are restarted in turn.

Half of the time on each database. In the first half of that the service is stopped and killed, too; whoever lives
then is watched for leaks. At the end every customer is compared with the stand-in. Exit code 1 if one is lost,
doubled, stale or wrong in consent, or if memory or descriptors leaked.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path

from rich.console import Console
from rich.table import Column, Table

from bench.goals import PRODUCTS
from bench.machine import describe, in_words
from bench.replica import Replica
from bench.vitals import Vitals
from tests.durable.story import STORY, Findings, Story
from tests.durable.support import Nursery, StandIn, environment_of, open_stand_in
from tests.postgres import OwnServer

PEOPLE = 1500
PATIENCE_SECONDS = 3
MOST_UNDER_WAY = 100
FAULTY_PERMILLE = 20
LATE_SECONDS = 1.5  # of STAMPED_TIMEOUT_SECONDS = 1: it has its effect, but its answer comes too late
BURST_CALLS = 100
BURST_SECONDS = 2.0
CALM_SECONDS = (3.0, 12.0)  # the fewest, the most, between two harms
REST_SECONDS = 180.0
ENVIRONMENT = STORY | {"STAMPED_CONCURRENT_CONNECTIONS": "20", "RETRY_UNIT_SECONDS": "0.5"}
Harm = Callable[[], Awaitable[None]]
console = Console()


@dataclass
class Soak:
    """One database and the service on it."""

    replica: Replica
    stand_in: StandIn
    server: OwnServer | None
    rng: random.Random
    story: Story = field(init=False)
    vitals: Vitals = field(init=False)
    harms: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.story = Story([self.replica], self.stand_in, self.rng, patience=PATIENCE_SECONDS)
        for _ in range(PEOPLE):
            self.story.add_person()

    async def run(self, seconds: float, rate: float) -> Findings:
        """Load and harms, then rest, then the comparison."""
        await self._begin()
        await self._behave()
        end = time.monotonic() + seconds
        async with asyncio.TaskGroup() as tasks:
            over = asyncio.Event()
            tasks.create_task(self._harm(seconds, over))
            await self._live(tasks, end, rate)
            over.set()
        self._watching.cancel()
        await self._behave(0)
        await self.story.rest(REST_SECONDS)
        return await self.story.compare()

    async def _live(self, tasks: asyncio.TaskGroup, end: float, rate: float) -> None:
        """So many changes per second; where too many have no answer yet, those that would follow are left out."""
        room = asyncio.Semaphore(MOST_UNDER_WAY)

        async def act() -> None:
            async with room:
                await self.story.act()

        while (now := time.monotonic()) < end:
            if not room.locked():
                tasks.create_task(act())
            await asyncio.sleep(max(0.0, now + 1 / rate - time.monotonic()))

    async def _harm(self, seconds: float, over: asyncio.Event) -> None:
        """One after the other, with calm between them; in the second half nobody stops the service."""
        began = time.monotonic()
        lasting: list[Harm] = [self._throttle, self._break, self._drop, self._slow]
        deadly: list[Harm] = [self._stop, self._kill]
        if self.server is not None:
            lasting.append(self._restart_database)
        turns = cycle([each for pair in zip(lasting, cycle(deadly), strict=False) for each in pair])
        calm = min(max(seconds / 30, CALM_SECONDS[0]), CALM_SECONDS[1])
        while not over.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(over.wait(), calm)
                return
            harm = next(turns)
            if harm in deadly and time.monotonic() - began > seconds / 2:
                harm = next(turns)
            self.harms[harm.__name__.strip("_")] += 1
            await harm()

    async def _begin(self) -> None:
        self.replica.start()
        await self.replica.wait_ready()
        assert self.replica.process is not None  # noqa: S101 - it has just started
        self.vitals = Vitals(self.replica.process.pid)
        self._watching = asyncio.create_task(self.vitals.watch())

    async def _stop(self) -> None:
        await self.replica.stop()
        await self._begin()

    async def _kill(self) -> None:
        self.replica.kill()
        await self._begin()

    async def _restart_database(self) -> None:
        assert self.server is not None  # noqa: S101 - else there is no such harm
        await asyncio.to_thread(self.server.stop_at_once)
        await asyncio.sleep(BURST_SECONDS)
        await asyncio.to_thread(self.server.start)

    async def _throttle(self) -> None:
        await self._burst(status=429, retry_after="1")

    async def _break(self) -> None:
        await self._burst(status=503)

    async def _drop(self) -> None:
        await self._burst(kind="drop")

    async def _slow(self) -> None:
        await self._burst(delay_seconds=LATE_SECONDS, after=True)

    async def _burst(self, **fault: object) -> None:
        """The next hundred calls, as far as they come within two seconds."""
        await self.stand_in.fails(times=BURST_CALLS, **fault)
        await asyncio.sleep(BURST_SECONDS)
        await self._behave()

    async def _behave(self, permille: int = FAULTY_PERMILLE) -> None:
        await self.stand_in.answers_after(0.005)  # which ends all faults
        await self.stand_in.answers_after(0.005, permille=permille, late=LATE_SECONDS)


@dataclass
class Row:
    """What is told of one database; `wrong` must be 0 throughout."""

    name: str
    told: dict[str, str]
    wrong: dict[str, int]


@contextmanager
def _database(name: str, folder: Path) -> Iterator[tuple[str, OwnServer | None]]:
    """PostgreSQL: a server of our own, for it is restarted."""
    if name == "SQLite":
        yield f"sqlite:///{folder}/soak.db", None
        return
    server = OwnServer()
    try:
        yield server.url, server
    finally:
        server.close()


async def _soak(nursery: Nursery, name: str, seconds: float, rate: float, seed: int) -> Row:
    with tempfile.TemporaryDirectory(prefix="soak-") as given, _database(name, Path(given)) as (url, server):
        folder = Path(given)
        stand_in = await open_stand_in(nursery, folder / "stand_in.log", 0.005)
        environment = environment_of(url, stand_in.url, **ENVIRONMENT, **stand_in.ipaas)
        replica = Replica(nursery, folder / "service.log", environment, {})
        soak = Soak(replica, stand_in, server, random.Random(seed))  # noqa: S311 - not for secrets
        try:
            findings = await soak.run(seconds, rate)
        finally:
            replica.kill()
            await replica.client.aclose()
            await stand_in.client.aclose()
    _keep(name, seed, findings, soak.vitals)
    vitals = soak.vitals
    told = {"seconds of load": f"{seconds:.0f}", "transfers": f"{findings.transfers:,}"}
    told |= {"of them verifications": f"{findings.verified:,}"}
    told |= {f"harm: {harm}": f"{count}" for harm, count in soak.harms.items()}
    told |= {"MiB, first and last quarter": f"{vitals.mib.first:.0f} → {vitals.mib.last:.0f}"}
    told |= {"descriptors": f"{vitals.open.first:.0f} → {vitals.open.last:.0f}"}
    told |= {"seconds that these were watched": f"{len(vitals.memory)}{'' if vitals.enough else ' (too few)'}"}
    wrong = {kind: len(found) for kind, found in findings.found.items()}
    return Row(name, told, wrong | {"leaked": len(vitals.leaks)})


def _keep(name: str, seed: int, findings: Findings, vitals: Vitals) -> None:
    wrong = findings.wrong | ({"leaked": vitals.leaks} if vitals.leaks else {})
    if not wrong:
        return
    path = Path(tempfile.gettempdir()) / f"soak-{name}-{seed}.txt"
    path.write_text("".join(f"{kind}: {each}\n" for kind, found in wrong.items() for each in found))
    console.print(f"What is wrong: {path}", highlight=False)


def main() -> int:
    """Print one table."""
    parser = argparse.ArgumentParser(prog="make soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=600, help="of load, on all databases together")
    parser.add_argument("--rate", type=float, default=20, help="changes per second")
    parser.add_argument("--database", choices=PRODUCTS, help="only this one, for the whole time")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there, too")
    given = parser.parse_args()
    names = (given.database,) if given.database else PRODUCTS
    seed = int(os.environ.get("SOAK_SEED") or random.SystemRandom().getrandbits(32))
    console.print(f"SOAK_SEED={seed}", highlight=False)
    machine = describe(Path(tempfile.gettempdir()))
    console.print(in_words(machine), highlight=False, soft_wrap=True)
    nursery = Nursery()
    try:
        rows = [asyncio.run(_soak(nursery, name, given.seconds / len(names), given.rate, seed)) for name in names]
    finally:
        nursery.close()
    table = Table("", *(Column(row.name, justify="right") for row in rows))
    for name in dict.fromkeys(name for row in rows for name in row.told):
        table.add_row(name, *(row.told.get(name, "") for row in rows))
    table.add_section()
    for name in rows[0].wrong:
        table.add_row(name, *(f"{row.wrong[name]:,}" for row in rows))
    console.print(table)
    if given.json:
        soaked = {row.name: row.told | {name: str(count) for name, count in row.wrong.items()} for row in rows}
        written = {"machine": machine, "soak": soaked}
        given.json.write_text(json.dumps(written, indent=1) + "\n", encoding="utf-8")
    return int(any(count for row in rows for count in row.wrong.values()))


if __name__ == "__main__":
    sys.exit(main())
