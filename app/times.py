"""Times as they are written: ISO 8601. Inside they are seconds since 1970."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema

_WRITTEN = {"anyOf": [{"type": "string", "format": kind} for kind in ("date-time", "date")]}
_NO_TIME = "Input should be a date and time such as 2026-11-24T12:30:00Z"
_TIME = re.compile(
    r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?:Z|[+-]\d\d:?\d\d)?)?", re.ASCII | re.IGNORECASE
)


def read_time(value: Any) -> float:
    """Seconds since 1970 of an ISO 8601 text; no zone = UTC. Raises ValueError, also for a number."""
    if not isinstance(value, str) or not _TIME.fullmatch(value.strip()):
        raise ValueError(_NO_TIME)
    try:
        moment = datetime.fromisoformat(value.strip().upper())
    except ValueError:
        raise ValueError(_NO_TIME) from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def moment(seconds: float | None) -> str | None:
    """A time as ISO 8601 in UTC."""
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


Time = Annotated[float, BeforeValidator(read_time), WithJsonSchema(_WRITTEN)]
Moment = Annotated[
    str,
    BeforeValidator(lambda value: moment(value) if isinstance(value, float) else value),
    WithJsonSchema({"type": "string", "format": "date-time", "examples": ["2026-11-24T09:30:01.204Z"]}),
]
