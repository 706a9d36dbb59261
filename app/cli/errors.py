"""`errors`: what failed, grouped, with what to do about it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from app.cli.options import (
    Connection,
    Customer,
    Error,
    Group,
    Json,
    Since,
    StampedStatus,
    Until,
    as_options,
    given,
)
from app.cli.output import clean, moment, talking

if TYPE_CHECKING:
    from app.cli.output import Output

_MOST = 200  # the service tells no more groups


def errors(  # noqa: PLR0913 - the filters
    *,
    customer: Customer = None,
    error: Error = None,
    stamped_status: StampedStatus = None,
    group: Group = None,
    since: Since = None,
    until: Until = None,
    connection: Connection = None,
    catalog: Annotated[
        bool, typer.Option("--catalog", help="Every documented error, whether met or not.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show failed transfers, those that failed alike together, with the documented resolution.

    Without --since: those of the last 24 hours.
    """
    narrowed = given(
        customer_id=customer,
        error=error,
        stamped_status=stamped_status,
        group=group,
        since=since,
        until=until,
        connection=connection,
    )
    if catalog and narrowed:
        message = "--catalog lists all, so nothing can narrow it"
        raise typer.BadParameter(message)
    with talking(json=as_json) as (service, out):
        entries = service.errors()
        if catalog:
            _show_catalog(out, entries)
            return
        found = service.get("/errors/groups", narrowed)
        groups = _explained(found["items"], entries)
        if out.json:
            total = sum(each["count"] for each in groups)
            out.document({"since": found["since"], "until": found["until"], "total": total, "groups": groups})
        else:
            _show(out, groups, {**narrowed, "since": found["since"], "until": found["until"]})


def _explained(items: list[dict[str, Any]], entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """With what the catalogue has about each."""
    known = {entry["slug"]: entry for entry in entries}
    told = ("description", "resolution")
    return [item | {name: known.get(item["error"], {}).get(name) for name in told} for item in items]


def _show(out: Output, groups: list[dict[str, Any]], narrowed: dict[str, str | int]) -> None:
    first, last = moment(str(narrowed["since"])), moment(str(narrowed["until"]))
    if not groups:
        out.line(f"No transfer failed that was received from {first} to {last}.", style="green")
        return
    for slug in dict.fromkeys(group["error"] for group in groups):
        mine = [group for group in groups if group["error"] == slug]
        total = sum(group["count"] for group in mine)
        out.console.print(Text.assemble((clean(mine[0]["title"]), "bold red"), f"  {total:,}"))
        for group in mine:
            _show_group(out, group, narrowed)
        _explain(out, mine[0])
    more = "; there are more groups" if len(groups) == _MOST else ""
    out.line(f"Received from {first} to {last}{more}.", style="dim")


def _show_group(out: Output, group: dict[str, Any], narrowed: dict[str, str | int]) -> None:
    customers = f"{group['customers']:,} customer{'' if group['customers'] == 1 else 's'}"
    out.line(f"  {group['count']:,} x {clean(group['message'])}")
    first, last = moment(group["first_seen"]), moment(group["last_seen"])
    out.line(f"    {customers}, {first}" if first == last else f"    {customers}, {first} to {last}", style="dim")
    out.line(f"    The newest: ipaas-stamped show {clean(group['transfer_id'])}", style="dim")
    options = as_options({**narrowed, "group": clean(group["group"])})
    out.line(f"    All of them: ipaas-stamped transfers --status failed {options} --all", style="dim")
    out.line(f"    Run them again: ipaas-stamped retry --failed {options}", style="dim")


def _show_catalog(out: Output, entries: list[dict[str, Any]]) -> None:
    if out.json:
        out.document({"errors": entries})
        return
    for entry in entries:
        out.console.print(Text.assemble((clean(entry["title"]), "bold"), f"  {clean(entry['slug'])}"))
        out.line(f"  {clean(entry['message'])}")
        _explain(out, entry)


def _explain(out: Output, entry: dict[str, Any]) -> None:
    for name, key in (("Description: ", "description"), ("Resolution: ", "resolution")):
        if entry.get(key):
            out.console.print(Text.assemble((f"  {name}", "bold"), clean(entry[key])))
