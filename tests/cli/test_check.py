"""`check`: one line per check, a hint per fault, and the exit code."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from app.ledger.database import Database
from app.ledger.database_url import read_url
from tests.cli.conftest import Run, Running, checks, free_port
from tests.support import IPAAS_TOKEN

BAD_KEY = "key-Rt5wC1bad"


def test_all_is_well(run: Run, configured: Path) -> None:
    ran = run("check")
    assert ran.code == 0
    assert [line.split()[:2] for line in ran.out.splitlines()] == [
        ["ok", name] for name in ("service", "settings", "database", "stamped", "ipaas")
    ]
    assert "nobody answers at" in ran.out.splitlines()[0]
    assert "consent is not mapped" in ran.out
    assert "is created at the first start" in ran.out
    assert "the keys and the store hash are accepted" in ran.out
    assert not configured.exists()


def test_bad_keys_fail_with_the_documented_resolution(
    run: Run, configured: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAMPED_API_PRIVATE_KEY", BAD_KEY)
    ran = run("check")
    assert ran.code == 1
    assert "HTTP status 401 Unauthorized: The API key you supplied is not valid." in ran.out
    assert "Check STAMPED_API_PUBLIC_KEY and STAMPED_API_PRIVATE_KEY." in ran.out
    assert "Confirm the Stamped.io credentials and store identifier on the subscription are correct" in ran.out
    assert BAD_KEY not in ran.out + ran.err
    told = run("check", "--json")
    assert (told.code, json.loads(told.out)["status"]) == (1, "fail")
    assert checks(told.out)["stamped"]["status"] == "fail"
    assert configured


def test_a_wrong_store_hash_is_named(run: Run, configured: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STAMPED_API_STORE_HASH", "999")
    ran = run("check")
    assert ran.code == 1
    assert "What to do: Check STAMPED_API_STORE_HASH" in ran.out
    assert configured


@pytest.mark.parametrize(
    ("path", "hint"),
    [(None, "Check STAMPED_API_URL and the way to it"), ("/docs", "Check STAMPED_API_STORE_HASH")],
)
def test_a_wrong_address_is_named(
    run: Run, running: Running, configured: Path, monkeypatch: pytest.MonkeyPatch, path: str | None, hint: str
) -> None:
    url = f"http://127.0.0.1:{free_port()}" if path is None else f"{running.url}{path}"
    monkeypatch.setenv("STAMPED_API_URL", url)
    ran = run("check")
    assert ran.code == 1
    assert hint in ran.out
    assert configured


@pytest.mark.parametrize(
    ("fault", "code", "hint"),
    [
        ({"status": 429, "retry_after": "60"}, 0, "Wait: Stamped.io has had too many calls."),
        ({"status": 503}, 1, "Try again later."),
        ({"kind": "nonsense"}, 1, "what answers there is not Stamped.io's API"),
    ],
    ids=["throttled", "down", "web page"],
)
def test_what_else_stamped_may_say(
    run: Run, service: Running, configured: Path, fault: dict[str, Any], code: int, hint: str
) -> None:
    service.fail(operation="search", **fault)
    ran = run("check")
    assert ran.code == code
    assert hint in ran.out
    assert configured


def test_one_read_only_call(run: Run, service: Running, configured: Path) -> None:
    service.control.delete("/calls")
    run("check")
    calls = service.control.get("/calls").json()
    assert [(call["method"], call["operation"]) for call in calls] == [("GET", "search")]
    assert configured


def test_settings_that_are_missing_are_a_line_each(run: Run) -> None:
    ran = run("check")
    assert (ran.code, ran.err) == (2, "")
    lines = ran.out.splitlines()
    assert "nobody answers at" in lines[0]
    assert [line.split()[2] for line in lines[1:6]] == [
        "STAMPED_API_PUBLIC_KEY",
        "STAMPED_API_PRIVATE_KEY",
        "STAMPED_API_STORE_HASH",
        "IPAAS_WEBHOOK_API_KEY",
        "OPERATOR_API_KEY",
    ]
    assert "built-in sandbox" in lines[6]
    told = run("check", "--json")
    assert (told.code, json.loads(told.out)["status"]) == (2, "fail")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("STAMPED_API_URL", "stamped.io"),
        ("DATABASE_URL", "sqlite:///:memory:"),
        ("MAPPING_FILE", "nowhere.toml"),
        ("IPAAS_API_URL", "http://ipaas.test"),
        ("IPAAS_STAMPED_URL", "nonsense"),
        ("OPERATOR_API_KEY", "change-me"),
    ],
)
def test_a_setting_that_cannot_be_used_ends_with_2(
    run: Run, configured: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    ran = run("check")
    assert ran.code == 2
    (line,) = (each for each in ran.out.splitlines() if each.startswith("fail"))
    assert name in line
    assert not configured.exists()


def test_without_stamped_keys_the_running_sandbox_is_asked(run: Run, service: Running) -> None:
    service.control.post("/reset")
    ran = run("check")
    assert ran.code == 0
    assert ran.out.startswith("warn  settings  no Stamped.io keys are set")
    assert "sandbox, store 270392: the keys and the store hash are accepted" in ran.out


def test_slips_of_the_pen_in_a_mapping_are_a_warning(
    run: Run, configured: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = configured.with_name("mapping.toml")
    file.write_text('[customer]\nemail = "email_adress"\nfirstname = "first_name"\n', encoding="utf-8")
    monkeypatch.setenv("MAPPING_FILE", str(file))
    ran = run("check")
    assert ran.code == 0
    told = [line for line in ran.out.splitlines() if line.startswith("warn  settings")]
    assert [line.rpartition("did you mean ")[2] for line in told] == ["firstName?", "email_address?"]


def test_the_schema_is_compared(run: Run, configured: Path) -> None:
    async def migrate() -> None:
        database = Database(read_url(f"sqlite:///{configured}"))
        await database.migrate()
        await database.aclose()

    asyncio.run(migrate())
    detail = checks(run("check", "--json").out)["database"]["detail"]
    assert ": reachable, schema 00" in detail
    assert "has it open" not in detail
    with sqlite3.connect(configured) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    ran = run("check")
    assert ran.code == 1
    assert "schema 9999 is of a newer version" in ran.out


def test_files_that_are_no_database(run: Run, configured: Path) -> None:
    configured.write_bytes(b"")
    assert "the schema is created at the first start" in run("check").out
    configured.write_text("This is a letter to my grandmother, and no database at all. " * 20)
    ran = run("check")
    assert ran.code == 1
    assert "file is not a database" in ran.out


def test_a_database_server_that_is_away(run: Run, configured: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    password = "Kx7-Pz2mQ"
    monkeypatch.setenv("DATABASE_URL", f"postgresql://bridge:{password}@127.0.0.1:{free_port()}/bridge")
    ran = run("check")
    assert ran.code == 1
    assert "fail  database  postgresql://bridge:***@127.0.0.1" in ran.out
    assert password not in ran.out + ran.err
    assert configured


class Ipaas(BaseHTTPRequestHandler):
    """Answers every call with `answer`."""

    answer: ClassVar[tuple[int, str]] = (200, "")

    def do_GET(self) -> None:
        status, text = self.answer
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_: object) -> None:
        """Silent."""


@pytest.fixture(scope="module")
def ipaas() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Ipaas)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/customers"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(
    ("answer", "status", "hint"),
    [
        ((404, '{"message": "NFND-1: no such customer"}'), "ok", ""),
        ((200, '{"id": 0}'), "ok", ""),
        ((404, "<h1>Not here</h1>"), "warn", "Check IPAAS_API_URL; it ends in /customers"),
        ((401, '{"message": "AUTH-2: expired"}'), "fail", "Renew IPAAS_API_TOKEN."),
        ((400, '{"message": "AUTZ-1: not yours"}'), "fail", "Renew IPAAS_API_TOKEN."),
        ((429, ""), "warn", "too many calls"),
        ((500, ""), "fail", "Check IPAAS_API_URL and the way to it."),
    ],
)
def test_the_ipaas_token(
    run: Run,
    configured: Path,
    ipaas: str,
    monkeypatch: pytest.MonkeyPatch,
    answer: tuple[int, str],
    status: str,
    hint: str,
) -> None:
    monkeypatch.setenv("IPAAS_API_URL", ipaas)
    monkeypatch.setenv("IPAAS_API_TOKEN", IPAAS_TOKEN)
    monkeypatch.setattr(Ipaas, "answer", answer)
    ran = run("check", "--json")
    found = checks(ran.out)["ipaas"]
    assert found["status"] == status
    assert hint in found["hint"]
    assert ran.code == (1 if status == "fail" else 0)
    assert IPAAS_TOKEN not in ran.out + ran.err
    assert configured
