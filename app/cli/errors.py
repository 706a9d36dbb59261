"""`errors`: what failed, grouped, with what to do about it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from app.cli.client import path_of
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
)
from app.cli.output import clean, moment, talking
from app.command_lines import as_options
from app.ledger.grouping import Tag

if TYPE_CHECKING:
    from app.cli.output import Output

_BARS = "·▁▂▃▄▅▆▇█"
_MENDS = {"keys": "New keys mend it.", "data": "Other data mend it.", "passes": "It passes by itself, as a rule."}
_MOST = 200  # the service tells no more groups


def errors(  # noqa: PLR0913 - the filters
    *,
    customer: Customer = None,
    error: Error = None,
    stamped_status: StampedStatus = None,
    group: Group = None,
    words: Words = None,
    since: Since = None,
    until: Until = None,
    connection: Connection = None,
    tag: Annotated[
        Tag | None, typer.Option(metavar="TAG", help="Only what this mends: keys, data, or passes (by itself).")
    ] = None,
    acknowledge: Annotated[
        str | None, typer.Option(metavar="GROUP", help="Take note of this group; it stands below from then on.")
    ] = None,
    unacknowledge: Annotated[str | None, typer.Option(metavar="GROUP", help="Take that back.")] = None,
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
        words=words,
        since=since,
        until=until,
        connection=connection,
    )
    noted = [each for each in (acknowledge, unacknowledge) if each is not None]
    if (catalog or noted) and (narrowed or tag):
        message = "--catalog lists all, and --acknowledge is about one, so nothing can narrow them"
        raise typer.BadParameter(message)
    if catalog + len(noted) > 1:
        message = "give --catalog, --acknowledge or --unacknowledge alone"
        raise typer.BadParameter(message)
    with talking(json=as_json) as (service, out):
        if noted:
            action = "acknowledge" if acknowledge is not None else "unacknowledge"
            _note(out, service.post(path_of("errors", "groups", noted[0], action)).body)
            return
        entries = service.errors()
        if catalog:
            _show_catalog(out, entries)
            return
        found = service.get("/errors/groups", {**narrowed, **given(tag=tag)})
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
        mine = [group for group in groups if group["error"] == slug]  # acknowledged ones are the last
        total = sum(group["count"] for group in mine)
        out.console.print(Text.assemble((clean(mine[0]["title"]), "bold red"), f"  {total:,}"))
        for group in mine:
            _show_group(out, group, narrowed)
        _explain(out, mine[0])
    more = "; there are more groups" if len(groups) == _MOST else ""
    out.line(f"Received from {first} to {last}{more}.", style="dim")


def _show_group(out: Output, group: dict[str, Any], narrowed: dict[str, str | int]) -> None:
    customers = f"{group['customers']:,} customer{'' if group['customers'] == 1 else 's'}"
    quiet = group["acknowledged"] and not group["came_back"]
    out.line(f"  {group['count']:,} x {clean(group['message'])}", style="dim" if quiet else "")
    first, last = moment(group["first_seen"]), moment(group["last_seen"])
    out.line(f"    {customers}, {first}" if first == last else f"    {customers}, {first} to {last}", style="dim")
    out.line(f"    {_MENDS[group['tag']]} {_bars(group['trend'])}", style="dim")
    out.line(f"    The newest: ipaas-stamped show {clean(group['transfer_id'])}", style="dim")
    if group["acknowledged"]:
        _noted(out, group)
    options = as_options({**narrowed, "group": clean(group["group"])})
    out.line(f"    All of them: ipaas-stamped transfers --status failed {options} --all", style="dim")
    out.line(f"    Run them again: ipaas-stamped retry --failed {options} --one-first", style="dim")
    if not quiet:
        out.line(f"    Seen it: ipaas-stamped errors --acknowledge {clean(group['group'])}", style="dim")


def _noted(out: Output, group: dict[str, Any]) -> None:
    noted, back = group["acknowledged"], group["came_back"]
    out.line(f"    Acknowledged by {clean(noted['who'])}, {moment(noted['at'])}.", style="dim")
    if back:
        out.line(f"    Came back {moment(back['since'])}: {back['count']:,} since.", style="bold yellow")


def _bars(trend: list[int]) -> str:
    """Over time, from left to right."""
    most = max(trend, default=0)
    if not most:
        return ""
    return "".join(_BARS[-(-count * (len(_BARS) - 1) // most)] for count in trend)


def _note(out: Output, answer: dict[str, Any]) -> None:
    if out.json:
        out.document(answer)
    elif answer["acknowledged"]:
        out.line(f"Acknowledged: it stands below until something of it fails again ({clean(answer['group'])}).")
    else:
        out.line(f"It stands among the others again ({clean(answer['group'])}).")


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
