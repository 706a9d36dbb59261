"""`Prefer` (RFC 7240): how long a caller wants to be kept waiting."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Header

_LONGEST_WAIT_SECONDS = 120
_WAIT = re.compile(r"wait\s*=\s*\"?(\d{1,6})\"?", re.ASCII)
_WHAT = "`respond-async`: a 202 at once; `wait=N`: a 202 after N seconds (≤ 120)"


@dataclass(frozen=True, slots=True)
class Preference:
    """`wait_seconds` None = the response timeout. `applied` = what `Preference-Applied` says."""

    wait_seconds: float | None = None
    applied: str | None = None


def read_preference(
    prefer: Annotated[Sequence[str], Header(description=_WHAT, examples=[["wait=10"]])] = (),
) -> Preference:
    """`wait=N` (cut to 120 s) sets how long, also beside `respond-async`, as in RFC 7240's own example.

    Anything else is ignored, as the RFC says.
    """
    preferences = [part.strip().lower() for value in prefer for part in re.split(r"[,;]", value)]
    for match in filter(None, map(_WAIT.fullmatch, preferences)):
        seconds = min(int(match[1]), _LONGEST_WAIT_SECONDS)
        return Preference(seconds, f"wait={seconds}")
    return Preference(0, "respond-async") if "respond-async" in preferences else Preference()


Wait = Annotated[Preference, Depends(read_preference)]
