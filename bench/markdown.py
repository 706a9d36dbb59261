"""The tables of docs/performance.md, from what `--json` has written.

python -m bench.markdown bench.json growth.json replicas.json soak.json
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.goals import PRODUCTS
from bench.machine import in_words

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_SPEED = ("per_second", "ratio", "cpu_ms", "database_ms", "p50_ms", "p99_ms", "rss_mib")
_GROWTH = (
    "per_second",
    "ratio",
    "cpu_ms",
    "database_ms",
    "p99_ms",
    "start_seconds",
    "readyz_ms",
    "page_ms",
    "retention_seconds",
    "mib",
)


def table(headings: Sequence[str], rows: Sequence[Sequence[Any]]) -> Iterator[str]:
    """Lines of a table whose numbers have as many digits as mean something."""
    yield "| " + " | ".join(headings) + " |"
    yield "| --- |" + " ---: |" * (len(headings) - 1)
    for row in rows:
        yield "| " + " | ".join(map(_shown, row)) + " |"


def of_bench(found: dict[str, Any]) -> Iterator[str]:
    """Goals, then all cells, then start, idleness and memory."""
    goals: dict[str, dict[str, str]] = {}
    for each in found["goals"]:
        sign = "≤" if each["at_most"] else "≥"
        words = f"{_shown(each['measured'])} ({sign} {each['wanted']:g}{'' if each['met'] else ', missed'})"
        goals.setdefault(each["goal"], {})[each["service"]] = words
    yield from table(["goal", *PRODUCTS], [[goal, *map(of.get, PRODUCTS)] for goal, of in goals.items()])
    yield ""
    rows = [
        [each["service"], each["upstream_ms"], each["connections"], *(each[name] for name in _SPEED)]
        for each in found["cells"]
    ]
    rows += [
        [each["service"], "silent" if number else 0, 16, *(each[name] for name in _SPEED)]
        for number, each in enumerate(found["accepted"])
    ]
    headings = ["service", "upstream ms", "connections", "per s", "ratio", "CPU ms", "DB ms", "p50 ms", "p99 ms"]
    yield from table([*headings, "MiB"], rows)
    yield ""
    lives = [
        [name, life["start_seconds"], life["idle_percent"], _memory(found["memory"].get(name, []))]
        for name, life in found["services"].items()
    ]
    yield from table(["service", "start s", "idle CPU %", "MiB after so many webhooks"], lives)


def of_growth(found: dict[str, Any]) -> Iterator[str]:
    """One table for both databases."""
    rows = [
        [kind, f"{each['stored']:,}", *(each[name] for name in _GROWTH)]
        for kind in PRODUCTS
        for each in found.get(kind, [])
    ]
    headings = ["database", "stored", "per s", "ratio", "CPU ms", "DB ms", "p99 ms", "start s", "readyz ms"]
    yield from table([*headings, "page ms", "retention s", "MiB"], rows)


def of_replicas(found: dict[str, Any]) -> Iterator[str]:
    """The table, and what stands below it."""
    headings = ("replicas", "connections", "per s", "ratio", "CPU ms", "DB ms", "p50 ms", "p99 ms", "failed")
    yield from table(headings, [list(each.values()) for each in found["replicas"]])
    yield ""
    yield "Transactions per webhook: " + ", ".join(f"{each:g}" for each in found["transactions"])


def of_soak(found: dict[str, Any]) -> Iterator[str]:
    """What was done, then what was wrong."""
    soaked: dict[str, dict[str, str]] = found["soak"]
    names = dict.fromkeys(name for told in soaked.values() for name in told)
    yield from table(["", *soaked], [[name, *(told.get(name, "") for told in soaked.values())] for name in names])


def _memory(points: Sequence[Sequence[float]]) -> str:
    return ", ".join(f"{mib:.0f} after {webhooks:,}" for webhooks, mib in points)


def _shown(value: Any) -> str:
    if value is None:
        return ""
    if not isinstance(value, float):
        return str(value)
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"  # noqa: PLR2004 - digits


_KINDS = {"cells": of_bench, "replicas": of_replicas, "soak": of_soak}


def main() -> int:
    """Print them one after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", type=Path, nargs="+")
    for path in parser.parse_args().files:
        found = json.loads(path.read_text(encoding="utf-8"))
        of = next((of for key, of in _KINDS.items() if key in found), of_growth)
        sys.stdout.write("\n".join([in_words(found["machine"]), "", *of(found), "", ""]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
