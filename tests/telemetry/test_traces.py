"""Traces: what belongs together stays together, however long it takes; nobody is in them; off, nothing is."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from app.engine.spans import begin
from app.setting_sources import hand_on, unknown
from app.telemetry import traces
from app.telemetry.otel import Otel, _Quietly
from tests.api.operating import ASYNC, Operator, person
from tests.conftest import BridgeFactory
from tests.ledger.test_stored import stored
from tests.support import (
    EMAIL,
    GUID,
    PRIVATE_KEY,
    RECORD,
    SCOPE,
    STAMPED_URL,
    STORE,
    WEBHOOK,
    FakeClock,
    Wire,
    envelope,
    notification,
    reply,
)

TRACE, CALLER, OTHER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", "a" * 32
GIVEN = {"traceparent": f"00-{TRACE}-{CALLER}-01"}
AGAIN = {"traceparent": f"00-{OTHER}-{CALLER}-01"}


class Spans:
    """Those that have ended, in the order of their ends."""

    def __init__(self) -> None:
        self._exporters: list[InMemorySpanExporter] = []

    def begin(self) -> None:
        """As a process does; its end ends this, too."""
        provider = TracerProvider(shutdown_on_exit=False)
        self._exporters.append(InMemorySpanExporter())
        provider.add_span_processor(SimpleSpanProcessor(self._exporters[-1]))
        traces.use(Otel(provider))

    def all(self) -> list[dict[str, Any]]:
        ended = (each for exporter in self._exporters for each in exporter.get_finished_spans())
        return [json.loads(each.to_json()) for each in ended]

    def named(self, name: str) -> list[dict[str, Any]]:
        return [each for each in self.all() if each["name"] == name]

    def traces_of(self, name: str) -> list[str]:
        return [each["context"]["trace_id"][2:] for each in self.named(name)]


@pytest.fixture
def spans() -> Iterator[Spans]:
    begun = Spans()
    begun.begin()
    yield begun
    traces.use(None)


async def test_a_webhook_its_attempt_and_its_calls_are_one_trace(
    bridge: BridgeFactory, spans: Spans, capsys: pytest.CaptureFixture[str]
) -> None:
    wire = Wire()
    async with bridge(wire) as client:
        await client.post(WEBHOOK, json=envelope(), headers=GIVEN)
        await client.get("/readyz")
    assert [each["name"] for each in spans.all()] == ["stamped create", "attempt", f"POST {WEBHOOK}"]
    call, attempt, served = spans.all()
    assert {each["context"]["trace_id"][2:] for each in spans.all()} == {TRACE}
    assert served["parent_id"][2:] == CALLER
    assert attempt["parent_id"] == served["context"]["span_id"]
    assert call["parent_id"] == attempt["context"]["span_id"]
    assert wire.last("add").headers["traceparent"] == f"00-{TRACE}-{call['context']['span_id'][2:]}-01"
    assert served["attributes"] == {
        "http.request.method": "POST",
        "http.route": WEBHOOK,
        "http.response.status_code": 200,
    }
    assert call["attributes"]["ipaas_stamped.outcome"] == "ok"
    assert attempt["attributes"]["ipaas_stamped.tracking_guid"] == GUID
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["trace_id"] for line in lines if line["event"] == "transfer"] == [TRACE]


async def test_spans_name_nobody_no_key_and_no_address(bridge: BridgeFactory, spans: Spans) -> None:
    said = {"message": f"{EMAIL} of {RECORD['last_name']} is not wanted by {PRIVATE_KEY}"}
    async with bridge(Wire(search=reply(200, {"results": []}), add=reply(400, said))) as client:
        await client.post(f"{WEBHOOK}?email={EMAIL}", json=envelope(), headers=GIVEN)
        await client.get(f"/transfers/{EMAIL}")
        await client.request("BREW", f"/{EMAIL}")
    text = json.dumps(spans.all())
    assert "stamped create" in text
    for each in (EMAIL, "@", "%40", *(RECORD[name] for name in ("first_name", "last_name")), PRIVATE_KEY, STORE):
        assert each not in text
    assert STAMPED_URL.partition("//")[2] not in text
    assert [each["status"]["status_code"] for each in spans.named("stamped create")] == ["ERROR"]
    assert {each["name"] for each in spans.all()} >= {"GET /transfers/{transfer_id}", "other other"}


async def test_a_retry_hours_later_in_another_process_belongs_to_the_trace(
    bridge: BridgeFactory, spans: Spans
) -> None:
    clock = FakeClock()
    async with bridge(Wire(add=reply(302)), clock=clock) as client:
        answer = await client.post(WEBHOOK, json=envelope(), headers=GIVEN | ASYNC)
        where = answer.headers["Location"]
        await Operator(client).until(where, status="waiting")
    clock.advance(7200)
    spans.begin()
    wire = Wire()
    async with bridge(wire, clock=clock) as client:
        await Operator(client).until(where, status="succeeded")
    assert set(spans.traces_of("attempt")) == {TRACE}
    assert [each["attributes"]["ipaas_stamped.attempt"] for each in spans.named("attempt")] == [1, 2]
    assert wire.last("add").headers["traceparent"].split("-")[1] == TRACE


async def test_a_repeat_that_runs_it_again_brings_its_own_trace(bridge: BridgeFactory, spans: Spans) -> None:
    async with bridge(Wire(add=[reply(400), reply(200, {"id": 7})])) as client:
        await client.post(WEBHOOK, json=envelope(), headers=GIVEN)
        await client.post(WEBHOOK, json=envelope(), headers=AGAIN)
    assert spans.traces_of("attempt") == [TRACE, OTHER]


def test_an_attempt_is_linked_to_all_that_end_with_it(spans: Spans) -> None:
    lead, other = (stored(seq=seq, traceparent=each["traceparent"]) for seq, each in ((1, GIVEN), (2, AGAIN)))
    lead, other = lead.but({"connection": SCOPE}), other.but({"connection": SCOPE})
    with begin("attempt", lead, (lead, other, lead.but({"seq": 3, "traceparent": None}))):
        pass
    (span,) = spans.all()
    assert span["context"]["trace_id"][2:] == TRACE
    assert [link["context"]["trace_id"][2:] for link in span["links"]] == [OTHER]


@pytest.mark.parametrize(
    ("given", "goes_on"),
    [
        (f"00-{TRACE}-{CALLER}-01", True),
        (f" 00-{TRACE}-{CALLER}-01\t", True),
        (f"cc-{TRACE}-{CALLER}-01-more", True),
        (f"00-{TRACE}-{CALLER}-01-more", False),
        (f"ff-{TRACE}-{CALLER}-01", False),
        (f"00-{TRACE.upper()}-{CALLER}-01", False),
        (f"00-{'0' * 32}-{CALLER}-01", False),
        (f"00-{TRACE}-{'0' * 16}-01", False),
        (f"00-{TRACE}-{CALLER}", False),
        ("00-é", False),
        ("", False),
    ],
)
def test_which_traceparent_is_taken_over(spans: Spans, given: str, *, goes_on: bool) -> None:
    with traces.serving("POST", given) as span:
        assert (span.trace_id == TRACE) is goes_on
        assert traces.here().traceparent == span.traceparent
    assert len(spans.all()) == 1
    assert traces.here() is traces.NOTHING or traces.here().trace_id is None


def test_who_does_not_sample_is_obeyed_and_handed_on(spans: Spans) -> None:
    with traces.serving("POST", f"00-{TRACE}-{CALLER}-00"), traces.calling("stamped", "find", 1) as call:
        assert str(call.traceparent).split("-")[1::2] == [TRACE, "00"]
    assert spans.all() == []


def test_of_an_error_only_its_class_is_told(spans: Spans) -> None:
    with pytest.raises(ValueError, match=EMAIL), traces.working("attempt", None):
        raise ValueError(EMAIL)
    (span,) = spans.all()
    assert (span["attributes"], span["events"]) == ({"error.type": "ValueError"}, [])


@pytest.mark.parametrize(
    ("environment", "asked"),
    [
        ({}, False),
        ({"OTEL_SERVICE_NAME": "bridge"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:4318/v1/traces"}, True),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, True),
        ({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}, False),
        ({"OTEL_SDK_DISABLED": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}, False),
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4317"}, False),
    ],
)
def test_the_environment_asks_for_traces(environment: dict[str, str], *, asked: bool) -> None:
    assert traces.is_asked_for(environment) is asked


def test_names_of_opentelemetry_are_no_slip_of_the_pen(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["OTEL_SERVICE_NAME", "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_TRACES_SAMPLER"]
    assert unknown(names, names, ["PORT", "LOG_LEVEL", "RETENTION_DAYS"]) == {}
    monkeypatch.setenv("OTEL_SERVICE_NAME", "of the environment")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "")
    monkeypatch.delenv("OTEL_TRACES_SAMPLER")
    hand_on({"OTEL_SERVICE_NAME": "of .env", "OTEL_TRACES_SAMPLER": "always_off", "PORT": "1"})
    assert os.environ["OTEL_SERVICE_NAME"] == "of the environment"
    assert os.environ.pop("OTEL_TRACES_SAMPLER") == "always_off"


def test_without_the_extra_the_service_starts_and_says_so(
    monkeypatch: pytest.MonkeyPatch, logs: Callable[..., Any]
) -> None:
    since = logs()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318")
    monkeypatch.setitem(sys.modules, "app.telemetry.otel", None)
    traces.start()
    assert not traces.are_on()
    assert json.loads(since())["event"].endswith("pip install 'ipaas-stamped[otel]'")


def test_off_nothing_of_it_is_imported() -> None:
    program = "import sys, app.main; print([each for each in sys.modules if each.startswith('opentelemetry.sdk')])"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)  # noqa: S603 - ours
    assert ran.stdout.strip() == "[]"


class Away(SpanExporter):
    """Nobody takes them."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        if not spans:
            raise ConnectionError(EMAIL)
        return SpanExportResult.FAILURE


class Stuck(SpanExporter):
    """Takes them, and never ends."""

    def __init__(self) -> None:
        self.reached, self.opened = threading.Event(), threading.Event()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.reached.set()
        self.opened.wait(20)
        return SpanExportResult.SUCCESS if spans else SpanExportResult.FAILURE


def test_that_spans_are_lost_is_said_once(logs: Callable[..., Any]) -> None:
    since = logs()
    quietly = _Quietly(Away())
    with traces.working("attempt", None) as span:
        assert span is traces.NOTHING
    for spans in ((), ("one",), ("one", "two")):
        assert quietly.export(spans) is SpanExportResult.FAILURE  # type: ignore[arg-type]
    (line,) = since().splitlines()
    assert json.loads(line)["event"].startswith("spans are lost")
    assert EMAIL not in line


async def test_a_stop_does_not_wait_for_who_takes_none(monkeypatch: pytest.MonkeyPatch) -> None:
    stuck, provider = Stuck(), TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(stuck, schedule_delay_millis=1))
    monkeypatch.setattr(traces, "_STOP_SECONDS", 0.05)
    traces.use(Otel(provider))
    with traces.working("attempt", None):
        pass
    assert await asyncio.to_thread(stuck.reached.wait, 20)
    await traces.stop()
    assert not traces.are_on()
    assert not stuck.opened.is_set(), "it is still at it"
    stuck.opened.set()


async def test_off_no_call_carries_a_trace_and_none_is_kept(bridge: BridgeFactory) -> None:
    wire = Wire()
    async with bridge(wire) as client:
        answer = await client.post(WEBHOOK, json=envelope(notification(), person(2)), headers=GIVEN)
    assert answer.status_code == 200
    assert all("traceparent" not in each.headers for each in wire.requests)
