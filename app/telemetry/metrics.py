"""Prometheus metrics; their labels hold no customer, no address and no key."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, multiprocess, values
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from app.telemetry.collectors import BuildInfo, ConnectionState, Processes, States

_together: Final[Any] = multiprocess  # it has no types
_LABELLED = 200  # the library looks its labels up under a lock
_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 60, 120)
_ANSWER_SECONDS = (0.005, 0.01, 0.025, *_SECONDS)


@dataclass(frozen=True, slots=True)
class CallMetrics:
    """Calls of one connection."""

    labelled: Callable[..., Histogram]
    connection: str

    def call(self, system: str, operation: str, outcome: str, seconds: float) -> None:
        """A call ended; `outcome` is `ok` or the kind of failure."""
        self.labelled(self.connection, system, operation, outcome).observe(seconds)


class Metrics:
    """The metrics of one application; a registry of its own, so that several can live in one process.

    `folder`: where it counts together with other processes. What has ended there keeps its counts.
    """

    content_type = CONTENT_TYPE_PLAIN_0_0_4

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        if folder is not None:
            os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)
            values.ValueClass = values.MultiProcessValue()  # type: ignore[no-untyped-call]
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
        self._callers = Gauge(
            "ipaas_stamped_callers", "Connections of callers", multiprocess_mode="livesum", registry=self._registry
        )
        self._turned_away = Counter(
            "ipaas_stamped_turned_away",
            "Callers sent away before the application saw their request; status 0: without an answer",
            ("status",),
            registry=self._registry,
        )
        self._wrong_keys = Counter(
            "ipaas_stamped_wrong_keys", "Wrong keys that were tried", ("door",), registry=self._registry
        )
        self._running = Gauge(
            "ipaas_stamped_running",
            "Transfers under way in this replica",
            multiprocess_mode="livesum",
            registry=self._registry,
        )
        self._answers = Histogram(
            "ipaas_stamped_http_seconds",
            "Answers to callers, by route and class of status; 0xx: without an answer",
            ("method", "route", "status"),
            buckets=_ANSWER_SECONDS,
            registry=self._registry,
        )
        self._states = States()
        self._build = BuildInfo()

        self._answered = lru_cache(maxsize=_LABELLED)(self._answers_of)
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

    def callers(self, count: int) -> None:
        """So many are connected."""
        self._callers.set(count)

    def turned_away(self, status: int) -> None:
        """One more; 0 = without an answer."""
        self._turned_away.labels(str(status)).inc()

    def wrong_key(self, door: str) -> None:
        """Somebody tried one."""
        self._wrong_keys.labels(door).inc()

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """A request has its answer; `route` and `method` are of a few."""
        self._answered(method, route, status // 100).observe(seconds)

    def database(self, kind: str) -> None:
        """What is stored is stored there."""
        self._build.database = kind

    def see(self, states: Sequence[ConnectionState] | None) -> None:
        """What the database said a moment ago of all connections, for all replicas; None = it said nothing."""
        self._states.seen = states

    def running(self, number: int) -> None:
        """So many are under way in this process."""
        self._running.set(number)

    def exposition(self) -> bytes:
        """Everything, in Prometheus's text format; with a folder, of all processes that count there."""
        if self._folder is None:
            return self._told(self._registry, Processes())
        pids = {int(path.stem.rpartition("_")[2]) for path in self._folder.glob("gauge_*.db")}
        for pid in {each for each in pids if not _lives(each)}:
            _together.mark_process_dead(pid, str(self._folder))
            pids.discard(pid)
        together = CollectorRegistry()
        _together.MultiProcessCollector(together, str(self._folder))
        return self._told(together, Processes(pids))

    def _told(self, counted: CollectorRegistry, processes: Processes) -> bytes:
        """With what is no count: it is looked at now, and the same whoever tells it."""
        looked_at = CollectorRegistry()
        for each in (self._states, self._build, processes):
            looked_at.register(each)
        return generate_latest(counted) + generate_latest(looked_at)

    def _answers_of(self, method: str, route: str, hundreds: int) -> Histogram:
        return self._answers.labels(method, route, f"{hundreds}xx")


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
