"""What `make bench` found, as tables and as JSON."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from rich.table import Table

from bench.goals import PRODUCTS, goals_table, judge
from bench.rounds import Figures

GOAL_WEBHOOKS = 100_000
ACCEPTED_AT = 16
_HEADINGS = ("service", "ms", "c", "per s", "ratio", "CPU ms", "DB ms", "p50 ms", "p99 ms", "failed", "MiB")


@dataclass
class Report:
    """What was measured; `served`: webhooks by service so far, `memory`: MiB after so many of them."""

    machine: dict[str, Any]
    cells: list[tuple[int, int, Figures]] = field(default_factory=list)
    accepted: list[Figures] = field(default_factory=list)
    life: dict[str, dict[str, float]] = field(default_factory=dict)
    served: dict[str, int] = field(default_factory=dict)
    memory: dict[str, list[tuple[int, float]]] = field(default_factory=dict)
    failures: int = 0

    def goals(self) -> dict[tuple[str, str], float]:
        """What there are goals for, by goal and service."""
        found: dict[tuple[str, str], float] = {}
        for milliseconds, connections, each in self.cells:
            if milliseconds or each.service not in PRODUCTS:
                continue
            plural = "s" if connections > 1 else ""
            found[f"ratio at {connections} connection{plural}", each.service] = each.ratio
            found[f"CPU ms per webhook at {connections}", each.service] = each.cpu_ms
            found[f"p99 ms at {connections} connections", each.service] = each.p99_ms
        for each in self.accepted[1:]:
            found["ratio of 202s, upstream silent", each.service] = each.ratio
        for name in PRODUCTS:
            life = self.life[name]
            found["idle CPU %", name] = life["idle_percent"]
            found["seconds from start to ready", name] = life["start_seconds"]
            webhooks, mib = self.memory[name][-1]
            if webhooks >= GOAL_WEBHOOKS:
                found["MiB after 100,000 webhooks", name] = mib
        return found

    def as_json(self) -> dict[str, Any]:
        """Everything."""
        return {
            "machine": self.machine,
            "cells": [
                {"upstream_ms": milliseconds, "connections": connections} | each.as_json()
                for milliseconds, connections, each in self.cells
            ],
            "accepted": [each.as_json() for each in self.accepted],
            "services": self.life,
            "memory": self.memory,
            "failures": self.failures,
            "goals": judge(self.goals()),
        }

    def tables(self) -> list[Table]:
        """For people."""
        return [_cells_table(self), _life_table(self), goals_table(self.goals())]


def _cells_table(report: Report) -> Table:
    table = Table(title="Webhooks: ratio to the control, CPU per webhook, resident memory", padding=0)
    for heading in _HEADINGS:
        table.add_column(heading, no_wrap=True, justify="left" if heading == "service" else "right")
    rows = [(f"{milliseconds}", connections, each) for milliseconds, connections, each in report.cells]
    rows += [("silent" if number else "0", ACCEPTED_AT, each) for number, each in enumerate(report.accepted)]
    before: tuple[str, int] | None = None
    for milliseconds, connections, each in rows:
        if each.service == "control" and before is not None:
            table.add_section()
        before = milliseconds, connections
        speed = [f"{each.per_second:.0f}", f"{each.ratio:.2f}", f"{each.cpu_ms:.2f}"]
        database = "" if each.database_ms is None else f"{each.database_ms:.2f}"
        latency = [f"{each.p50_ms:.1f}", f"{each.p99_ms:.1f}"]
        ends = [str(each.failures), f"{each.rss_mib:.0f}"]
        table.add_row(each.service, milliseconds, str(connections), *speed, database, *latency, *ends)
    others, load_core = (max(getattr(each, name) for *_, each in rows) for name in ("others", "load_core"))
    table.caption = (
        f"at most {others:.0%} of the services' core went to others; the load's core was {load_core:.0%} busy"
    )
    return table


def _life_table(report: Report) -> Table:
    table = Table("service", title="Start, idleness, memory")
    for heading in ("start s", "idle CPU %", "MiB after so many webhooks"):
        table.add_column(heading, justify="right")
    for name, life in report.life.items():
        memory = ", ".join(f"{mib:.0f} after {webhooks:,}" for webhooks, mib in report.memory.get(name, []))
        table.add_row(name, f"{life['start_seconds']:.2f}", f"{life['idle_percent']:.2f}", memory)
    return table
