"""`make rolling`: two replicas behind a proxy with the project's own file for it; each is replaced again and again
under load, as an orchestrator does it.

Counts the answers, and compares what was accepted with the Stamped.io stand-in. Exit code 1 if anything but 200,
202 and a 503 with `Retry-After` was answered, or one that was accepted is lost or doubled; 2 without such a proxy.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path

import httpx
from rich.console import Console
from rich.table import Table

from tests.durable.support import (
    ASYNC,
    ROOT,
    Bridge,
    Nursery,
    Process,
    StandIn,
    environment_of,
    free_port,
    open_stand_in,
    until,
)
from tests.durable.test_replicas import change
from tests.postgres import fresh_database, server_url
from tests.support import OPERATOR_KEY, WEBHOOK, WEBHOOK_KEY

CALLERS = 8
CALM_SECONDS = 2.0  # both serve
REST_SECONDS = 60.0
LOOK_EVERY = 5  # webhooks, then one GET
COMMAND = Path(sysconfig.get_path("scripts")) / "ipaas-stamped"
GOOD = {HTTPStatus.OK, HTTPStatus.ACCEPTED}
console = Console()


@dataclass
class Load:
    """Callers of one address: a new customer each time, half of them answered at once."""

    url: str
    answers: Counter[str] = field(default_factory=Counter)
    accepted: set[str] = field(default_factory=set)
    longest: float = 0.0
    over: bool = False
    _number: int = 0

    async def put(self) -> None:
        headers = {"Authorization": f"Bearer {WEBHOOK_KEY}"}
        async with httpx.AsyncClient(base_url=self.url, headers=headers, timeout=60) as client:
            while not self.over:
                self._number += 1
                await self._send(client, self._number)
                if self._number % LOOK_EVERY == 0:
                    operator = {"Authorization": f"Bearer {OPERATOR_KEY}"}
                    self._count("GET", await self._try(client, "GET", "/transfers?limit=1", headers=operator))

    async def _send(self, client: httpx.AsyncClient, number: int) -> None:
        headers = ASYNC if number % 2 else {}
        body = {"notifications": [change(number, 1)]}
        began = time.monotonic()
        answer = await self._try(client, "POST", WEBHOOK, json=body, headers=headers)
        self.longest = max(self.longest, time.monotonic() - began)
        self._count("POST", answer)
        if isinstance(answer, httpx.Response) and answer.status_code in GOOD:
            self.accepted.add(f"C-{number}")

    async def _try(
        self, client: httpx.AsyncClient, method: str, path: str, **more: object
    ) -> httpx.Response | httpx.TransportError:
        try:
            return await client.request(method, path, **more)  # type: ignore[arg-type]  # httpx's own words
        except httpx.TransportError as error:
            return error

    def _count(self, method: str, answer: httpx.Response | httpx.TransportError) -> None:
        if isinstance(answer, httpx.TransportError):
            what = type(answer).__name__
        else:
            what = str(answer.status_code)
            if answer.status_code == HTTPStatus.SERVICE_UNAVAILABLE and "Retry-After" in answer.headers:
                what += " with Retry-After"
        self.answers[f"{method} {what}"] += 1

    @property
    def undocumented(self) -> Counter[str]:
        good = {"200", "202", "503 with Retry-After"}
        return Counter({each: n for each, n in self.answers.items() if each.partition(" ")[2] not in good})


class Served(Bridge):
    """The command itself, on its port."""

    command: subprocess.Popen[bytes]

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.command = subprocess.Popen(  # noqa: S603 - the product itself
                [COMMAND, "serve", "--no-sandbox", "--port", str(self.port)],
                cwd=self.log.parent,
                env=os.environ | self.environment,
                stdout=log,
                stderr=log,
            )
        self.process = Process(self.command.pid)

    async def replace(self) -> float:
        """Seconds from SIGTERM to its end."""
        began = time.monotonic()
        self.command.send_signal(signal.SIGTERM)
        await asyncio.to_thread(self.command.wait, 30)
        ended = time.monotonic() - began
        self.start()
        await self.wait_ready()
        return ended


@contextmanager
def caddy(folder: Path, port: int, upstreams: list[int]) -> Iterator[None]:
    environment = os.environ | {
        "SITE": f"http://127.0.0.1:{port}",
        "UPSTREAMS": " ".join(f"127.0.0.1:{each}" for each in upstreams),
        "ADMIN": f"127.0.0.1:{free_port()}",
        "XDG_DATA_HOME": str(folder),
        "XDG_CONFIG_HOME": str(folder),
    }
    config = ROOT / "deploy" / "caddy" / "Caddyfile"
    with _running(["caddy", "run", "--adapter", "caddyfile", "--config", str(config)], folder, environment):
        yield


@contextmanager
def nginx(folder: Path, port: int, upstreams: list[int]) -> Iterator[None]:
    """Without TLS, and on ports of ours; the rest is the project's file."""
    text = (ROOT / "deploy" / "nginx" / "ipaas-stamped.conf").read_text()
    for old, new in zip(("127.0.0.1:8081", "127.0.0.1:8082"), upstreams, strict=True):
        text = text.replace(old, f"127.0.0.1:{new}")
    text = "\n".join(line for line in text.splitlines() if not line.strip().startswith(("listen [", "ssl_")))
    text = text.replace("listen 80;", f"listen 127.0.0.1:{free_port()};")
    text = text.replace("listen 443 ssl http2;", f"listen 127.0.0.1:{port};")
    kept = "".join(
        f"{each}_temp_path {folder}/{each};\n" for each in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    config = folder / "nginx.conf"
    config.write_text(
        f"daemon off;\nuser root;\npid {folder}/pid;\nevents {{}}\nhttp {{\naccess_log off;\n{kept}\n{text}\n}}\n"
    )
    log = folder / "nginx.log"
    with _running(["nginx", "-p", str(folder), "-c", str(config), "-e", str(log)], folder, dict(os.environ)):
        yield


PROXIES: dict[str, Callable[[Path, int, list[int]], object]] = {"caddy": caddy, "nginx": nginx}


@contextmanager
def _running(command: list[str], folder: Path, environment: dict[str, str]) -> Iterator[None]:
    with (folder / "proxy.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)  # noqa: S603
    try:
        yield
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(10)
        process.kill()
        process.wait()


async def _campaign(load: Load, bridges: list[Served], rounds: int) -> list[float]:
    """How long each took to end."""

    async def is_served() -> bool:
        try:
            async with httpx.AsyncClient(base_url=load.url) as client:
                return (await client.get("/readyz")).status_code == HTTPStatus.OK
        except httpx.TransportError:
            return False

    await until(is_served, "the proxy serves")
    async with asyncio.TaskGroup() as tasks:
        for _ in range(CALLERS):
            tasks.create_task(load.put())
        ended = []
        for _ in range(rounds):
            for bridge in bridges:
                await asyncio.sleep(CALM_SECONDS)
                ended.append(await bridge.replace())
        await asyncio.sleep(CALM_SECONDS)
        load.over = True
    return ended


async def _compare(load: Load, bridge: Bridge, stand_in: StandIn) -> tuple[set[str], int]:
    """Who was accepted and is not there; how many are there twice."""
    await until(bridge.all_ended, "all has ended", REST_SECONDS)
    held = Counter(str(each["externalId"]) for each in await stand_in.customers())
    return load.accepted - set(held), sum(count - 1 for count in held.values())


async def _run(nursery: Nursery, name: str, rounds: int, folder: Path) -> int:
    with fresh_database(server_url()) as url:
        stand_in = await open_stand_in(nursery, folder / "stand_in.log", 0.02)
        environment = environment_of(url, stand_in.url, LOG_LEVEL="WARNING")
        bridges = [Served(nursery, folder / f"replica{n}.log", environment, {}) for n in range(2)]
        load = Load(f"http://127.0.0.1:{free_port()}")
        try:
            for bridge in bridges:
                bridge.start()
            for bridge in bridges:
                await bridge.wait_ready()
            port = int(load.url.rpartition(":")[2])
            with PROXIES[name](folder, port, [each.port for each in bridges]):  # type: ignore[attr-defined]
                ended = await _campaign(load, bridges, rounds)
            lost, doubled = await _compare(load, bridges[0], stand_in)
        finally:
            for bridge in bridges:
                bridge.command.kill()
                bridge.command.wait()
                await bridge.client.aclose()
            await stand_in.client.aclose()
    _tell(name, load, ended, lost, doubled)
    return int(bool(load.undocumented or lost or doubled))


def _tell(name: str, load: Load, ended: list[float], lost: set[str], doubled: int) -> None:
    table = Table("", name, title=f"{len(ended)} replacements behind {name}")
    for answer, count in sorted(load.answers.items()):
        table.add_row(answer, f"{count:,}")
    table.add_section()
    table.add_row("accepted", f"{len(load.accepted):,}")
    table.add_row("lost", f"{len(lost):,}")
    table.add_row("doubled", f"{doubled:,}")
    table.add_row("answered otherwise", f"{load.undocumented.total():,}")
    table.add_row("longest answer, s", f"{load.longest:.2f}")
    table.add_row("SIGTERM to end, s", f"{min(ended):.1f} to {max(ended):.1f}")
    console.print(table)


def main() -> int:
    parser = argparse.ArgumentParser(prog="make rolling", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="in each of which both replicas are replaced")
    parser.add_argument("--proxy", choices=sorted(PROXIES), default="caddy")
    given = parser.parse_args()
    os.environ["PATH"] += ":/usr/sbin"
    if shutil.which(given.proxy) is None:
        sys.stderr.write(f"{given.proxy} is not installed.\n")
        return 2
    nursery = Nursery()
    try:
        with tempfile.TemporaryDirectory(prefix="rolling-") as folder:
            return asyncio.run(_run(nursery, given.proxy, given.rounds, Path(folder)))
    finally:
        nursery.close()


if __name__ == "__main__":
    sys.exit(main())
