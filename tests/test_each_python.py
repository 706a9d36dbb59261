"""`make test-all`: which interpreters are found, and what the whole comes to."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools import test_all


def script(path: Path, *lines: str) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(("#!/bin/sh", *lines)))
    path.chmod(0o700)
    return str(path)


@pytest.fixture
def on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder of the PATH, with a pyenv in it."""
    folder = tmp_path / "bin"
    monkeypatch.setenv("PATH", str(folder))
    script(folder / "pyenv", f"echo {tmp_path}")
    return folder


def test_the_python_on_the_path_comes_first(on_path: Path) -> None:
    python = script(on_path / "python3.12", "echo 3.12")
    script(on_path.parent / "versions" / "3.12.1" / "bin" / "python", "echo 3.12")
    assert test_all.find("3.12") == python


@pytest.mark.parametrize("line", ["exit 127", "echo 3.11"], ids=["a shim that is off", "another version"])
def test_one_that_does_not_run_is_passed_over(on_path: Path, line: str) -> None:
    script(on_path / "python3.12", line)
    script(on_path.parent / "versions" / "3.13.0" / "bin" / "python", "echo 3.13")
    assert test_all.find("3.12") is None
    python = script(on_path.parent / "versions" / "3.12.1" / "bin" / "python", "echo 3.12")
    assert test_all.find("3.12") == python


def test_none_is_found_where_there_is_neither(on_path: Path) -> None:
    (on_path / "pyenv").unlink()
    assert test_all.find("3.12") is None


@pytest.mark.parametrize(
    ("found", "broken", "code", "last"),
    [
        (test_all.VERSIONS, (), 0, "passed"),
        (("3.11",), (), 0, "not found"),
        (test_all.VERSIONS, ("3.14",), 1, "failed"),
        (test_all.VERSIONS, ("3.11",), 1, "passed"),
        ((), (), 1, "not found"),
    ],
)
def test_the_last_lines_and_the_exit_code(
    on_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    found: tuple[str, ...],
    broken: tuple[str, ...],
    code: int,
    last: str,
) -> None:
    script(on_path / "uv", "exit 0")
    monkeypatch.setattr(test_all, "find", lambda version: version if version in found else None)
    monkeypatch.setattr(test_all, "_outcome", lambda _uv, version, *_: "failed" if version in broken else "passed")
    assert test_all.main([]) == code
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(": ")[0] for line in lines] == [f"Python {version}" for version in test_all.VERSIONS]
    assert lines[-1] == f"Python 3.14: {last}"


def test_what_is_slow_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(test_all.ROOT)
    assert [path for path in test_all.SLOW if not Path(path).exists()] == []
