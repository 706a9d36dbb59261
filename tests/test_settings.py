"""Settings are checked at start, and say what is wrong in a line each."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.settings import Settings, SettingsFault, load_settings
from tests.support import OPERATOR_KEY, PRIVATE_KEY, PUBLIC_KEY, STORE, WEBHOOK_KEY

REPOSITORY = Path(__file__).parents[1]
REQUIRED = {
    "STAMPED_API_PUBLIC_KEY": PUBLIC_KEY,
    "STAMPED_API_PRIVATE_KEY": PRIVATE_KEY,
    "STAMPED_API_STORE_HASH": STORE,
    "IPAAS_WEBHOOK_API_KEY": WEBHOOK_KEY,
    "OPERATOR_API_KEY": OPERATOR_KEY,
}
SECRETS = [PUBLIC_KEY, PRIVATE_KEY, WEBHOOK_KEY, OPERATOR_KEY]
Make = Callable[..., Settings]


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Sets the required names, and others; None takes one away."""

    def put(**values: str | None) -> None:
        for name, value in (REQUIRED | values).items():
            if value is None:
                monkeypatch.delenv(name, raising=False)
            else:
                monkeypatch.setenv(name, value)

    return put


def lines() -> list[str]:
    with pytest.raises(SettingsFault) as raised:
        load_settings(_env_file=None)
    return raised.value.lines


def test_defaults_of_the_contract(environment: Callable[..., None]) -> None:
    environment()
    settings = load_settings(_env_file=None)
    assert settings.stamped_api_url == "https://stamped.io"
    assert settings.stamped_concurrent_connections == 10
    assert settings.stamped_timeout_seconds == 15
    assert settings.response_timeout_seconds == 25
    assert settings.database_url == "sqlite:///data/ipaas-stamped.db"
    assert settings.retention_days == 30
    assert (settings.log_level, settings.log_format) == ("INFO", "json")
    assert settings.ipaas_api_url is None
    assert settings.subscription_field is None
    assert settings.mapping_file is None


@pytest.mark.parametrize("name", REQUIRED)
@pytest.mark.parametrize("value", [None, ""], ids=["missing", "empty"])
def test_a_missing_setting_is_one_line_with_its_name(
    environment: Callable[..., None], name: str, value: str | None
) -> None:
    environment(**{name: value})
    (line,) = lines()
    assert line.startswith(f"{name} is missing: set ")


def test_all_that_is_missing_is_named_at_once() -> None:
    assert [line.split()[0] for line in lines()] == list(REQUIRED)


MALFORMED = [
    ("STAMPED_API_URL", "stamped.io"),
    ("STAMPED_API_URL", "ftp://Vq7stamped.io"),
    ("STAMPED_API_URL", "https://"),
    ("STAMPED_API_URL", "https://Vq7user:pw@stamped.io"),
    ("STAMPED_API_URL", "https://stamped.io/?Vq7=1"),
    ("STAMPED_API_URL", "https://[Vq7]/"),
    ("STAMPED_API_URL", "https://stamped.io:Vq7"),
    ("STAMPED_API_URL", "https://stamped.io:99999"),
    ("STAMPED_API_PUBLIC_KEY", "<Vq7 public key>"),
    ("STAMPED_API_PRIVATE_KEY", "changeme-Vq7"),
    ("STAMPED_API_PRIVATE_KEY", "  "),
    ("STAMPED_API_PRIVATE_KEY", "Vq7\tkey"),
    ("STAMPED_API_PRIVATE_KEY", "Vq7kéy"),
    ("STAMPED_API_STORE_HASH", "Vq7/270392"),
    ("STAMPED_API_STORE_HASH", "Vq7 270392"),
    ("STAMPED_CONCURRENT_CONNECTIONS", "0"),
    ("STAMPED_CONCURRENT_CONNECTIONS", "Vq7"),
    ("STAMPED_CONCURRENT_CONNECTIONS", "1.5"),
    ("STAMPED_TIMEOUT_SECONDS", "0"),
    ("STAMPED_TIMEOUT_SECONDS", "-1"),
    ("STAMPED_TIMEOUT_SECONDS", "121"),
    ("STAMPED_TIMEOUT_SECONDS", "nan"),
    ("STAMPED_TIMEOUT_SECONDS", "inf"),
    ("STAMPED_TIMEOUT_SECONDS", "Vq7 s"),
    ("STAMPED_SUBSCRIBE_EMAIL_IN", "Vq7"),
    ("IPAAS_WEBHOOK_API_KEY", "your-key-Vq7"),
    ("IPAAS_WEBHOOK_API_KEY", ","),
    ("IPAAS_WEBHOOK_API_KEY", "good-Vq7-key,changeme"),
    ("OPERATOR_API_KEY", "placeholder-Vq7"),
    ("OPERATOR_API_KEY", "ada:placeholder-Vq7"),
    ("OPERATOR_API_KEY", "Vq7:"),
    ("OPERATOR_API_KEY", ":Vq7"),
    ("OPERATOR_API_KEY", "Vq7 Lovelace:key"),
    ("OPERATOR_API_KEY", "ada:key-Vq7,bob:k\u00e9y"),
    ("OPERATOR_API_KEY", "ada:key-Vq7,bob:key-Vq7"),
    ("OPERATOR_API_KEY", "key-Vq7,bob:key-Vq7"),
    ("VIEWER_API_KEY", ","),
    ("VIEWER_API_KEY", "changeme-Vq7"),
    ("VIEWER_API_KEY", "eve:key-Vq7,eve:"),
    ("IPAAS_API_URL", "Vq7"),
    ("DATABASE_URL", "Vq7"),
    ("DATABASE_URL", "mysql://Vq7"),
    ("RETENTION_DAYS", "0"),
    ("RETENTION_DAYS", "Vq7"),
    ("RESPONSE_TIMEOUT_SECONDS", "0"),
    ("RESPONSE_TIMEOUT_SECONDS", "Vq7"),
    ("LOG_LEVEL", "Vq7"),
    ("LOG_FORMAT", "Vq7"),
]


@pytest.mark.parametrize(("name", "value"), MALFORMED)
def test_a_malformed_setting_is_one_line_with_its_name_and_no_value(
    environment: Callable[..., None], name: str, value: str
) -> None:
    environment(**{name: value})
    (line,) = lines()
    assert line.startswith(f"{name} is not usable: ")
    assert "Vq7" not in line.replace("vq7", "Vq7")
    assert "; set " in line
    assert "\n" not in line


@pytest.mark.parametrize(
    ("values", "line"),
    [
        pytest.param(
            {"IPAAS_API_URL": "https://api.ipaas.com/customers"}, "IPAAS_API_TOKEN is missing", id="token"
        ),
        pytest.param({"OPERATOR_API_KEY": WEBHOOK_KEY}, "OPERATOR_API_KEY must differ", id="same key"),
        pytest.param(
            {"IPAAS_WEBHOOK_API_KEY": f"other-one, {OPERATOR_KEY}"},
            "OPERATOR_API_KEY must differ",
            id="in the list",
        ),
        pytest.param({"OPERATOR_API_KEY": f"ada:{WEBHOOK_KEY}"}, "OPERATOR_API_KEY must differ", id="named"),
        pytest.param(
            {"VIEWER_API_KEY": f"eve:{OPERATOR_KEY}"},
            "VIEWER_API_KEY must differ from OPERATOR_API_KEY",
            id="viewer as operator",
        ),
        pytest.param(
            {"VIEWER_API_KEY": WEBHOOK_KEY},
            "VIEWER_API_KEY must differ from IPAAS_WEBHOOK_API_KEY",
            id="viewer as webhook",
        ),
    ],
)
def test_settings_that_do_not_go_together(
    environment: Callable[..., None], values: dict[str, str], line: str
) -> None:
    environment(**values)
    (only,) = lines()
    assert only.startswith(line)
    assert not any(secret in only for secret in SECRETS)


def test_other_names_of_the_stamped_keys(environment: Callable[..., None]) -> None:
    environment(
        STAMPED_API_PUBLIC_KEY=None,
        STAMPED_API_PRIVATE_KEY=None,
        STAMPED_API_USER="pubkey-other",
        STAMPED_API_PASSWORD="key-other",
    )
    settings = load_settings(_env_file=None)
    assert settings.stamped_api_public_key.get_secret_value() == "pubkey-other"
    assert settings.stamped_api_private_key.get_secret_value() == "key-other"


def test_the_first_name_wins_over_the_other(environment: Callable[..., None]) -> None:
    environment(STAMPED_API_USER="pubkey-other")
    assert load_settings(_env_file=None).stamped_api_public_key.get_secret_value() == PUBLIC_KEY


def test_a_malformed_other_name_still_says_what_to_set(environment: Callable[..., None]) -> None:
    environment(STAMPED_API_PUBLIC_KEY=None, STAMPED_API_USER="<key>")
    (line,) = lines()
    assert line.startswith("STAMPED_API_")
    assert "the public key" in line


def opens(settings: Settings) -> dict[str, tuple[str, str]]:
    people: dict[str, tuple[str, str]] = {key.secret: (key.who.role, key.who.name) for key in settings.keys}
    return people | dict.fromkeys(settings.webhook_keys, ("webhook", "webhook"))


def test_keys_of_people_have_names(settings: Make) -> None:
    made = settings(operator_api_key=" ada:one-key , ada:next:key,third-key,", viewer_api_key="ada:look-key")
    assert opens(made) == {
        WEBHOOK_KEY: ("webhook", "webhook"),
        "one-key": ("operator", "ada"),
        "next:key": ("operator", "ada"),
        "third-key": ("operator", "operator"),
        "look-key": ("viewer", "ada"),
    }
    assert not [key for key in opens(made) if key in f"{made!r} {made.model_dump()} {made.keys}"]


def test_a_webhook_key_has_no_name(settings: Make) -> None:
    assert opens(settings(ipaas_webhook_api_key="hook:key"))["hook:key"] == ("webhook", "webhook")


def test_webhook_keys_during_a_rotation(settings: Make) -> None:
    assert opens(settings(ipaas_webhook_api_key=" old-key-1, new-key-2 ,")) == {
        "old-key-1": ("webhook", "webhook"),
        "new-key-2": ("webhook", "webhook"),
        OPERATOR_KEY: ("operator", "operator"),
    }


def test_names_are_taken_in_any_case_and_values_trimmed(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in REQUIRED.items():
        monkeypatch.setenv(name.lower(), value)
    monkeypatch.setenv("stamped_api_private_key", f" {PRIVATE_KEY} ")
    monkeypatch.setenv("log_level", "debug")
    settings = load_settings(_env_file=None)
    assert settings.stamped_api_private_key.get_secret_value() == PRIVATE_KEY
    assert settings.log_level == "DEBUG"


def test_a_dot_env_file_is_read_and_the_environment_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / ".env"
    file.write_text("\n".join(f"{name}={value}" for name, value in REQUIRED.items()), encoding="utf-8")
    monkeypatch.setenv("STAMPED_API_STORE_HASH", "999999")
    settings = load_settings(_env_file=file)
    assert settings.stamped_api_store_hash == "999999"
    assert opens(settings)[WEBHOOK_KEY] == ("webhook", "webhook")


def test_no_secret_in_any_shape_of_the_settings(settings: Make) -> None:
    made = settings(ipaas_api_url="https://api.ipaas.com/customers", ipaas_api_token="tok-Vq7-secret")
    shown = "\n".join([repr(made), str(made), repr(made.model_dump()), made.model_dump_json()])
    assert not any(secret in shown for secret in [*SECRETS, "tok-Vq7-secret"])


def test_the_slash_at_the_end_of_an_address_goes(settings: Make) -> None:
    assert settings(stamped_api_url="https://stamped.io/").stamped_api_url == "https://stamped.io"


def test_the_sandbox_stands_in_only_without_any_stamped_key(environment: Callable[..., None]) -> None:
    url = "http://127.0.0.1:8080/sandbox"
    environment(**dict.fromkeys(REQUIRED))
    assert load_settings(_env_file=None, sandbox_url=url).stamped_api_url == url
    environment(STAMPED_API_PRIVATE_KEY=None)
    with pytest.raises(SettingsFault, match="STAMPED_API_PRIVATE_KEY is missing"):
        load_settings(_env_file=None, sandbox_url=url)
    environment()
    settings = load_settings(_env_file=None, sandbox_url=url)
    assert (settings.sandbox_url, settings.stamped_api_url) == (None, "https://stamped.io")


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


def test_a_start_with_a_broken_mapping_ends_with_code_2_and_its_place(tmp_path: Path) -> None:
    file = tmp_path / "mapping.toml"
    file.write_text('[customer]\nemail = "a.["\n', encoding="utf-8")
    done = start(tmp_path, REQUIRED | {"MAPPING_FILE": str(file)})
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"MAPPING_FILE {file}: email ")
    assert "at line 2, column " in line


def test_a_start_with_a_mapping_that_is_not_utf_8_ends_with_code_2_and_its_place(tmp_path: Path) -> None:
    file = tmp_path / "mapping.toml"
    file.write_bytes('[customer]\nemail = "ü"\n'.encode("latin-1"))
    done = start(tmp_path, REQUIRED | {"MAPPING_FILE": str(file)})
    assert done.returncode == 2
    assert done.stderr == f"MAPPING_FILE {file}: it is not UTF-8 (at line 2, column 10)\n"


def test_a_mapping_file_that_is_not_there_ends_the_start(tmp_path: Path) -> None:
    done = start(tmp_path, REQUIRED | {"MAPPING_FILE": str(tmp_path / "nowhere.toml")})
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "MAPPING_FILE" in line
    assert "No such file" in line
