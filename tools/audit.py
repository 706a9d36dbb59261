"""`make audit`: pip-audit asks the index what is known to be vulnerable of what the image is made of.

Exit code 0: all were asked about, and nothing is known; 1: something is; 3: it could not ask, so nothing is said.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
KNOWN, NOT_ASKED = 1, 3
_REPORT = ["--format", "json", "--progress-spinner", "off"]


def judge(report: dict[str, Any] | None) -> tuple[int, list[str]]:
    """pip-audit's report, None = it made none; the exit code and what to say."""
    if not report or not report["dependencies"]:
        return NOT_ASKED, ["It could not ask: nothing is known of these versions, good or bad."]
    found = [
        f"{each['name']} {each['version']}: {known['id']}, mended in {_any(known['fix_versions'])}"
        for each in report["dependencies"]
        for known in each.get("vulns", ())
    ]
    unasked = [each["name"] for each in report["dependencies"] if "skip_reason" in each]
    asked = len(report["dependencies"]) - len(unasked)
    if unasked:
        which = f": {', '.join(unasked)}" if asked else ""
        found.append(f"It could not ask about {len(unasked)} of {asked + len(unasked)} packages{which}.")
    if len(found) > bool(unasked):
        return KNOWN, found
    return (NOT_ASKED, found) if unasked else (0, [f"{asked} packages, none known to be vulnerable."])


def _any(versions: list[str]) -> str:
    return ", ".join(versions) or "none yet"


def main() -> int:
    """Say it."""
    uv = shutil.which("uv") or str(ROOT / ".venv" / "bin" / "uv")
    with tempfile.TemporaryDirectory(prefix="audit-") as name:
        wanted = Path(name, "requirements.txt")
        export = [
            uv,
            "export",
            "--quiet",
            "--frozen",
            "--no-dev",
            "--no-emit-project",
            "--output-file",
            str(wanted),
        ]
        subprocess.run(export, cwd=ROOT, check=True)  # noqa: S603 - ours
        audit = [str(ROOT / ".venvs" / "tools" / "bin" / "pip-audit"), "--disable-pip", "--require-hashes"]
        ended = subprocess.run([*audit, *_REPORT, "-r", str(wanted)], check=False, capture_output=True, text=True)  # noqa: S603 - ours
    try:
        report = json.loads(ended.stdout)
    except ValueError:
        sys.stderr.write(ended.stderr[-1000:])
        report = None
    code, told = judge(report)
    sys.stdout.write("".join(f"{line}\n" for line in told))
    return code


if __name__ == "__main__":
    sys.exit(main())
