"""Where each setting comes from, and what is shown of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.monitoring.setup import Setting, dotenv_names, settings_shown
from app.settings import Settings, load_settings
from tests.support import PRIVATE_KEY, PUBLIC_KEY, STORE


def shown(settings: Settings, environment: set[str], env_file: set[str]) -> dict[str, Setting]:
    return {setting.name: setting for setting in settings_shown(settings, environment, env_file)}


def test_each_setting_says_where_it_comes_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path(".env").write_text(f"STAMPED_API_STORE_HASH={STORE}\nOPERATOR_API_KEY=file-key\nLOG_LEVEL=\n", "utf-8")
    environment = {
        "stamped_api_user": PUBLIC_KEY,
        "STAMPED_API_PRIVATE_KEY": PRIVATE_KEY,
        "IPAAS_WEBHOOK_API_KEY": "one-key,other-key",
        "OPERATOR_API_KEY": "environment-key",
        "DATABASE_URL": "postgresql://bridge:secret@db/bridge",
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    rows = shown(load_settings(), set(environment), dotenv_names())
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


def test_the_sandbox_fills_what_is_missing() -> None:
    rows = shown(load_settings(_env_file=None, sandbox_url="http://127.0.0.1/sandbox"), set(), set())
    assert rows["STAMPED_API_PRIVATE_KEY"].source == "sandbox"
    assert rows["STAMPED_API_URL"].value == "http://127.0.0.1/sandbox"


def test_every_setting_is_explained() -> None:
    rows = shown(load_settings(_env_file=None, sandbox_url="http://127.0.0.1/sandbox"), set(), set())
    assert all(row.what for row in rows.values())
