"""The real product with transfers of each kind, and Schemathesis in front of it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import httpx

from app.main import SANDBOX_PATH
from tests.support import OPERATOR_KEY, VIEWER_KEY, WEBHOOK_KEY

ROOT: Final = Path(__file__).parents[2]
CONFIG: Final = Path(__file__).with_name("schemathesis.toml")
BIN: Final = Path(sys.executable).parent
KEYS: Final = {
    "OPERATOR_API_KEY": OPERATOR_KEY,
    "VIEWER_API_KEY": VIEWER_KEY,
    "IPAAS_WEBHOOK_API_KEY": WEBHOOK_KEY,
}
CONSENT_FIELD: Final = "SubscribeProfile"
WAITING: Final = 12
_KNOWN_SHARE: Final = 1.0  # of the ids that Schemathesis sends
_START_SECONDS: Final = 20
_REST_SECONDS: Final = 15


@dataclass(frozen=True)
class Ids:
    """Ids that exist."""

    transfers: list[str]
    syncs: list[str]
    customers: list[str]
    guids: list[str]
    groups: list[str]


class Product:
    """The service over HTTP, with both keys."""

    def __init__(self, url: str, pid: int) -> None:
        self.url = url
        self.pid = pid
        self.control = httpx.Client(base_url=f"{url}{SANDBOX_PATH}/_sandbox", trust_env=False, timeout=30)
        self.webhook = _client(url, WEBHOOK_KEY)
        self.operator = _client(url, OPERATOR_KEY)

    def close(self) -> None:
        for client in (self.control, self.webhook, self.operator):
            client.close()

    def seed(self) -> Ids:
        """Transfers in every state but running, two syncs, and a rejection."""
        people = [_person(number) for number in range(150_701, 150_701 + 4 + WAITING)]
        for person in people[:3]:
            self.notify(person).raise_for_status()
        self.notify(people[0] | {"last_name": "Quist"}).raise_for_status()
        self.notify(people[3] | {"email_address": None})  # fails
        self.notify(people[0], scope="customer/deleted").raise_for_status()  # is skipped
        self.webhook.post("/webhooks/customers", json={"notifications": 1})  # is rejected
        fault = {"kind": "redirect", "retry_after": "3600", "times": None}  # nobody waits for that
        self.control.post("/faults", json=fault).raise_for_status()
        for person in people[4:]:
            self.notify(person, prefer="wait=0")
        self._rest("waiting", WAITING)
        self.control.delete("/faults").raise_for_status()
        waiting = self.transfers("waiting")
        for transfer in waiting[:2]:
            self.operator.post(f"/transfers/{transfer['transfer_id']}/cancel").raise_for_status()
        customers = [str(person["id"]) for person in people[:3]]
        syncs = [self.sync(customers), self.sync([str(people[3]["id"]), "nobody"])]
        self.operator.post(f"/syncs/{syncs[1]}/cancel").raise_for_status()
        found = self.transfers()
        states = {each["status"] for each in found}
        missing = {"succeeded", "skipped", "failed", "waiting", "cancelled"} - states
        if missing:
            raise AssertionError(missing)
        return Ids(
            transfers=[each["transfer_id"] for each in found],
            syncs=syncs,
            customers=customers,
            guids=sorted({each["tracking_guid"] for each in found}),
            groups=[each["group"] for each in self.operator.get("/errors/groups").json()["items"]],
        )

    def notify(
        self, person: dict[str, Any], scope: str = "customer/updated", prefer: str = "wait=10"
    ) -> httpx.Response:
        notification = {"id": person["id"], "scope": scope, "customer": person}
        return self.webhook.post(
            "/webhooks/customers", json={"notifications": [notification]}, headers={"Prefer": prefer}
        )

    def sync(self, customers: list[str]) -> str:
        answer = self.operator.post("/syncs", json={"customer_ids": customers}).raise_for_status()
        return str(answer.json()["sync_id"])

    def transfers(self, status: str | None = None) -> list[dict[str, Any]]:
        wanted = {"status": status} if status else {}
        answer = self.operator.get("/transfers", params={"limit": "200", **wanted}).raise_for_status()
        found: list[dict[str, Any]] = answer.json()["items"]
        return found

    def _rest(self, status: str, count: int) -> None:
        deadline = time.monotonic() + _REST_SECONDS
        while len(self.transfers(status)) < count:
            if time.monotonic() > deadline:
                raise AssertionError([each["status"] for each in self.transfers()])
            time.sleep(0.05)


@contextmanager
def serving(folder: Path, **more: str) -> Iterator[Product]:
    """The service as a process of its own, over a fresh SQLite file and its own sandbox; `more` settings."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {
        "PATH": os.defpath,
        "DATABASE_URL": f"sqlite:///{folder}/bridge.db",
        "SUBSCRIPTION_FIELD": CONSENT_FIELD,
        "LOG_LEVEL": "ERROR",
        **KEYS,
        **more,
    }
    command: list[str | Path] = [BIN / "ipaas-stamped", "serve", "--port", str(port)]
    with (folder / "product.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)  # noqa: S603 - ours
    product = Product(f"http://127.0.0.1:{port}", process.pid)
    try:
        _wait_until_ready(product, process)
        yield product
    finally:
        product.close()
        process.terminate()
        process.wait(_START_SECONDS)


def schemathesis(
    product: Product, folder: Path, *options: str, captured: bool = False, most_seconds: float | None = None
) -> subprocess.CompletedProcess[str]:
    """Seeds, then runs `st`: no proxy, no settings of the user."""
    config = folder / "schemathesis.toml"
    config.write_text(CONFIG.read_text(encoding="utf-8") + _dictionaries(product.seed()), encoding="utf-8")
    home = {"PATH": os.defpath, "PYTHONPATH": str(ROOT), "NO_PROXY": "*", "COLUMNS": "110", "LANG": "C.UTF-8"}
    return subprocess.run(  # noqa: S603 - of our own environment
        [BIN / "st", "--config-file", config, "run", f"{product.url}/openapi.json", *options],
        cwd=folder,
        env=home | KEYS,
        check=False,
        stdout=subprocess.PIPE if captured else None,
        stderr=subprocess.STDOUT if captured else None,
        text=True,
        timeout=most_seconds,
    )


def told(folder: Path) -> str:
    """What the product logged."""
    return (folder / "product.log").read_text(encoding="utf-8", errors="replace")


def _dictionaries(ids: Ids) -> str:
    known = {
        "transfers": (["path.transfer_id"], ids.transfers),
        "syncs": (["path.sync_id", "query.sync_id"], ids.syncs),
        "customers": (["path.customer_id", "query.customer_id"], ids.customers),
        "groups": (["path.group", "query.group"], ids.groups),
        "guids": (["query.tracking_guid"], ids.guids),
        "connections": (["query.connection"], ["default"]),  # which there are, no schema can say
    }
    lines = []
    for name, (parameters, values) in known.items():
        lines.append(f"\n[dictionaries.{name}]\nvalues = {json.dumps(values)}\n")
        bound = f'dictionary = "{name}"\nprobability = {_KNOWN_SHARE}\n'
        lines += [f'[parameters."{parameter}"]\n{bound}' for parameter in parameters]
    return "".join(lines)


def _person(number: int) -> dict[str, Any]:
    return {
        "id": number,
        "customer_number": f"C-{number}",
        "first_name": "Annabell",
        "last_name": "Quisling",
        "email_address": f"annabell.{number}@example.com",
        "custom_fields": [{"custom_field_name": CONSENT_FIELD, "value": "true"}],
    }


def _client(url: str, key: str) -> httpx.Client:
    return httpx.Client(base_url=url, trust_env=False, timeout=30, headers={"Authorization": f"Bearer {key}"})


def _wait_until_ready(product: Product, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            if product.operator.get("/readyz").status_code == HTTPStatus.OK:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.02)  # over HTTP there is nothing to wait for
    raise AssertionError(process.poll())
