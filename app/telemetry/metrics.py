"""Prometheus metrics; their labels hold no customer, no address and no key."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

_LABELLED = 200  # the library looks its labels up under a lock
_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 60, 120)


@dataclass(frozen=True, slots=True)
class CallMetrics:
    """Calls of one connection."""

    labelled: Callable[..., Histogram]
    connection: str

    def call(self, system: str, operation: str, outcome: str, seconds: float) -> None:
        """A call ended; `outcome` is `ok` or the kind of failure."""
        self.labelled(self.connection, system, operation, outcome).observe(seconds)


class Metrics:
    """The metrics of one application; a registry of its own, so that several can live in one process."""

    content_type = CONTENT_TYPE_PLAIN_0_0_4

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._transfers = Counter(
            "ipaas_stamped_transfers",
            "Ends of attempts, and transfers that needed none, by the status they led to",
            ("connection", "status", "action", "error"),
            registry=self._registry,
        )
        self._seconds = Histogram(
            "ipaas_stamped_attempt_seconds", "Duration of attempts", buckets=_SECONDS, registry=self._registry
        )
        self._calls = Histogram(
            "ipaas_stamped_call_seconds",
            "Calls to Stamped.io and iPaaS.com, by outcome",
            ("connection", "system", "operation", "outcome"),
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._rejections = Counter(
            "ipaas_stamped_rejections",
            "Requests refused before they became transfers",
            ("error",),
            registry=self._registry,
        )
        self._running = Gauge(
            "ipaas_stamped_running", "Transfers under way in this replica", registry=self._registry
        )

        self._ended = lru_cache(maxsize=_LABELLED)(self._transfers.labels)
        self._called = lru_cache(maxsize=_LABELLED)(self._calls.labels)

    def of(self, connection: str) -> CallMetrics:
        """What the clients of a connection measure."""
        return CallMetrics(self._called, connection)

    def transfer(
        self, connection: str, status: str, action: str | None, error: str | None, seconds: float
    ) -> None:
        """An attempt ended, or a transfer was settled without one (0 seconds)."""
        self._ended(connection, status, action or "", error or "").inc()
        if seconds:
            self._seconds.observe(seconds)

    def rejection(self, error: str) -> None:
        """A request was refused."""
        self._rejections.labels(error).inc()

    def exposition(self, running: int) -> bytes:
        """Everything, in Prometheus's text format."""
        self._running.set(running)
        return generate_latest(self._registry)
