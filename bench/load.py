"""The load: webhooks of ever new customers over a fixed number of connections, for a fixed time."""

from __future__ import annotations

import asyncio
import itertools
import time
from dataclasses import dataclass
from uuid import uuid4

import aiohttp

WEBHOOK_KEY = "bench-webhook-key"


@dataclass(frozen=True, slots=True)
class Measured:
    """What one run of the load saw; latencies in milliseconds."""

    webhooks: int
    seconds: float
    failures: int
    p50: float
    p99: float

    @property
    def rate(self) -> float:
        """Webhooks per second."""
        return self.webhooks / self.seconds


_numbers = itertools.count(1)


async def put_load(url: str, connections: int, seconds: float) -> Measured:
    """Each webhook is a bare record with a tracking GUID of its own."""
    latencies: list[float] = []
    failures = 0
    began = time.monotonic()

    async def client(session: aiohttp.ClientSession) -> None:
        nonlocal failures
        while time.monotonic() - began < seconds:
            number = next(_numbers)
            record = {
                "id": number,
                "email_address": f"c{number}@example.com",
                "first_name": "Anna",
                "tracking_guid": str(uuid4()),
                "custom_fields": [{"custom_field_name": "Consent", "value": "yes"}],
            }
            sent = time.perf_counter()
            async with session.post(f"{url}/webhooks/customers", json=record) as response:
                await response.read()
                failures += response.status != 200  # noqa: PLR2004 - OK
            latencies.append((time.perf_counter() - sent) * 1000)

    connector = aiohttp.TCPConnector(limit=connections)
    headers = {"Authorization": f"Bearer {WEBHOOK_KEY}"}
    async with aiohttp.ClientSession(connector=connector, headers=headers) as session:
        await asyncio.gather(*(client(session) for _ in range(connections)))
    elapsed = time.monotonic() - began
    latencies.sort()
    p50, p99 = (latencies[int(len(latencies) * part)] for part in (0.5, 0.99))
    return Measured(len(latencies), elapsed, failures, p50, p99)
