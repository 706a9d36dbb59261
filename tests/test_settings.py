"""Settings are checked at start, and say what is wrong in a line each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.loading import load_settings
from app.settings import Settings, SettingsFault, given_as
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


def lines(**overrides: Any) -> list[str]:
    with pytest.raises(SettingsFault) as raised:
        load_settings(_env_file=None, **overrides)
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
    assert (settings.port, settings.database_pool_size) == (8080, 10)
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
    ("STAMPED_API_URL", "https://stamped.io:0"),
    ("STAMPED_API_URL", "https://stamped.io/#Vq7"),
    ("STAMPED_API_URL", "https://stamped.io/Vq7 x"),
    ("STAMPED_API_URL", " https://stamped.io"),
    ("STAMPED_API_URL", "https://Vq7\x01.io"),
    ("STAMPED_API_URL", "https://@stamped.io"),
    ("STAMPED_API_URL", "https://Vq7..io"),
    ("STAMPED_API_URL", "https://\u2603.io"),
    ("STAMPED_API_URL", "https://999.1.1.1"),
    ("STAMPED_API_URL", "https:\\\\Vq7.io"),
    ("STAMPED_API_URL", "http://stamped.io"),
    ("STAMPED_API_URL", "http://127.0.0.1.Vq7.io"),
    ("IPAAS_CLIENT_ID", "\u20ac"),
    ("IPAAS_CLIENT_ID", "Vq7\nx"),
    ("SUBSCRIPTION_FIELD", "Vq7\0"),
    ("MAPPING_FILE", "Vq7\0"),
    ("CONNECTIONS_FILE", "Vq7\n"),
    ("STAMPED_API_STORE_HASH", ".."),
    ("STAMPED_API_STORE_HASH", "Vq7%2f"),
    ("STAMPED_API_STORE_HASH", "Vq7" * 40),
    ("DATABASE_URL", "sqlite:///Vq7\n.db"),
    ("DATABASE_POOL_SIZE", "3"),
    ("PORT", "Vq7"),
    ("PORT", "65536"),
    ("IPAAS_WEBHOOK_API_KEY", "good-Vq7-key-0123456789,a-15-chars-Vq7-"),
    ("VIEWER_API_KEY", "eve:a-15-chars-Vq7-"),
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
    ("IPAAS_WEBHOOK_API_KEY", "good-Vq7-key-0123456789,changeme"),
    ("OPERATOR_API_KEY", "placeholder-Vq7"),
    ("OPERATOR_API_KEY", "ada:placeholder-Vq7"),
    ("OPERATOR_API_KEY", "Vq7:"),
    ("OPERATOR_API_KEY", ":Vq7"),
    ("OPERATOR_API_KEY", "Vq7 Lovelace:key"),
    ("OPERATOR_API_KEY", "ada:key-Vq7-0123456789,bob:k\u00e9y"),
    ("OPERATOR_API_KEY", "ada:key-Vq7-0123456789,bob:key-Vq7-0123456789"),
    ("OPERATOR_API_KEY", "key-Vq7-0123456789,bob:key-Vq7-0123456789"),
    ("VIEWER_API_KEY", ","),
    ("VIEWER_API_KEY", "changeme-Vq7"),
    ("VIEWER_API_KEY", "eve:key-Vq7-0123456789,eve:"),
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
    environment()
    (line,) = lines(**{given_as(name.lower()): value})  # no environment takes a NUL, a `.env` does
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
            {"IPAAS_WEBHOOK_API_KEY": f"other-one-than-that, {OPERATOR_KEY}"},
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
    made = settings(
        operator_api_key=" ada:one-key-of-people , ada:next:key:of:people,third-key-of-people,",
        viewer_api_key="ada:look-key-of-people",
    )
    assert opens(made) == {
        WEBHOOK_KEY: ("webhook", "webhook"),
        "one-key-of-people": ("operator", "ada"),
        "next:key:of:people": ("operator", "ada"),
        "third-key-of-people": ("operator", "operator"),
        "look-key-of-people": ("viewer", "ada"),
    }
    assert not [key for key in opens(made) if key in f"{made!r} {made.model_dump()} {made.keys}"]


def test_a_webhook_key_has_no_name(settings: Make) -> None:
    assert opens(settings(ipaas_webhook_api_key="hook:key:with:colons"))["hook:key:with:colons"] == (
        "webhook",
        "webhook",
    )


def test_webhook_keys_during_a_rotation(settings: Make) -> None:
    assert opens(settings(ipaas_webhook_api_key=" old-key-0000000001, new-key-0000000002 ,")) == {
        "old-key-0000000001": ("webhook", "webhook"),
        "new-key-0000000002": ("webhook", "webhook"),
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


@pytest.mark.parametrize("value", ["127.0.0.1", "10.0.0.0/8, ::1", "*", "10.1.2.3/8"])
def test_proxies_are_addresses_or_networks(settings: Make, value: str) -> None:
    assert settings(forwarded_allow_ips=value).forwarded_allow_ips == value


@pytest.mark.parametrize("value", ["proxy", "10.0.0.0/33", "10.0.0.1,,", "*, 10.0.0.1", "unix:"])
def test_what_is_no_proxy_is_a_fault(environment: Callable[..., None], value: str) -> None:
    environment(FORWARDED_ALLOW_IPS=value)
    (line,) = lines()
    assert line.startswith("FORWARDED_ALLOW_IPS is not usable: must be addresses or networks")


def test_urls_of_alerts_that_cannot_be_used_are_told_without_them(environment: Callable[..., None]) -> None:
    environment(ALERT_URLS="json://127.0.0.1/kept nonsense://hidden-word slack://hidden-word")
    (line,) = lines()
    assert line.startswith(
        "ALERT_URLS is not usable: numbers 2, 3 are no URLs that Apprise knows; set where alerts"
    )
    assert "hidden" not in line
