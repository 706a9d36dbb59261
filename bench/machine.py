"""What figures depend on: the machine, its disk, and the versions of what runs."""

from __future__ import annotations

import os
import platform
import re
import sqlite3
import subprocess
import time
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

from bench.databases import postgresql_facts
from bench.processes import ROOT

_PACKAGES = (
    "fastapi",
    "uvicorn",
    "uvloop",
    "httptools",
    "pydantic",
    "aiohttp",
    "httpx",
    "sqlalchemy",
    "psycopg",
)
_SYNCS = 200
_BLOCK = b"\0" * 4096


def describe(folder: Path) -> dict[str, Any]:
    """`folder`: where the databases are."""
    postgresql, round_trip_ms = postgresql_facts()
    return {
        "commit": _commit(),
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "kernel": platform.release(),
        "load_before": round(os.getloadavg()[0], 2),
        "filesystem": _filesystem(folder),
        "fsync_ms": round(fsync_ms(folder), 3),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "postgresql": postgresql,
        "postgresql_round_trip_ms": round(round_trip_ms, 3),
        "packages": {name: version(name) for name in _PACKAGES},
    }


def in_words(machine: dict[str, Any]) -> str:
    """Two lines, to stand above the tables."""
    return (
        f"{machine['cores']} cores {machine['cpu']}, {machine['memory_gib']:g} GiB, Linux {machine['kernel']}, "
        f"load before {machine['load_before']:g}\n"
        f"{machine['filesystem']}, fsync {machine['fsync_ms']:g} ms; PostgreSQL {machine['postgresql']}, "
        f"round trip {machine['postgresql_round_trip_ms']:g} ms; Python {machine['python']}, "
        f"SQLite {machine['sqlite']}; commit {machine['commit']}"
    )


def fsync_ms(folder: Path) -> float:
    """What it costs to have one more block on the disk, in the median."""
    path = folder / "fsync"
    costs = []
    with path.open("wb", buffering=0) as file:
        for _ in range(_SYNCS):
            file.write(_BLOCK)
            began = time.perf_counter()
            os.fdatasync(file.fileno())
            costs.append((time.perf_counter() - began) * 1000)
    path.unlink()
    return median(costs)


def _cpu() -> str:
    found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.MULTILINE)
    return found[1] if found else platform.machine()


def _filesystem(folder: Path) -> str:
    """Of the mount that this folder is in."""
    mounts = [line.split() for line in Path("/proc/mounts").read_text(encoding="utf-8").splitlines()]
    held = {Path(place): kind for _, place, kind, *_ in mounts if folder.resolve().is_relative_to(place)}
    return held[max(held, key=lambda place: len(place.parts))]


def _commit() -> str:
    asked = ["git", "-C", str(ROOT), "describe", "--always", "--dirty"]
    try:
        return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()  # noqa: S603 - fixed words
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
