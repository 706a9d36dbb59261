"""What acts on each cause of a verdict: one button, or one link."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from app.monitoring.connections import CONNECTIONS
from app.monitoring.failures import ERRORS
from app.monitoring.ranges import address, written
from app.monitoring.transfers import LIST

if TYPE_CHECKING:
    from collections.abc import Mapping

    from app.verdict import Cause

_REJECTIONS: Final = "/monitoring/rejections"
_SETTINGS: Final = "/monitoring/settings"
_SHOWN: Final = {
    "webhook-key": ("Show the rejections", _REJECTIONS),
    "webhooks-refused": ("Show the rejections", _REJECTIONS),
    "stamped-down": ("Show the connection", CONNECTIONS),
    "throttled": ("Show the connection", CONNECTIONS),
    "connections-file": ("Show the settings", _SETTINGS),
    "no-webhook": ("Show the transfers", LIST),
    "waiting": ("Show them", LIST),
    "failures": ("Show the errors", ERRORS),
}


@dataclass(frozen=True, slots=True)
class Deed:
    """`form`: it is sent, with these fields; else it leads there. `acts`: for nobody who only looks."""

    label: str
    path: str
    form: bool = False
    acts: bool = False
    fields: Mapping[str, str] = field(default_factory=dict)


def deed_of(cause: Cause) -> Deed | None:
    """None = nothing on these pages helps."""
    whose = {"connection": cause.connection or ""}
    if cause.action == "test-keys":
        return Deed("Test keys", f"{_SETTINGS}/test", form=True, fields=whose)
    if cause.action == "resume":
        return Deed("Resume", f"{CONNECTIONS}/{quote(cause.connection or '', safe='')}/resume", form=True)
    if cause.action == "re-run":
        since = {"status": "failed", "since": written(cause.since or 0.0)}
        return Deed(f"Re-run {cause.count or 0:,} …", address(f"{LIST}/retry", since, whose), acts=True)
    if cause.action is None:
        return None
    label, path = _SHOWN[cause.code]
    return Deed(label, path if path == _REJECTIONS else address(path, whose, _narrowed(cause)))


def _narrowed(cause: Cause) -> Mapping[str, str]:
    """What the page that is led to shows."""
    if cause.code == "waiting":  # what was received before is listed below the oldest one
        return {"until": written((cause.since or 0.0) + 1)}
    return {"last": "24h"} if cause.code == "failures" else {}
