"""`check` beside a service that runs: whether it is well, and whether it is the one of these settings."""

from __future__ import annotations

import json
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


VERDICT = {
    "state": "fail",
    "headline": "Stamped.io refuses our keys since 14:02 UTC: 163 transfers failed",
    "causes": [
        {"code": "stamped-keys", "connection": "default", "text": "Stamped.io refuses our keys. Check them."},
        {"code": "failures", "connection": "default", "text": "163 of 2,966 failed in 24 h. Re-run them."},
    ],
    "at": "2026-11-24T14:10:00.000Z",
}


@pytest.mark.parametrize("knows", [True, False])
def test_the_verdict_of_the_running_service_is_shown(
    run: Run, pretend: Pretend, configured: Path, *, knows: bool
) -> None:
    """By one of another version, or with another key, what `/readyz` says."""
    hint = "The last call (create) failed: HTTP status 401 Unauthorized."
    ready = {"status": "warn", "checks": [{"name": "stamped", "status": "warn", "hint": hint}]}
    problem = {"title": "Not found", "detail": "No."}
    told = {
        "/readyz": httpx.Response(200, json=ready),
        "/verdict": httpx.Response(200, json=VERDICT) if knows else httpx.Response(404, json=problem),
    }
    pretend(lambda request: told.get(request.url.path) or httpx.Response(401, json=problem))
    ran = run("check")
    assert ran.code == 1  # the keys of these settings open nothing there
    assert (f"fail  verdict   {VERDICT['headline']}" in ran.out) is knows
    assert ("- 163 of 2,966 failed in 24 h. Re-run them." in " ".join(ran.out.split())) is knows
    assert ("warn  service   Stamped.io is not well" in ran.out) is not knows
    assert json.loads(run("check", "--json").out)["verdict"] == (VERDICT if knows else None)
    assert configured


@pytest.mark.parametrize("sent", [True, False])
def test_a_test_of_alerts(run: Run, pretend: Pretend, *, sent: bool) -> None:
    item = {"target": 1, "service": "Slack", "sent": sent, "why": None if sent else "no answer within 20 s"}
    requests = pretend(lambda _request: httpx.Response(200, json={"items": [item]}))
    ran = run("alert", "--test")
    assert (ran.code, requests[0].method, requests[0].url.path) == (0 if sent else 1, "POST", "/alerts/test")
    assert ran.out.strip() == f"target 1 (Slack): {'sent' if sent else 'not sent: no answer within 20 s'}"
    assert json.loads(run("alert", "--test", "--json").out) == {"items": [item]}
    assert run("alert").code == 2


def test_a_stranger_at_the_address_is_a_fault(run: Run, pretend: Pretend, configured: Path) -> None:
    requests = pretend(lambda _request: httpx.Response(200, text="<h1>It works!</h1>"))
    ran = run("check")
    assert ran.code == 1
    assert not [each for each in requests if "Authorization" in each.headers]
    assert "fail  service   What answers at" in ran.out
    assert configured
