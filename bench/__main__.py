"""`make bench`: control and product in one go, and their ratios."""

from __future__ import annotations

import argparse
import asyncio
import os
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import psycopg
from rich.console import Console
from rich.table import Table

from bench.load import WEBHOOK_KEY, put_load
from bench.processes import serving

if TYPE_CHECKING:
    from collections.abc import Iterator

_HEADINGS = ("service", "c", "per s", "ratio", "CPU ms", "p50 ms", "p99 ms", "failed", "MiB")
CONNECTIONS = (1, 16, 64)
SERVICE_CORE, LOAD_CORE = 0, 1
POSTGRESQL = os.environ.get("TEST_DATABASE_URL", "postgresql://postgres@127.0.0.1:5432/postgres")


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


def main() -> None:
    """Run everything and print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=6, help="of load for each number of connections")
    seconds = parser.parse_args().seconds
    cores = os.sched_getaffinity(0)
    service, load = (SERVICE_CORE, LOAD_CORE) if {SERVICE_CORE, LOAD_CORE} <= cores else (min(cores), max(cores))
    os.sched_setaffinity(0, {load})
    table = Table(title="make bench: webhooks per second (ratio: of the control), CPU per webhook, RSS", padding=0)
    for heading in _HEADINGS:
        table.add_column(heading, no_wrap=True, justify="left" if heading == "service" else "right")
    with tempfile.TemporaryDirectory() as name, fresh_postgresql() as postgresql:
        folder = Path(name)
        with serving("bench.upstream:app", load, folder, {}, "/") as upstream:
            environment = {
                "STAMPED_API_URL": upstream.url,
                "STAMPED_API_PUBLIC_KEY": "pubkey-bench-only",
                "STAMPED_API_PRIVATE_KEY": "key-bench-only",
                "STAMPED_API_STORE_HASH": "270392",
                "IPAAS_WEBHOOK_API_KEY": WEBHOOK_KEY,
                "OPERATOR_API_KEY": "bench-operator-key",
                "SUBSCRIPTION_FIELD": "Consent",
                "LOG_LEVEL": "WARNING",
                "STAMPED_CONCURRENT_CONNECTIONS": "64",
            }
            runs: list[tuple[str, str, str, dict[str, str]]] = [("control", "bench.control:app", "/docs", {})]
            sqlite = {"DATABASE_URL": f"sqlite:///{folder}/bench.db"}
            runs.append(("product, SQLite", "app.main:app", "/readyz", sqlite))
            if postgresql is not None:
                runs.append(("product, PostgreSQL", "app.main:app", "/readyz", {"DATABASE_URL": postgresql}))
            control: dict[int, float] = {}
            for label, target, path, more in runs:
                with serving(target, service, folder, environment | more, path) as server:
                    asyncio.run(put_load(server.url, 8, 1))
                    for connections in CONNECTIONS:
                        before = server.cpu_seconds()
                        seen = asyncio.run(put_load(server.url, connections, seconds))
                        cpu = (server.cpu_seconds() - before) / seen.webhooks * 1000
                        ratio = seen.rate / control.setdefault(connections, seen.rate)
                        row = (
                            f"{seen.rate:.0f}",
                            f"{ratio:.2f}",
                            f"{cpu:.2f}",
                            f"{seen.p50:.1f}",
                            f"{seen.p99:.1f}",
                        )
                        table.add_row(label, str(connections), *row, str(seen.failures), f"{server.rss_mib():.0f}")
    Console().print(table)


if __name__ == "__main__":
    main()
