"""What became of a transfer, in the log and in the metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from app.connections import connection_id

if TYPE_CHECKING:
    from app.ledger.stored import Stored
    from app.telemetry.metrics import Metrics

log = structlog.stdlib.get_logger("transfer")


def report(metrics: Metrics, transfer: Stored, seconds: float = 0, steps: dict[str, float] | None = None) -> None:
    """The one line of a transfer, or of an attempt that a next one follows; and its place in the metrics."""
    connection = connection_id(transfer.connection)
    metrics.transfer(connection, transfer.status, transfer.action, transfer.error, seconds)
    write = log.warning if transfer.error else log.info
    write(
        "transfer",
        tracking_guid=transfer.tracking_guid,
        transfer_id=transfer.id,
        connection=connection,
        customer_id=transfer.customer_id,
        scope=transfer.scope,
        trigger=transfer.trigger,
        status=transfer.status,
        action=transfer.action,
        external_id=transfer.external_id,
        subscription=transfer.subscription,
        reason=transfer.reason,
        error=transfer.error,
        attempts=transfer.attempts,
        seconds=round(seconds, 4),
        steps=steps or {},
    )
