"""`make bench`: control and product in one go, and their ratios."""

from __future__ import annotations

import argparse
import asyncio
import os
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import psycopg
from rich.console import Console
from rich.table import Table

from bench.load import WEBHOOK_KEY, put_load
from bench.processes import serving
from tools.seed import Plan, fill

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.processes import Server

_HEADINGS = ("service", "c", "per s", "ratio", "CPU ms", "p50 ms", "p99 ms", "failed", "MiB")
CONNECTIONS = (1, 16, 64)
STORED = 100_000
SERVICE_CORE, LOAD_CORE = 0, 1
POSTGRESQL = os.environ.get("TEST_DATABASE_URL", "postgresql://postgres@127.0.0.1:5432/postgres")
ENVIRONMENT = {
    "STAMPED_API_PUBLIC_KEY": "pubkey-bench-only",
    "STAMPED_API_PRIVATE_KEY": "key-bench-only",
    "STAMPED_API_STORE_HASH": "270392",
    "IPAAS_WEBHOOK_API_KEY": WEBHOOK_KEY,
    "OPERATOR_API_KEY": "bench-operator-key",
    "SUBSCRIPTION_FIELD": "Consent",
    "LOG_LEVEL": "WARNING",
    "STAMPED_CONCURRENT_CONNECTIONS": "64",
}


@contextmanager
def fresh_postgresql() -> Iterator[str | None]:
    """A database of our own; None where no server answers."""
    name = f"bench_{uuid4().hex[:12]}"
    try:
        with psycopg.connect(POSTGRESQL, autocommit=True, connect_timeout=3) as admin:
            admin.execute(f'CREATE DATABASE "{name}"'.encode())
    except psycopg.OperationalError:
        yield None
        return
    try:
        yield POSTGRESQL.rsplit("/", 1)[0] + f"/{name}"
    finally:
        with psycopg.connect(POSTGRESQL, autocommit=True) as admin:
            admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())


@dataclass(frozen=True, slots=True)
class Run:
    """A server that is measured; `stored`: how many transfers its database gets before."""

    label: str
    target: str
    path: str
    database: str | None = None
    stored: int = 0


def runs_on(folder: Path, postgresql: str | None) -> Iterator[Run]:
    """The control first, for all others are compared with it."""
    yield Run("control", "bench.control:app", "/docs")
    databases = {"SQLite": f"sqlite:///{folder}/bench.db"} | ({"PostgreSQL": postgresql} if postgresql else {})
    for name, url in databases.items():
        yield Run(name, "app.main:app", "/readyz", url)
        yield Run(f"{name}, {STORED:,} stored", "app.main:app", "/readyz", url, STORED)


def main() -> None:
    """Run everything and print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=6, help="of load for each number of connections")
    seconds = parser.parse_args().seconds
    cores = os.sched_getaffinity(0)
    service, load = (SERVICE_CORE, LOAD_CORE) if {SERVICE_CORE, LOAD_CORE} <= cores else (min(cores), max(cores))
    os.sched_setaffinity(0, {load})
    table = Table(title="Webhooks: ratio to the control, CPU per webhook, resident memory", padding=0)
    for heading in _HEADINGS:
        table.add_column(heading, no_wrap=True, justify="left" if heading == "service" else "right")
    control: dict[int, float] = {}
    with tempfile.TemporaryDirectory() as name, fresh_postgresql() as postgresql:
        folder = Path(name)
        with serving("bench.upstream:app", load, folder, {}, "/") as upstream:
            for run in runs_on(folder, postgresql):
                environment = ENVIRONMENT | {"STAMPED_API_URL": upstream.url}
                if run.database:
                    environment |= {"DATABASE_URL": run.database}
                if run.database and run.stored:
                    asyncio.run(fill(run.database, Plan(run.stored, days=30, failed=0.01, now=time.time())))
                with serving(run.target, service, folder, environment, run.path) as server:
                    asyncio.run(put_load(server.url, 8, 1))
                    for connections in CONNECTIONS:
                        table.add_row(
                            run.label, str(connections), *_measured(server, connections, seconds, control)
                        )
    Console().print(table)


def _measured(server: Server, connections: int, seconds: float, control: dict[int, float]) -> list[str]:
    """The cells of one row; the first server that is measured becomes the control."""
    before = server.cpu_seconds()
    seen = asyncio.run(put_load(server.url, connections, seconds))
    cpu = (server.cpu_seconds() - before) / seen.webhooks * 1000
    ratio = seen.rate / control.setdefault(connections, seen.rate)
    speed = [f"{seen.rate:.0f}", f"{ratio:.2f}", f"{cpu:.2f}"]
    return [*speed, f"{seen.p50:.1f}", f"{seen.p99:.1f}", str(seen.failures), f"{server.rss_mib():.0f}"]


if __name__ == "__main__":
    main()
