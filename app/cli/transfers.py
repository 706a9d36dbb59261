"""`show`, `retry`, `cancel`: one transfer, running it again, and taking it back; or many."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

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
    Words,
    given,
)
from app.cli.output import clean, results, styled, talking
from app.cli.story import tell
from app.cli.sync import follow, started
from app.privacy import masked

if TYPE_CHECKING:
    from app.cli.client import Service
    from app.cli.output import Output

Yes = Annotated[bool, typer.Option("--yes", "-y", help="Don't ask before acting on many; needed in scripts.")]
_RERUNS = ("failed", "cancelled", "waiting")


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
    words: Words = None,
    since: Since = None,
    until: Until = None,
    connection: Connection = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would run again.")] = False,
    one_first: Annotated[
        bool, typer.Option("--one-first", help="Run one, and the others only when that has succeeded.")
    ] = False,
    yes: Yes = False,
    wait: Annotated[bool, typer.Option(help="Wait for the end.")] = True,
    as_json: Json = False,
) -> None:
    """Run a transfer again, or with --failed all of them. Exit code 1 when any failed again."""
    narrowed = given(
        customer_id=customer,
        error=error,
        stamped_status=stamped_status,
        group=group,
        words=words,
        since=since,
        until=until,
        connection=connection,
    )
    if (transfer_id is None) is not failed or (transfer_id is not None and narrowed):
        message = "give one ID, or --failed, which --error, --since and the others can narrow"
        raise typer.BadParameter(message)
    if failed:
        _look_who_asks(sure=yes or dry_run, as_json=as_json)
    code = 0
    with talking(json=as_json) as (service, out):
        if transfer_id is None:
            wanted = {"status": "failed", **narrowed} | ({"first": True} if one_first else {})
            code = _retry_many(service, out, wanted, dry_run=dry_run, sure=yes, wait=wait)
        elif dry_run:
            code = _would_retry(service, out, transfer_id)
        else:
            headers = {} if wait else {"Prefer": "respond-async"}
            answer = service.post(path_of("transfers", transfer_id, "retry"), headers=headers)
            results(out, answer.body, answer.headers)
    raise typer.Exit(code)


def cancel(  # noqa: PLR0913 - one, or many by filter
    transfer_id: Annotated[str | None, typer.Argument(metavar="ID", help="The transfer's id.")] = None,
    *,
    everything: Annotated[bool, typer.Option("--all", help="All that have not begun, instead of one.")] = False,
    status: Annotated[
        Literal["accepted", "waiting"] | None, typer.Option(help="Only this status.", metavar="accepted|waiting")
    ] = None,
    customer: Customer = None,
    error: Error = None,
    stamped_status: StampedStatus = None,
    group: Group = None,
    words: Words = None,
    since: Since = None,
    until: Until = None,
    connection: Connection = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be cancelled.")] = False,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Cancel a transfer that has not begun, or that waits for its next try; or with --all many of them."""
    wanted = given(
        status=status,
        customer_id=customer,
        error=error,
        stamped_status=stamped_status,
        group=group,
        words=words,
        since=since,
        until=until,
        connection=connection,
    )
    if (transfer_id is None) is not everything or (transfer_id is not None and (wanted or dry_run)):
        message = "give one ID, or --all, which --customer, --since and the others can narrow"
        raise typer.BadParameter(message)
    if everything:
        _look_who_asks(sure=yes or dry_run, as_json=as_json)
    code = 0
    with talking(json=as_json) as (service, out):
        if transfer_id is None:
            code = _cancel_many(service, out, wanted, dry_run=dry_run, sure=yes)
        else:
            transfer = masked(service.post(path_of("transfers", transfer_id, "cancel")).body)
            if as_json:
                out.document(transfer)
            else:
                out.line(styled(transfer["status"]), f"customer {clean(transfer['customer_id'])}")
                out.line(
                    f"  To run it after all: ipaas-stamped retry {clean(transfer['transfer_id'])}", style="dim"
                )
    raise typer.Exit(code)


def _cancel_many(service: Service, out: Output, wanted: dict[str, Any], *, dry_run: bool, sure: bool) -> int:
    counted = service.post("/transfers/cancel", {**wanted, "dry_run": True}).body
    if not dry_run:
        if counted["total"] and not _is_meant(f"Cancel {_number(counted['total'])}?", sure=sure):
            return 1
        counted = service.post("/transfers/cancel", wanted).body
    if out.json:
        out.document(counted)
    else:
        out.line(f"{_number(counted['total'])} {'would be' if dry_run else 'cancelled'}{' cancelled' * dry_run}.")
    return 0


def _is_meant(question: str, *, sure: bool) -> bool:
    return sure or typer.confirm(question)


def _look_who_asks(*, sure: bool, as_json: bool) -> None:
    """Raises typer.BadParameter, before anything is sent, where nobody could answer."""
    if not sure and (as_json or not (sys.stdout.isatty() and sys.stdin.isatty())):
        message = "without a terminal to ask on, many need --yes (--dry-run only counts them)"
        raise typer.BadParameter(message)


def _number(total: int, kind: str = "") -> str:
    return f"{total} {kind}transfer{'' if total == 1 else 's'}"


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
    service: Service, out: Output, wanted: dict[str, Any], *, dry_run: bool, sure: bool, wait: bool
) -> int:
    counted = service.post("/transfers/retry", {**wanted, "dry_run": True}).body
    total = counted["total"]
    if dry_run and out.json:
        out.document(counted)
        return 0
    if dry_run:
        out.line(f"{_number(total, 'failed ')} would run again.")
        return 0
    if not total and not out.json:
        out.line("No failed transfer fits.")
        return 0
    if not _is_meant(f"Run {_number(total, 'failed ')} again?", sure=sure):
        return 1
    sync_id = service.post("/transfers/retry", wanted).body["sync_id"]
    if not wait:
        started(out, sync_id)
        return 0
    return follow(service, out, sync_id)
