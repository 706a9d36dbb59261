"""`make bench-replicas`: one and two replicas on one PostgreSQL.

The same replica alone and beside a second one, in turn. The first has the core that services have in `make bench`,
the second that of the load; upstream and PostgreSQL are on whatever core has time. On two cores the second replica
gets only what those leave: what two can carry follows from the costs per webhook. Exit code 1 if a webhook failed.
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
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import uvloop
from rich.console import Console
from rich.table import Table

from bench.databases import PostgreSQL, fresh_postgresql
from bench.load import Load, Measured, put_load
from bench.machine import describe, in_words
from bench.processes import Cores
from bench.services import Service, open_upstream, product

if TYPE_CHECKING:
    from collections.abc import Sequence

CONNECTIONS = (16, 64)
_TOLD_SECONDS = 10.5  # until an idle backend has told the statistics of its transactions
_WARM = Load(connections=8, seconds=1)
_HEADINGS = ("replicas", "c", "per s", "ratio", "CPU ms", "DB ms", "p50 ms", "p99 ms", "failed")
console = Console()


@dataclass(frozen=True, slots=True)
class Shared:
    """One round of load on some replicas; CPU in milliseconds per webhook."""

    per_second: float
    cpu_ms: float
    database_ms: float
    webhooks: int
    latencies: list[float]
    failures: int


def _measure(replicas: Sequence[Service], store: PostgreSQL, load: Load) -> Shared:
    """The connections are dealt out evenly."""
    before = sum(each.server.cpu_seconds() for each in replicas), store.cpu_seconds()
    seen = uvloop.run(_load(replicas, load))
    after = sum(each.server.cpu_seconds() for each in replicas), store.cpu_seconds()
    webhooks = sum(each.webhooks for each in seen)
    return Shared(
        per_second=webhooks / max(each.seconds for each in seen),
        cpu_ms=(after[0] - before[0]) * 1000 / webhooks,
        database_ms=(after[1] - before[1]) * 1000 / webhooks,
        webhooks=webhooks,
        latencies=[latency for each in seen for latency in each.latencies],
        failures=sum(each.failures for each in seen),
    )


async def _load(replicas: Sequence[Service], load: Load) -> list[Measured]:
    share = Load(load.connections // len(replicas), load.seconds)
    return await asyncio.gather(*(put_load(each.server.url, share) for each in replicas))


def _figures(rounds: Sequence[Shared], base: Sequence[Shared]) -> dict[str, Any]:
    """Medians over the rounds; `base`: one replica in the same rounds."""
    latencies = sorted(latency for each in rounds for latency in each.latencies)
    ratios = [each.per_second / alone.per_second for each, alone in zip(rounds, base, strict=True)]
    return {
        "per_second": round(median(each.per_second for each in rounds), 1),
        "ratio": round(median(ratios), 3),
        "cpu_ms": round(median(each.cpu_ms for each in rounds), 3),
        "database_ms": round(median(each.database_ms for each in rounds), 3),
        "p50_ms": round(latencies[len(latencies) // 2], 1),
        "p99_ms": round(latencies[int(len(latencies) * 0.99)], 1),
        "failures": sum(each.failures for each in rounds),
    }


def _transactions(groups: Sequence[Sequence[Service]], store: PostgreSQL, load: Load) -> list[float]:
    """Per webhook, of each group: whatever was committed, heartbeats and reads included."""
    found = []
    with console.status("transactions"):
        time.sleep(_TOLD_SECONDS)
        for group in groups:
            committed = store.transactions()
            webhooks = _measure(group, store, load).webhooks
            time.sleep(_TOLD_SECONDS)
            found.append(round((store.transactions() - committed) / webhooks, 2))
    return found


def compare(
    groups: Sequence[Sequence[Service]], store: PostgreSQL, seconds: float, rounds: int
) -> list[dict[str, Any]]:
    """The groups in turn, for each number of connections; ratios are to the first group."""
    found = []
    for connections in CONNECTIONS:
        load = Load(connections, seconds)
        with console.status(f"{connections} connections"):
            taken = [[_measure(group, store, load) for group in groups] for _ in range(rounds)]
        for number, group in enumerate(groups):
            each = _figures([row[number] for row in taken], [row[0] for row in taken])
            found.append({"replicas": len(group), "connections": connections} | each)
    return found


def _table(found: Sequence[dict[str, Any]]) -> Table:
    table = Table(title="Replicas on one PostgreSQL: ratio to one of them", padding=0)
    for heading in _HEADINGS:
        table.add_column(heading, no_wrap=True, justify="right")
    for row in found:
        table.add_row(*(f"{value:g}" for value in row.values()))
    return table


def main() -> int:
    """Print one table."""
    parser = argparse.ArgumentParser(prog="make bench-replicas", description=__doc__)
    parser.add_argument("--seconds", type=float, default=4, help="of load in each round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there, too")
    given = parser.parse_args()
    cores = Cores.found()
    with tempfile.TemporaryDirectory(prefix="bench-replicas-") as name, ExitStack() as stack:
        folder = Path(name)
        machine = describe(folder)
        console.print(in_words(machine), highlight=False, soft_wrap=True)
        upstream = stack.enter_context(open_upstream(cores, folder))
        os.sched_setaffinity(upstream.pid, os.sched_getaffinity(0))
        store = stack.enter_context(fresh_postgresql())
        replicas = [
            stack.enter_context(product(f"replica on core {core}", core, folder, upstream.url, store))
            for core in (cores.service, cores.load)
        ]
        groups = (replicas[:1], replicas)
        _measure(replicas, store, _WARM)
        found = compare(groups, store, given.seconds, given.rounds)
        transactions = _transactions(groups, store, Load(CONNECTIONS[0], given.seconds))
    table = _table(found)
    counts = " and ".join(f"{each:g} with {len(group)}" for group, each in zip(groups, transactions, strict=True))
    table.caption = f"transactions per webhook at {CONNECTIONS[0]} connections: {counts}"
    console.print(table)
    if given.json:
        written = {"machine": machine, "replicas": found, "transactions": transactions}
        given.json.write_text(json.dumps(written, indent=1) + "\n", encoding="utf-8")
    return int(any(row["failures"] for row in found))


if __name__ == "__main__":
    sys.exit(main())
