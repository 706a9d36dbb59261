"""Options that several commands share."""

from __future__ import annotations

import re
import sys
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from app.error_catalog import Slug

_AGO = re.compile(r"(\d{1,6})\s*([smhdw])", re.ASCII)
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}

narrowing = partial(typer.Option, rich_help_panel="Which ones")  # an option that is a filter

Json = Annotated[bool, typer.Option("--json", help="One JSON document on standard output, for programs.")]
Error = Annotated[
    Slug | None,
    narrowing("--error", help="Only this documented error.", metavar="SLUG", show_choices=False),
]
TransferId = Annotated[str, typer.Argument(metavar="ID", help="The transfer's id.")]


def read_since(value: str | None) -> str | None:
    """`2h`, `3d`, a date or a time; without a zone it is local. As the service reads it."""
    if value is None:
        return None
    ago = _AGO.fullmatch(value.strip().lower())
    if ago:
        moment = datetime.now(UTC) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
    else:
        try:
            moment = datetime.fromisoformat(value.strip()).astimezone(UTC)
        except (ValueError, OverflowError):
            message = "expected something like 2h, 3d, 2026-11-24 or 2026-11-24T09:30"
            raise typer.BadParameter(message) from None
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")


def read_input(path: Path, option: str) -> bytes:
    """A file's content; that of standard input for `-`. Raises typer.BadParameter."""
    try:
        return sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
    except OSError as error:
        message = f"{path} cannot be read ({error.strerror})"
        raise typer.BadParameter(message, param_hint=option) from None


Since = Annotated[
    str | None,
    narrowing(help="Received since: 30m, 2h, 3d, a date or a time.", callback=read_since, metavar="TIME"),
]
Until = Annotated[
    str | None,
    narrowing(help="Received before: written like --since.", callback=read_since, metavar="TIME"),
]
StampedStatus = Annotated[
    int | None,
    narrowing(min=100, max=599, help="Only where Stamped.io answered this status.", metavar="STATUS"),
]
Group = Annotated[
    str | None,
    narrowing(metavar="GROUP", help="Only those that failed alike, see `errors`."),
]
Customer = Annotated[str | None, narrowing(metavar="ID", help="Only this iPaaS.com customer id.")]
Connection = Annotated[
    str | None,
    narrowing(metavar="NAME", help="Of this connection; sync needs it where there are several."),
]

Words = Annotated[
    str | None,
    narrowing(metavar="WORDS", help="Only failures whose message has all of these words."),
]


def given(**values: str | int | None) -> dict[str, str | int]:
    """Those that are set, as the service names them."""
    return {name: value for name, value in values.items() if value is not None}
