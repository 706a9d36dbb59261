"""One transfer, told to a person."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from rich.text import Text

from app.cli.output import clean, moment, problem_lines, styled, what_became
from app.outbound.noting import SYSTEMS
from app.times import IN_SENTENCES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from app.cli.output import Output

    _Line = tuple[Sequence[str | Text], str]  # its parts, and their style

_TRIGGERS = {
    "webhook": "by webhook",
    "manual": "by hand",
    "sync": "by Manual Sync",
    "verify": "after a call without an answer",
}
_GOES_ON = frozenset({"accepted", "running", "waiting"})


def tell(out: Output, transfer: dict[str, Any], *, revealed: bool) -> None:
    """From its receipt to its record."""
    out.line(styled(transfer["status"]), _here(transfer.get("sentence") or what_became(transfer)))
    _pair(out, "Transfer", transfer["transfer_id"])
    _pair(out, "Customer", transfer["customer_id"])
    _pair(out, "Connection", transfer["connection"])
    _pair(out, "Stamped.io id", transfer["external_id"])
    _pair(out, "Scope", transfer["scope"])
    _pair(out, "Destination", transfer["destination"])
    _pair(out, "Tracking GUID", transfer["tracking_guid"])
    _pair(out, "Superseded by", transfer["superseded_by"])
    out.line("Story", style="bold")
    out.line(f"  {moment(transfer['created_at'])}  received {_TRIGGERS.get(transfer['trigger'], '')}".rstrip())
    for _, told in sorted(_entries(transfer), key=lambda entry: entry[0]):
        for parts, style in told:
            out.line(*parts, style=style)
    if transfer["error"]:
        last = "Last attempt: " if transfer["status"] in _GOES_ON else ""
        out.line(f"{last}{clean(transfer['error']['title'])}", style="bold red")
        for line in problem_lines(transfer["error"]):
            out.console.print(line)
    _record(out, transfer["record"], revealed=revealed)


def _here(sentence: str) -> str:
    """With the times in it as all others are shown."""
    return IN_SENTENCES.sub(lambda found: moment(f"{found[1].replace(' ', 'T')}+00:00"), clean(sentence))


def _entries(transfer: dict[str, Any]) -> Iterator[tuple[str, list[_Line]]]:
    """By when they happened; what comes first here is first of the same moment."""
    for deed in transfer.get("trail", ()):
        where = f"from {clean(deed['where'])}" if deed["where"] else ""
        done = f"{clean(deed['what'])} by {clean(deed['who'])} ({clean(deed['via'])})"
        yield deed["at"], [([f"  {moment(deed['at'])}  {done} {where}".rstrip()], "")]
    for number, attempt in enumerate(transfer["attempts"], start=1):
        yield attempt["started_at"], list(_attempt(number, attempt))
    if transfer["finished_at"]:
        at = transfer["finished_at"]
        yield at, [([f"  {moment(at)} ", styled(transfer["status"])], "")]
    elif transfer["next_attempt_at"]:
        at = transfer["next_attempt_at"]
        yield at, [([f"  {moment(at)}  next try"], "")]


def _attempt(number: int, attempt: dict[str, Any]) -> Iterator[_Line]:
    seconds = _between(attempt["started_at"], attempt["finished_at"])
    took = "" if seconds is None else f"in {_duration(seconds)}"
    parts = [
        f"{clean(name).replace('_', ' ')} {_duration(float(each))}" for name, each in attempt["steps"].items()
    ]
    steps = f"({', '.join(parts)})" if parts else ""
    begun = f"  {moment(attempt['started_at'])}  attempt {number}"
    yield [begun, styled(attempt["outcome"]), took, steps], ""
    for call in attempt["calls"]:
        system, operation = SYSTEMS.get(call["system"], clean(call["system"])), clean(call["operation"])
        came = f"HTTP status {call['status']}" if call["status"] else "no answer"
        said = f": {clean(call['message'])}" if call["message"] else ""
        line = f"    {system}, {operation}, try {call['try']}: {came} in {_duration(call['seconds'])}{said}"
        yield [line], "dim" if call["outcome"] == "ok" else ""
    if attempt["detail"] and not attempt["calls"]:
        yield [f"    {clean(attempt['detail'])}"], "dim"


def _record(out: Output, record: dict[str, Any] | None, *, revealed: bool) -> None:
    if record is None:
        out.line("No record is kept; a re-run fetches it from iPaaS.com.", style="dim")
        return
    out.console.print(
        Text.assemble(("Record", "bold"), "" if revealed else "  (e-mail and names masked; --reveal shows them)")
    )
    for name, value in record.items():
        if name == "custom_fields":
            for field in value or ():
                _pair(out, f"{clean(field.get('custom_field_name'))} (custom)", field.get("value"))
        elif value not in (None, [], {}):
            _pair(out, name, value)


def _pair(out: Output, name: str, value: object) -> None:
    if value is not None:
        out.line(f"  {clean(name):<18} {clean(value)}")


def _between(start: str, end: str) -> float | None:
    try:
        return (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()
    except (TypeError, ValueError):
        return None


def _duration(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds >= 1 else f"{seconds * 1000:.0f} ms"
