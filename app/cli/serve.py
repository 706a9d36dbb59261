"""`serve` and `sandbox`: what runs until it is stopped."""

from __future__ import annotations

import logging
import os
import socket
from typing import Annotated

import typer

Host = Annotated[str, typer.Option(help="The address to listen on.")]
StoreHash = Annotated[str | None, typer.Option(help="The store that it has.", metavar="HASH")]
Port = Annotated[int, typer.Option(help="The port to listen on.", min=1, max=65535)]
OwnPort = Annotated[
    int | None, typer.Option(help="The port to listen on; else PORT, else 8080.", min=1, max=65535)
]
Sandbox = Annotated[
    bool,
    typer.Option("--sandbox/--no-sandbox", help="Without any Stamped.io key, serve against a sandbox."),
]

_BAD_SETTINGS = 2
_SANDBOX_BANNER = """\
*** SANDBOX: no Stamped.io keys are set, so nothing reaches a real store. ***
    Pages     {url}/
    Webhook   {url}/webhooks/customers
    Stamped.io stand-in  {sandbox}/
    Where you set no keys, those of README.md open it ("Send a first webhook").
"""


def serve(host: Host = "127.0.0.1", port: OwnPort = None, *, sandbox: Sandbox = True) -> None:
    """Serve the bridge; without any Stamped.io key against a built-in sandbox."""
    import uvicorn  # noqa: PLC0415 - the other commands start three times faster without the whole product

    from app.loading import listening_port  # noqa: PLC0415 - as above
    from app.main import SANDBOX_PATH, app_or_exit, settings_or_exit  # noqa: PLC0415 - as above

    given = {} if port is None else {"port": port}
    port = port or listening_port()
    _look_at(host, port)
    url = f"http://127.0.0.1:{port}"
    workers = _workers()
    settings = settings_or_exit(workers, **given, sandbox_url=f"{url}{SANDBOX_PATH}" if sandbox else None)
    app = app_or_exit(settings)
    if any(getattr(route, "path", None) == SANDBOX_PATH for route in app.routes):
        typer.echo(_SANDBOX_BANNER.format(url=url, sandbox=f"{url}{SANDBOX_PATH}"), err=True)
    served = app if workers == 1 else "app.main:app"  # each worker builds its own
    uvicorn.run(
        served,
        host=host,
        port=port,
        log_config=None,
        access_log=False,
        workers=workers,
        forwarded_allow_ips=settings.forwarded_allow_ips,
    )


def _workers() -> int:
    """WEB_CONCURRENCY, as uvicorn reads it where it is started itself."""
    asked = os.environ.get("WEB_CONCURRENCY") or "1"
    if asked.isdecimal() and int(asked) > 0:
        return int(asked)
    typer.echo("WEB_CONCURRENCY is not usable: it must be a number; set how many processes serve.", err=True)
    raise typer.Exit(_BAD_SETTINGS)


def _look_at(host: str, port: int) -> None:
    """Ends with a line where nobody can listen; the server itself would notice after work was taken over."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.create_server((host, port), family=family).close()
    except OSError as error:
        why = str(error.strerror).partition(" (while")[0]  # Python repeats the address
        typer.echo(f"PORT is not usable: {host}:{port} cannot be listened on ({why}); set another one.", err=True)
        raise typer.Exit(_BAD_SETTINGS) from None


def sandbox(host: Host = "127.0.0.1", port: Port = 8081, store_hash: StoreHash = None) -> None:
    """Serve the Stamped.io stand-in alone."""
    import uvicorn  # noqa: PLC0415 - as above

    from app.sandbox import (  # noqa: PLC0415 - as above
        SANDBOX_PRIVATE_KEY,
        SANDBOX_PUBLIC_KEY,
        SANDBOX_STORE_HASH,
        create_sandbox,
    )

    typer.echo(f"STAMPED_API_URL=http://{host}:{port}")
    typer.echo(f"STAMPED_API_PUBLIC_KEY={SANDBOX_PUBLIC_KEY}")
    typer.echo(f"STAMPED_API_PRIVATE_KEY={SANDBOX_PRIVATE_KEY}")
    store_hash = store_hash or SANDBOX_STORE_HASH
    typer.echo(f"STAMPED_API_STORE_HASH={store_hash}")
    uvicorn.run(create_sandbox(store_hash=store_hash), host=host, port=port, log_level=logging.WARNING)
