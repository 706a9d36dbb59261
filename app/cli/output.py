"""What the CLI prints: for people by rich, for programs one JSON document on standard output."""

from __future__ import annotations

import json
import os
import re
import sys
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console
from rich.text import Text

from app.attempt import NO_CONSENT
from app.cli.client import Service, ServiceProblem
from app.error_catalog import said

if TYPE_CHECKING:
    from collections.abc import Iterator

_PIPE_WIDTH = 10_000  # whoever reads a pipe wants whole lines
# control characters could drive the terminal, marks of direction could turn what it shows around
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_STYLES = {
    "ok": "green",
    "succeeded": "green",
    "skipped": "dim",
    "cancelled": "dim",
    "warn": "yellow",
    "waiting": "yellow",
    "accepted": "cyan",
    "running": "cyan",
    "fail": "bold red",
    "failed": "bold red",
}
_SUBSCRIPTIONS = {"unchanged": "subscription unchanged", "not_mapped": "consent not mapped"}


class Output:
    """`json`: standard output carries one document and nothing else."""

    def __init__(self, *, json: bool) -> None:
        self.json = json
        self.console = new_console()
        self.progress = new_console(stderr=True)

    def document(self, body: Any) -> None:
        """As JSON in plain ASCII, which every terminal and pipe can carry."""
        sys.stdout.write(json.dumps(body, indent=2) + "\n")

    def line(self, *parts: str | Text, style: str = "") -> None:
        """One line; foreign text is shown as it is, without markup."""
        texts = [part if isinstance(part, Text) else Text(_UNPRINTABLE.sub("�", part), style) for part in parts]
        self.console.print(Text(" ").join(texts))

    def problem(self, problem: ServiceProblem) -> None:
        """To standard error, but as JSON to standard output."""
        if self.json:
            self.document(problem.body)
            return
        body = problem.body
        console = new_console(stderr=True)
        if problem.is_own:
            console.print(Text(f"{clean(body['detail'])} {clean(body['resolution'])}", "red"))
            return
        console.print(Text(f"{clean(body['title'])} ({clean(body.get('status'))})", "bold red"))
        for line in problem_lines(body):
            console.print(line)


def new_console(*, stderr: bool = False) -> Console:
    """Colours on terminals only, and not where NO_COLOR is set (no-color.org)."""
    console = Console(
        stderr=stderr,
        color_system=None if os.environ.get("NO_COLOR") else "auto",
        highlight=False,
        markup=False,
        emoji=False,
    )
    if not console.is_terminal:
        console.width = _PIPE_WIDTH
    return console


@contextmanager
def talking(*, json: bool) -> Iterator[tuple[Service, Output]]:
    """To the running service; a problem is shown and ends the command with exit code 1."""
    out = Output(json=json)
    try:
        with Service.of_environment() as service:
            yield service, out
    except ServiceProblem as problem:
        out.problem(problem)
        raise typer.Exit(1) from None


def problem_lines(body: dict[str, Any]) -> Iterator[Text]:
    """A problem of the service, without its title."""
    yield Text(f"  {clean(body['detail'])}")
    for fault in body.get("errors") or ():
        yield Text(f"  {clean(fault['pointer']) or '/'}: {clean(fault['detail'])}")
    if body.get("external_id"):
        yield Text(f"  Saved at Stamped.io: {clean(body['external_id'])}")
    if body.get("resolution"):
        yield Text.assemble(("  What to do: ", "bold"), clean(body["resolution"]))
    if body.get("hint"):
        yield Text(f"  {clean(body['hint'])}")
    instance = str(body.get("instance") or "")
    if instance.startswith("/transfers/"):
        transfer_id = clean(instance.removeprefix("/transfers/"))
        yield Text(f"  Transfer {transfer_id}; run it again with: ipaas-stamped retry {transfer_id}", "dim")


def clean(value: object) -> str:
    """On one line, without what could drive a terminal; nothing for None."""
    return "" if value is None else _UNPRINTABLE.sub("�", " ".join(str(value).split()))


def styled(status: object) -> Text:
    """A status in its colour."""
    return Text(clean(status), _STYLES.get(str(status), ""))


def moment(value: str | None) -> str:
    """A time of the service in this machine's zone, which is named, to the second."""
    if not value:
        return ""
    try:
        return datetime.fromisoformat(value).astimezone().strftime("%Y-%m-%d %H:%M:%S %Z")
    except ValueError:
        return clean(value)


def what_became(item: dict[str, Any]) -> str:
    """Of a transfer, in a few words."""
    parts: list[str] = []
    if item.get("action"):
        parts.append(f"{item['action']} as {item['external_id']}")
    elif item.get("external_id"):
        parts.append(f"saved as {item['external_id']}")
    reason = str(item.get("reason") or "")
    if item.get("subscription") and NO_CONSENT not in reason:
        parts.append(_SUBSCRIPTIONS.get(item["subscription"], item["subscription"]))
    if item.get("error"):
        last = "" if item["status"] == "failed" else "last attempt: "
        parts.append(f"{last}{_slug(item)}: {message_of(item)}".removesuffix(": "))
    elif reason:
        parts.append(reason)
    if item.get("next_attempt_at"):
        parts.append(f"next try {moment(item['next_attempt_at'])}")
    return clean(", ".join(parts))


def message_of(item: dict[str, Any]) -> str:
    """Why a transfer failed, without the sentence that all with this error begin with."""
    return clean(said(_slug(item), item.get("reason")))


def _slug(item: dict[str, Any]) -> str:
    """Its error, by name in a list and as the problem in everything about one."""
    error = item["error"]
    return str(error["type"]).rpartition("/")[2] if isinstance(error, dict) else str(error)


def results(out: Output, body: dict[str, Any], headers: Any) -> None:
    """The answer to what was sent."""
    if out.json:
        out.document(body)
        return
    for result in body["results"]:
        out.line(styled(result["status"]), what_became(result))
        who = f"customer {clean(result['customer_id'])}, tracking GUID {clean(result['tracking_guid'])}"
        out.line(f"  transfer {clean(result['transfer_id'])}, {who}", style="dim")
        if result["status"] == "accepted":
            out.line(f"  The service goes on with it: ipaas-stamped show {clean(result['transfer_id'])}")
    if headers.get("Idempotent-Replayed") == "true":
        out.line("  This notification had succeeded before; that answer was repeated, Stamped.io was not called.")
