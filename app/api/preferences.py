"""`Prefer` (RFC 7240): how long a caller wants to be kept waiting."""

from __future__ import annotations

import re
from dataclasses import dataclass

_LONGEST_WAIT_SECONDS = 120
_WAIT = re.compile(r"wait\s*=\s*\"?(\d{1,6})\"?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Preference:
    """`wait_seconds` None = the response timeout. `applied` = what `Preference-Applied` says."""

    wait_seconds: float | None = None
    applied: str | None = None


def read_preference(values: list[str]) -> Preference:
    """`wait=N` (cut to 120 s) sets how long, also beside `respond-async`, as in RFC 7240's own example.

    Anything else is ignored, as the RFC says.
    """
    preferences = [part.strip().lower() for value in values for part in re.split(r"[,;]", value)]
    for match in filter(None, map(_WAIT.fullmatch, preferences)):
        seconds = min(int(match[1]), _LONGEST_WAIT_SECONDS)
        return Preference(seconds, f"wait={seconds}")
    return Preference(0, "respond-async") if "respond-async" in preferences else Preference()
