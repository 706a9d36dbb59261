"""Where each setting comes from, and what is shown of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.ledger.database_url import url_of
from app.loading import load_settings
from app.monitoring.setup import Setting, settings_shown
from app.setting_sources import given
from app.settings import Settings
from app.telemetry.redaction import Redactor
from tests.support import PRIVATE_KEY, PUBLIC_KEY, STORE, make_settings


def shown(settings: Settings, environment: set[str], env_file: set[str]) -> dict[str, Setting]:
    return {setting.name: setting for setting in settings_shown(settings, environment, env_file)}


def test_each_setting_says_where_it_comes_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path(".env").write_text(
        f"STAMPED_API_STORE_HASH={STORE}\nOPERATOR_API_KEY=file-key-of-nobody\nLOG_LEVEL=\n", "utf-8"
    )
    environment = {
        "stamped_api_user": PUBLIC_KEY,
        "STAMPED_API_PRIVATE_KEY": PRIVATE_KEY,
        "IPAAS_WEBHOOK_API_KEY": "one-key-for-hooks,other-key-for-hooks",
        "OPERATOR_API_KEY": "environment-key-1",
        "DATABASE_URL": "postgresql://bridge:secret@db/bridge",
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    rows = shown(load_settings(), *map(set, given()))
    found = {name: (row.value, row.source) for name, row in rows.items()}
    assert found["STAMPED_API_PUBLIC_KEY"] == ("••••••••", "environment")
    assert found["STAMPED_API_STORE_HASH"] == (STORE, ".env")
    assert found["IPAAS_WEBHOOK_API_KEY"] == ("•••••••• (2 keys)", "environment")
    assert found["OPERATOR_API_KEY"] == ("••••••••", "environment")
    assert found["DATABASE_URL"] == ("postgresql://bridge:***@db/bridge", "environment")
    assert found["LOG_LEVEL"] == ("INFO", "default")
    assert found["IPAAS_API_TOKEN"] == (None, "default")
    assert found["STAMPED_TIMEOUT_SECONDS"] == ("15", "default")
    assert "SANDBOX_URL" not in found


@pytest.mark.parametrize(
    ("url", "shown", "secrets"),
    [
        ("postgresql://u:p%40ss+w@db/x", "postgresql://u:***@db/x", ["p%40ss+w", "p@ss+w", "p@ss w"]),
        ("postgresql://u:pa@ss-w@db/x", "postgresql://u:***@db/x", ["pa@ss-w", "ss-w@db"]),
        (
            "postgres://db/x?user=u&p%61ssword=a%2Bb+c&sslmode=require&passfile=/run/p&options=-c",
            "postgres://db/x?user=u&p%61ssword=***&sslmode=require&passfile=***&options=***",
            ["a%2Bb+c", "a+b c", "/run/p"],
        ),
        ("sqlite:///data/a@b.db", "sqlite:///data/a@b.db", []),
    ],
)
def test_nothing_that_opens_the_database_is_shown(url: str, shown: str, secrets: list[str]) -> None:
    redactor = Redactor()
    settings = make_settings(Path(), database_url=url)
    url_of(settings, redactor)
    assert {each.name: each.value for each in settings_shown(settings, (), ())}["DATABASE_URL"] == shown
    assert [each for each in secrets if each in redactor.text(f"failed: {each}.")] == []
    assert redactor.text("require, u, -c, db") == "require, u, -c, db"


def test_the_sandbox_fills_what_is_missing() -> None:
    rows = shown(load_settings(_env_file=None, sandbox_url="http://127.0.0.1/sandbox"), set(), set())
    assert rows["STAMPED_API_PRIVATE_KEY"].source == "sandbox"
    assert rows["STAMPED_API_URL"].value == "http://127.0.0.1/sandbox"


def test_every_setting_is_explained() -> None:
    rows = shown(load_settings(_env_file=None, sandbox_url="http://127.0.0.1/sandbox"), set(), set())
    assert all(row.what for row in rows.values())
