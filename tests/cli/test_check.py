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

import httpx
import pytest

from app.ledger.database import Database
from app.ledger.engines import read_url
from tests.cli.conftest import Pretend, Run, Running, free_port
from tests.support import IPAAS_TOKEN, OPERATOR_KEY, WEBHOOK_KEY

BAD_KEY = "key-Rt5wC1bad"


@pytest.fixture
def configured(running: Running, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Settings that work, with the sandbox in place of Stamped.io; no service at IPAAS_STAMPED_URL."""
    database = tmp_path / "own.db"
    for name, value in {
        "STAMPED_API_URL": f"{running.url}/sandbox",
        "STAMPED_API_PUBLIC_KEY": "pubkey-sandbox",
        "STAMPED_API_PRIVATE_KEY": "key-sandbox",
        "STAMPED_API_STORE_HASH": "270392",
        "OPERATOR_API_KEY": OPERATOR_KEY,
        "IPAAS_WEBHOOK_API_KEY": WEBHOOK_KEY,
        "DATABASE_URL": f"sqlite:///{database}",
    }.items():
        monkeypatch.setenv(name, value)
    return database


def checks(out: str) -> dict[str, dict[str, Any]]:
    """By name; of the service's the first, which says whether it runs."""
    found: dict[str, dict[str, Any]] = {}
    for each in json.loads(out)["checks"]:
        found.setdefault(each["name"], each)
    return found


def test_all_is_well(run: Run, configured: Path) -> None:
    ran = run("check")
    assert ran.code == 0
    assert [line.split()[:2] for line in ran.out.splitlines()] == [
        ["ok", name] for name in ("settings", "database", "stamped", "ipaas", "service")
    ]
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
    assert [line.split()[2] for line in lines[:5]] == [
        "STAMPED_API_PUBLIC_KEY",
        "STAMPED_API_PRIVATE_KEY",
        "STAMPED_API_STORE_HASH",
        "IPAAS_WEBHOOK_API_KEY",
        "OPERATOR_API_KEY",
    ]
    assert "built-in sandbox" in lines[5]
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
    assert name in ran.out
    assert len(ran.out.splitlines()) == 1
    assert not configured.exists()


def test_without_stamped_keys_the_running_sandbox_is_asked(
    run: Run, running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IPAAS_STAMPED_URL", running.url)
    running.control.post("/reset")
    ran = run("check")
    assert ran.code == 0
    assert ran.out.startswith("warn  settings  no Stamped.io keys are set")
    assert "sandbox, store 270392: the keys and the store hash are accepted" in ran.out


def test_a_running_service_is_asked_and_its_lock_is_fine(
    run: Run, service: Running, configured: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{service.database}")
    found = checks(run("check", "--json").out)
    assert found["database"]["status"] == "ok"
    assert "schema 00" in found["database"]["detail"]
    assert found["database"]["detail"].endswith("; a running service has it open")
    assert found["service"]["detail"] == f"runs at {service.url}"
    assert configured


def test_what_the_running_service_warns_of_is_shown(run: Run, service: Running, configured: Path) -> None:
    service.fail(operation="add", status=401, message="The API key you supplied is not valid.")
    run("send", "--id", "800001", "--field", "email_address=x@example.com", revealed=True)
    ran = run("check")
    assert ran.code == 0
    assert "warn  service   Stamped.io is not well" in ran.out
    assert "What to do: The last call (create) failed" in ran.out
    assert configured


def test_a_stranger_at_the_address_is_a_warning(run: Run, pretend: Pretend, configured: Path) -> None:
    pretend(lambda _request: httpx.Response(200, text="<h1>It works!</h1>"))
    ran = run("check")
    assert ran.code == 0
    assert "warn  service   What answers at" in ran.out
    assert configured


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
