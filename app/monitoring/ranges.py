"""Which time a page is about: one picker, the same words in every address. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, Self
from urllib.parse import urlencode

from app.filters import ending
from app.monitoring.guard import PageFault
from app.times import read_time

if TYPE_CHECKING:
    from collections.abc import Mapping

_HOUR, _DAY = 3600, 86_400  # seconds
# what `last` of an address says: its name for people, and seconds
WINDOWS: Final = {
    "1h": ("hour", _HOUR),
    "24h": ("24 hours", _DAY),
    "7d": ("7 days", 7 * _DAY),
    "30d": ("30 days", 30 * _DAY),
    "365d": ("year", 365 * _DAY),
}


@dataclass(frozen=True, slots=True)
class Range:
    """`last` (moves with the clock) or `since` (included) and `until` (not), as they are written; empty = any."""

    last: str = ""
    since: str = ""
    until: str = ""

    @classmethod
    def of(cls, values: Mapping[str, str], usual: str = "") -> Self:
        """From an address or a form; `usual` where it says nothing. Raises PageFault."""
        last, since, until = (values.get(name, "").strip() for name in ("last", "since", "until"))
        if since or until:
            return cls(since=since, until=until)
        if last not in {"", "any", *WINDOWS}:
            raise unreadable("window")
        return cls(last=(last or usual).removeprefix("any"))

    @property
    def is_closed(self) -> bool:
        """Whether nothing that comes from now on is meant."""
        return bool(self.until)

    @property
    def given(self) -> dict[str, str]:
        """For an address."""
        values = {"last": self.last, "since": self.since, "until": self.until}
        return {name: value for name, value in values.items() if value}

    @property
    def name(self) -> str:
        """For people, after "in": `the last 7 days`."""
        if self.last:
            return f"the last {WINDOWS[self.last][0]}"
        return "the chosen time" if self.given else "all time"

    def bounds(self, now: float) -> tuple[float | None, float | None]:
        """Since and until in seconds since 1970; None = open. Raises PageFault."""
        if self.last:
            return ending(now) - WINDOWS[self.last][1], None
        return _seconds(self.since), _seconds(self.until)

    def fixed(self, now: float) -> Range:
        """With an end, so that what comes from now on is not meant."""
        since, until = self.bounds(now)
        until = ending(now) if until is None else until
        return Range(since="" if since is None else written(since), until=written(until))


def written(seconds: float) -> str:
    """As fields for times have it, in UTC."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}"


def unreadable(what: str) -> PageFault:
    """For what no form sends."""
    text = f"There is no such {what}. Times are written as 2026-11-24T12:30, in UTC."
    return PageFault(HTTPStatus.BAD_REQUEST, "This filter cannot be read", text)


def address(path: str, *parts: Mapping[str, str]) -> str:
    """A path with what is not empty of these as its query."""
    query = urlencode({name: value for part in parts for name, value in part.items() if value})
    return f"{path}?{query}" if query else path


def _seconds(text: str) -> float | None:
    try:
        return read_time(text) if text else None
    except ValueError:
        raise unreadable("time") from None
