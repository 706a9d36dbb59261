"""A real service in sandbox mode, and the CLI run against it or against a made-up one."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import httpx
import pytest
from typer.testing import CliRunner

from app.cli import cli
from app.settings import Settings
from tests.support import OPERATOR_KEY, WEBHOOK_KEY

PROGRAM = Path(sys.executable).with_name("ipaas-stamped")
NAME, EMAIL = "Annabell", "annabell.quisling@example.com"
_SECRETS = (
    OPERATOR_KEY,
    WEBHOOK_KEY,
    "sandbox-operator-key",
    "sandbox-webhook-key",
    "key-sandbox",
    "pubkey-sandbox",
)
_OTHERS = ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "GITHUB_ACTIONS", "PY_COLORS")
_START_SECONDS = 15
_EMAIL = re.compile(r"[\w.]{2,}@(?<!\bada@)example\.com")  # but for the example that is shown to beginners


class Ran(NamedTuple):
    code: int
    out: str
    err: str


class Run(Protocol):
    def __call__(self, *args: str, typed: str | bytes | None = None, revealed: bool = False) -> Ran: ...


class Running(NamedTuple):
    """The service's address, its sandbox's control API, and its database."""

    url: str
    control: httpx.Client
    database: Path

    def fail(self, **fault: Any) -> None:
        self.control.post("/faults", json={"times": None, **fault}).raise_for_status()

    def mend(self) -> None:
        self.control.delete("/faults").raise_for_status()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A process of its own, without any Stamped.io key."""
    folder = tmp_path_factory.mktemp("service")
    port, database = free_port(), folder / "bridge.db"
    url = f"http://127.0.0.1:{port}"
    environment = {
        "PATH": os.defpath,
        "DATABASE_URL": f"sqlite:///{database}",
        "OPERATOR_API_KEY": f"ada:{OPERATOR_KEY}",
        "IPAAS_WEBHOOK_API_KEY": WEBHOOK_KEY,
        "SUBSCRIPTION_FIELD": "SubscribeProfile",
    }
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(  # noqa: S603 - our own console script
            [PROGRAM, "serve", "--port", str(port)], cwd=folder, env=environment, stdout=log, stderr=log
        )
    try:
        _wait_until_ready(url, process)
        with httpx.Client(base_url=f"{url}/sandbox/_sandbox", trust_env=False) as control:
            yield Running(url, control, database)
    finally:
        process.terminate()
        process.wait(30)
    told = (folder / "log").read_text()
    assert "Traceback" not in told
    assert not [secret for secret in _SECRETS if secret in told]
    assert not _EMAIL.search(told)


def _wait_until_ready(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            if httpx.get(f"{url}/readyz", trust_env=False).status_code == HTTPStatus.OK:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.02)  # over HTTP there is nothing to wait for
    raise AssertionError(process.poll())


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No `.env`, no service, no settings unless a test sets them."""
    monkeypatch.chdir(tmp_path)
    for name in (*(field.upper() for field in Settings.model_fields), "IPAAS_STAMPED_URL", *_OTHERS):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("IPAAS_STAMPED_URL", f"http://127.0.0.1:{free_port()}")


@pytest.fixture
def service(running: Running, monkeypatch: pytest.MonkeyPatch) -> Iterator[Running]:
    """The running service, named in the environment together with its keys; its sandbox works."""
    monkeypatch.setenv("IPAAS_STAMPED_URL", running.url)
    monkeypatch.setenv("OPERATOR_API_KEY", OPERATOR_KEY)
    monkeypatch.setenv("IPAAS_WEBHOOK_API_KEY", WEBHOOK_KEY)
    yield running
    running.mend()


@pytest.fixture
def run() -> Run:
    """Runs a command; whatever it prints has no key, no clear e-mail and no escape codes."""

    def invoke(*args: str, typed: str | bytes | None = None, revealed: bool = False) -> Ran:
        result = CliRunner().invoke(cli, list(args), input=typed)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        everything = (result.stdout + result.stderr).replace("\\u2026", "…")
        assert "\x1b" not in everything
        assert not [secret for secret in _SECRETS if secret in everything]
        assert revealed or not _EMAIL.search(everything), everything
        return Ran(result.exit_code, result.stdout, result.stderr)

    return invoke


Answers = Callable[[httpx.Request], httpx.Response]


class Pretend(Protocol):
    def __call__(self, answers: Answers) -> list[httpx.Request]: ...


@pytest.fixture
def pretend(monkeypatch: pytest.MonkeyPatch) -> Pretend:
    """Puts a made-up service in place of the network; the list gets every request."""

    def put(answers: Answers) -> list[httpx.Request]:
        requests: list[httpx.Request] = []

        def handle(request: httpx.Request) -> httpx.Response:
            requests.append(request)
            return answers(request)

        monkeypatch.setattr("app.cli.client._transport", lambda: httpx.MockTransport(handle))
        return requests

    return put


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
