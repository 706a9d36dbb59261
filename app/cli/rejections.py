"""`rejections`: webhooks that were refused before they became transfers, and what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from app.cli.options import Json, Since, Until, given
from app.cli.output import clean, moment, talking
from app.error_catalog import remedy

if TYPE_CHECKING:
    from app.cli.output import Output

_PAGE = 200


def rejections(
    *,
    since: Since = None,
    until: Until = None,
    limit: Annotated[int, typer.Option(min=1, help="How many at most.")] = 50,
    cursor: Annotated[str | None, typer.Option(metavar="CURSOR", help="`next` of the page before.")] = None,
    as_json: Json = False,
) -> None:
    """List webhooks that were refused before they became transfers, newest first, and what to do about it."""
    narrowed = given(since=since, until=until)
    with talking(json=as_json) as (service, out):
        items: list[dict[str, Any]] = []
        following = cursor
        while len(items) < limit:
            asked = {**narrowed, **given(cursor=following), "limit": min(limit - len(items), _PAGE)}
            page = service.get("/rejections", asked)
            items += page["items"]
            following = page["next"]
            if following is None:
                break
        if out.json:
            out.document({"items": items, "next": following})
        else:
            _show(out, items, following)


def _show(out: Output, items: list[dict[str, Any]], following: str | None) -> None:
    if not items:
        out.line("Nothing was rejected.", style="green")
        return
    for item in items:
        who = clean(item["address"]) or "unknown caller"
        out.line(f"{moment(item['at'])}  {item['status']}  {who}  {clean(item['reason'])}")
    for error in dict.fromkeys(item["error"] for item in items):
        text = remedy(error).replace("`", "")
        out.console.print(Text.assemble((f"{clean(error)}: ", "bold"), text))
    if following is not None:
        out.line(f"There are more: --cursor {clean(following)}", style="dim")
