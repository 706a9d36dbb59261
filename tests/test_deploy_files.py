"""What deploy/ says to the product: settings that it knows, times that fit its own, errors as it words them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.error_catalog import CATALOG, Slug
from app.lifespan import DRAIN_SECONDS, LEAVING_SECONDS
from app.server.limits import Limits
from app.settings import Settings
from tools import audit, check_deploy

DEPLOY = Path(__file__).parents[1] / "deploy"
END_SECONDS = 20


def read(*path: str) -> Any:
    return yaml.safe_load(DEPLOY.joinpath(*path).read_text())


def of_compose() -> set[str]:
    return set(read("compose.yaml")["x-bridge"]["environment"])


def of_kubernetes() -> set[str]:
    (bridge,) = read("kubernetes", "base", "deployment.yaml")["spec"]["template"]["spec"]["containers"]
    plain = re.findall(r"^(\w+)=", (DEPLOY / "kubernetes" / "base" / "settings.env").read_text(), re.MULTILINE)
    return {each["name"] for each in bridge["env"]} | set(plain)


def of_systemd() -> set[str]:
    return set(re.findall(r"^Environment=(\w+)=", unit(), re.MULTILINE))


def unit() -> str:
    return (DEPLOY / "systemd" / "ipaas-stamped@.service").read_text()


@pytest.mark.parametrize(
    "names", [of_compose(), of_kubernetes(), of_systemd()], ids=["compose", "kubernetes", "systemd"]
)
def test_each_name_is_a_setting(names: set[str]) -> None:
    required = {"STAMPED_API_PUBLIC_KEY", "STAMPED_API_PRIVATE_KEY", "IPAAS_WEBHOOK_API_KEY", "OPERATOR_API_KEY"}
    assert {f"{each}_FILE" for each in required} <= names, "keys come as files"
    assert {each.removesuffix("_FILE").lower() for each in names} <= set(Settings.model_fields)


def test_an_end_is_waited_for() -> None:
    assert LEAVING_SECONDS < DRAIN_SECONDS < END_SECONDS - Limits().stopping_seconds
    bridge = read("compose.yaml")["x-bridge"]
    assert int(bridge["stop_grace_period"].removesuffix("s")) > END_SECONDS
    assert int(re.findall(r"^TimeoutStopSec=(\d+)$", unit(), re.MULTILINE)[0]) > END_SECONDS
    pod = read("kubernetes", "base", "deployment.yaml")["spec"]["template"]["spec"]
    pause = int(pod["containers"][0]["lifecycle"]["preStop"]["exec"]["command"][1])
    assert pod["terminationGracePeriodSeconds"] > pause + END_SECONDS


def test_proxies_wait_as_long_as_a_caller_may() -> None:
    nginx, caddy = (DEPLOY / path for path in ("nginx/ipaas-stamped.conf", "caddy/Caddyfile"))
    (read_timeout,) = re.findall(r"proxy_read_timeout (\d+)s", nginx.read_text())
    (header_timeout,) = re.findall(r"response_header_timeout (\d+)s", caddy.read_text())
    assert min(int(read_timeout), int(header_timeout)) > 120 + LEAVING_SECONDS


@pytest.mark.parametrize("path", ["nginx/ipaas-stamped.conf", "caddy/Caddyfile"])
def test_what_a_proxy_says_itself_is_documented(path: str) -> None:
    text = (DEPLOY / path).read_text().replace("{err.status_code}", "503")
    problems = [json.loads(each) for each in re.findall(r"""[`'](\{"type".*?\})[`']""", text)]
    assert [each["type"] for each in problems] == ["/errors/payload-too-large", "/errors/service-unavailable"]
    for problem in problems:
        entry = CATALOG[Slug(problem["type"].rpartition("/")[2])]
        assert problem["title"] == entry.title
        assert problem["detail"].startswith(entry.sentence)
        assert problem["status"] in entry.statuses
    assert "Retry-After 5" in text


def test_a_check_is_ok_or_skipped_or_fails(capfd: pytest.CaptureFixture[str]) -> None:
    checks = [
        check_deploy.Check("this", ["true"]),
        check_deploy.Check("that", ["no-such-tool-of-anybody"]),
        check_deploy.Check("it", ["sh", "-c", "echo line 7 is wrong; exit 3"]),
        check_deploy.Check("its", ["echo", "a unit: unknown word"], silent_about="a unit"),
    ]
    assert check_deploy.run(checks) == 2
    told = capfd.readouterr().out
    assert told == (
        "this: true: ok\nthat: no-such-tool-of-anybody: skipped, it is not installed\n"
        "it: sh: FAILED\nline 7 is wrong\n\nits: echo: FAILED\na unit: unknown word\n\n"
    )


UNASKED = {"name": "one", "skip_reason": "not found"}
FINE = {"name": "two", "version": "2", "vulns": []}
BAD = {"name": "three", "version": "3", "vulns": [{"id": "CVE-1", "fix_versions": ["4"]}]}


@pytest.mark.parametrize(
    ("dependencies", "code", "said"),
    [
        (None, 3, "could not ask"),
        ([], 3, "could not ask"),
        ([FINE], 0, "1 packages, none"),
        ([FINE, UNASKED], 3, "about 1 of 2 packages: one."),
        ([FINE, BAD, UNASKED], 1, "three 3: CVE-1, mended in 4"),
    ],
)
def test_an_audit_that_could_not_ask_is_no_good_news(
    dependencies: list[dict[str, Any]] | None, code: int, said: str
) -> None:
    found, told = audit.judge(None if dependencies is None else {"dependencies": dependencies})
    assert found == code
    assert said in told[0]
