"""What can be no database is known before anybody opens it, and is left as it was."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from app.ledger.database_url import look_at_file, read_url
from app.ledger.faults import DatabaseFault
from app.ledger.sqlite_file import fault_of
from app.settings import SettingsFault


@pytest.mark.parametrize(
    ("make", "fault"),
    [
        (lambda path: path.write_text("This is a letter to my grandmother. " * 30), "no database"),
        (lambda path: path.write_bytes(b"SQLite format 3\0" + b"x" * 5000), "no database"),
        (lambda path: path.mkdir(), "it is no file"),
        (os.mkfifo, "it is no file"),
        (lambda path: path.parent.joinpath("a").write_text(""), None),
        (lambda path: path.write_bytes(b""), None),
    ],
)
def test_what_is_there(tmp_path: Path, make: Callable[[Path], object], fault: str | None) -> None:
    path = tmp_path / "bridge.db"
    make(path)
    before = set(tmp_path.iterdir())
    found = fault_of(path)
    assert (found is None) if fault is None else (fault in str(found))
    assert set(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("path", "fault"),
    [("a/b/bridge.db", "its folder is a file"), ("x" * 300, "File name too long"), ("new/bridge.db", None)],
)
def test_where_it_would_be(tmp_path: Path, path: str, fault: str | None) -> None:
    (tmp_path / "a").write_text("")
    assert fault_of(tmp_path / path) == fault
    assert list(tmp_path.iterdir()) == [tmp_path / "a"]


def test_a_database_is_sound(empty_file: Path) -> None:
    look_at_file(read_url(f"sqlite:///{empty_file}"))


def test_the_line_names_the_setting(tmp_path: Path) -> None:
    with pytest.raises(SettingsFault, match="DATABASE_URL is not usable: it is no file; set sqlite:"):
        look_at_file(read_url(f"sqlite:///{tmp_path}"))


@pytest.mark.parametrize("url", ["postgresql://h:0/db", "postgresql://h:99999/db", "postgresql://u:p@[h/db"])
def test_an_address_that_nobody_can_reach(url: str) -> None:
    with pytest.raises(DatabaseFault, match=r"port is a number|a bracket too many"):
        read_url(url)
