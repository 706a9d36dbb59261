"""The monitoring pages as an operator opens them, and how long the slowest takes."""

from __future__ import annotations

import time
from http import HTTPStatus
from statistics import median
from urllib.parse import urlencode

import httpx

from app.error_catalog import Slug
from app.ledger.stored import hash_email
from bench.services import OPERATOR_KEY
from tools.seed import record_of

_TIMES = 3
_HOUR = 3600
_LIST = "/monitoring/transfers"
_KEPT_SECONDS = 4.1  # the first page is counted anew after this time


def pages(stored: int) -> list[str]:
    """Each page and each filter of the list, also those that find nothing."""
    someone = record_of(stored // 8)
    then = time.strftime("%Y-%m-%dT%H:%M", time.gmtime(time.time() - 360 * _HOUR))
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
        {"connection": "nowhere"},
        {"until": then},
        {"since": then, "status": "failed"},
    ]
    others = ["/monitoring", *(f"/monitoring/{name}" for name in ("errors", "syncs", "rejections"))]
    return others + [f"{_LIST}?{urlencode(each)}" if each else _LIST for each in filters]


def slowest_page(url: str, stored: int) -> tuple[str, float]:
    """Its address and its milliseconds, in the median."""
    with httpx.Client(base_url=url, headers={"Accept": "text/html"}, timeout=60) as browser:
        if browser.post("/login", data={"key": OPERATOR_KEY}).status_code != HTTPStatus.SEE_OTHER:
            message = "the operator key does not open the pages"
            raise RuntimeError(message)
        costs = {path: _time_of(browser, path) for path in pages(stored)}
    slowest = max(costs, key=lambda path: costs[path])
    return slowest, costs[slowest]


def readyz_ms(url: str) -> float:
    """How long orchestrators wait for it, in the median."""
    with httpx.Client(base_url=url) as client:
        return median(_time_of(client, "/readyz") for _ in range(_TIMES))


def _time_of(browser: httpx.Client, path: str) -> float:
    """Milliseconds of one answer, in the median. Raises HTTPStatusError."""
    costs = []
    for number in range(_TIMES):
        if number and path == "/monitoring":
            time.sleep(_KEPT_SECONDS)
        began = time.perf_counter()
        browser.get(path).raise_for_status()
        costs.append((time.perf_counter() - began) * 1000)
    return median(costs)
