"""`open`: the address of the pages."""

from __future__ import annotations

import sys
import webbrowser
from typing import Annotated

import typer

from app.cli.client import path_of
from app.cli.options import Json
from app.cli.output import clean, talking


def open_pages(
    transfer_id: Annotated[str | None, typer.Argument(metavar="ID", help="Of the page of one transfer.")] = None,
    *,
    as_json: Json = False,
) -> None:
    """Print the address of the pages, and open it in the browser where there is one. No key is in it."""
    with talking(json=as_json) as (service, out):
        where = "/monitoring" if transfer_id is None else path_of("monitoring", "transfers", transfer_id)
        url = f"{service.url}{where}"
        if out.json:
            out.document({"url": url})
            return
        out.line(clean(url))
        if sys.stdout.isatty() and _has_desktop():
            webbrowser.open(url)


def _has_desktop() -> bool:
    """Else a browser of the terminal would take it over."""
    try:
        browser = webbrowser.get()
    except webbrowser.Error:
        return False
    return not isinstance(browser, webbrowser.GenericBrowser) or isinstance(browser, webbrowser.BackgroundBrowser)
