"""`ipaas-stamped`: the commands for whoever runs the bridge."""

from __future__ import annotations

import sys
from io import TextIOWrapper
from typing import Annotated

import typer

from app import VERSION
from app.cli import (
    alert,
    check,
    connections,
    database,
    errors,
    listing,
    pages,
    rejections,
    send,
    serve,
    sync,
    transfers,
)

_EPILOG = (
    "All but serve, sandbox, check, migrate and backup talk to a running service: at IPAAS_STAMPED_URL "
    "(else PORT, here), with OPERATOR_API_KEY (or VIEWER_API_KEY, to look), and send "
    "with IPAAS_WEBHOOK_API_KEY, from the environment or .env."
)

cli = typer.Typer(
    help="Customer bridge from iPaaS.com to Stamped.io.",
    epilog=_EPILOG,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def _tell_version(asked: bool) -> None:  # noqa: FBT001 - typer's way
    if asked:
        typer.echo(VERSION)
        raise typer.Exit


@cli.callback()
def _options(
    *,
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_tell_version, help="Show the version, and end.")
    ] = False,
) -> None:
    del version


_SERVING, _SENDING, _WATCHING = "Serve", "Send", "Watch and mend"
for _command, _panel in (
    (serve.serve, _SERVING),
    (serve.sandbox, _SERVING),
    (check.check, _SERVING),
    (database.migrate, _SERVING),
    (database.backup, _SERVING),
    (send.send, _SENDING),
    (sync.sync, _SENDING),
    (listing.transfers, _WATCHING),
    (transfers.show, _WATCHING),
    (errors.errors, _WATCHING),
    (transfers.retry, _WATCHING),
    (transfers.cancel, _WATCHING),
    (connections.connections, _WATCHING),
    (connections.pause, _WATCHING),
    (connections.resume, _WATCHING),
    (rejections.rejections, _WATCHING),
    (alert.alert, _WATCHING),
):
    cli.command(rich_help_panel=_panel)(_command)
cli.command("open", rich_help_panel=_WATCHING)(pages.open_pages)


def main() -> None:
    """Run the console script."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # a customer's name must not end a command on an old terminal
    cli()
