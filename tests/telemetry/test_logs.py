"""Logs are read by customers: they hold no key, no name and no clear e-mail."""

from __future__ import annotations

import json
import logging
import sys
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import structlog

from tests.conftest import BridgeFactory
from tests.support import (
    GUID,
    IPAAS,
    IPAAS_TOKEN,
    OPERATOR_KEY,
    PRIVATE_KEY,
    PUBLIC_KEY,
    RECORD,
    WEBHOOK,
    WEBHOOK_KEY,
    Answer,
    Wire,
    customer,
    envelope,
    never,
    notification,
    raising,
    reply,
    with_consent,
)

PERSON = {"first_name": "Zebedine", "last_name": "Quorkwell", "email_address": "zebedine.q@canary.example"}
ECHO = "zebedine QUORKWELL <Zebedine.Q@canary.example> used "
CANARIES = [
    "zebedine",
    "quorkwell",
    "zebedine.q@",
    *(key.lower() for key in (PUBLIC_KEY, PRIVATE_KEY, WEBHOOK_KEY, OPERATOR_KEY, IPAAS_TOKEN)),
]


def lines_of(out: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.splitlines()]


def hostile(status: int) -> Answer:
    """A system that repeats everything it knows about the person and the keys."""
    return reply(status, {"message": f"{ECHO}{PUBLIC_KEY} {PRIVATE_KEY} {IPAAS_TOKEN} {WEBHOOK_KEY}"})


WIRES: dict[str, Wire] = {
    "all is well": Wire(),
    "upsert refused": Wire(add=hostile(400)),
    "keys refused": Wire(add=hostile(401)),
    "throttled": Wire(add=hostile(429)),
    "upsert failed": Wire(add=hostile(500)),
    "web page": Wire(add=reply(502, text=f"<h1>{ECHO}</h1>")),
    "no connection": Wire(add=raising(httpx.ConnectError(f"{ECHO}{PRIVATE_KEY}"))),
    "no answer in time": Wire(add=never),
    "subscription refused": Wire(subscribe=hostile(400)),
    "load failed": Wire(
        load=reply(500, {"message": f"{PERSON['email_address']} {IPAAS_TOKEN}"})
    ),  # no names known yet
    "lookup failed": Wire(lookup=hostile(400)),
    "write back failed": Wire(write_back=hostile(400)),
    "broken inside": Wire(add=raising(RuntimeError(f"{ECHO}{PRIVATE_KEY}"))),
    "stale link": Wire(lookup=reply(body="143491"), update=hostile(404), add=reply(body=customer(7))),
}


async def run(bridge: BridgeFactory, wire: Wire, *bodies: Any) -> list[httpx.Response]:
    async with bridge(
        wire, subscription_field="Consent", stamped_timeout_seconds=0.02, log_level="DEBUG", **IPAAS
    ) as client:
        return [await client.post(WEBHOOK, json=body) for body in bodies]


@pytest.mark.parametrize("case", WIRES)
async def test_canaries_stand_in_no_log_line_and_no_problem(
    bridge: BridgeFactory, capsys: pytest.CaptureFixture[str], case: str
) -> None:
    record = with_consent("yes") | PERSON
    loaded = [notification(customer=...)] if case == "load failed" else []
    answers = await run(
        bridge, WIRES[case], envelope(*loaded or [notification(customer=record, scope="customer/updated/debug")])
    )
    captured = capsys.readouterr()
    assert GUID in captured.out
    shown = (captured.out + captured.err + "".join(answer.text for answer in answers)).lower()
    assert [canary for canary in CANARIES if canary in shown] == []


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(RECORD | PERSON | {"first_name": ["Zebedine"]}, id="wrong type"),
        pytest.param(
            {"notifications": [{"scope": "Zebedine/Quorkwell", "id": 1, "customer": ["Quorkwell"]}]},
            id="wrong shape",
        ),
        pytest.param(RECORD | PERSON | {"email_address": "zebedine.q@canary"}, id="invalid e-mail"),
        pytest.param(with_consent("ask Zebedine Quorkwell") | PERSON, id="unreadable consent"),
        pytest.param("zebedine.q@canary.example", id="text"),
    ],
)
async def test_bad_webhooks_are_not_repeated(
    bridge: BridgeFactory, capsys: pytest.CaptureFixture[str], body: Any
) -> None:
    (answer,) = await run(bridge, Wire(), body)
    captured = capsys.readouterr()
    assert answer.status_code == 422
    shown = (captured.out + captured.err + answer.text).lower()
    assert [canary for canary in CANARIES if canary in shown] == []


async def test_every_line_of_a_transfer_has_its_guid(
    bridge: BridgeFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    for number, answer in enumerate([reply(body=customer()), reply(400), raising(RuntimeError("x"))]):
        await run(bridge, Wire(add=answer), envelope(notification(id=number)))
    lines = lines_of(capsys.readouterr().out)
    about = [line for line in lines if "transfer_id" in line or line["logger"] == "transfer"]
    assert len(about) >= 3
    assert all(line["tracking_guid"] == GUID for line in about)


async def test_a_failed_transfer_logs_what_monitoring_needs(
    bridge: BridgeFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    (answer,) = await run(bridge, Wire(add=reply(400, {"message": "No."})), envelope(notification()))
    lines = [line for line in lines_of(capsys.readouterr().out) if line.get("status") == "failed"]
    assert len(lines) == 1
    assert lines[0]["level"] == "warning"
    assert lines[0]["customer_id"] == "150713"
    assert lines[0]["error"] == "customer-create-or-update-failed"
    assert lines[0]["reason"] == answer.json()["detail"]


async def test_the_start_is_logged_without_keys(bridge: BridgeFactory, capsys: pytest.CaptureFixture[str]) -> None:
    async with bridge(**IPAAS):
        pass
    out = capsys.readouterr().out
    events = [line["event"] for line in lines_of(out)]
    assert "started" in events
    assert "stopped" in events
    assert [canary for canary in CANARIES if canary in out.lower()] == []


def test_values_are_cleaned_however_deep_they_lie(logs: Any) -> None:
    written = logs()
    log = structlog.stdlib.get_logger("x")
    log.info("known-secret", a="known-secret", b={"c": ["known-secret", ("anna@example.com",)]}, d=7, e=None)
    (line,) = lines_of(written())
    assert line["b"] == {"c": ["***", ["a…@example.com"]]}
    assert (line["event"], line["a"], line["d"], line["e"]) == ("***", "***", 7, None)


def test_lines_of_libraries_pass_the_same_redaction(logs: Any) -> None:
    written = logs()
    logging.getLogger("some.library").warning("to %s with %s", "anna@example.com", "known-secret")
    (line,) = lines_of(written())
    assert (line["event"], line["logger"], line["level"]) == (
        "to a…@example.com with ***",
        "some.library",
        "warning",
    )


def test_exceptions_are_cleaned(logs: Any) -> None:
    written = logs()
    try:
        int("known-secret of anna@example.com")
    except ValueError:
        structlog.stdlib.get_logger("x").exception("broke")
    (line,) = lines_of(written())
    assert line["exception"][0].startswith("ValueError at test_logs.py:")
    assert "known-secret" not in str(line)
    assert "anna" not in str(line)


def test_the_level_is_kept(logs: Any) -> None:
    written = logs("WARNING")
    structlog.stdlib.get_logger("x").info("quiet")
    structlog.stdlib.get_logger("x").warning("loud")
    assert [line["event"] for line in lines_of(written())] == ["loud"]


def test_access_lines_of_libraries_are_quiet(logs: Any) -> None:
    written = logs()
    for name in ("httpx", "uvicorn.access"):
        logging.getLogger(name).info("GET https://x/?search=anna@example.com")
    assert written() == ""


def test_configuring_twice_does_not_write_twice(logs: Any) -> None:
    logs()
    written = logs()
    structlog.stdlib.get_logger("x").info("once")
    assert len(lines_of(written())) == 1


@dataclass
class Consent:
    email: str


class Broken:
    def __repr__(self) -> str:
        raise RuntimeError(ECHO)


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_nothing_personal_comes_from_exceptions_and_libraries(logs: Any, log_format: str) -> None:
    written = logs(log_format=log_format)
    personal = "Zebedine Quorkwell zebedine.q%2540canary.example"
    library = logging.getLogger("some.library")
    library.setLevel("DEBUG")  # one that has a level of its own
    try:
        try:
            int(personal)
        except ValueError as error:
            raise ExceptionGroup(personal, [error]) from error
    except ExceptionGroup as error:
        error.__cause__.__cause__ = error  # type: ignore[union-attr]  # a ring
        structlog.stdlib.get_logger("x").error("broke", exc_info=error)
        structlog.stdlib.get_logger("x").exception("broke", error=error, more=[error, Broken()])
        logging.getLogger("uvicorn.error").exception("Exception in ASGI application\n")
        library.exception("broke: %s", error, stack_info=True, extra={"who": personal})
        library.error(error)
        library.error("Task was never retrieved\nfuture: %r", error)
        library.error(f"Traceback (most recent call last):\n{error}")
        sys.excepthook(type(error), error, None)
    library.debug("row %s", personal)
    library.info(personal)
    library.error("%d", personal)
    library.error("%s", Broken())
    logging.getLogger("py.warnings").warning("%s", f"x.py:1: UserWarning: serialized\n  {personal}")
    out = written()
    assert out.count("ExceptionGroup at test_logs.py:") >= 5
    assert out.count("ValueError at test_logs.py:") >= 5
    assert [canary for canary in CANARIES if canary in out.lower()] == []


FORGED = "x\n2026-11-26T07:00:00Z [error    ] paid\r\x1b[2J\x9b31m\u2028\u202e"
HALF = "\ud800"  # of a pair, which no stream takes


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_no_value_forges_a_line(logs: Any, log_format: str) -> None:
    written = logs(log_format=log_format)
    structlog.stdlib.get_logger("x").info(FORGED, a=FORGED, b=[FORGED], **{FORGED: 1})
    logging.getLogger(f"y{FORGED}").warning("%s", FORGED)
    structlog.stdlib.get_logger("x").info(HALF, a=HALF)
    out = written()
    assert len(out.splitlines()) == 3
    assert not any(letter in out for letter in f"\r\x1b\x9b\u2028\u202e{HALF}")
    if log_format == "json":
        assert lines_of(out)[0]["a"] == FORGED


def test_values_that_json_has_not_are_cleaned_too(logs: Any) -> None:
    written = logs()
    values = {"a": b"anna@example.com", "b": {"known-secret"}, "c": Consent(email="anna@example.com"), "d": 1.5}
    structlog.stdlib.get_logger("x").info("x", **values, **{"to anna@example.com": {"known-secret": True}})
    (line,) = lines_of(written())
    assert (line["b"], line["d"], line["to a…@example.com"]) == (["***"], 1.5, {"***": True})
    assert "anna" not in str(line)


def test_an_exception_on_the_console_is_told_without_its_text(logs: Any) -> None:
    written = logs(log_format="console")
    try:
        int("Vq7 anna@example.com")
    except ValueError as error:
        structlog.stdlib.get_logger("x").error("broke", exc_info=error)
        logging.getLogger("y").exception("broke, too")
    out = written()
    assert out.count("ValueError at test_logs.py:") == 2
    assert "Vq7" not in out
    assert "example.com" not in out


def test_console_is_for_people(logs: Any) -> None:
    written = logs(log_format="console")
    structlog.stdlib.get_logger("x").info("hello", who="anna@example.com")
    out = written()
    assert "hello" in out
    assert "a…@example.com" in out
    assert not out.startswith("{")
    assert not sys.stdout.isatty()
