"""`check` beside a service that runs: whether it is well, and whether it is the one of these settings."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from tests.cli.conftest import Pretend, Run, Running, checks
from tests.support import OPERATOR_KEY, WEBHOOK_KEY


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


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("OPERATOR_API_KEY", "oper-Zu8eF3-Nd6yA1", "does not know the OPERATOR_API_KEY of these settings"),
        ("IPAAS_WEBHOOK_API_KEY", "hook-Zu8eF3-Nd6yA1", "does not know the IPAAS_WEBHOOK_API_KEY"),
        ("VIEWER_API_KEY", "view-Zu8eF3-Nd6yA1", "does not know the VIEWER_API_KEY"),
        ("STAMPED_API_STORE_HASH", "270393", "store 270392; set here is"),
    ],
)
def test_a_service_with_other_settings_is_not_taken_for_this_one(
    run: Run, service: Running, configured: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str
) -> None:
    monkeypatch.setenv("IPAAS_STAMPED_URL", service.url)
    monkeypatch.setenv(name, value)
    ran = run("check")
    assert ran.code == 1
    (line,) = (each for each in ran.out.splitlines() if each.startswith("fail  service"))
    assert said in line
    assert value not in line or name.endswith("HASH")
    assert configured


def test_keys_that_stand_in_each_others_place(
    run: Run, service: Running, configured: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPERATOR_API_KEY", WEBHOOK_KEY)
    monkeypatch.setenv("IPAAS_WEBHOOK_API_KEY", OPERATOR_KEY)
    ran = run("check")
    assert ran.code == 1
    assert "takes the OPERATOR_API_KEY of these settings for a key of webhook default" in ran.out
    assert "takes the IPAAS_WEBHOOK_API_KEY of these settings for a key of operator ada" in ran.out
    assert service.url in ran.out
    assert configured


def test_what_the_running_service_warns_of_is_shown(run: Run, service: Running, configured: Path) -> None:
    service.fail(operation="add", status=401, message="The API key you supplied is not valid.")
    run("send", "--id", "800001", "--field", "email_address=x@example.com", revealed=True)
    ran = run("check")
    assert ran.code == 0
    assert "warn  service   Stamped.io is not well" in ran.out
    assert "What to do: The last call (create) failed" in ran.out
    assert configured


def test_a_stranger_at_the_address_is_a_fault(run: Run, pretend: Pretend, configured: Path) -> None:
    requests = pretend(lambda _request: httpx.Response(200, text="<h1>It works!</h1>"))
    ran = run("check")
    assert ran.code == 1
    assert not [each for each in requests if "Authorization" in each.headers]
    assert "fail  service   What answers at" in ran.out
    assert configured
