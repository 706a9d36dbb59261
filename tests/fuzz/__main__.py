"""`make fuzz`: Schemathesis against the real product, for minutes. Exit code 1 for any difference."""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from pathlib import Path

from rich.console import Console

from tests.fuzz.harness import schemathesis, serving, told

console = Console()


def main() -> int:
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__, epilog="The rest goes to `st run`.")
    parser.add_argument("--seconds", type=int, default=280, help="in which fuzzing and sequences repeat")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().getrandbits(32))
    options, rest = parser.parse_known_args()
    again = f"make fuzz ARGS='--seed={options.seed} --seconds={options.seconds}'"
    console.print(again, highlight=False)
    with tempfile.TemporaryDirectory(prefix="fuzz-") as name:
        folder = Path(name)
        with serving(folder) as product:
            chosen = [f"--seed={options.seed}", f"--max-time={options.seconds}", *rest]
            code = schemathesis(product, folder, *chosen).returncode
        log = told(folder)
    broke = "Traceback" in log
    if broke:
        console.print(log, markup=False, highlight=False)
    console.print(f"Once more: {again}", highlight=False)
    return code or int(broke)


if __name__ == "__main__":
    sys.exit(main())
