"""`make check-deploy`: each file to deploy with is checked by its own tool, where that is installed.

A line for each: ok, skipped and why, or what the tool says. Exit code 1 if one fails. Tools from the lock file are
in `.venvs/tools`; nginx, caddy, systemd, kubectl and promtool are the machine's.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

ROOT = Path(__file__).resolve().parent.parent
DEPLOY = ROOT / "deploy"
EXPOSED = 20  # of 100: how open `systemd-analyze security` may find the unit
_SERVICE = "/opt/ipaas-stamped/.venv/bin/ipaas-stamped"
_FILLED = {"$__rate_interval": "4m", "$connection": ".*", "$job": "ipaas-stamped"}
_CERTIFICATES = "/etc/letsencrypt/live/bridge.example.com"


@dataclass(frozen=True)
class Check:
    """One tool and what it is asked; what it prints is shown only where it fails.

    `silent_about`: it fails, too, where it says anything with this in it.
    """

    about: str
    command: list[str]
    environment: dict[str, str] = field(default_factory=dict)
    silent_about: str | None = None


def of_lock() -> list[Check]:
    """By the tools of the lock file."""
    compose, workflows = DEPLOY / "compose.yaml", sorted((ROOT / ".github" / "workflows").glob("*.yml"))
    dependabot = ROOT / ".github" / "dependabot.yml"
    scripts = [ROOT / ".ci" / "run", *sorted((ROOT / "tools").glob("*.sh"))]
    plain = [*sorted((DEPLOY / "kubernetes" / "base").glob("*.yaml")), DEPLOY / "kubernetes" / "ingress.yaml"]
    manifests = [each for each in plain if each.name != "kustomization.yaml"]
    schema = ["check-jsonschema", "--quiet", "--builtin-schema"]
    return [
        Check("compose", [*schema, "vendor.compose-spec", str(compose)]),
        Check("workflows", [*schema, "vendor.github-workflows", *map(str, workflows)]),
        Check("dependabot", [*schema, "vendor.dependabot", str(dependabot)]),
        Check("workflows", ["zizmor", "--offline", "--quiet", "--pedantic", str(ROOT / ".github")]),
        Check("image", ["hadolint", str(ROOT / "Dockerfile")]),
        Check("scripts", ["shellcheck", *map(str, scripts)]),
        Check("kubernetes", ["kubernetes-validate", "--strict", "--quiet", *map(str, manifests)]),
    ]


def of_kustomize(folder: Path) -> list[Check]:
    """What kustomize makes of each folder is Kubernetes' again."""
    made = [(each, folder / f"{each}.yaml") for each in ("base", "sqlite")]
    return [
        check
        for name, into in made
        for check in (
            Check(
                f"kubernetes/{name}", ["kubectl", "kustomize", "-o", str(into), str(DEPLOY / "kubernetes" / name)]
            ),
            Check(f"kubernetes/{name}", ["kubernetes-validate", "--strict", "--quiet", str(into)]),
        )
        if shutil.which("kubectl") or check.command[0] == "kubectl"
    ]


def of_systemd(folder: Path) -> list[Check]:
    """The product is not where the unit says: something else stands in for it."""
    unit = DEPLOY / "systemd" / "ipaas-stamped@.service"
    copied = folder / "ipaas-stamped@8081.service"
    copied.write_text(unit.read_text(encoding="utf-8").replace(_SERVICE, sys.executable), encoding="utf-8")
    security = ["security", "--offline=yes", f"--threshold={EXPOSED}", "--no-pager", str(copied)]
    return [
        Check("systemd", ["systemd-analyze", "verify", "--man=no", str(copied)], silent_about=copied.name),
        Check("systemd", ["systemd-analyze", *security]),
    ]


def of_nginx(folder: Path) -> list[Check]:
    """With a certificate of a moment, on ports that anybody may have."""
    text = (DEPLOY / "nginx" / "ipaas-stamped.conf").read_text(encoding="utf-8")
    text = text.replace(_CERTIFICATES, str(folder)).replace("listen 80;", "listen 127.0.0.1:18080;")
    text = text.replace("listen 443 ", "listen 127.0.0.1:18443 ")
    text = "\n".join(line for line in text.splitlines() if "listen [::]" not in line)  # where there is no IPv6
    config = folder / "nginx.conf"
    config.write_text(f"pid {folder}/pid;\nevents {{}}\nhttp {{\naccess_log off;\n{text}\n}}\n", encoding="utf-8")
    key, certificate = f"{folder}/privkey.pem", f"{folder}/fullchain.pem"
    subject = ["-subj", "/CN=bridge.example.com", "-days", "1", "-keyout", key, "-out", certificate]
    return [
        Check("nginx", ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", *subject]),
        Check("nginx", ["nginx", "-t", "-q", "-p", str(folder), "-e", "stderr", "-c", str(config)]),
    ]


def of_caddy(folder: Path) -> list[Check]:
    """With the host's name and replicas that compose gives it."""
    given = {"SITE": "bridge.example.com", "UPSTREAMS": "bridge-1:8080 bridge-2:8080"}
    own = {"XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    config = str(DEPLOY / "caddy" / "Caddyfile")
    return [Check("caddy", ["caddy", "validate", "--adapter", "caddyfile", "--config", config], given | own)]


def of_prometheus(folder: Path) -> list[Check]:
    """The rules that the configuration names are checked with it, then by their own tests; then the dashboard.

    Each of its expressions as a rule of its own, with Grafana's variables as Grafana would fill them in.
    """
    dashboard = json.loads((DEPLOY / "grafana" / "dashboard.json").read_text(encoding="utf-8"))
    rules = []
    for number, target in enumerate(target for panel in dashboard["panels"] for target in panel["targets"]):
        expression = target["expr"]
        for name, value in _FILLED.items():
            expression = expression.replace(name, value)
        rules.append({"record": f"dashboard:{number}", "expr": expression})
    made = folder / "dashboard.yaml"
    made.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}), encoding="utf-8")
    prometheus = DEPLOY / "prometheus"
    return [
        Check("prometheus", ["promtool", "check", "config", str(prometheus / "prometheus.yml")]),
        Check("alerts", ["promtool", "test", "rules", str(prometheus / "alerts_test.yaml")]),
        Check("dashboard", ["promtool", "check", "rules", str(made)]),
    ]


def run(checks: Iterable[Check]) -> int:
    """How many fail."""
    failed = 0
    for check in checks:
        told = (
            f"{check.about}: {' '.join(check.command[:2]) if check.command[0] in _WITH_WORD else check.command[0]}"
        )
        if shutil.which(check.command[0]) is None:
            sys.stdout.write(f"{told}: skipped, it is not installed\n")
            continue
        ended = subprocess.run(  # noqa: S603 - ours
            check.command,
            env=os.environ | check.environment,
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        is_wrong = ended.returncode != 0 or (check.silent_about or "\0") in ended.stdout
        failed += is_wrong
        said = f"FAILED\n{ended.stdout}" if is_wrong else "ok"
        sys.stdout.write(f"{told}: {said}\n")
    return failed


_WITH_WORD = {"kubectl", "systemd-analyze", "promtool"}


def main() -> int:
    """0 where nothing failed."""
    os.environ["PATH"] = f"{ROOT / '.venvs' / 'tools' / 'bin'}:{os.environ['PATH']}:/usr/sbin:/sbin"
    with tempfile.TemporaryDirectory(prefix="check-deploy-") as name:
        folder = Path(name)
        machine = (of_kustomize, of_systemd, of_nginx, of_caddy, of_prometheus)
        checks = [*of_lock(), *(check for each in machine for check in each(folder))]
        failed = run(checks)
    if failed:
        sys.stderr.write(f"{failed} of the files to deploy with {'is' if failed == 1 else 'are'} wrong.\n")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
