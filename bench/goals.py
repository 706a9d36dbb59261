"""What the product is to reach, and whether it did. Ratios are to the control of the same run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.table import Column, Table

if TYPE_CHECKING:
    from collections.abc import Mapping

PRODUCTS = ("SQLite", "PostgreSQL")


@dataclass(frozen=True, slots=True)
class Goal:
    """At least, or at most, this much on either database."""

    name: str
    sqlite: float
    postgresql: float
    at_most: bool = False

    def wanted(self, service: str) -> float:
        """Of this service."""
        return self.sqlite if service == "SQLite" else self.postgresql

    def is_met(self, service: str, measured: float) -> bool:
        """Whether this is enough."""
        wanted = self.wanted(service)
        return measured <= wanted if self.at_most else measured >= wanted


GOALS = (
    Goal("ratio at 1 connection", 1.0, 0.7),
    Goal("ratio at 16 connections", 3.5, 3.0),
    Goal("ratio at 64 connections", 4.5, 4.5),
    Goal("CPU ms per webhook at 16", 1.3, 1.5, at_most=True),
    Goal("p99 ms at 64 connections", 150, 150, at_most=True),
    Goal("ratio of 202s, upstream silent", 4, 4),
    Goal("idle CPU %", 0.5, 0.5, at_most=True),
    Goal("MiB after 100,000 webhooks", 130, 130, at_most=True),
    Goal("seconds from start to ready", 1.5, 1.5, at_most=True),
)
GROWN = Goal("ratio of the fullest database to the empty one", 0.95, 0.95)


def judge(measured: Mapping[tuple[str, str], float]) -> list[dict[str, object]]:
    """`measured` by goal and service; what was not measured is not judged."""
    return [
        {
            "goal": goal.name,
            "service": service,
            "wanted": goal.wanted(service),
            "at_most": goal.at_most,
            "measured": round(measured[goal.name, service], 3),
            "met": goal.is_met(service, measured[goal.name, service]),
        }
        for goal in GOALS
        for service in PRODUCTS
        if (goal.name, service) in measured
    ]


def goals_table(measured: Mapping[tuple[str, str], float]) -> Table:
    """One row per goal."""
    columns = [Column(service, justify="right") for service in PRODUCTS]
    table = Table("at upstream 0 ms", *columns, title="Goals", padding=(0, 1))
    for goal in GOALS:
        cells = []
        for service in PRODUCTS:
            value = measured.get((goal.name, service))
            if value is None:
                cells.append("not measured")
                continue
            met = goal.is_met(service, value)
            sign = "≤" if goal.at_most else "≥"
            words = f"{value:.2f} {'met' if met else 'MISSED'} ({sign} {goal.wanted(service):g})"
            cells.append(f"[{'green' if met else 'red'}]{words}[/]")
        table.add_row(goal.name, *cells)
    return table
