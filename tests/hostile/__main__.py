"""`make hostile`: 12,000 requests that nobody means well with. Exit code 1 for any fault."""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
from pathlib import Path
from typing import Final

from rich.console import Console

from tests.fuzz.harness import serving
from tests.hostile.campaign import attack

console = Console()
_MOST_MIB: Final = 64
_MOST_SECONDS: Final = 2.0


def main() -> int:
    parser = argparse.ArgumentParser(prog="make hostile", description=__doc__)
    parser.add_argument("--count", type=int, default=12_000)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().getrandbits(32))
    options = parser.parse_args()
    console.print(f"make hostile ARGS='--seed={options.seed} --count={options.count}'", highlight=False)
    with tempfile.TemporaryDirectory(prefix="hostile-") as name, serving(Path(name), LOG_LEVEL="DEBUG") as product:
        finding = asyncio.run(attack(product, options.count, options.seed, Path(name)))
    for what in (finding.sent, finding.statuses):
        console.print(dict(what.most_common()), highlight=False)
    console.print(
        f"{finding.witnessed} times somebody meant well and waited {finding.slowest:.2f} s at most; "
        f"memory grew by {finding.grown:.0f} MiB",
        highlight=False,
    )
    faults = finding.faults
    faults += ["it grew by too much"] if finding.grown > _MOST_MIB else []
    faults += ["somebody waited for too long"] if finding.slowest > _MOST_SECONDS else []
    for fault in faults:
        console.print(fault, markup=False, highlight=False)
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main())
