"""`make bench`, the judge: control, floor and the product on both databases, interleaved, and the goals.

Exit code 1 if a webhook got another answer than it should.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from http import HTTPStatus
from pathlib import Path

from rich.console import Console

from bench.databases import SQLite, Store, fresh_postgresql
from bench.goals import PRODUCTS
from bench.load import Load
from bench.machine import describe, in_words
from bench.processes import Cores
from bench.report import ACCEPTED_AT, GOAL_WEBHOOKS, Report
from bench.rounds import interleave, measure
from bench.services import Service, Upstream, open_upstream, product, stateless

_WARM = Load(connections=8, seconds=1)
_STEADY_AT = 64
console = Console()


@dataclass(frozen=True, slots=True)
class Options:
    """How long; `steady`: the most seconds of load that memory is watched in, after all else."""

    seconds: float = 2.5
    rounds: int = 3
    latencies: tuple[int, ...] = (0, 20)
    connections: tuple[int, ...] = (1, 16, 64)
    idle: float = 10.0
    steady: float = 90.0


QUICK = Options(seconds=1.0, rounds=2, latencies=(0,), idle=3.0, steady=0.0)


class Judge:
    """Holds all services up, and asks them in turn."""

    def __init__(self, options: Options, cores: Cores, folder: Path, report: Report) -> None:
        self._options = options
        self._cores = cores
        self._folder = folder
        self.report = report

    def run(self) -> None:
        """Everything, in about as long as the options say."""
        with ExitStack() as stack:
            upstream = stack.enter_context(open_upstream(self._cores, self._folder))
            services = [
                stack.enter_context(stateless(name, self._cores, self._folder, upstream.url))
                for name in ("control", "floor")
            ]
            services += self._products(stack, upstream.url)
            for service in services:
                self.report.served[service.name] = 0
                self.report.life[service.name] = {"start_seconds": round(service.server.start_seconds, 3)}
                seen = measure(service, _WARM, self._cores).seen
                self._note(service, seen.webhooks, seen.failures)
            for milliseconds in self._options.latencies:
                upstream.answers_after(milliseconds)
                for connections in self._options.connections:
                    self._cell(services, milliseconds, connections)
            upstream.answers_after(0)
            self._idle(services)
            self._accept(services[0], upstream)
            self._live_on(services)

    def _products(self, stack: ExitStack, upstream_url: str) -> list[Service]:
        stores: list[Store] = [SQLite(self._folder), stack.enter_context(fresh_postgresql())]
        return [
            stack.enter_context(product(store.kind, self._cores.service, self._folder, upstream_url, store))
            for store in stores
        ]

    def _cell(self, services: list[Service], milliseconds: int, connections: int) -> None:
        load = Load(connections, self._options.seconds)
        with console.status(f"upstream {milliseconds} ms, {connections} connections"):
            loads = {service.name: load for service in services}
            found = interleave(services, loads, self._options.rounds, self._cores)
        for service, each in zip(services, found, strict=True):
            self.report.cells.append((milliseconds, connections, each))
            self._note(service, each.webhooks, each.failures)

    def _idle(self, services: list[Service]) -> None:
        """All at the same time, when nobody sends anything."""
        with console.status("idle"):
            before = [service.server.cpu_seconds() for service in services]
            time.sleep(self._options.idle)
            for service, spent in zip(services, before, strict=True):
                share = (service.server.cpu_seconds() - spent) / self._options.idle
                self.report.life[service.name]["idle_percent"] = round(share * 100, 3)

    def _accept(self, control: Service, upstream: Upstream) -> None:
        """202s of services whose Stamped.io never answers, beside the control, whose answers at once."""
        with ExitStack() as stack, console.status("202s while Stamped.io is silent"):
            silent = self._products(stack, upstream.silent_url)
            accept = Load(ACCEPTED_AT, self._options.seconds, expected=HTTPStatus.ACCEPTED, prefer="respond-async")
            loads = {service.name: accept for service in silent}
            loads |= {control.name: Load(ACCEPTED_AT, self._options.seconds)}
            self.report.accepted = interleave([control, *silent], loads, self._options.rounds, self._cores)
            self.report.failures += sum(each.failures for each in self.report.accepted)
            for service in silent:
                service.server.kill()

    def _live_on(self, services: list[Service]) -> None:
        """Up to 100,000 webhooks, as far as there is time: memory before, half way there, and in the end."""
        for service in services[-len(PRODUCTS) :]:
            self._remember(service)
            for parts_left in (2, 1) if self._options.steady else ():
                left = GOAL_WEBHOOKS - self.report.served[service.name]
                load = Load(_STEADY_AT, self._options.steady / 2, most=left // parts_left)
                with console.status(f"{service.name}: memory, up to {GOAL_WEBHOOKS:,} webhooks"):
                    seen = measure(service, load, self._cores).seen
                self._note(service, seen.webhooks, seen.failures)
                self._remember(service)

    def _note(self, service: Service, webhooks: int, failures: int) -> None:
        self.report.served[service.name] += webhooks
        self.report.failures += failures

    def _remember(self, service: Service) -> None:
        point = (self.report.served[service.name], round(service.server.rss_mib(), 1))
        self.report.memory.setdefault(service.name, []).append(point)


def main() -> int:
    """Run everything and print the tables."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--seconds", type=float, help="of load for a service in each round (2.5; quick: 1)")
    parser.add_argument("--rounds", type=int, help="for each number of connections (3; quick: 2)")
    parser.add_argument("--quick", action="store_true", help="under a minute: upstream 0 ms only, short rounds")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there, too")
    given = parser.parse_args()
    usual = QUICK if given.quick else Options()
    options = replace(usual, seconds=given.seconds or usual.seconds, rounds=given.rounds or usual.rounds)
    cores = Cores.found()
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        report = Report(describe(Path(name)))
        console.print(in_words(report.machine), highlight=False, soft_wrap=True)
        os.sched_setaffinity(0, {cores.load})
        Judge(options, cores, Path(name), report).run()
    console.print(*report.tables())
    if given.json:
        given.json.write_text(json.dumps(report.as_json(), indent=1) + "\n", encoding="utf-8")
    return int(report.failures > 0)


if __name__ == "__main__":
    sys.exit(main())
