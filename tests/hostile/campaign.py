"""Sends hostile requests to a product that serves, and watches what becomes of it and of everybody else."""

from __future__ import annotations

import asyncio
import random
import sqlite3
import time
from collections import Counter
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import httpx

from tests.fuzz.harness import Product
from tests.hostile.requests import CANARY, WRONG_KEY, Hostile, draw
from tests.support import OPERATOR_KEY, VIEWER_KEY, WEBHOOK_KEY

AT_ONCE: Final = 24
HANG_SECONDS: Final = 30.0
_WITNESS_SECONDS: Final = 0.1
_SECRETS: Final = (
    CANARY.lower(),
    WRONG_KEY.lower(),
    *(key.lower() for key in (WEBHOOK_KEY, OPERATOR_KEY, VIEWER_KEY)),
)


@dataclass
class Finding:
    """What was seen. `slowest`: seconds that a caller who means well waited; `grown` in MiB."""

    sent: Counter[str] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)
    broken: Counter[str] = field(default_factory=Counter)  # 5xx by kind
    hung: Counter[str] = field(default_factory=Counter)
    witnessed: int = 0
    slowest: float = 0.0
    refused: int = 0
    grown: float = 0.0
    shown: list[str] = field(default_factory=list)

    @property
    def faults(self) -> list[str]:
        """In words; empty = none."""
        found = [f"5xx: {dict(self.broken)}"] if self.broken else []
        found += [f"hung: {dict(self.hung)}"] if self.hung else []
        found += [f"{self.refused} of {self.witnessed} who mean well were not served"] if self.refused else []
        return found + self.shown


async def attack(product: Product, count: int, seed: int, folder: Path, warm_up: int = 200) -> Finding:
    """So many of them, some at once; memory is measured from after a warm-up on."""
    finding = Finding()
    chance = random.Random(seed)  # noqa: S311 - not for secrets
    warm = random.Random(seed + 1)  # noqa: S311 - as above
    for _ in range(warm_up):
        await _send(product, draw(warm), Finding())
    before = _mib(product)
    left = iter(range(count))

    async def attacker() -> None:
        for _ in left:
            await _send(product, draw(chance), finding)

    witness = asyncio.create_task(_witness(product, finding))
    await asyncio.gather(*(attacker() for _ in range(AT_ONCE)))
    witness.cancel()
    with suppress(asyncio.CancelledError):
        await witness
    finding.grown = _mib(product) - before
    finding.shown = [f"shown in {sink}: {what}" for sink, what in _sinks(product, folder)]
    return finding


async def _send(product: Product, hostile: Hostile, finding: Finding) -> None:
    finding.sent[hostile.kind] += 1
    answer = b""
    try:
        async with asyncio.timeout(HANG_SECONDS):
            answer = await _answer(product, hostile)
    except TimeoutError:
        finding.hung[hostile.kind] += 1
    status = answer[9:12].decode("latin-1") or "none"
    finding.statuses[status] += 1
    if status.startswith("5") or b"HTTP/1.1 50" in answer:
        finding.broken[f"{hostile.kind}: {status}"] += 1
    if b"Traceback" in answer or b'File "/' in answer:
        finding.broken[f"{hostile.kind}: a trace is shown"] += 1


async def _answer(product: Product, hostile: Hostile) -> bytes:
    """As much of it as comes before the connection ends."""
    url = httpx.URL(product.url)
    answer = b""
    try:
        reader, writer = await asyncio.open_connection(url.host, url.port)
    except OSError:
        return b""
    with suppress(OSError):
        for piece in hostile.pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(hostile.pause)
        while hostile.stays and (part := await reader.read(65536)):
            answer += part
    writer.close()
    return answer


async def _witness(product: Product, finding: Finding) -> None:
    """Somebody who means well, all the time."""
    key = {"Authorization": f"Bearer {WEBHOOK_KEY}"}
    body = {"notifications": [{"scope": "customer/deleted", "id": 1}]}
    async with httpx.AsyncClient(base_url=product.url, trust_env=False, timeout=HANG_SECONDS) as client:
        while True:
            began = time.monotonic()
            try:
                answers = [
                    await client.get("/readyz"),
                    await client.post("/webhooks/customers", json=body, headers=key),
                ]
                finding.refused += any(answer.status_code != httpx.codes.OK for answer in answers)
            except httpx.TransportError:
                finding.refused += 1
            finding.witnessed += 1
            finding.slowest = max(finding.slowest, (time.monotonic() - began) / 2)
            await asyncio.sleep(_WITNESS_SECONDS)


def _mib(product: Product) -> float:
    pages = Path(f"/proc/{product.pid}/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * 4096 / 2**20


def _sinks(product: Product, folder: Path) -> list[tuple[str, str]]:
    """Where something of a person or a key stands that should not."""
    sinks = {
        "the log": (folder / "product.log").read_text(encoding="utf-8", errors="replace"),
        "the metrics": product.operator.get("/metrics").text,
        "the rejections": product.operator.get("/rejections").text,
        "the transfers": product.operator.get("/transfers?limit=200").text,
    }
    with closing(sqlite3.connect(folder / "bridge.db")) as database:
        tables = [row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            cursor = database.execute(f"SELECT * FROM {table}")  # noqa: S608 - a table's name
            names = [column[0] for column in cursor.description]
            rows = [
                str(value)
                for row in cursor
                for name, value in zip(names, row, strict=True)
                if name != "record" and value is not None
            ]
            sinks[f"the table {table}"] = "\n".join(rows)
    found = []
    for sink, text in sinks.items():
        plain = text.lower()
        for secret in _SECRETS:
            at = plain.find(secret)
            if at >= 0:
                found.append((sink, text[max(0, at - 120) : at + 60]))
    return found
