"""`serve` and `sandbox`: what runs until it is stopped."""

from __future__ import annotations

import logging
from typing import Annotated

import typer

Host = Annotated[str, typer.Option(help="The address to listen on.")]
StoreHash = Annotated[str | None, typer.Option(help="The store that it has.", metavar="HASH")]
Port = Annotated[int, typer.Option(help="The port to listen on.", min=1, max=65535)]

_SANDBOX_BANNER = """\
*** SANDBOX: no Stamped.io keys are set, so nothing reaches a real store. ***
    Pages     {url}/
    Webhook   {url}/webhooks/customers
    Stamped.io stand-in  {sandbox}/
    Where you set no keys, those of README.md open it ("Send a first webhook").
"""


def serve(host: Host = "127.0.0.1", port: Port = 8080) -> None:
    """Serve the bridge; without any Stamped.io key against a built-in sandbox."""
    import uvicorn  # noqa: PLC0415 - the other commands start three times faster without the whole product

    from app.main import SANDBOX_PATH, app_or_exit  # noqa: PLC0415 - as above

    url = f"http://127.0.0.1:{port}"
    app = app_or_exit(sandbox_url=f"{url}{SANDBOX_PATH}")
    if any(getattr(route, "path", None) == SANDBOX_PATH for route in app.routes):
        typer.echo(_SANDBOX_BANNER.format(url=url, sandbox=f"{url}{SANDBOX_PATH}"), err=True)
    uvicorn.run(app, host=host, port=port, log_config=None, access_log=False)


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
