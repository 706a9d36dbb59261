"""A real process that sends its spans to a collector, dies, and goes on in the trace; one that nobody hears."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.durable.conftest import BridgeFactory
from tests.durable.support import ASYNC, StandIn, until
from tests.durable.test_replicas import change

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


class Collector(ThreadingHTTPServer):
    """Takes OTLP over HTTP."""

    daemon_threads = True

    def __init__(self) -> None:
        self.spans: list[tuple[str, str]] = []
        self.services: set[str] = set()
        super().__init__(("127.0.0.1", 0), _Handler)
        Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def take(self, body: bytes) -> None:
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            named = {each.key: each.value.string_value for each in resource.resource.attributes}
            self.services.add(named["service.name"])
            self.spans += [
                (span.name, span.trace_id.hex()) for scope in resource.scope_spans for span in scope.spans
            ]


class _Handler(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        assert self.path == "/v1/traces"
        self.server.take(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Nobody reads it."""


@pytest.fixture
def collector() -> Iterator[Collector]:
    opened = Collector()
    yield opened
    opened.shutdown()
    opened.server_close()


async def test_what_a_killed_process_promised_goes_on_in_its_trace(
    start_bridge: BridgeFactory, stand_in: StandIn, collector: Collector, tmp_path: Path
) -> None:
    bridge = await start_bridge(f"sqlite:///{tmp_path}/bridge.db", OTEL_EXPORTER_OTLP_ENDPOINT=collector.url)
    await stand_in.answers_after(60)
    caller = f"00-{TRACE}-00f067aa0ba902b7-01"
    promised = await bridge.post(change(1, 1), traceparent=caller, **ASYNC)
    assert promised.status_code == 202
    bridge.kill()
    await stand_in.answers_after(0)
    bridge.start()
    await bridge.wait_ready()
    await until(bridge.all_ended, "what was promised is done")

    assert bridge.process is not None
    bridge.process.send(signal.SIGTERM)  # the first one's spans are lost, the second one's are handed over now
    await bridge.process.end()
    assert {("attempt", TRACE), ("stamped create", TRACE)} <= set(collector.spans)
    assert collector.services == {"ipaas-stamped"}


async def test_a_collector_that_is_not_there_is_one_line_and_no_wait(
    start_bridge: BridgeFactory, collector: Collector, tmp_path: Path
) -> None:
    collector.shutdown()
    collector.server_close()
    bridge = await start_bridge(
        f"sqlite:///{tmp_path}/bridge.db",
        OTEL_EXPORTER_OTLP_ENDPOINT=collector.url,
        OTEL_EXPORTER_OTLP_TIMEOUT="1",
        OTEL_BSP_SCHEDULE_DELAY="50",
    )
    for number in range(5):
        assert (await bridge.post(change(number, 1))).status_code == 200

    async def is_told() -> bool:
        return "spans are lost" in bridge.log_text()

    await until(is_told, "that spans are lost is told")
    assert (await bridge.post(change(9, 1))).status_code == 200
    assert bridge.process is not None
    bridge.process.send(signal.SIGTERM)
    await bridge.process.end()
    lines = bridge.log_text().splitlines()
    assert sum("spans are lost" in line for line in lines) == 1
    assert not [line for line in lines if "opentelemetry" in line or "urllib3" in line or "Traceback" in line]
