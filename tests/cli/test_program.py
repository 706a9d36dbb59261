"""The console script itself: colours, pipes, and the commands that serve."""

from __future__ import annotations

import json
import os
import pty
import signal
import socket
import subprocess
import time
import tomllib
from pathlib import Path

import pytest

from tests.cli.conftest import PROGRAM, Run, Running, free_port
from tests.durable.support import ROOT
from tests.support import OPERATOR_KEY, WEBHOOK_KEY

STORE = {
    "STAMPED_API_PUBLIC_KEY": "pubkey-store",
    "STAMPED_API_PRIVATE_KEY": "key-store",
    "STAMPED_API_STORE_HASH": "270392",
    "IPAAS_WEBHOOK_API_KEY": WEBHOOK_KEY,
    "OPERATOR_API_KEY": OPERATOR_KEY,
}


def environment(service: Running, **more: str) -> dict[str, str]:
    return {
        "PATH": os.defpath,
        "TERM": "xterm-256color",
        "IPAAS_STAMPED_URL": service.url,
        "OPERATOR_API_KEY": OPERATOR_KEY,
    } | more


def on_a_terminal(env: dict[str, str], *args: str) -> str:
    parent, child = pty.openpty()
    with subprocess.Popen([PROGRAM, *args], env=env, stdin=child, stdout=child, stderr=child):  # noqa: S603 - the product
        os.close(child)
        parts = []
        try:
            while part := os.read(parent, 65536):
                parts.append(part)
        except OSError:  # the other side is closed
            pass
    os.close(parent)
    return b"".join(parts).decode()


def test_colours_are_for_terminals_and_not_with_no_color(service: Running, run: Run) -> None:
    run("send", "--id", "810001", "--field", "email_address=c@example.com")
    seen = on_a_terminal(environment(service), "transfers", "--limit", "1")
    assert "\x1b[32msucceeded\x1b[0m" in seen
    assert "\x1b" not in on_a_terminal(environment(service, NO_COLOR="1"), "transfers", "--limit", "1")
    piped = subprocess.run(  # noqa: S603 - the product
        [PROGRAM, "transfers"], env=environment(service), capture_output=True, check=True
    )
    assert b"\x1b" not in piped.stdout + piped.stderr


def test_ids_stay_whole_on_a_narrow_terminal(service: Running, run: Run) -> None:
    sent = run("send", "--id", "810002", "--field", "email_address=d@example.com")
    transfer_id = sent.out.split("transfer ")[1].split(",")[0]
    assert transfer_id in on_a_terminal(environment(service, COLUMNS="80"), "transfers", "--customer", "810002")


def test_a_sync_shows_its_progress_on_a_terminal(service: Running, run: Run) -> None:
    run("send", "--id", "810003", "--field", "email_address=e@example.com")
    seen = on_a_terminal(environment(service), "sync", "810003")
    assert "1/1" in seen
    assert "1 transfer: 1 succeeded." in seen


def test_it_tells_its_version(run: Run) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert run("--version") == (0, f"{project['version']}\n", "")


def test_help_names_every_command(run: Run) -> None:
    ran = run("--help")
    assert ran.code == 0
    for command in ("serve", "sandbox", "check", "send", "sync", "transfers", "show", "retry", "cancel", "errors"):
        assert f"│ {command} " in ran.out
        assert run(command, "--help").code == 0


def test_the_sandbox_is_served_alone(tmp_path: Path) -> None:
    port = free_port()
    command = [str(PROGRAM), "sandbox", "--port", str(port)]
    env = {"PATH": os.defpath, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, cwd=tmp_path, env=env, stdout=subprocess.PIPE) as process:  # noqa: S603 - the product
        assert process.stdout is not None
        lines = [process.stdout.readline().decode().strip() for _ in range(4)]
        process.send_signal(signal.SIGTERM)
    assert lines == [
        f"STAMPED_API_URL=http://127.0.0.1:{port}",
        "STAMPED_API_PUBLIC_KEY=pubkey-sandbox",
        "STAMPED_API_PRIVATE_KEY=key-sandbox",
        "STAMPED_API_STORE_HASH=270392",
    ]


def test_serve_ends_with_2_and_a_line_per_fault(tmp_path: Path) -> None:
    env = {"PATH": os.defpath, "STAMPED_API_PUBLIC_KEY": "pubkey-Zq4vT1"}
    ran = subprocess.run([PROGRAM, "serve"], cwd=tmp_path, env=env, capture_output=True, check=False)  # noqa: S603 - the product
    assert ran.returncode == 2
    assert ran.stderr.decode().startswith("STAMPED_API_PRIVATE_KEY is missing: set ")
    assert b"Traceback" not in ran.stderr


@pytest.mark.parametrize(("typed", "status"), [(b"y\n", "cancelled"), (b"\n", "waiting")])
def test_ctrl_c_asks_on_a_terminal(service: Running, run: Run, typed: bytes, status: str) -> None:
    customer = f"81100{len(typed)}"
    run("send", "--id", customer, "--field", "email_address=f@example.com")
    service.fail(operation="update", kind="redirect")
    service.fail(operation="add", kind="redirect")
    parent, child = pty.openpty()
    env = environment(service)
    with subprocess.Popen(  # noqa: S603 - the product
        [str(PROGRAM), "sync", customer], env=env, stdin=child, stdout=child, stderr=child
    ) as process:
        os.close(child)
        _read_until(parent, b"0/1")
        _until_waiting(run, customer)
        process.send_signal(signal.SIGINT)
        _read_until(parent, b"[y/N]")
        os.write(parent, typed)
        seen = _read_until(parent, b"1 cancelled." if status == "cancelled" else b"sync --follow ")
    os.close(parent)
    assert b"Traceback" not in seen
    assert process.returncode == 130
    (item, *_) = json.loads(run("transfers", "--customer", customer, "--json").out)["items"]
    assert item["status"] == status


def _until_waiting(run: Run, customer: str) -> None:
    """One that runs cannot be cancelled."""
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline:
        (item, *_) = json.loads(run("transfers", "--customer", customer, "--json").out)["items"]
        if item["status"] == "waiting":
            return
    raise AssertionError(item)


def _read_until(terminal: int, wanted: bytes) -> bytes:
    seen = b""
    while wanted not in seen:
        seen += os.read(terminal, 65536)  # raises when the other side is closed
    return seen


def test_a_port_that_is_taken_ends_the_start(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        monkeypatch.setenv("PORT", str(taken.getsockname()[1]))
        ran = run("serve")
    assert ran.code == 2
    assert ran.err.startswith("PORT is not usable: 127.0.0.1:")
    assert "Address already in use" in ran.err


@pytest.mark.parametrize(
    ("number", "settings", "told"),
    [
        ("2", {}, "2 workers are not usable: the sandbox serves one process; set the keys of a store, "),
        ("2", STORE, "2 workers are not usable: SQLite serves one process; set DATABASE_URL to "),
        ("none", STORE, "WEB_CONCURRENCY is not usable: it must be a number; "),
    ],
)
def test_several_workers_that_cannot_serve_end_with_2(
    run: Run, monkeypatch: pytest.MonkeyPatch, number: str, settings: dict[str, str], told: str
) -> None:
    for name, value in {**settings, "WEB_CONCURRENCY": number}.items():
        monkeypatch.setenv(name, value)
    ran = run("serve")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith(told)
    assert ran.err.count("\n") == 1
