"""Metrics that are not counted, but looked at when somebody asks: backlog and pauses, processes, the build."""

from __future__ import annotations

import platform
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from app import VERSION

STATUSES: Final = ("entering", "accepted", "waiting", "running")
KINDS: Final = ("throttled", "down", "paused")


@dataclass(frozen=True, slots=True)
class ConnectionState:
    """One connection's, of all replicas: transfers by status, the oldest one's age, what it is paused by."""

    connection: str
    backlog: Mapping[str, int]
    oldest_seconds: float
    paused: Collection[str]
    calls_left: int


class States(Collector):
    """What the database said last; nothing where it says nothing, for old numbers would lie."""

    seen: Sequence[ConnectionState] | None = None

    def collect(self) -> Iterable[Metric]:
        """Of each connection."""
        up = GaugeMetricFamily("ipaas_stamped_database_up", "1 = the database answered when it was last looked at")
        up.add_metric((), 0 if self.seen is None else 1)
        backlog = GaugeMetricFamily(
            "ipaas_stamped_backlog",
            "Transfers that have not ended, of all replicas; entering: of a sync, still to become transfers",
            labels=("connection", "status"),
        )
        oldest = GaugeMetricFamily(
            "ipaas_stamped_oldest_waiting_seconds",
            "Age of the oldest transfer that has not ended; 0 = there is none",
            labels=("connection",),
        )
        paused = GaugeMetricFamily(
            "ipaas_stamped_paused", "1 = nothing can be sent for this", labels=("connection", "kind")
        )
        left = GaugeMetricFamily(
            "ipaas_stamped_throttle_calls_left", "Calls that may begin now", labels=("connection",)
        )
        for each in self.seen or ():
            for status in STATUSES:
                backlog.add_metric((each.connection, status), each.backlog.get(status, 0))
            for kind in KINDS:
                paused.add_metric((each.connection, kind), int(kind in each.paused))
            oldest.add_metric((each.connection,), each.oldest_seconds)
            left.add_metric((each.connection,), each.calls_left)
        return up, backlog, oldest, paused, left


class BuildInfo(Collector):
    """`database`: its kind."""

    database = ""

    def collect(self) -> Iterable[Metric]:
        """One, as Prometheus has it."""
        names = ("version", "python", "database")
        info = GaugeMetricFamily("ipaas_stamped_build_info", "What runs here; always 1", labels=names)
        info.add_metric((VERSION, platform.python_version(), self.database), 1)
        return (info,)


class Processes(Collector):
    """CPU, memory, files and begin of this process; of several, each by its pid."""

    def __init__(self, pids: Collection[int] = ()) -> None:
        self._pids = pids

    def collect(self) -> Iterable[Metric]:
        """Nothing where there is no /proc."""
        if not self._pids:
            return ProcessCollector(registry=None).collect()
        found: dict[str, Metric] = {}
        for pid in sorted(self._pids):
            for metric in ProcessCollector(pid=partial(int, pid), registry=None).collect():
                kept = found.setdefault(metric.name, Metric(metric.name, metric.documentation, metric.type))
                for sample in metric.samples:
                    kept.add_sample(sample.name, {"pid": str(pid)}, sample.value)
        return found.values()
