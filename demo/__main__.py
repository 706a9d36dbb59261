"""Runs every step in order; exit 0 when each answer was as expected, else 1 and a line that says which was not."""

from __future__ import annotations

import signal
import sys
import time
from io import TextIOWrapper
from typing import TYPE_CHECKING, NoReturn

import httpx
from rich.console import Console

from demo.bridge import Bridge, Unexpected
from demo.service import Service, ServiceFault
from demo.steps import STEPS

if TYPE_CHECKING:
    from types import FrameType


def main() -> int:
    """The exit code. The service is stopped and its folder removed however this ends."""
    for ending in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(ending, _leave)
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # an arrow must not end the demo on an old terminal
    console = Console(highlight=False)
    began = time.monotonic()
    at = "The start"
    service = Service()
    try:
        with service, Bridge(service.url, console) as bridge:
            console.print(f"The service runs at {service.url}. No Stamped.io keys are set, so")
            console.print("it talks to the sandbox built into it. Nothing leaves this machine.")
            for number, step in enumerate(STEPS, start=1):
                at = f"Step {number} ({step.title})"
                console.print()
                console.rule(f"[bold]{number}. {step.title}[/]", align="left")
                console.print(step.sentence)
                step.run(bridge)
                bridge.show_stamped_calls()
    except (Unexpected, ServiceFault, httpx.HTTPError) as fault:
        console.print()
        console.print(f"{at} did not go as expected: {fault or type(fault).__name__}", style="red", markup=False)
        if service.last_lines:
            console.print("The last lines of the service's log:", *service.last_lines, sep="\n", markup=False)
        return 1
    except KeyboardInterrupt:
        console.print("\nStopped.")
        return 130
    seconds = time.monotonic() - began
    console.print()
    console.print(f"[green]All {len(STEPS)} steps went as expected, in {seconds:.1f} s.[/]")
    console.print("Next: [bold]make run[/] serves on port 8080; README.md shows how to send it a webhook.")
    return 0


def _leave(number: int, _frame: FrameType | None) -> NoReturn:
    sys.exit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
