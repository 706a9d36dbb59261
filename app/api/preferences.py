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
    """`respond-async` wins over `wait=N`; a wait is cut to 120 s; anything else is ignored, as the RFC says."""
    preferences = [part.strip().lower() for value in values for part in re.split(r"[,;]", value)]
    if "respond-async" in preferences:
        return Preference(0, "respond-async")
    for preference in preferences:
        match = _WAIT.fullmatch(preference)
        if match:
            seconds = min(int(match[1]), _LONGEST_WAIT_SECONDS)
            return Preference(seconds, f"wait={seconds}")
    return Preference()
