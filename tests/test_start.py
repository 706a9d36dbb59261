"""A start that cannot go well ends with code 2 and a line per fault."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from app.main import app_or_exit, settings_or_exit
from tests.test_settings import REQUIRED

REPOSITORY = Path(__file__).parents[1]


def start(directory: Path, environment: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "uvicorn", "app.main:app"],
        cwd=directory,
        env={"PYTHONPATH": str(REPOSITORY), "PATH": os.defpath, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_start_without_settings_ends_with_code_2_and_a_line_each(tmp_path: Path) -> None:
    done = start(tmp_path, {})
    assert done.returncode == 2
    written = done.stderr.splitlines()
    assert [line.split()[0] for line in written] == list(REQUIRED)
    assert "Traceback" not in done.stderr + done.stdout


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'[customer]\nemail = "a.["\n', ": email is not a JMESPath expression"),
        ('[customer]\nemail = "\u00fc"\n'.encode("latin-1"), ": it is not UTF-8 (at line 2, column 10)"),
        (None, " cannot be read: No such file"),
    ],
    ids=["broken", "not UTF-8", "nowhere"],
)
def test_a_mapping_that_cannot_be_used_ends_the_start_with_its_place(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    content: bytes | None,
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "mapping.toml"
    if content is not None:
        file.write_bytes(content)
    faulty = {"MAPPING_FILE": str(file), "RETENTION_DAYS": "0", "DATABASE_URL": f"sqlite:///{tmp_path}"}
    for name, value in (REQUIRED | faulty).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as ended:
        app_or_exit(settings_or_exit())
    assert ended.value.code == 2
    retention, mapping, database = capsys.readouterr().err.splitlines()
    assert retention.startswith("RETENTION_DAYS is not usable")
    assert mapping.startswith(f"MAPPING_FILE {file}{said}")
    assert database.startswith("DATABASE_URL is not usable: it is no file")
