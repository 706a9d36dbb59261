"""`sync`: Manual Sync of customers, and following what runs in the background."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlencode

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from app.cli.client import path_of
from app.cli.options import Connection, Json, read_input
from app.cli.output import clean, talking
from app.ipaas.models import ids_in

if TYPE_CHECKING:
    from app.cli.client import Service
    from app.cli.output import Output

MOST_IDS = 3000
INTERRUPTED = 130
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.05, 1.0
_STILL_SECONDS = 15.0
_OUTCOMES = ("succeeded", "skipped", "failed", "cancelled", "remaining")
_STYLES = {"succeeded": "green", "failed": "bold red"}


def sync(  # noqa: PLR0913 - ways to name what to sync
    ids: Annotated[list[str] | None, typer.Argument(metavar="ID…", help="iPaaS.com's customer ids.")] = None,
    *,
    file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A file of ids, apart by lines, blanks or commas; - is standard input."),
    ] = None,
    wait: Annotated[bool, typer.Option(help="Follow it to its end.")] = True,
    follow_id: Annotated[
        str | None, typer.Option("--follow", metavar="SYNC", help="Follow a sync that was started before.")
    ] = None,
    continue_id: Annotated[
        str | None,
        typer.Option("--continue", metavar="SYNC", help="Run the rest, whatever became of its first."),
    ] = None,
    cancel_id: Annotated[
        str | None, typer.Option("--cancel", metavar="SYNC", help="Cancel what has not begun of a sync.")
    ] = None,
    connection: Connection = None,
    as_json: Json = False,
) -> None:
    """Send customers to Stamped.io again, up to 3,000 at once (Manual Sync).

    Exit code 1 when any failed or was cancelled. Ctrl-C only stops following: the service goes on.
    """
    asked = [follow_id, continue_id, cancel_id, ids or file]
    if sum(each is not None and each != [] for each in asked) != 1:
        message = "give customer ids or --file, or else --follow, --continue or --cancel"
        raise typer.BadParameter(message)
    wanted = _wanted(ids or [], file) if ids or file else []
    with talking(json=as_json) as (service, out):
        if cancel_id is not None:
            counts = service.post(path_of("syncs", cancel_id, "cancel")).body
            _show(out, counts)
            return
        sync_id = follow_id or continue_id
        if continue_id is not None:
            service.post(path_of("syncs", continue_id, "continue"))
        if sync_id is None:
            where = "" if connection is None else f"?{urlencode({'connection': connection})}"
            sync_id = service.post(f"/syncs{where}", {"customer_ids": wanted}).body["sync_id"]
        if not wait:
            started(out, sync_id)
            return
        code = follow(service, out, sync_id)
    raise typer.Exit(code)


def started(out: Output, sync_id: str) -> None:
    """Say where to find it."""
    if out.json:
        out.document({"sync_id": sync_id})
    else:
        out.line(f"Started as sync {clean(sync_id)}; follow it with: ipaas-stamped sync --follow {clean(sync_id)}")


def follow(service: Service, out: Output, sync_id: str) -> int:
    """Wait for the end of a sync, with a progress bar on terminals; the exit code."""
    counts: dict[str, Any] = {"sync_id": sync_id}
    try:
        counts = _follow(service, out, sync_id)
    except KeyboardInterrupt:
        return _interrupted(service, out, sync_id)
    _show(out, counts)
    if counts["held"] and not out.json:
        told = f"The first one failed again, so the other {counts['held']} were left as they were."
        out.line(
            f"{told} To run them all the same: ipaas-stamped sync --continue {clean(sync_id)}", style="yellow"
        )
    if counts["failed"] and not out.json:
        out.line(f"Which ones: ipaas-stamped transfers --sync {clean(sync_id)} --status failed", style="dim")
        out.line("What to do about it: ipaas-stamped errors", style="dim")
    return 1 if counts["failed"] or counts["cancelled"] else 0


def _follow(service: Service, out: Output, sync_id: str) -> dict[str, Any]:
    path = path_of("syncs", sync_id)
    counts: dict[str, Any] = service.get(path)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("[red]{task.fields[failed]}[/]"),
    )
    pause, still = _FIRST_PAUSE_SECONDS, 0.0
    with Progress(*columns, console=out.progress, transient=True, disable=not out.progress.is_terminal) as bar:
        task = bar.add_task("Transferring", total=counts["total"], failed="")
        while True:
            done = counts["total"] - counts["remaining"]
            failed = f"{counts['failed']} failed" if counts["failed"] else ""
            about = "Waiting for the next try" if still > _STILL_SECONDS else "Transferring"
            if counts["first"] and counts["first"]["others"]:
                about = "Waiting for the first one"
            bar.update(task, completed=done, failed=failed, description=about)
            if not counts["remaining"]:
                return counts
            time.sleep(pause)
            before, counts = counts, service.get(path)
            moved = before["remaining"] != counts["remaining"]
            still = 0.0 if moved else still + pause
            pause = min(pause * 1.3, _LONGEST_PAUSE_SECONDS)


def _interrupted(service: Service, out: Output, sync_id: str) -> int:
    """Ask, where somebody can answer; otherwise leave the service to it."""
    console = out.progress
    console.print()
    if sys.stdin.isatty() and console.is_terminal:
        try:
            stop = typer.confirm("Cancel what has not begun? The service goes on otherwise.", err=True)
        except (KeyboardInterrupt, typer.Abort):
            stop = False
        if stop:
            _show(out, service.post(path_of("syncs", sync_id, "cancel")).body)
            return INTERRUPTED
    if out.json:
        out.document(service.get(path_of("syncs", sync_id)))
    console.print(f"The service goes on. Follow it with: ipaas-stamped sync --follow {clean(sync_id)}")
    return INTERRUPTED


def _show(out: Output, counts: dict[str, Any]) -> None:
    if out.json:
        out.document(counts)
        return
    shown = [f"{counts[name]} {name}" for name in _OUTCOMES if counts[name]]
    style = _STYLES["failed" if counts["failed"] else "succeeded"]
    total = counts["total"]
    out.line(f"{total} transfer{'' if total == 1 else 's'}: {', '.join(shown) or 'nothing to do'}.", style=style)


def _wanted(ids: list[str], file: Path | None) -> list[str]:
    """Each id once, in order."""
    text = ""
    if file is not None:
        try:
            text = read_input(file, "--file").decode("utf-8-sig")
        except UnicodeDecodeError:
            message = f"{file} is not a text file in UTF-8"
            raise typer.BadParameter(message, param_hint="--file") from None
    unique = ids_in(" ".join((*ids, text)))
    if not unique:
        message = "there is no customer id"
        raise typer.BadParameter(message)
    if len(unique) > MOST_IDS:
        message = f"{len(unique):,} ids are too many: a sync takes up to {MOST_IDS:,}"
        raise typer.BadParameter(message)
    return unique
