"""`alert --test`: whether alerts arrive."""

from __future__ import annotations

from typing import Annotated

import typer

from app.cli.options import Json
from app.cli.output import clean, talking

FAILED = 1


def alert(
    *,
    test: Annotated[bool, typer.Option("--test", help="Send a test to each target of ALERT_URLS.")] = False,
    as_json: Json = False,
) -> None:
    """Let the running service send a test alert to each of its targets. Exit code 1: one did not take it."""
    if not test:
        message = "Say --test: alerts are sent by the service itself."
        raise typer.BadParameter(message)
    with talking(json=as_json) as (service, out):
        found = service.post("/alerts/test").body
        if out.json:
            out.document(found)
        else:
            for each in found["items"]:
                became = "sent" if each["sent"] else f"not sent: {clean(each['why'])}"
                out.line(f"target {each['target']} ({clean(each['service'])}): {became}")
        if not all(each["sent"] for each in found["items"]):
            raise typer.Exit(FAILED)
