"""The services that are measured, all started as users start them: `python -m uvicorn … --no-access-log`."""

from __future__ import annotations

import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.load import WEBHOOK_KEY
from bench.processes import Cores, Server, running

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.databases import Store

OPERATOR_KEY = "bench-operator-key"
ENVIRONMENT = {
    "STAMPED_API_PUBLIC_KEY": "pubkey-bench-only",
    "STAMPED_API_PRIVATE_KEY": "key-bench-only",
    "STAMPED_API_STORE_HASH": "270392",
    "STAMPED_API_THROTTLE_LIMIT": "1000000000",
    "IPAAS_WEBHOOK_API_KEY": WEBHOOK_KEY,
    "OPERATOR_API_KEY": OPERATOR_KEY,
    "SUBSCRIPTION_FIELD": "Consent",
    "STAMPED_CONCURRENT_CONNECTIONS": "64",
}


@dataclass(frozen=True, slots=True)
class Service:
    """One that is up, and the database behind it, if it has one."""

    name: str
    server: Server
    store: Store | None = None


@dataclass(frozen=True, slots=True)
class Upstream:
    """Stamped.io's stand-in, and where services find it."""

    url: str
    pid: int

    @property
    def silent_url(self) -> str:
        """Here nothing is ever answered."""
        return f"{self.url}/silent"

    def answers_after(self, milliseconds: int) -> None:
        """From now on."""
        urllib.request.urlopen(f"{self.url}/_latency/{milliseconds}", timeout=5).close()  # noqa: S310 - loopback


@contextmanager
def open_upstream(cores: Cores, folder: Path) -> Iterator[Upstream]:
    """On the core of the load."""
    with running(["bench.upstream"], cores.load, folder, {}, "/_latency/0") as server:
        yield Upstream(server.url, server.process.pid)


@contextmanager
def stateless(name: str, cores: Cores, folder: Path, upstream_url: str) -> Iterator[Service]:
    """`control` or `floor`."""
    module = ["uvicorn", f"bench.{name}:app", "--no-access-log"]
    with running(module, cores.service, folder, {"STAMPED_API_URL": upstream_url}, "/docs") as server:
        yield Service(name, server)


@contextmanager
def product(name: str, core: int, folder: Path, upstream_url: str, store: Store) -> Iterator[Service]:
    """The product itself on this database."""
    environment = ENVIRONMENT | {"DATABASE_URL": store.url, "STAMPED_API_URL": upstream_url}
    module = ["uvicorn", "app.main:app", "--no-access-log"]
    with running(module, core, folder, environment, "/readyz") as server:
        yield Service(name, server, store)
