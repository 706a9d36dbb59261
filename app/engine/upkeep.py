"""What is done now and then: rejections are written, hours closed, and what need not be kept is deleted."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

import structlog

from app.ledger import hours, retention
from app.ledger.faults import DatabaseGone
from app.ledger.tables import DAY

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.clock import Clock
    from app.ledger.database import Database
    from app.ledger.session import Session
    from app.telemetry.metrics import Metrics

log = structlog.stdlib.get_logger("upkeep")

_FLUSH_SECONDS = 5.0
_CLEAN_EVERY_SECONDS = 3600.0
_CLOSE_EVERY_SECONDS = 60.0
_BATCH_PAUSE_SECONDS = 0.1
_MOST_BUFFERED = 1000


class Upkeep:
    """Runs beside the engine; a database that is away is tried again later."""

    def __init__(self, database: Database, clock: Clock, retention_days: float, metrics: Metrics) -> None:
        self._metrics = metrics
        self._database = database
        self._clock = clock
        self._retention_days = retention_days
        self._rejections: deque[dict[str, Any]] = deque(maxlen=_MOST_BUFFERED)

    def reject(self, status: int, error: str, reason: str, address: str | None) -> None:
        """Note a request that never became a transfer. Buffered, so that a flood of them costs no writes."""
        self._metrics.rejection(error)
        log.warning("rejected", status=status, error=error, address=address)
        at = self._clock.now().timestamp()
        row = {"at": at, "status": status, "error": error, "reason": reason, "address": address}
        self._rejections.append(row)

    async def flush(self) -> None:
        """Write the buffered rejections. Raises DatabaseGone."""
        rows = list(self._rejections)
        self._rejections.clear()
        if rows:
            try:
                await self._database.run(retention.add_rejections, rows)
            except DatabaseGone:
                self._rejections.extendleft(reversed(rows))
                raise

    async def clean(self) -> None:
        """Delete what is past its time, in batches. Raises DatabaseGone."""
        now = self._clock.now().timestamp()
        kept = now - self._retention_days * DAY
        ids_kept = min(kept, now - retention.IDS_KEPT_DAYS * DAY)
        await self._in_batches(retention.forget_records, kept)
        await self._in_batches(retention.forget_rejections, kept)
        await self._in_batches(retention.forget_transfers, ids_kept)
        await self._database.run(hours.forget, ids_kept)

    async def close_hours(self) -> None:
        """Count attempts of hours that are over, beside the writers, and keep that. Raises DatabaseGone."""
        while closing := await self._database.read(hours.over, self._clock.now().timestamp()):
            await self._database.run(hours.close, closing)
            await self._clock.sleep(_BATCH_PAUSE_SECONDS)

    async def live(self) -> None:
        """Until cancelled."""
        cleaned_at = closed_at = float("-inf")
        while True:
            await self._clock.sleep(_FLUSH_SECONDS)
            try:
                await self.flush()
                if self._clock.monotonic() - closed_at >= _CLOSE_EVERY_SECONDS:
                    closed_at = self._clock.monotonic()
                    await self.close_hours()
                if self._clock.monotonic() - cleaned_at >= _CLEAN_EVERY_SECONDS:
                    cleaned_at = self._clock.monotonic()
                    await self.clean()
            except DatabaseGone as gone:
                log.warning("upkeep waits for the database", error=str(gone))
            except Exception:
                log.exception("upkeep broke")

    async def _in_batches(self, work: Callable[[Session, float], int], before: float) -> None:
        while await self._database.run(work, before) >= retention.BATCH:
            await self._clock.sleep(_BATCH_PAUSE_SECONDS)
