"""CONNECTIONS_FILE: what a table says, what comes from the environment, and every fault by file, table and key."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from app.connections import Connection, Connections, connection_id
from app.connections_file import read_stores
from app.ipaas.models import read_record
from app.keys import Keyring, Who
from app.loading import load_settings
from app.settings import ABSENT, Settings, SettingsFault
from app.telemetry.redaction import Redactor
from tests.support import OPERATOR_KEY, FakeClock, Wire

US = """
[connections.1796]
name = "US store"
ipaas_webhook_api_key = "hook-us-0123456789,hook-us-9876543210"
stamped_api_public_key = "pub-us"
stamped_api_private_key = "private-us"
stamped_api_store_hash = "1001"
subscription_field = "Consent"
"""
EU = """
[connections.1797]
ipaas_webhook_api_key = "hook-eu-0123456789"
stamped_api_public_key = "pub-eu"
stamped_api_private_key_file = "eu.key"
stamped_api_store_hash = "1002"
"""
Make = Callable[..., Settings]


def file_of(folder: Path, text: str) -> Path:
    path = folder / "connections.toml"
    path.write_text(text, encoding="utf-8")
    (folder / "eu.key").write_text("private-eu\n", encoding="utf-8")
    return path


@pytest.fixture
def given(tmp_path: Path) -> Callable[..., Settings]:
    """Settings with a file of connections, and nothing of a store in the environment but what is given."""

    def make(text: str, **values: Any) -> Settings:
        path = file_of(tmp_path, text)
        return Settings(_env_file=None, connections_file=path, operator_api_key=OPERATOR_KEY, **values)

    return make


def faults(settings: Settings) -> list[str]:
    with pytest.raises(SettingsFault) as raised:
        read_stores(settings)
    return raised.value.lines


def test_each_table_is_a_store(given: Make) -> None:
    stores = read_stores(given(US + EU))
    assert list(stores) == ["1796", "1797"]
    assert [store.name for store in stores.values()] == ["US store", "1797"]
    us, eu = (store.settings for store in stores.values())
    assert (us.stamped_api_store_hash, eu.stamped_api_store_hash) == ("1001", "1002")
    assert eu.stamped_api_private_key.get_secret_value() == "private-eu"
    assert (us.subscription_field, eu.subscription_field) == ("Consent", None)
    assert (us.webhook_keys, eu.webhook_keys) == (
        ["hook-us-0123456789", "hook-us-9876543210"],
        ["hook-eu-0123456789"],
    )


def test_what_is_absent_comes_from_the_environment(given: Make) -> None:
    settings = given(US + EU, stamped_api_url="http://127.0.0.1:1", subscription_field="Other")
    us, eu = (store.settings for store in read_stores(settings).values())
    assert us.stamped_api_url == eu.stamped_api_url == "http://127.0.0.1:1"
    assert (us.subscription_field, eu.subscription_field) == ("Consent", "Other")


def test_without_a_file_there_is_one(settings: Make) -> None:
    (connection, store), *rest = read_stores(settings()).items()
    assert (connection, store.name, rest) == ("default", "default", [])


def test_what_is_asked_for_only_then(given: Make) -> None:
    without = US.replace('stamped_api_public_key = "pub-us"\n', "")
    (line,) = faults(given(without))
    assert "[connections.1796] stamped_api_public_key is missing: set " in line
    settings = given(without, STAMPED_API_PUBLIC_KEY="pub-of-all")
    assert read_stores(settings)["1796"].settings.stamped_api_public_key.get_secret_value() == "pub-of-all"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "has no [connections.ID]"),
        ("[connections", "is not usable: Expected ']'"),
        (US + "[other]\n", "other is not known"),
        (US + 'stamped_api_pubic_key = "x"\n', "[connections.1796] stamped_api_pubic_key is no setting"),
        (US + 'database_url = "sqlite:///x.db"\n', "[connections.1796] database_url is no setting"),
        (US + 'stamped_api_url = "ftp://x"\n', "[connections.1796] stamped_api_url is not usable"),
        (US + "stamped_timeout_seconds = 0\n", "[connections.1796] stamped_timeout_seconds is not usable"),
        (US + 'ipaas_api_token_file = "no.key"\n', "ipaas_api_token_file is not usable: No such file"),
        (US + 'stamped_api_private_key_file = "eu.key"\n', "stamped_api_private_key_file is given twice"),
        (
            US + US.replace("1796", "a b"),
            "is not usable: Expected ']' at the end of a table declaration (at line 10",
        ),
        (US.replace("1796", '"a@b"'), "['a@b'] is no table of a subscription id".replace("['", "[connections.'")),
        (US.replace("1796", '"a\\nb"'), "[connections.'a\\nb'] is no table"),
        (US + EU.replace("1797", "default"), "[connections.default] serves every destination"),
        ("a=" + "[" * 900 + "]" * 900, "is nested too deeply"),
        (US + "#" * 1_100_000, "is larger than 1 MiB"),
        (US.replace('name = "US store"', "name = 7"), "[connections.1796] name is not usable"),
        (
            US + EU.replace("hook-eu-0123456789", "hook-us-9876543210"),
            "ipaas_webhook_api_key is another connection's, too",
        ),
        (US + EU.replace("1002", "1001"), "stamped_api_store_hash is another connection's, too"),
        (US.replace("hook-us-0123456789", OPERATOR_KEY), "must differ from IPAAS_WEBHOOK_API_KEY"),
    ],
)
def test_a_fault_is_named(given: Make, text: str, said: str) -> None:
    lines = faults(given(text))
    assert any(said in line for line in lines), lines
    assert all(line.startswith("CONNECTIONS_FILE ") for line in lines)


def test_all_faults_are_told_at_once_and_no_key(given: Make) -> None:
    text = (US + EU).replace('"pub-us"', '""').replace("eu.key", "none.key") + 'nonsense = "secret-1"\n'
    lines = faults(given(text))
    assert len(lines) == 3, lines
    assert not any(key in line for key in ("private-us", "hook-us", "secret-1") for line in lines)


def test_no_file(given: Make, tmp_path: Path) -> None:
    settings = given(US)
    (tmp_path / "connections.toml").unlink()
    (line,) = faults(settings)
    assert "cannot be read: No such file" in line


def served(settings: Settings) -> Connections:
    redactor = Redactor()
    return Connections(settings, redactor, partial(Connection.of, redactor, FakeClock(), None, Wire()))


def test_a_scope_is_of_a_connection_and_its_store(given: Make) -> None:
    connections = served(given(US + EU))
    assert [each.scope for each in connections] == ["1796@1001", "1797@1002"]
    assert [connection_id(each.scope) for each in connections] == ["1796", "1797"]
    assert connections.at("1796@1001") is connections.get("1796")
    assert connections.at("1796@9") is None
    assert connections.only() is None
    assert connections.in_turn() == ["1796@1001", "1797@1002"]
    assert connections.in_turn() == ["1797@1002", "1796@1001"]


def test_a_key_opens_its_own(given: Make) -> None:
    connections = served(given(US + EU))
    keyring = Keyring([], connections.keys)
    opened = [
        keyring.opened_by(key)
        for key in (b"hook-us-0123456789", b"hook-us-9876543210", b"hook-eu-0123456789", b"hook", ABSENT.encode())
    ]
    us, eu = Who("webhook", "1796"), Who("webhook", "1797")
    assert opened == [us, us, eu, None, None]


def test_which_destinations_are_served(given: Make, settings: Make) -> None:
    us = served(given(US)).get("1796")
    everything = served(settings()).get("default")
    assert us is not None
    assert everything is not None
    assert [us.serves(each) for each in (None, "1796", "1797")] == [True, True, False]
    assert [everything.serves(each) for each in (None, "1796", "1797")] == [True, True, True]


def test_a_sound_file_is_taken_over_and_a_faulty_one_changes_nothing(given: Make, tmp_path: Path) -> None:
    connections = served(given(US + EU))
    us, eu = connections
    file_of(tmp_path, US + EU + EU.replace("1797", "1798").replace("1002", "9"))
    connections.reload()
    assert [each.id for each in connections] == ["1796", "1797"]  # for two share a key
    assert connections.fault is not None
    assert "[connections.1798] ipaas_webhook_api_key is another connection's" in connections.fault
    file_of(tmp_path, US + EU.replace("hook-eu-0123456789", "hook-eu-9876543210"))
    connections.reload()
    assert connections.fault is None
    assert connections.get("1796") is us
    assert connections.get("1797") is not eu
    assert Keyring([], connections.keys).opened_by(b"hook-eu-0123456789") is None


def test_what_is_no_plain_file_is_not_waited_for(given: Make, tmp_path: Path) -> None:
    settings = given(US)
    (tmp_path / "connections.toml").unlink()
    os.mkfifo(tmp_path / "connections.toml")
    (line,) = faults(settings)
    assert "cannot be read: it is no file" in line


def test_a_mapping_that_was_changed_in_place_is_read_again(given: Make, tmp_path: Path) -> None:
    mapping = tmp_path / "own.toml"
    mapping.write_text('[customer]\nemail = "email_address"\n', encoding="utf-8")
    connections = served(given(US + 'mapping_file = "own.toml"\n'))
    mapping.write_text('[customer]\nemail = "other"\n', encoding="utf-8")
    connections.reload()
    (us,) = connections
    record = read_record({"id": 1, "other": "a@example.com"})
    assert us.mapping.fields(record).email == "a@example.com"
    mapping.write_text("[customer", encoding="utf-8")
    connections.reload()
    assert "own.toml" in str(connections.fault)


async def test_what_leaves_is_closed_when_it_is_idle(given: Make, tmp_path: Path) -> None:
    connections = served(given(US + EU))
    file_of(tmp_path, US)
    connections.reload()
    assert connections.get("1797") is None
    assert connections.fetches() == {"1796@1001": False}
    leaving = connections.at("1797@1002")
    assert leaving is not None
    assert not await connections.close(lambda _scope: False)
    assert connections.at("1797@1002") is leaving
    assert await connections.close(lambda scope: scope == "1797@1002")
    assert connections.at("1797@1002") is None


def test_what_is_at_fault_in_the_environment_is_told_once(given: Make) -> None:
    """Faults of the file are looked for all the same."""
    with pytest.raises(SettingsFault) as raised:
        load_settings(
            _env_file=None,
            connections_file=given(US + EU.replace('store_hash = "1002"', 'url = "ftp://x"')).connections_file,
            operator_api_key="short",
            stamped_api_store_hash="..",
        )
    assert [line.split()[0] for line in raised.value.lines] == ["STAMPED_API_STORE_HASH", "OPERATOR_API_KEY"]
    assert raised.value.sound is not None
    (line,) = faults(raised.value.sound)
    assert "[connections.1797] stamped_api_url is not usable" in line


@pytest.mark.parametrize(("url", "allowed"), [("https://stamped.io", False), ("http://127.0.0.1:8081", True)])
def test_an_example_key_is_for_stores_on_this_machine(tmp_path: Path, url: str, allowed: bool) -> None:  # noqa: FBT001
    text = US.replace("[connections.1796]", f'[connections.1796]\nstamped_api_url = "{url}"')
    settings = Settings(
        _env_file=None, connections_file=file_of(tmp_path, text), operator_api_key="sandbox-operator-key"
    )
    if allowed:
        assert read_stores(settings)["1796"].settings.stamped_api_url == url
        return
    (line,) = faults(settings)
    assert "[connections.1796] OPERATOR_API_KEY is not usable: everybody knows this example" in line
