"""Settings from files, names that are meant to be ours, and faults of all kinds at once."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from app.loading import listening_port, load_settings, names_of
from app.setting_sources import unknown
from app.settings import Settings, SettingsFault
from tests.support import OPERATOR_KEY, PRIVATE_KEY, PUBLIC_KEY, STORE, WEBHOOK_KEY

KNOWN = [name for field in Settings.model_fields for name in names_of(field)]
KEYS = {
    "STAMPED_API_USER": PUBLIC_KEY,
    "STAMPED_API_PASSWORD": PRIVATE_KEY,
    "IPAAS_WEBHOOK_API_KEY": WEBHOOK_KEY,
    "OPERATOR_API_KEY": f"ada:{OPERATOR_KEY}",
    "DATABASE_URL": "sqlite:///own.db",
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """All that is needed, each secret in a file, some named in the environment and some in `.env`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STAMPED_API_STORE_HASH", STORE)
    for name, value in KEYS.items():
        Path(name).write_text(f"{value}\n", encoding="utf-8")
        if name != "OPERATOR_API_KEY":
            monkeypatch.setenv(f"{name}_FILE", name)
    Path(".env").write_text("OPERATOR_API_KEY_FILE=OPERATOR_API_KEY\n", encoding="utf-8")
    return tmp_path


def lines() -> list[str]:
    with pytest.raises(SettingsFault) as raised:
        load_settings()
    return raised.value.lines


def test_what_is_in_files_is_read_without_its_line_break(folder: Path) -> None:
    Path("DATABASE_URL").write_bytes(b"sqlite:///own.db\r\n")
    settings = load_settings()
    assert settings.stamped_api_public_key.get_secret_value() == PUBLIC_KEY
    assert settings.stamped_api_private_key.get_secret_value() == PRIVATE_KEY
    assert settings.webhook_keys == [WEBHOOK_KEY]
    assert [(key.who.name, key.secret) for key in settings.keys] == [("ada", OPERATOR_KEY)]
    assert settings.database_url == "sqlite:///own.db"
    assert folder


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "No such file"),
        ("folder", "it is no file"),
        ("fifo", "it is no file"),
        (b"\n", "it is empty"),
        (b"Vq7" * 400_000, "it is larger than 1 MiB"),
        (b"Vq7\xff", "it is not UTF-8"),
    ],
)
@pytest.mark.parametrize("name", ["OPERATOR_API_KEY", "STAMPED_API_PASSWORD", "DATABASE_URL"])
def test_a_file_that_cannot_be_used_is_one_line(
    folder: Path, name: str, content: bytes | str | None, why: str
) -> None:
    (folder / name).unlink()
    if content == "folder":
        (folder / name).mkdir()
    elif content == "fifo":
        os.mkfifo(folder / name)
    elif isinstance(content, bytes):
        (folder / name).write_bytes(content)
    (line,) = lines()
    assert line.startswith(f"{name}_FILE is not usable: {why}")
    assert "; set the path of a file that holds " in line
    assert "Vq7" not in line


@pytest.mark.parametrize("name", ["OPERATOR_API_KEY", "STAMPED_API_PUBLIC_KEY", "STAMPED_API_PASSWORD"])
def test_given_twice_is_a_fault(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "given-in-clear-too")
    (line,) = lines()
    assert " is given twice, as " in line
    assert f"{name} and " in line or line.endswith(f"{name}; leave one out.") or f"as {name}" in line
    assert "in-clear" not in line
    assert folder


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("RETENTION_DAY", "RETENTION_DAYS"),
        ("STAMPED_API_PUBLICKEY", "STAMPED_API_PUBLIC_KEY"),
        ("IPAAS_API_KEY", "IPAAS_API_TOKEN"),
        ("OPERATOR_KEY", "OPERATOR_API_KEY"),
        ("CONNECTION_FILE", "CONNECTIONS_FILE"),
        ("SUBSCRIPTON_FIELD", "SUBSCRIPTION_FIELD"),
        ("IPAAS_API_TOKEN_FIL", "IPAAS_API_TOKEN_FILE"),
        ("LOG_LEVL", None),
        ("DATABASE_POOLSIZE", None),
        *((name, None) for name in KNOWN),
        *((f"IPAAS_STAMPED_{end}", None) for end in ("SERVICE_HOST", "SERVICE_PORT", "SERVICE_PORT_HTTP", "PORT")),
        *((f"IPAAS_STAMPED_PORT_8080_TCP{end}", None) for end in ("", "_PROTO", "_PORT", "_ADDR")),
        *((name, None) for name in ("DATABASE_POSTGRESQL_PORT_5432_TCP", "DATABASE_HOST", "DATABASE_URI")),
        *((name, None) for name in ("LOG_DIR", "LOG_LEVELS", "PORTAL", "SUBSCRIPTION_ID", "OPERATOR_NAME")),
        *((name, None) for name in ("RETENTION_PERIOD", "MAPPING_TABLE", "VIEWER_PORT", "ALERT_URLS", "PATH")),
    ],
)
def test_names_that_are_meant_to_be_ours(name: str, meant: str | None) -> None:
    found = unknown([name], [], KNOWN)
    assert found == ({} if meant is None else {name: ("the environment", meant)})


def test_dot_env_is_written_for_us() -> None:
    names = ["LOG_LEVL", "DATABASE_POOLSIZE", "DATABASE_USER", "POSTGRES_PASSWORD", "ALERT_URLS"]
    found = unknown([], names, KNOWN)
    assert found == {"LOG_LEVL": (".env", "LOG_LEVEL"), "DATABASE_POOLSIZE": (".env", "DATABASE_POOL_SIZE")}


def test_all_faults_are_told_at_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "RETENTION_DAY": "Vq7",
        "PORT": "Vq7",
        "VIEWER_API_KEY": OPERATOR_KEY,
        "IPAAS_API_URL": "https://ipaas.test",
    }.items():
        monkeypatch.setenv(name, value)
    (folder / "STAMPED_API_USER").unlink()
    told = lines()
    assert [line.split()[0] for line in told] == [
        "RETENTION_DAY",
        "STAMPED_API_USER_FILE",
        "PORT",
        "IPAAS_API_TOKEN",
        "VIEWER_API_KEY",
    ]
    assert not any("Vq7" in line for line in told)


def test_the_port_is_known_before_the_settings(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert listening_port() == 8080
    (folder / ".env").write_text("PORT=9000", encoding="utf-8")
    assert listening_port() == 9000
    monkeypatch.setenv("PORT", "9001")
    assert listening_port() == 9001
    monkeypatch.setenv("PORT", "0")
    assert listening_port() == 8080
