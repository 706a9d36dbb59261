"""Times as they are written: ISO 8601, in sentences as `2026-11-24 09:30:01 UTC`. Inside: seconds since 1970."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, WithJsonSchema

IN_SENTENCES: Final = re.compile(r"\b(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) UTC\b", re.ASCII)
IN_HEADLINES: Final = re.compile(r"(?<![\d:])(?:(\d{4}-\d\d-\d\d) )?(\d\d:\d\d) UTC\b", re.ASCII)
_WRITTEN = {"anyOf": [{"type": "string", "format": kind} for kind in ("date-time", "date")]}
_MINUTE, _HOUR, _DAY = 60, 3600, 86_400
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


def duration(seconds: float) -> str:
    """`38 ms`, `4.1 s`, `3 min 20 s`, `2 h 5 min`, `3 d 4 h`."""
    seconds = max(seconds, 0)
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < _MINUTE:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    for size, unit, smaller, small_unit in (
        (_DAY, "d", _HOUR, "h"),
        (_HOUR, "h", _MINUTE, "min"),
        (_MINUTE, "min", 1, "s"),
    ):
        if whole >= size:
            rest = whole % size // smaller
            return f"{whole // size} {unit} {rest} {small_unit}" if rest else f"{whole // size} {unit}"
    return f"{whole} s"


def in_sentence(seconds: float) -> str:
    """A time within a text; `IN_SENTENCES` finds it there, for whoever shows it in the reader's zone."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"


Time = Annotated[float, BeforeValidator(read_time), WithJsonSchema(_WRITTEN)]
Moment = Annotated[
    str,
    BeforeValidator(lambda value: moment(value) if isinstance(value, float) else value),
    WithJsonSchema({"type": "string", "format": "date-time", "examples": ["2026-11-24T09:30:01.204Z"]}),
]
