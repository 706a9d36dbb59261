"""`make bench-pages`: how long every page takes with 1,000,000 transfers stored, warm and cold, on both databases.

Cold: the first request of a new process for pages, by somebody who is signed in. Warm: the median of three more,
counted anew each time. Exit code 1 if a page missed its goal.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from http import HTTPStatus
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

import httpx
from rich.console import Console
from rich.table import Table

from app.error_catalog import Slug
from app.ledger.stored import hash_email
from bench.databases import SQLite, Store, fresh_postgresql
from bench.goals import PRODUCTS
from bench.machine import describe, in_words
from bench.processes import Cores
from bench.services import OPERATOR_KEY, open_upstream, product
from tools.seed import Plan, fill, record_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

WARM_MS: Final = 200
COLD_MS: Final = 500
_DAYS = 30.0
_FAILED = 0.03
_TIMES = 3
_DAY = 86_400
_LIST = "/monitoring/transfers"
_ERRORS = "/monitoring/errors"
_KEPT_SECONDS = 4.1  # Monitoring is counted anew after this time
_NAMES = ("syncs", "rejections", "connections", "settings")
console = Console()


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one page, in milliseconds."""

    path: str
    cold_ms: float
    warm_ms: float

    @property
    def is_met(self) -> bool:
        """Whether it is as quick as it is to be."""
        return self.cold_ms <= COLD_MS and self.warm_ms <= WARM_MS


def pages(stored: int, transfer_id: str | None = None) -> list[str]:
    """Each page and each filter of the list, also those that find nothing, and windows that are long over."""
    someone = record_of(stored // 8)
    emails = (someone["email_address"], "nobody@example.com")
    filters: list[dict[str, str]] = [
        {},
        {"cursor": str(max(1, stored // 2))},
        {"status": "failed"},
        {"status": "waiting"},
        {"status": "cancelled"},
        {"error": Slug.CUSTOMER},
        {"error": Slug.SUBSCRIPTION, "status": "failed"},
        {"group": "0" * 12},
        {"customer_id": someone["id"]},
        {"tracking_guid": "00000000-0000-0000-0000-000000000000"},
        *({"email_hash": hash_email(email)} for email in emails),
        {"email_hash": hash_email("nobody@example.com"), "status": "failed"},
        {"stamped_status": "401"},
        {"stamped_status": "418", "status": "failed"},
        {"connection": "default"},
        {"connection": "nowhere"},
        {"connection": "nowhere", "status": "succeeded"},
        {"connection": "nowhere", "status": "failed"},
        {"until": _written(15)},
        {"since": _written(15), "status": "failed"},
        *_closed(),
    ]
    overviews: list[dict[str, str]] = [
        {},
        {"last": "7d"},
        {"last": "30d"},
        {"last": "30d", "connection": "default"},
        {"since": _written(20), "until": _written(13)},
    ]
    groups = [{"last": last} for last in ("24h", "7d", "30d", "365d")]
    groups += [{"since": _written(20), "until": _written(19)}, {"since": _written(28), "until": _written(14)}]
    found = [_path("/monitoring", each) for each in overviews]
    found += [f"/monitoring/{name}" for name in _NAMES]
    found += [_path(_ERRORS, each) for each in groups]
    found += [_path(_LIST, each) for each in filters]
    return [*found, f"{_LIST}/{transfer_id}"] if transfer_id else found


def _closed() -> list[dict[str, str]]:
    """An hour and two weeks, long over, with what narrows them further."""
    windows = [
        {"since": _written(20), "until": _written(20 - 1 / 24)},
        {"since": _written(28), "until": _written(14)},
    ]
    narrower: list[dict[str, str]] = [
        {},
        {"status": "failed"},
        {"status": "waiting"},
        {"error": Slug.CUSTOMER},
        {"group": "0" * 12},
        {"stamped_status": "418", "status": "failed"},
        {"connection": "nowhere"},
        {"tracking_guid": "00000000-0000-0000-0000-000000000000"},
    ]
    return [window | each for window in windows for each in narrower]


def slowest_page(url: str, stored: int) -> tuple[str, float]:
    """Its address and its milliseconds, in the median."""
    with _signed_in(url) as browser:
        costs = _warm(browser, pages(stored))
    slowest = max(costs, key=lambda path: costs[path])
    return slowest, costs[slowest]


def readyz_ms(url: str) -> float:
    """How long orchestrators wait for it, in the median."""
    with httpx.Client(base_url=url) as client:
        return median(_time_of(client, "/readyz") for _ in range(_TIMES))


def measure(store: Store, core: int, folder: Path, upstream_url: str, paths: Sequence[str]) -> list[Cost]:
    """Every page by a process of its own first, then warm by one that has shown all of them."""
    cold = {}
    for path in paths:
        with (
            product(f"{store.kind}, cold", core, folder, upstream_url, store) as service,
            _signed_in(service.server.url) as browser,
        ):
            cold[path] = _time_of(browser, path)
    with (
        product(f"{store.kind}, warm", core, folder, upstream_url, store) as service,
        _signed_in(service.server.url) as browser,
    ):
        for path in paths:
            browser.get(path).raise_for_status()
        warm = _warm(browser, paths)
    return [Cost(path, cold[path], warm[path]) for path in paths]


@contextmanager
def _signed_in(url: str) -> Iterator[httpx.Client]:
    """With the operator's session."""
    with httpx.Client(base_url=url, headers={"Accept": "text/html"}, timeout=60) as browser:
        if browser.post("/login", data={"key": OPERATOR_KEY}).status_code != HTTPStatus.SEE_OTHER:
            message = "the operator key does not open the pages"
            raise RuntimeError(message)
        yield browser


def _warm(browser: httpx.Client, paths: Sequence[str]) -> dict[str, float]:
    """Milliseconds of an answer, in the median, with time between for what is kept. Raises HTTPStatusError."""
    costs: dict[str, list[float]] = {path: [] for path in paths}
    for _ in range(_TIMES):
        time.sleep(_KEPT_SECONDS)
        for path in paths:
            costs[path].append(_time_of(browser, path))
    return {path: median(each) for path, each in costs.items()}


def _time_of(browser: httpx.Client, path: str) -> float:
    """Milliseconds. Raises HTTPStatusError."""
    began = time.perf_counter()
    browser.get(path).raise_for_status()
    return (time.perf_counter() - began) * 1000


def _path(where: str, query: dict[str, str]) -> str:
    return f"{where}?{urlencode(query)}" if query else where


def _written(days_ago: float) -> str:
    """In whole hours, so that it is the same in each process of a run."""
    return time.strftime("%Y-%m-%dT%H:00", time.gmtime(time.time() - days_ago * _DAY))


def _table(kind: str, costs: Sequence[Cost], stored: int) -> Table:
    table = Table(title=f"{kind}: {stored:,} transfers, ms", padding=(0, 1))
    table.add_column("page", overflow="fold")
    for heading in ("cold", "warm"):
        table.add_column(heading, justify="right")
    for cost in costs:
        colour = "" if cost.is_met else "[red]"
        table.add_row(cost.path, f"{colour}{cost.cold_ms:.0f}", f"{colour}{cost.warm_ms:.0f}")
    missed = sum(not cost.is_met for cost in costs)
    cold, warm = (max(getattr(cost, name) for cost in costs) for name in ("cold_ms", "warm_ms"))
    goal = "met" if not missed else f"MISSED by {missed}"
    table.caption = f"slowest: cold {cold:.0f}, warm {warm:.0f}; goal: cold {COLD_MS}, warm {WARM_MS}: {goal}"
    return table


def main() -> int:
    """Both databases, one after the other."""
    parser = argparse.ArgumentParser(prog="make bench-pages", description=__doc__)
    parser.add_argument("--only", choices=PRODUCTS, help="one of the databases")
    parser.add_argument("--stored", type=int, default=1_000_000, help="how many transfers")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there, too")
    given = parser.parse_args()
    cores = Cores.found()
    missed = 0
    with tempfile.TemporaryDirectory(prefix="bench-pages-") as name, ExitStack() as stack:
        folder = Path(name)
        written: dict[str, object] = {"machine": describe(folder)}
        console.print(in_words(describe(folder)), highlight=False, soft_wrap=True)
        os.sched_setaffinity(0, {cores.load})
        upstream = stack.enter_context(open_upstream(cores, folder))
        for kind in [given.only] if given.only else PRODUCTS:
            with ExitStack() as mine:
                store: Store = SQLite(folder) if kind == "SQLite" else mine.enter_context(fresh_postgresql())
                began = time.perf_counter()
                with console.status(f"{kind}: {given.stored:,} transfers"):
                    asyncio.run(fill(store.url, Plan(given.stored, _DAYS, _FAILED, time.time())))
                    store.tidy()
                console.print(f"{kind}: filled in {time.perf_counter() - began:.0f} s", highlight=False)
                transfer_id = str(store.value("SELECT id FROM transfers WHERE seq = 1"))
                with console.status(f"{kind}: pages"):
                    paths = pages(given.stored, transfer_id)
                    costs = measure(store, cores.service, folder, upstream.url, paths)
            console.print(_table(kind, costs, given.stored))
            written[kind] = [asdict(cost) for cost in costs]
            missed += sum(not cost.is_met for cost in costs)
    if given.json:
        given.json.write_text(json.dumps(written, indent=1) + "\n", encoding="utf-8")
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
