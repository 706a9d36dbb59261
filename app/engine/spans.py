"""What the trace of a transfer tells of an attempt, or a load: ids and outcomes, nobody's data."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.connections import connection_id
from app.telemetry import traces
from app.telemetry.traces import NOTHING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from app.attempt import Failure
    from app.ledger.stored import Stored
    from app.telemetry.traces import Span


def begin(what: str, transfer: Stored, covered: Sequence[Stored] = ()) -> Span:
    """In the trace of the transfer, whoever began it, and when; those that end with it are told of it."""
    return traces.working(
        what,
        transfer.traceparent,
        (each.traceparent for each in covered if each.seq != transfer.seq),
        connection=connection_id(transfer.connection),
        transfer_id=transfer.id,
        tracking_guid=transfer.tracking_guid,
        trigger=transfer.trigger,
        attempt=transfer.attempts,
    )


def tell(span: Span, failure: Failure | None, *, paused: bool) -> None:
    """How it ended; a pause is no failure."""
    if span is not NOTHING:
        slug = failure.slug.value if failure is not None else None
        span.tell(traces.ours(outcome="paused" if paused else slug or "ok"), failed=None if paused else slug)
