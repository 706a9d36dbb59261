"""People and keys that stand nowhere else are fed in at every place, and sought in every sink, however spelled."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import re
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from typer.testing import CliRunner

from app.alert_urls import Target
from app.api import guesses
from app.cli import cli
from app.telemetry.redaction import basic_credentials
from app.telemetry.spelling import readings
from tests.conftest import BridgeFactory
from tests.monitoring.support import HTML, PAGES
from tests.support import IPAAS_URL, WEBHOOK, Answer, FakeClock, Wire, envelope, notification, raising, reply
from tests.telemetry.spellings import SPELLINGS, spelled

SENT: list[str] = []  # as alerts
KEYS = {
    "stamped_api_public_key": "pubkey-Canary1Zq4vT1xw",
    "stamped_api_private_key": "Canary2/Wm8rX2+vbe",
    "ipaas_webhook_api_key": "Canary3-Lk3sN5-hook",
    "operator_api_key": "ada:Canary4-Ht9dB7-oper",
    "viewer_api_key": "bob:Canary5-Rd2mC5-view",
    "ipaas_api_token": "Canary6.Pc6gJ4.token",
    "alert_urls": "json://127.0.0.1:9/Canary8-Sl5kX3-path",
}
WRONG_KEY = "Canary7-wrong@canary.example"
PERSON = {"first_name": "Zebedine", "last_name": "O'Quörkwell", "email_address": "wanderwal.q@canary.example"}
SECRETS = [value.rpartition("/")[2] if "//" in value else value.rpartition(":")[2] for value in KEYS.values()]
ENCODED = [base64.b64encode(key.encode()).decode() for key in SECRETS]
TEXTS = [*PERSON.values(), *SECRETS, basic_credentials(*SECRETS[:2]), *ENCODED]
CANARIES = ["zebedine", "quorkwell", "wanderwal", *(f"canary{number}" for number in range(1, 9))]
CANARIES += [encoded[:-4].lower() for encoded in ENCODED]
WAYS = [[], *([way] for way in SPELLINGS), ["percent", "html"], ["html", "json"], ["json", "percent, deep"]]
SAID = [  # what comes first is not cut: each time another one
    " ".join(spelled(text, ways) for text in TEXTS[first % len(TEXTS) :] + TEXTS[: first % len(TEXTS)])
    for first, ways in enumerate(WAYS)
]
LONG = "<p>" * 6650 + " " * 40 + PERSON["email_address"] + " and more"  # read to the midst of the address
OPERATIONS = {"add", "subscribe", "load", "write_back"}


class Service(NamedTuple):
    """A running one that was fed; `answered`: all that callers got; `printed`: what it wrote to both streams."""

    client: httpx.AsyncClient
    answered: list[httpx.Response]
    printed: Callable[[], str]
    database: Path

    async def get(self, path: str, key: str) -> httpx.Response:
        return await self.client.get(path, headers={"Authorization": f"Bearer {key}"})

    async def transfers(self) -> list[str]:
        """The ids of some, of each kind."""
        items = (await self.get("/transfers?limit=200", SECRETS[4])).json()["items"]
        return [each["transfer_id"] for each in items][::4]


def found_in(text: str) -> list[str]:
    """The canaries in it, in whichever spelling."""
    read, _ = readings(text)
    return [canary for canary in CANARIES if any(canary in each.text for each in read)]


async def answers(service: Service) -> str:
    return "\n".join(f"{answer.headers} {answer.text}" for answer in service.answered)


async def logs(service: Service) -> str:
    return service.printed()


async def database(service: Service) -> str:
    """All of it but records, which are there to be sent, and the ids that all goes by."""
    with closing(sqlite3.connect(service.database)) as opened:
        tables = [name for (name,) in opened.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        opened.row_factory = sqlite3.Row
        found = [row for name in tables for row in opened.execute(f"SELECT * FROM {name}")]  # noqa: S608 - as it says
    rows = [dict(row) | {"record": None, "customer_id": None} for row in found]
    assert len(rows) > 20
    return json.dumps(rows, ensure_ascii=False)


async def calls(service: Service) -> str:
    """What a viewer gets, and what is open to all."""
    paths = [
        "/metrics",
        "/readyz",
        "/rejections",
        "/errors/groups",
        "/connections",
        "/verdict",
        "/transfers",
        "/errors",
        "/docs",
    ]
    paths += [f"/transfers/{each}" for each in await service.transfers()]
    return "\n".join([(await service.get(path, SECRETS[4])).text for path in paths])


async def pages(service: Service) -> str:
    """Of a viewer, and of an operator who has nothing shown."""
    paths = [*PAGES, *(f"/monitoring/transfers/{each}" for each in await service.transfers())]
    texts = []
    for key in SECRETS[3:5]:
        signed_in = await service.client.post("/login", data={"key": key}, headers=HTML)
        assert signed_in.status_code == httpx.codes.SEE_OTHER
        texts += [(await service.client.get(path, headers=HTML)).text for path in paths]
        token = re.search(r'name="form_token" value="([^"]+)"', texts[0])
        form = {"connection": "default", "form_token": token[1] if token else ""}
        texts.append((await service.client.post("/monitoring/settings/test", data=form, headers=HTML)).text)
    return "\n".join(texts)


async def command_line(service: Service) -> str:
    """Of an operator, over answers of the service."""
    ids = await service.transfers()
    paths = ["/transfers", "/errors", "/errors/groups", "/connections", *(f"/transfers/{each}" for each in ids)]
    told = {path: (await service.get(path, SECRETS[3])).text for path in paths}
    transport = httpx.MockTransport(lambda request: httpx.Response(200, text=told[request.url.path]))
    shows = [["show", each, *more] for each in ids for more in ([], ["--json"])]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("app.cli.client._transport", lambda: transport)
        patch.setenv("OPERATOR_API_KEY", SECRETS[3])
        ran = [CliRunner().invoke(cli, each) for each in (["transfers"], ["errors"], ["connections"], *shows)]
    assert [each.exception for each in ran if each.exit_code not in {0, 1} or not each.output] == []
    return "\n".join(each.output for each in ran)


async def alerts(service: Service) -> str:
    """What was sent while it was fed, and a test."""
    answer = await service.client.post("/alerts/test", headers={"Authorization": f"Bearer {SECRETS[3]}"})
    assert answer.json()["items"][0]["sent"]
    assert len(SENT) > 1
    return "\n".join([*SENT, answer.text])


def keep(_target: Target, title: str, text: str) -> bool:
    SENT.extend((title, text))
    return True


Sink = Callable[[Service], Awaitable[str]]
SINKS: dict[str, Sink] = {  # `logs` last: also of what the others cause
    sink.__name__: sink for sink in (answers, calls, pages, command_line, alerts, database, logs)
}


def refusals(said: list[str]) -> list[Answer]:
    """With everything that is known: as JSON, as a web page, as plain text."""
    email, key = PERSON["email_address"], SECRETS[1]
    as_json = [reply(400, {"message": each}) for each in said]
    by_field = [reply(400, {"errors": {email: [each], key: each}}) for each in said]
    as_page = [reply(422, text=f"<html><h1>{each}</h1></html>") for each in said]
    alone = [reply(400, text=LONG), reply(401, {}, headers={"X-Who": email})]
    return [*as_json, *by_field, *as_page, *alone]


async def feed(client: httpx.AsyncClient, wire: Wire) -> list[httpx.Response]:
    """Everything at every place; what was answered."""
    answered = [
        await change(client, wire, number, add=answer) for number, answer in enumerate(refusals(SAID), 1000)
    ]
    saved = reply(200, {"id": 7, "email": PERSON["email_address"]})
    consents = [f"{'x' * 37} {PERSON['email_address']}", f"{'x' * 40} {SECRETS[1]}", *SAID]
    for number, value in enumerate(consents, 2000):
        record = {"custom_fields": [{"custom_field_name": "Consent", "value": value}]}
        answered.append(await change(client, wire, number, record, add=saved))
    record = {"custom_fields": [{"custom_field_name": "Consent", "value": "yes"}]}
    refused = reply(400, {"message": SAID[0]})
    answered.append(await change(client, wire, 3000, record, subscribe=refused, write_back=refused))
    for number, scope in enumerate([*spelled_emails(), *SECRETS], 4000):
        answered.append(await change(client, wire, number, scope=f"customer/{scope}"))
    answered.append(await change(client, wire, 5000, tracking_guid=PERSON["email_address"]))
    await change(client, wire, 5004, id=PERSON["email_address"])  # an id is stored and answered as it is
    nobody_known = reply(500, {"message": " ".join([*spelled_emails(), *SECRETS])})
    wire.script(search=nobody_known)
    answered.append(await change(client, wire, 5001, customer=..., load=nobody_known))
    for number, kind in enumerate((RuntimeError, httpx.ConnectError, ValueError, KeyError), 6000):
        answered.append(await change(client, wire, 2 * number, add=raising(kind(SAID[0]))))
        answered.append(await change(client, wire, 2 * number + 1, add=saved))  # else Stamped.io is down
    assert httpx.codes.ACCEPTED not in {each.status_code for each in answered}  # each has run
    return answered + [await client.send(each) for each in strange(client)]


def spelled_emails() -> list[str]:
    return [spelled(PERSON["email_address"], ways) for ways in WAYS]


async def change(
    client: httpx.AsyncClient, wire: Wire, number: int, record: dict[str, Any] | None = None, **fields: Any
) -> httpx.Response:
    """A webhook about the person; fields that are operations are what Stamped.io or iPaaS.com answer to it."""
    wire.script(**{name: fields.pop(name) for name in OPERATIONS & fields.keys()})
    guid = f"3c90c3cc-0d44-4b50-8888-{number:012}"
    usual = {"id": str(number), "tracking_guid": guid, "customer": PERSON | {"id": number} | (record or {})}
    body = envelope(notification(**usual | fields))
    return await client.post(WEBHOOK, json=body, headers={"Authorization": f"Bearer {SECRETS[2]}"})


def strange(client: httpx.AsyncClient) -> list[httpx.Request]:
    """What no honest caller sends."""
    email, key = PERSON["email_address"], SECRETS[1]
    named = {email: key, "reason": " ".join([email, *SECRETS])}
    headers = {"Idempotency-Key": email, "X-Correlation-Id": key, "Prefer": key, "User-Agent": email}
    bodies = [
        named,
        email,
        {"notifications": [named]},
        {"notifications": [notification(customer=named | {"id": []}, scope=email)]},
        PERSON | {"id": 5002, "custom_fields": [named], "first_name": [named], "external_ids": [named, 7]},
        PERSON | {"id": 5003, "tracking_guid": key},
    ]
    found = []
    for bearer in (SECRETS[2], SECRETS[3], WRONG_KEY):
        authorized = headers | {"Authorization": f"Bearer {bearer}"}
        found += [client.build_request("POST", WEBHOOK, json=body, headers=authorized) for body in bodies]
        found.append(client.build_request("POST", WEBHOOK, content=b"{" + email.encode(), headers=authorized))
        for path in ("/transfers", "/errors/groups", f"/{email}", f"/transfers/{key}", "/metrics", "/login", "/"):
            found.append(client.build_request("GET", path, params=named, headers=authorized))
        for path in ("/syncs", "/transfers/retry", "/connections/default/pause"):
            found.append(client.build_request("POST", path, json=named, headers=authorized))
        because = {"reason": named["reason"]}
        found.append(client.build_request("POST", "/connections/default/pause", json=because, headers=authorized))
    forms = [{"key": each, "next": f"/{each}"} for each in (WRONG_KEY, SECRETS[2], email)]
    return found + [client.build_request("POST", "/login", data=form, headers=HTML | headers) for form in forms]


@pytest.mark.parametrize(("log_format", "sinks"), [("json", SINKS), ("console", {"logs": logs})])
async def test_no_canary_gets_out(
    bridge: BridgeFactory,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    log_format: str,
    sinks: dict[str, Sink],
) -> None:
    SENT.clear()
    monkeypatch.setattr(Target, "send", keep)
    monkeypatch.setattr(guesses, "_FREE", 1000)  # nobody moves the clock for who tries wrong keys
    wire = Wire()
    settings: dict[str, Any] = KEYS | {"subscription_field": "Consent", "ipaas_api_url": IPAAS_URL}
    clock = FakeClock()
    async with bridge(wire, clock=clock, log_level="DEBUG", log_format=log_format, **settings) as client:
        answered = await feed(client, wire)
        async with asyncio.timeout(10):
            while not SENT:
                clock.advance(5)
                await asyncio.sleep(0.01)  # a thread sends them
        for library in ("psycopg", "aiohttp", "asyncio", "sqlalchemy", "PIL", "uvicorn.error"):
            logging.getLogger(library).debug("row %s", SAID[0])
            logging.getLogger(library).error(" ".join([*spelled_emails(), *SECRETS]))
            logging.getLogger(library).error("broke: %s", RuntimeError(SAID[0]), exc_info=RuntimeError(SAID[0]))
        service = Service(client, answered, lambda: "".join(capfd.readouterr()), tmp_path / "bridge.db")
        leaks = {name: found_in(await sink(service)) for name, sink in sinks.items()}
    assert {name: leaked for name, leaked in leaks.items() if leaked} == {}
