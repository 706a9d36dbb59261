"""What metrics tell of the database: read when somebody asks, but not each time, and never waited for long."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import structlog

from app.ledger import statistics
from app.ledger.faults import DatabaseGone
from app.telemetry.collectors import ConnectionState

if TYPE_CHECKING:
    from app.clock import Clock
    from app.connections import Connections
    from app.engine import Engine
    from app.telemetry.metrics import Metrics

log = structlog.stdlib.get_logger("metrics")

FRESH_SECONDS: Final = 5.0
_SHARE: Final = 20  # reading takes this part of the time at most, however much is stored
_PATIENCE_SECONDS: Final = 1.0


class Gauges:
    """Of one replica; `metrics` learns what it sees."""

    def __init__(self, engine: Engine, connections: Connections, clock: Clock, metrics: Metrics) -> None:
        self._engine = engine
        self._connections = connections
        self._clock = clock
        self._metrics = metrics
        self._due_at = float("-inf")
        self._looks = False

    async def look(self) -> None:
        """Look again, unless that was a moment ago or goes on. A database that is silent is given up soon."""
        if not (self._engine.started and self._engine.pulse.is_well):
            self._metrics.see(None)
            return
        if self._looks or self._clock.monotonic() < self._due_at:
            return
        began, self._looks = self._clock.monotonic(), True
        try:
            self._metrics.see(await self._seen())
        finally:
            now, self._looks = self._clock.monotonic(), False
            self._due_at = now + max(FRESH_SECONDS, _SHARE * (now - began))

    async def _seen(self) -> list[ConnectionState] | None:
        """None = the database says nothing."""
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                found = await self._engine.gates.see(statistics.backlog)
        except (DatabaseGone, TimeoutError):
            return None
        except Exception:
            log.exception("the backlog cannot be counted")
            return None
        return [self._state(each.id, each.scope, found) for each in self._connections if each.scope in found]

    def _state(self, connection: str, scope: str, found: dict[str, statistics.Backlog]) -> ConnectionState:
        mine, gate = found[scope], self._engine.gates.at(scope)
        age = 0.0 if mine.oldest_at is None else max(0.0, self._engine.pulse.now() - mine.oldest_at)
        return ConnectionState(connection, mine.totals, age, gate.paused_by, gate.calls_left)
