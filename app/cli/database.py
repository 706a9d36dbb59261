"""`migrate` and `backup`: what is done to the database itself, beside a running service."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

if TYPE_CHECKING:
    from sqlalchemy.engine import URL

FAILED, BAD_SETTINGS = 1, 2
_LONGEST_SECONDS = 600.0
Target = Annotated[Path, typer.Argument(metavar="FILE", help="Where the copy goes; it must not be there yet.")]


def migrate() -> None:
    """Bring the database's schema to this version, by a role that may; only DATABASE_URL is needed.

    Exit code 0: it is there; 1: it could not be brought there; 2: the settings cannot be used.
    """
    from app.ledger import schema  # noqa: PLC0415 - the other commands start faster without the whole product
    from app.ledger.database import Database  # noqa: PLC0415 - as above
    from app.ledger.database_url import shown  # noqa: PLC0415 - as above
    from app.ledger.faults import DatabaseBusy, DatabaseFault, DatabaseGone  # noqa: PLC0415 - as above
    from app.ledger.hints import hint_of  # noqa: PLC0415 - as above
    from app.settings import SANDBOX_DATABASE  # noqa: PLC0415 - as above

    async def bring(url: URL) -> str | None:
        database = Database(url)
        try:
            async with asyncio.timeout(_LONGEST_SECONDS):
                while True:
                    try:
                        await database.migrate()
                    except DatabaseBusy as busy:
                        typer.echo(hint_of(str(busy)), err=True)
                    else:
                        return database.schema_note
        finally:
            await database.aclose()

    url = _url()
    if url.database == SANDBOX_DATABASE.removeprefix("sqlite:///"):  # nobody means that one
        _end("DATABASE_URL is missing: set the database whose schema is to be brought forward.", BAD_SETTINGS)
    try:
        note = asyncio.run(bring(url))
    except DatabaseFault as fault:
        _end(str(fault), FAILED)
    except DatabaseGone as gone:
        _end(hint_of(str(gone)), FAILED)
    except TimeoutError:
        _end("Nothing was changed: the lock was not given in ten minutes.", FAILED)
    typer.echo(f"{shown(url)}: {note or f'the schema is {schema.known()[-1]}.'}")


def backup(target: Target) -> None:
    """Copy the SQLite database to FILE, also while the service runs; the copy is whole, and on the disk.

    Exit code 0: done; 1: it could not be copied; 2: the settings cannot be used, or it is no SQLite database.
    """
    from app.ledger.backup import copy_file  # noqa: PLC0415 - as above
    from app.ledger.faults import DatabaseFault  # noqa: PLC0415 - as above

    url = _url()
    if url.get_backend_name() != "sqlite":
        _end("DATABASE_URL is on PostgreSQL: its own pg_dump makes the backup.", BAD_SETTINGS)
    try:
        copy_file(Path(url.database or ""), target)
    except DatabaseFault as fault:
        _end(f"No backup: {fault}.", FAILED)
    typer.echo(f"{target} holds what {url.database} held.")


def _url() -> URL:
    """DATABASE_URL as `serve` reads it; without any Stamped.io key that is the sandbox's, unless it is set."""
    from app.ledger.database_url import url_of  # noqa: PLC0415 - as above
    from app.loading import load_settings  # noqa: PLC0415 - as above
    from app.settings import SettingsFault  # noqa: PLC0415 - as above
    from app.telemetry.redaction import Redactor  # noqa: PLC0415 - as above

    try:
        return url_of(load_settings(sandbox_url="http://127.0.0.1"), Redactor())
    except SettingsFault as fault:
        _end("\n".join(fault.lines), BAD_SETTINGS)


def _end(message: str, code: int) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(code)
