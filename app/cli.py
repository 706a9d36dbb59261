"""`ipaas-stamped`: the commands for whoever runs the bridge."""

from __future__ import annotations

import logging
from typing import Annotated

import typer
import uvicorn

from app.main import SANDBOX_PATH, app_or_exit
from app.sandbox import SANDBOX_PRIVATE_KEY, SANDBOX_PUBLIC_KEY, SANDBOX_STORE_HASH, create_sandbox

cli = typer.Typer(
    help="Customer bridge from iPaaS.com to Stamped.io.", no_args_is_help=True, pretty_exceptions_enable=False
)

Host = Annotated[str, typer.Option(help="The address to listen on.")]
Port = Annotated[int, typer.Option(help="The port to listen on.", min=1, max=65535)]


@cli.command()
def serve(host: Host = "127.0.0.1", port: Port = 8080) -> None:
    """Serve the bridge; without any Stamped.io key against a built-in sandbox."""
    app = app_or_exit(sandbox_url=f"http://127.0.0.1:{port}{SANDBOX_PATH}")
    uvicorn.run(app, host=host, port=port, log_config=None, access_log=False)


@cli.command()
def sandbox(host: Host = "127.0.0.1", port: Port = 8081) -> None:
    """Serve the Stamped.io stand-in alone."""
    typer.echo(f"STAMPED_API_URL=http://{host}:{port}")
    typer.echo(f"STAMPED_API_PUBLIC_KEY={SANDBOX_PUBLIC_KEY}")
    typer.echo(f"STAMPED_API_PRIVATE_KEY={SANDBOX_PRIVATE_KEY}")
    typer.echo(f"STAMPED_API_STORE_HASH={SANDBOX_STORE_HASH}")
    uvicorn.run(create_sandbox(), host=host, port=port, log_level=logging.WARNING)


def main() -> None:
    """Run the console script."""
    cli()
