"""`transfers`: what was sent, as a list, as it goes on, or as a file."""

from __future__ import annotations

import json
import re
import sys
from codecs import getincrementaldecoder
from contextlib import suppress
from hashlib import sha256
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

import typer
from rich.table import Table

from app.cli.following import changes
from app.cli.options import (
    Connection,
    Customer,
    Error,
    Group,
    Json,
    Since,
    StampedStatus,
    Until,
    Words,
    given,
    narrowing,
)
from app.cli.output import clean, moment, styled, talking, what_became
from app.privacy import masked

if TYPE_CHECKING:
    from collections.abc import Iterator

    from app.cli.output import Output

Status = Literal["accepted", "running", "waiting", "succeeded", "skipped", "failed", "cancelled"]
_TABLE_WIDTH = 130
_USUAL_LIMIT = 50
_FIRST_STEP = (
    "There are no transfers yet. Send one: ipaas-stamped send --id 1 --field email_address=ada@example.com"
)


def transfers(  # noqa: PLR0913 - the filters
    *,
    status: Annotated[
        Status | None,
        narrowing(help=f"Only {', '.join(get_args(Status))}.", metavar="STATUS"),
    ] = None,
    customer: Customer = None,
    error: Error = None,
    stamped_status: StampedStatus = None,
    group: Group = None,
    words: Words = None,
    since: Since = None,
    until: Until = None,
    connection: Connection = None,
    tracking_guid: Annotated[str | None, narrowing(metavar="GUID", help="Only this tracking GUID.")] = None,
    email: Annotated[
        str | None,
        narrowing(metavar="EMAIL", help="Only this e-mail; only its hash is sent."),
    ] = None,
    sync_id: Annotated[str | None, narrowing("--sync", metavar="SYNC", help="Only those of this sync.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="How many at most; 50, but for --csv.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All there are.")] = False,
    cursor: Annotated[
        int | None, typer.Option(min=0, metavar="NEXT", help="Those after `next` of another list.")
    ] = None,
    following: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with what is new or changes, until Ctrl-C.")
    ] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="As CSV, all there are.")] = False,
    as_json: Json = False,
) -> None:
    """List transfers, newest first."""
    params = given(
        status=status,
        customer_id=customer,
        error=error,
        stamped_status=stamped_status,
        group=group,
        words=words,
        since=since,
        until=until,
        connection=connection,
        tracking_guid=tracking_guid,
        email_hash=None if email is None else _hashed(email),
        sync_id=sync_id,
    )
    if following and (as_csv or everything or cursor is not None or until is not None):
        message = "--follow begins with the newest, and goes with none of --csv, --all, --cursor and --until"
        raise typer.BadParameter(message)
    if as_csv and as_json:
        message = "either --csv or --json"
        raise typer.BadParameter(message)
    most = None if everything else limit or _USUAL_LIMIT
    with talking(json=as_json) as (service, out):
        if as_csv:
            decoder = getincrementaldecoder("utf-8")("replace")
            for chunk in service.stream("/transfers/export", params | given(limit=limit, cursor=cursor)):
                sys.stdout.write(decoder.decode(chunk))
        elif following:
            _go_on(out, changes(service, params, most or 0, lambda: _lost(out)))
        else:
            _tell_list(out, service.transfers(params, most, None if cursor is None else str(cursor)), bool(params))


def _tell_list(out: Output, pages: Iterator[dict[str, Any]], narrowed: bool) -> None:  # noqa: FBT001 - its only flag
    items: list[dict[str, Any]] = []
    following, shown = None, 0
    for page in pages:
        following = page["next"]
        found = [masked(each) for each in page["items"]]
        if out.json:
            items += found
        elif found:
            _list(out, found, header=shown == 0)
        shown += len(found)
    if out.json:
        out.document({"items": items, "next": following})
    elif not shown:
        out.line("No transfer fits." if narrowed else _FIRST_STEP)
    elif following is not None:
        out.progress.print(
            f"There are more: --cursor {clean(following)}, --limit or --all shows them.", style="dim"
        )


def _go_on(out: Output, found: Iterator[dict[str, Any]]) -> None:
    """One line for each, also as JSON; Ctrl-C is the usual end."""
    with suppress(KeyboardInterrupt):
        for item in map(masked, found):
            if out.json:
                sys.stdout.write(json.dumps(item) + "\n")
                sys.stdout.flush()
            else:
                when, transfer_id = moment(item["created_at"]), clean(item["transfer_id"])
                out.line(f"{when} {transfer_id}", styled(item["status"]), _whose(item), what_became(item))


def _lost(out: Output) -> None:
    out.progress.print("The service does not answer; asking again until it does.", style="yellow")


def _hashed(email: str) -> str:
    """The service looks for the hash of an e-mail; one that is a hash already is left as it is."""
    return email if re.fullmatch(r"[0-9a-f]{64}", email) else sha256(email.strip().casefold().encode()).hexdigest()


def _list(out: Output, items: list[dict[str, Any]], *, header: bool) -> None:
    """A table, where a line has room for it; ids stay whole, so that they can be copied."""
    if out.console.width < _TABLE_WIDTH:
        for item in items:
            when, transfer_id = moment(item["created_at"]), clean(item["transfer_id"])
            out.line(f"{when} ", f"{transfer_id} ", styled(item["status"]), f" {_whose(item)}")
            out.line(f"    {what_became(item)}", style="dim")
        return
    table = Table(box=None, show_header=header, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("When", no_wrap=True, min_width=19)
    table.add_column("Transfer", no_wrap=True, min_width=36)
    table.add_column("Customer", min_width=8, overflow="fold")
    table.add_column("Status", no_wrap=True, min_width=9)
    table.add_column("Tries", justify="right")
    table.add_column("What became of it", overflow="fold")
    for item in items:
        table.add_row(
            moment(item["created_at"]),
            clean(item["transfer_id"]),
            _whose(item),
            styled(item["status"]),
            str(item["attempts_made"]),
            what_became(item),
        )
    out.console.print(table)


def _whose(item: dict[str, Any]) -> str:
    """The customer, and the connection where it is a named one."""
    of = "" if item["connection"] == "default" else f" of {clean(item['connection'])}"
    return f"{clean(item['customer_id'])}{of}"
