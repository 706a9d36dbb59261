"""`make bench-growth`: whether it stays as fast when a month of transfers is stored.

For each database: services with nothing, 100,000 and 1,000,000 transfers stored, interleaved; then start, pages,
`/readyz`, the hour's retention and the size. Exit code 1 if a webhook failed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from app.clock import Clock
from app.engine.upkeep import Upkeep
from app.telemetry.metrics import Metrics
from bench.databases import SQLite, Store, fresh_postgresql
from bench.goals import GROWN, PRODUCTS
from bench.load import Load
from bench.machine import describe, in_words
from bench.pages import readyz_ms, slowest_page
from bench.processes import Cores
from bench.rounds import Figures, interleave, measure
from bench.services import Service, Upstream, open_upstream, product
from tools.seed import Plan, fill, open_database

if TYPE_CHECKING:
    from collections.abc import Sequence

STORED = (0, 100_000, 1_000_000)
DAYS = 30.0  # the default of RETENTION_DAYS
_HOUR_DAYS = 1 / 24
_CONNECTIONS = 16
_WARM = Load(connections=8, seconds=1)
_KEPT = "SELECT count(*) FROM transfers WHERE record IS NOT NULL"
_HEADINGS = (
    "stored",
    "per s",
    "ratio",
    "CPU ms",
    "DB ms",
    "p99 ms",
    "start s",
    "readyz",
    "page",
    "retention",
    "MiB",
)
console = Console()


@dataclass(frozen=True, slots=True)
class Grown:
    """What was measured before the load; `forgotten`: records that the hour's retention deleted."""

    stored: int
    fill_seconds: float
    retention_seconds: float
    forgotten: int
    mib: float
    start_seconds: float
    readyz_ms: float
    page: str
    page_ms: float


@dataclass(frozen=True, slots=True)
class _Filled:
    fill_seconds: float = 0.0
    retention_seconds: float = 0.0
    forgotten: int = 0


def _fill(store: Store, stored: int) -> _Filled:
    """A month's transfers and an hour's more: so much retention finds in each hour."""
    if not stored:
        return _Filled()
    began = time.perf_counter()
    asyncio.run(fill(store.url, Plan(stored, days=DAYS + _HOUR_DAYS, failed=0.01, now=time.time())))
    store.tidy()
    filled = time.perf_counter()
    kept = store.value(_KEPT)
    counted = time.perf_counter()
    asyncio.run(_forget(store.url))
    return _Filled(filled - began, time.perf_counter() - counted, kept - store.value(_KEPT))


async def _forget(url: str) -> None:
    """As the service does it once in an hour, its pauses included."""
    database = open_database(url)
    try:
        await Upkeep(database, Clock(), DAYS, Metrics()).clean()
    finally:
        await database.aclose()


class Growth:
    """One kind of database in all sizes, all of them up at the same time."""

    def __init__(self, stack: ExitStack, folder: Path, upstream: Upstream, cores: Cores) -> None:
        self._stack = stack
        self._folder = folder
        self._upstream = upstream
        self._cores = cores

    def run(self, kind: str, sizes: Sequence[int], load: Load, rounds: int) -> list[tuple[Grown, Figures]]:
        """The smallest first, for all others are compared with it."""
        services: list[Service] = []
        grown: list[Grown] = []
        for stored in sizes:
            with console.status(f"{kind}: {stored:,} transfers"):
                store: Store = (
                    SQLite(self._folder) if kind == "SQLite" else self._stack.enter_context(fresh_postgresql())
                )
                filled = _fill(store, stored)
                mib = store.bytes() / 2**20 if stored else 0.0
                service = self._stack.enter_context(
                    product(f"{kind}, {stored:,}", self._cores.service, self._folder, self._upstream.url, store)
                )
                services.append(service)
                grown.append(_look(service, stored, filled, mib))
        with console.status(f"{kind}: load"):
            for service in services:
                measure(service, _WARM, self._cores)
            loads = {service.name: load for service in services}
            return list(zip(grown, interleave(services, loads, rounds, self._cores), strict=True))


def _look(service: Service, stored: int, filled: _Filled, mib: float) -> Grown:
    page, milliseconds = slowest_page(service.server.url, stored)
    return Grown(
        stored,
        filled.fill_seconds,
        filled.retention_seconds,
        filled.forgotten,
        mib,
        service.server.start_seconds,
        readyz_ms(service.server.url),
        page,
        milliseconds,
    )


def _as_json(grown: Grown, figures: Figures) -> dict[str, Any]:
    own = {name: round(value, 3) if isinstance(value, float) else value for name, value in asdict(grown).items()}
    return figures.as_json() | own


def _table(kind: str, found: list[tuple[Grown, Figures]]) -> Table:
    table = Table(title=f"{kind}: {_CONNECTIONS} connections; readyz and page in ms, retention in s", padding=0)
    for heading in _HEADINGS:
        table.add_column(heading, no_wrap=True, justify="right")
    for grown, figures in found:
        database = "" if figures.database_ms is None else f"{figures.database_ms:.2f}"
        speed = [f"{figures.per_second:.0f}", f"{figures.ratio:.2f}", f"{figures.cpu_ms:.2f}", database]
        service = [
            f"{figures.p99_ms:.0f}",
            f"{grown.start_seconds:.2f}",
            f"{grown.readyz_ms:.1f}",
            f"{grown.page_ms:.0f}",
        ]
        disk = [f"{grown.retention_seconds:.2f}", f"{grown.mib:.0f}"]
        table.add_row(f"{grown.stored:,}", *speed, *service, *disk)
    slowest = max(found, key=lambda each: each[0].page_ms)[0]
    most = max(found, key=lambda each: each[0].forgotten)[0]
    table.caption = (
        f"slowest page: {slowest.page} at {slowest.stored:,}; "
        f"the hour's retention deletes {most.forgotten:,} records at {most.stored:,}; "
        f"goal: a ratio of {GROWN.wanted(kind):g}, {'met' if GROWN.is_met(kind, found[-1][1].ratio) else 'MISSED'}"
    )
    return table


def main() -> int:
    """Both databases, one after the other."""
    parser = argparse.ArgumentParser(prog="make bench-growth", description=__doc__)
    parser.add_argument("--only", choices=PRODUCTS, help="one of the databases")
    parser.add_argument("--stored", type=int, nargs="+", default=STORED, help="how many transfers, least first")
    parser.add_argument("--seconds", type=float, default=2.5, help="of load for a service in each round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there, too")
    given = parser.parse_args()
    cores = Cores.found()
    failures = 0
    with tempfile.TemporaryDirectory(prefix="bench-growth-") as name:
        folder = Path(name)
        written: dict[str, Any] = {"machine": describe(folder)}
        console.print(in_words(written["machine"]), highlight=False, soft_wrap=True)
        os.sched_setaffinity(0, {cores.load})
        for kind in [given.only] if given.only else PRODUCTS:
            with ExitStack() as stack:
                upstream = stack.enter_context(open_upstream(cores, folder))
                load = Load(_CONNECTIONS, given.seconds)
                found = Growth(stack, folder, upstream, cores).run(kind, given.stored, load, given.rounds)
            console.print(_table(kind, found))
            written[kind] = [_as_json(*each) for each in found]
            failures += sum(figures.failures for _, figures in found)
    if given.json:
        given.json.write_text(json.dumps(written, indent=1) + "\n", encoding="utf-8")
    return int(failures > 0)


if __name__ == "__main__":
    sys.exit(main())
