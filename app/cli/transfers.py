"""`transfers`, `show`, `retry`, `cancel`: what was sent, and running it again."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

import typer
from rich.table import Table

from app.cli.client import path_of
from app.cli.options import (
    Connection,
    Customer,
    Error,
    Group,
    Json,
    Since,
    StampedStatus,
    TransferId,
    Until,
    given,
)
from app.cli.output import clean, moment, results, styled, talking, what_became
from app.cli.story import tell
from app.cli.sync import follow, started
from app.privacy import masked

if TYPE_CHECKING:
    from app.cli.client import Service
    from app.cli.output import Output

Status = Literal["accepted", "running", "waiting", "succeeded", "skipped", "failed", "cancelled"]
_TABLE_WIDTH = 130
_RERUNS = ("failed", "cancelled", "waiting")


def transfers(  # noqa: PLR0913 - the filters
    *,
    status: Annotated[
        Status | None, typer.Option(help="Only this status.", metavar="|".join(get_args(Status)))
    ] = None,
    customer: Customer = None,
    error: Error = None,
    stamped_status: StampedStatus = None,
    group: Group = None,
    since: Since = None,
    until: Until = None,
    connection: Connection = None,
    tracking_guid: Annotated[str | None, typer.Option(metavar="GUID", help="Only this tracking GUID.")] = None,
    sync_id: Annotated[str | None, typer.Option("--sync", metavar="SYNC", help="Only those of this sync.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many at most.")] = 50,
    everything: Annotated[bool, typer.Option("--all", help="All there are.")] = False,
    as_json: Json = False,
) -> None:
    """List transfers, newest first."""
    params = given(
        status=status,
        customer_id=customer,
        error=error,
        stamped_status=stamped_status,
        group=group,
        since=since,
        until=until,
        connection=connection,
        tracking_guid=tracking_guid,
        sync_id=sync_id,
    )
    with talking(json=as_json) as (service, out):
        items: list[dict[str, Any]] = []
        following, shown = None, 0
        for page in service.transfers(params, None if everything else limit):
            following = page["next"]
            found = [masked(each) for each in page["items"]]
            if as_json:
                items += found
            elif found:
                _list(out, found, header=shown == 0)
            shown += len(found)
        if as_json:
            out.document({"items": items, "next": following})
        elif not shown:
            out.line("No transfer fits." if params else _FIRST_STEP)
        elif following is not None and out.console.is_terminal:
            out.line("There are more: --limit or --all shows them.", style="dim")


_FIRST_STEP = (
    "There are no transfers yet. Send one: ipaas-stamped send --id 1 --field email_address=ada@example.com"
)


def show(
    transfer_id: TransferId,
    *,
    reveal: Annotated[bool, typer.Option("--reveal", help="With e-mail addresses and names.")] = False,
    as_json: Json = False,
) -> None:
    """Tell everything about one transfer: its attempts, its error, its record."""
    with talking(json=as_json) as (service, out):
        transfer = service.get(path_of("transfers", transfer_id))
        if not reveal:
            transfer = masked(transfer)
        if as_json:
            out.document(transfer)
        else:
            tell(out, transfer, revealed=reveal)


def retry(  # noqa: PLR0913 - one, or many by filter
    transfer_id: Annotated[str | None, typer.Argument(metavar="ID", help="The transfer's id.")] = None,
    *,
    failed: Annotated[bool, typer.Option("--failed", help="All that failed, instead of one.")] = False,
    customer: Customer = None,
    error: Error = None,
    stamped_status: StampedStatus = None,
    group: Group = None,
    since: Since = None,
    until: Until = None,
    connection: Connection = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would run again.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask before running many.")] = False,
    wait: Annotated[bool, typer.Option(help="Wait for the end.")] = True,
    as_json: Json = False,
) -> None:
    """Run a transfer again, or with --failed all of them. Exit code 1 when any failed again."""
    narrowed = given(
        customer_id=customer,
        error=error,
        stamped_status=stamped_status,
        group=group,
        since=since,
        until=until,
        connection=connection,
    )
    if (transfer_id is None) is not failed or (transfer_id is not None and narrowed):
        message = "give one ID, or --failed, which --error, --since and the others can narrow"
        raise typer.BadParameter(message)
    code = 0
    with talking(json=as_json) as (service, out):
        if transfer_id is None:
            wanted = {"status": "failed", **narrowed}
            code = _retry_many(service, out, wanted, dry_run=dry_run, ask=not yes, wait=wait)
        elif dry_run:
            code = _would_retry(service, out, transfer_id)
        else:
            headers = {} if wait else {"Prefer": "respond-async"}
            answer = service.post(path_of("transfers", transfer_id, "retry"), headers=headers)
            results(out, answer.body, answer.headers)
    raise typer.Exit(code)


def cancel(transfer_id: TransferId, *, as_json: Json = False) -> None:
    """Cancel a transfer that has not begun, or that waits for its next try."""
    with talking(json=as_json) as (service, out):
        transfer = masked(service.post(path_of("transfers", transfer_id, "cancel")).body)
        if as_json:
            out.document(transfer)
        else:
            out.line(styled(transfer["status"]), f"customer {clean(transfer['customer_id'])}")
            out.line(f"  To run it after all: ipaas-stamped retry {clean(transfer['transfer_id'])}", style="dim")


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


def _would_retry(service: Service, out: Output, transfer_id: str) -> int:
    transfer = masked(service.get(path_of("transfers", transfer_id)))
    runs = transfer["status"] in _RERUNS
    if out.json:
        out.document({"dry_run": True, "total": int(runs), "status": transfer["status"]})
    elif runs:
        out.line("Would run again:", styled(transfer["status"]), f"customer {clean(transfer['customer_id'])}")
    else:
        out.line("Would not run again: it is", styled(transfer["status"]))
    return 0 if runs else 1


def _retry_many(  # noqa: PLR0913 - how it is to be done
    service: Service, out: Output, wanted: dict[str, Any], *, dry_run: bool, ask: bool, wait: bool
) -> int:
    counted = service.post("/transfers/retry", {**wanted, "dry_run": True}).body
    total = counted["total"]
    if dry_run and out.json:
        out.document(counted)
        return 0
    transfers_word = f"{total} failed transfer{'' if total == 1 else 's'}"
    if dry_run:
        out.line(f"{transfers_word} would run again.")
        return 0
    if not total and not out.json:
        out.line("No failed transfer fits.")
        return 0
    asks = ask and not out.json and out.console.is_terminal and sys.stdin.isatty()
    if asks and not typer.confirm(f"Run {transfers_word} again?"):
        return 1
    sync_id = service.post("/transfers/retry", wanted).body["sync_id"]
    if not wait:
        started(out, sync_id)
        return 0
    return follow(service, out, sync_id)
