"""`check`: whether everything is set up so that transfers can work."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import typer
from rich.text import Text

from app.cli.client import Service, ServiceProblem
from app.cli.options import Json
from app.cli.output import Output, clean, styled

if TYPE_CHECKING:
    from app.cli.probes import Check

FAILED, BAD_SETTINGS = 1, 2


def check(*, as_json: Json = False) -> None:
    """Check settings, database, Stamped.io's and iPaaS.com's keys, by one read-only call each.

    Where the service runs, its verdict is shown, too: what is wrong, and what to do.

    Exit code 0: all is well, or a warning; 1: a check failed; 2: the settings cannot be used.
    """
    from app.cli import probes  # noqa: PLC0415 - the other commands start faster without the whole product
    from app.settings import SettingsFault  # noqa: PLC0415 - as above

    out = Output(json=as_json)
    found: list[Check] = []
    verdict: dict[str, Any] | None = None
    code = BAD_SETTINGS
    try:
        with Service.of_environment() as service:
            running = probes.ask_service(service)
            if running is None:
                found.append(probes.nobody(service))
            else:
                verdict = running.verdict
            found += probes.check_all(running, service)
            code = FAILED if any(each.status == "fail" for each in found) else 0
    except SettingsFault as fault:
        found += [probes.Check("settings", "fail", line) for line in fault.lines]
    except ServiceProblem as problem:  # IPAAS_STAMPED_URL or a key for the CLI itself
        found = [probes.Check("settings", "fail", problem.body["detail"])]
    _show(out, found, verdict)
    raise typer.Exit(code)


def _show(out: Output, found: list[Check], verdict: dict[str, Any] | None) -> None:
    if out.json:
        statuses = {each.status for each in found}
        worst = next(status for status in ("fail", "warn", "ok") if status in statuses)
        out.document({"status": worst, "checks": [asdict(each) for each in found], "verdict": verdict})
        return
    for each in found:
        status = styled(each.status)
        status.pad_right(4 - len(status))
        out.console.print(Text.assemble(status, f"  {each.name:<9} {clean(each.detail)}"))
        if each.hint:
            out.console.print(Text.assemble(("      What to do: ", "bold"), clean(each.hint)))
        for cause in verdict["causes"] if verdict and each.name == "verdict" else ():
            out.console.print(Text(f"      - {clean(cause['text'])}"))
