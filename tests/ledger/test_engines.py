"""What DATABASE_URL may say, and what of it reaches the driver."""

from __future__ import annotations

from typing import Any

import pytest

from app.ledger.database_url import read_url, url_of
from app.ledger.engines import group_settings, postgresql
from app.ledger.faults import DatabaseFault
from app.ledger.hints import hint_of, place_of
from app.telemetry.redaction import Redactor
from tests.postgres import server_url
from tests.support import make_settings

REFUSED = 'connection failed: connection to server at "127.0.0.1", port 1 failed: Connection refused'


def told(url: str) -> dict[str, Any]:
    """What the driver is told of a URL, apart from what it is always told."""
    read = read_url(url)
    [_, given] = read.get_dialect()().create_connect_args(read)
    return {name: value for name, value in given.items() if name not in {"user", "dbname"}}


@pytest.mark.parametrize(
    ("url", "given"),
    [
        ("postgresql://a@h/x", {"host": "h"}),
        ("postgres://a@h:77/x", {"host": "h", "port": 77}),
        ("postgresql://a@h1:1,h2:2/x", {"host": "h1,h2", "port": "1,2"}),
        ("postgresql://a:s,3@h/x", {"host": "h", "password": "s,3"}),
        ("postgresql://a:s,3@h1:1,h2/x", {"host": "h1,h2", "port": "1,5432", "password": "s,3"}),
        ("postgresql://h1,h2/x?port=77", {"host": "h1,h2", "port": "77,77"}),
        ("postgresql://a@[::1]:5432,h2:5433/x", {"host": "::1,h2", "port": "5432,5433"}),
        ("postgresql://a@/x?host=/var/run/postgresql", {"host": "/var/run/postgresql"}),
        ("postgresql:///x?host=h1:1&host=h2:2&user=a", {"host": "h1,h2", "port": "1,2"}),
        ("postgresql://a@h/x?password=s3cret", {"host": "h", "password": "s3cret"}),
        (
            "postgresql://h1,h2/x?target_session_attrs=any&sslmode=verify-full&sslrootcert=/ca.pem&application_name=b",
            {
                "host": "h1,h2",
                "port": ",",
                "target_session_attrs": "any",
                "sslmode": "verify-full",
                "sslrootcert": "/ca.pem",
                "application_name": "b",
            },
        ),
    ],
)
def test_what_a_url_says_is_told_the_driver(url: str, given: dict[str, Any]) -> None:
    assert told(url) == given


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ("?bogus=s3cret", 'invalid connection option "bogus"'),
        ("?prepare_threshold=s3cret", "it is no database URL"),
        ("?prepare_threshold=-1", "only sqlite:///"),
        ("?connect_timeout=s3cret", "it is no database URL"),
        ("?host=h1,h2,h3&port=1,2", "it is no database URL"),
    ],
)
def test_an_option_that_is_none_is_a_readable_fault(options: str, why: str) -> None:
    with pytest.raises(DatabaseFault) as caught:
        read_url(f"postgresql://a@h/x{options}")
    assert str(caught.value).startswith(why)
    assert "s3cret" not in str(caught.value)


def test_a_password_is_hidden_wherever_it_stands(tmp_path: Any) -> None:
    redactor = Redactor()
    url = url_of(
        make_settings(tmp_path, database_url="postgresql://h/x?password=s3cret-a&sslpassword=s3cret-b"), redactor
    )
    assert "s3cret-a" not in str(url)
    assert "s3cret" not in redactor.text("s3cret-a s3cret-b")


@pytest.mark.parametrize(
    ("options", "limits", "prepares"),
    [
        ("", ("1s", "12s", "10s"), 5),
        ("prepare_threshold=0", ("1s", "12s", "10s"), None),
        ("prepare_threshold=3", ("1s", "12s", "10s"), 3),
        ("options=-c%20statement_timeout%3D77s%20--lock_timeout=3s%20-cidle_in_transaction_session_timeout=4s",
         ("77s", "3s", "4s"), 5),
    ],
)  # fmt: skip
def test_a_transaction_has_limits_and_a_session_has_none(
    options: str, limits: tuple[str, ...], prepares: int | None
) -> None:
    mark = "&" if "?" in server_url() else "?"
    engine = postgresql(
        read_url(f"{server_url()}{mark}{options}&application_name=mine&connect_timeout=3"), 1000, 1
    )
    names = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "application_name")
    with engine.connect() as connection:
        shown = tuple(connection.exec_driver_sql(f"SHOW {name}").scalar() for name in names)
        connection.rollback()
        driver: Any = connection.connection.driver_connection
        after = driver.execute("SHOW statement_timeout").fetchone()
        assert driver.prepare_threshold == prepares
        assert driver.info.get_parameters()["connect_timeout"] == "3"
    engine.dispose()
    assert shown == (*limits, "mine")
    assert after == (limits[0] if limits[0] == "77s" else "0",)


def test_a_group_keeps_what_the_url_sets() -> None:
    assert "'statement_timeout', '15000'" in group_settings(read_url("postgresql://h/x"))
    kept = group_settings(read_url("postgresql://h/x?options=-c%20statement_timeout=77s"))
    assert "statement_timeout" not in kept
    assert "'lock_timeout', '200'" in kept


@pytest.mark.parametrize(
    ("error", "words"),
    [
        ('FATAL:  database "bridge" does not exist', "createdb"),
        ('FATAL:  role "bridge" does not exist', "createuser"),
        ('FATAL:  password authentication failed for user "bridge"', "name and password"),
        ("FATAL:  sorry, too many clients already", "DATABASE_POOL_SIZE"),
        ("session is read-only", "takes no writes"),
        ("canceling statement due to lock timeout", "A migration waits"),
        ("FATAL:  the database system is starting up", "starting or stopping"),
        ("server does not support SSL, but SSL was required", "sslmode"),
        (REFUSED, "host and port"),
        ("failed to resolve host 'bridge': [Errno -2] Name or service not known", "host and port"),
        ("FATAL:  la base de données « bridge » n'existe pas", "check DATABASE_URL"),
    ],
)
def test_what_is_missing_is_said_without_a_name(error: str, words: str) -> None:
    assert words in hint_of(error)
    assert "bridge" not in hint_of(error)


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("postgresql://a:s3cret@h1:1,h2/x", "h1:1, h2:5432"),
        ("postgresql://a@/x?host=/sockets", "/sockets"),
        ("postgresql://a@h/x", "h:5432"),
    ],
)
def test_the_log_says_where_it_should_be(url: str, server: str) -> None:
    assert place_of(read_url(url)) == {"server": server, "database": "x", "role": "a"}
