"""`connections`, `pause`, `resume`: whether each flows, why not, and until when."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.client import path_of
from app.cli.options import Json
from app.cli.output import clean, moment, talking

if TYPE_CHECKING:
    from app.cli.output import Output

_Id = Annotated[str, typer.Argument(metavar="CONNECTION", help="Its id: iPaaS.com's subscription, or default.")]


def connections(*, as_json: Json = False) -> None:
    """Show each connection: whether it flows or is paused, and what waits."""
    with talking(json=as_json) as (service, out):
        found = service.get("/connections")
        if out.json:
            out.document(found)
            return
        for each in found["items"]:
            _show(out, each)


def pause(
    connection: _Id,
    *,
    reason: Annotated[str | None, typer.Option(help="Why, for whoever wonders.")] = None,
    as_json: Json = False,
) -> None:
    """Send nothing to this connection's Stamped.io; what comes is accepted, and waits."""
    _change(connection, "pause", {"reason": reason} if reason else {}, as_json=as_json)


def resume(connection: _Id, *, as_json: Json = False) -> None:
    """End that pause; what waits begins within seconds, at the throttle's pace."""
    _change(connection, "resume", None, as_json=as_json)


def _change(connection: str, action: str, body: dict[str, Any] | None, *, as_json: bool) -> None:
    with talking(json=as_json) as (service, out):
        changed = service.post(path_of("connections", connection, action), body).body
        if out.json:
            out.document(changed)
        else:
            _show(out, changed)


def _show(out: Output, shown: dict[str, Any]) -> None:
    name = shown["id"] if shown["name"] == shown["id"] else f"{shown['name']} ({shown['id']})"
    state = shown["state"]
    out.line(f"{clean(name)}: {state}, {shown['calls_left']} calls left in this window")
    if shown["reason"]:
        since = f"since {moment(shown['since'])}: " if state == "paused" else ""
        out.line(f"  {since}{clean(shown['reason'])}")
    waiting = [f"{count} {rank}" for rank, count in shown["waiting"].items() if count]
    out.line(f"  waiting: {', '.join(waiting) or 'nothing'}")
