"""`errors`: what failed, grouped, with what to do about it."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from app.cli.options import Json, Since, given
from app.cli.output import clean, message_of, moment, talking

if TYPE_CHECKING:
    from app.cli.client import Service
    from app.cli.output import Output

_SAMPLES = 5


def errors(
    *,
    since: Since = None,
    catalog: Annotated[
        bool, typer.Option("--catalog", help="Every documented error, whether met or not.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show failed transfers by error, with the documented resolution."""
    if catalog and since:
        message = "--catalog lists all, so --since has no place"
        raise typer.BadParameter(message)
    with talking(json=as_json) as (service, out):
        entries = service.errors()
        if catalog:
            _show_catalog(out, entries)
            return
        groups = _groups(service, {entry["slug"]: entry for entry in entries}, since)
        if out.json:
            out.document({"total": sum(group["count"] for group in groups), "groups": groups})
            return
        for group in groups:
            _show_group(out, group, since)
        if not groups:
            out.line("No transfer has failed.", style="green")


def _groups(service: Service, entries: dict[str, Any], since: str | None) -> list[dict[str, Any]]:
    """The most frequent first."""
    groups: dict[str, dict[str, Any]] = {}
    for page in service.transfers(given(status="failed", since=since), None):
        for item in page["items"]:  # newest first
            slug = item["error"] or "unknown"
            entry = entries.get(slug, {})
            group = groups.setdefault(
                slug,
                {
                    "error": slug,
                    "title": entry.get("title", slug),
                    "count": 0,
                    "first_at": None,
                    "last_at": item["created_at"],
                    "description": entry.get("description"),
                    "resolution": entry.get("resolution"),
                    "messages": Counter(),
                    "latest": [],
                },
            )
            group["count"] += 1
            group["first_at"] = item["created_at"]
            group["messages"][message_of(item)] += 1
            if len(group["latest"]) < _SAMPLES:
                latest = {"transfer_id": item["transfer_id"], "customer_id": item["customer_id"]}
                group["latest"].append(latest)
    for group in groups.values():
        often = group["messages"].most_common(_SAMPLES)
        group["messages"] = [{"message": message, "count": count} for message, count in often]
    return sorted(groups.values(), key=lambda group: -int(group["count"]))


def _show_group(out: Output, group: dict[str, Any], since: str | None) -> None:
    out.console.print(Text.assemble((clean(group["title"]), "bold red"), f"  {group['count']:,}"))
    first, last = moment(group["first_at"]), moment(group["last_at"])
    out.line(f"  {first}" if first == last else f"  {first} to {last}", style="dim")
    for each in group["messages"]:
        out.line(f"  {each['count']:,} x {each['message']}")
    _explain(out, group)
    for each in group["latest"]:
        out.line(f"  customer {clean(each['customer_id'])}: ipaas-stamped show {clean(each['transfer_id'])}")
    if group["count"] > len(group["latest"]):
        out.line(f"  … and more: ipaas-stamped transfers --status failed --error {clean(group['error'])} --all")
    narrowed = f" --since {since}" if since else ""
    out.line(
        f"  Run them again: ipaas-stamped retry --failed --error {clean(group['error'])}{narrowed}", style="dim"
    )


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
