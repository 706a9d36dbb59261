"""The fast part of the tests on each Python found, each in `.venvs/<version>` from the lock file.

Arguments go to pytest. The last lines say how each version did.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ROOT = Path(__file__).resolve().parent.parent
VERSIONS = ("3.11", "3.12", "3.13", "3.14")
SLOW = (  # what needs Chromium or kills processes
    "tests/durable",
    "tests/monitoring/test_accessibility.py",
    "tests/monitoring/test_browser.py",
)
_TELL_VERSION = "import sys; print('%d.%d' % sys.version_info[:2])"


def main(arguments: Sequence[str]) -> int:
    """0 when at least one Python was found and all passed."""
    uv = shutil.which("uv") or shutil.which("uv", path=ROOT / ".venv" / "bin")
    if uv is None:
        sys.stderr.write("uv is needed: `make setup` brings it along.\n")
        return 2
    outcomes = {}
    for version in VERSIONS:
        python = find(version)
        outcomes[version] = "not found" if python is None else _outcome(uv, version, python, arguments)
    sys.stdout.write("".join(f"Python {version}: {outcome}\n" for version, outcome in outcomes.items()))
    return 0 if set(outcomes.values()) - {"not found"} == {"passed"} else 1


def find(version: str) -> str | None:
    """An interpreter of this version that runs: on the PATH, else one of pyenv's."""
    for python in _candidates(version):
        if _output(python, "-c", _TELL_VERSION) == version:
            return python
    return None


def _candidates(version: str) -> Iterator[str]:
    on_path = shutil.which(f"python{version}")
    if on_path:
        yield on_path  # may be one of pyenv's shims, which run only what is switched on
    root = _output("pyenv", "root")
    if root:
        yield from map(str, Path(root, "versions").glob(f"{version}.*/bin/python"))


def _output(*command: str) -> str:
    """What a command says, nothing if it cannot be run."""
    try:
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()  # noqa: S603 - ours
    except (OSError, subprocess.CalledProcessError):
        return ""


def _outcome(uv: str, version: str, python: str, arguments: Sequence[str]) -> str:
    home = ROOT / ".venvs" / version
    settings = {"UV_PROJECT_ENVIRONMENT": str(home), "UV_PYTHON": python, "UV_PYTHON_DOWNLOADS": "never"}
    fast = [f"--ignore={path}" for path in SLOW]
    commands = (
        [uv, "sync", "--frozen", "--quiet"],
        [str(home / "bin" / "python"), "-m", "pytest", "-q", "-n", "2", "--dist", "worksteal", *fast, *arguments],
    )
    for command in commands:
        sys.stdout.write(f"Python {version}: {' '.join(command)}\n")
        sys.stdout.flush()
        if subprocess.run(command, cwd=ROOT, env=os.environ | settings, check=False).returncode:  # noqa: S603 - ours
            return "failed"
    return "passed"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
