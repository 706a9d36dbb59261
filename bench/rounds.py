"""Interleaved rounds: in each, every service in turn gets the same load, so that a slow minute meets them all."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

import uvloop

from bench.load import Load, put_load
from bench.processes import busy_seconds

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bench.load import Measured
    from bench.processes import Cores
    from bench.services import Service


@dataclass(frozen=True, slots=True)
class Slice:
    """A few seconds of load on one service; CPU in milliseconds per webhook, of its database's backends, too.

    `others`: the share of the service's core that went to others; `load_core`: how busy the other core was.
    """

    seen: Measured
    cpu_ms: float
    database_ms: float | None
    rss_mib: float
    others: float
    load_core: float


@dataclass(frozen=True, slots=True)
class Figures:
    """Of all rounds: the median of rates, ratios and CPU; latencies over all; the most of the two shares."""

    service: str
    per_second: float
    ratio: float
    cpu_ms: float
    database_ms: float | None
    p50_ms: float
    p99_ms: float
    rss_mib: float
    webhooks: int
    failures: int
    others: float
    load_core: float

    def as_json(self) -> dict[str, Any]:
        """Rounded to what means something."""
        return {
            name: round(value, 3) if isinstance(value, float) else value for name, value in asdict(self).items()
        }


def measure(service: Service, load: Load, cores: Cores) -> Slice:
    """One slice; what the database has begun since the last one goes to the core of the load first."""
    store = service.store
    if store is not None:
        store.pin(cores.load)
    before = _spent(service, cores)
    seen = uvloop.run(put_load(service.server.url, load))
    after = _spent(service, cores)
    if not seen.webhooks:
        message = f"{service.name} answered nothing"
        raise RuntimeError(message)
    spent = [now - was for was, now in zip(before, after, strict=True)]
    return Slice(
        seen=seen,
        cpu_ms=spent[0] * 1000 / seen.webhooks,
        database_ms=spent[1] * 1000 / seen.webhooks if store and store.has_processes else None,
        rss_mib=service.server.rss_mib(),
        others=max(0.0, spent[2] - spent[0]) / seen.seconds,
        load_core=spent[3] / seen.seconds,
    )


def _spent(service: Service, cores: Cores) -> tuple[float, ...]:
    """Seconds of CPU so far: of the service, of its database, of both cores."""
    database = service.store.cpu_seconds() if service.store else 0.0
    return service.server.cpu_seconds(), database, busy_seconds(cores.service), busy_seconds(cores.load)


def interleave(services: Sequence[Service], loads: Mapping[str, Load], rounds: int, cores: Cores) -> list[Figures]:
    """Each service's figures, compared with those of the first one; who begins a round takes turns."""
    slices: dict[str, list[Slice]] = {service.name: [] for service in services}
    for number in range(rounds):
        first = number % len(services)
        for service in [*services[first:], *services[:first]]:
            slices[service.name].append(measure(service, loads[service.name], cores))
    base = [each.seen.rate for each in slices[services[0].name]]
    return [figures(name, found, base) for name, found in slices.items()]


def figures(name: str, slices: Sequence[Slice], base: Sequence[float]) -> Figures:
    """`base`: the rate of what it is compared with, in the same rounds."""
    latencies = sorted(latency for each in slices for latency in each.seen.latencies)
    p50, p99 = (latencies[int(len(latencies) * part)] for part in (0.5, 0.99))
    spent = [each.database_ms for each in slices if each.database_ms is not None]
    return Figures(
        service=name,
        per_second=median(each.seen.rate for each in slices),
        ratio=median(each.seen.rate / rate for each, rate in zip(slices, base, strict=True)),
        cpu_ms=median(each.cpu_ms for each in slices),
        database_ms=median(spent) if spent else None,
        p50_ms=p50,
        p99_ms=p99,
        rss_mib=slices[-1].rss_mib,
        webhooks=len(latencies),
        failures=sum(each.seen.failures for each in slices),
        others=max(each.others for each in slices),
        load_core=max(each.load_core for each in slices),
    )
