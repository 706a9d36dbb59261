"""Spans of OpenTelemetry's SDK, sent by OTLP. Imported only where the extra `otel` is there and asked for."""

from __future__ import annotations

import logging
import re
import time
from threading import Thread
from typing import TYPE_CHECKING, Any, Final, Self

import structlog
from opentelemetry import context, trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import Link, NonRecordingSpan, SpanContext, SpanKind, StatusCode, TraceFlags

from app import VERSION
from app.telemetry.quiet import Quiet
from app.telemetry.traces import NOTHING, Span

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from contextvars import Token

    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import ReadableSpan

    from app.telemetry.traces import Kind

log = structlog.stdlib.get_logger("traces")

_KINDS: Final = {"server": SpanKind.SERVER, "client": SpanKind.CLIENT, "internal": SpanKind.INTERNAL}
_NAME = "ipaas-stamped"
_LOST = "spans are lost: who takes them at OTEL_EXPORTER_OTLP_ENDPOINT does not answer, or refuses them"
# https://www.w3.org/TR/trace-context/#traceparent-header; a later version may say more behind it
_TRACEPARENT = re.compile(r"(?!ff)([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_FIRST_VERSION = "00"


def open_tracer() -> Otel:
    """As OpenTelemetry's environment says: where to, sampler, limits, attributes of the service, and its name."""
    name = OTELResourceDetector().detect().attributes.get(SERVICE_NAME, _NAME)
    resource = Resource.create({SERVICE_NAME: name, SERVICE_VERSION: VERSION})
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(_Quietly(OTLPSpanExporter())))
    for library in ("opentelemetry", "urllib3"):  # which tell of each try; what they come to is told by `_Quietly`
        logging.getLogger(library).setLevel(logging.CRITICAL)
    return Otel(provider)


class Otel:
    """Makes spans of a provider, and stands where the API of OpenTelemetry looks for what goes on."""

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer(_NAME, VERSION)

    def begin(
        self,
        kind: Kind,
        name: str,
        parent: str | None,
        about: Mapping[str, Any],
        others: Iterable[str | None] = (),
    ) -> Span:
        """Below `parent`, or at the root of a trace; `others`: spans that it belongs to as well."""
        links = [Link(read) for read in map(_read, others) if read is not None]
        above = trace.set_span_in_context(NonRecordingSpan(_read(parent) or trace.INVALID_SPAN_CONTEXT))
        given = _present(about)
        return _Begun(self._tracer.start_span(name, above, _KINDS[kind], attributes=given, links=links))

    def here(self) -> Span:
        """What goes on in this task."""
        span = trace.get_current_span()
        return _Begun(span) if span.get_span_context().is_valid else NOTHING

    def stop(self, seconds: float) -> None:
        """Hand over what is left, in so many seconds at most."""
        handing_over = Thread(target=self._provider.shutdown, name="traces-stop", daemon=True)
        handing_over.start()  # it would wait for half a minute
        handing_over.join(seconds)


class _Begun(Span):
    """One that has begun."""

    __slots__ = ("_has_failed", "_span", "_token", "trace_id", "traceparent")
    traceparent: str
    trace_id: str

    def __init__(self, span: trace.Span) -> None:
        self._span = span
        self._token: Token[Context] | None = None
        self._has_failed = False
        mine = span.get_span_context()
        self.trace_id = trace.format_trace_id(mine.trace_id)
        self.traceparent = f"00-{self.trace_id}-{trace.format_span_id(mine.span_id)}-{mine.trace_flags:02x}"

    def __enter__(self) -> Self:
        self._token = context.attach(trace.set_span_in_context(self._span))
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._token is not None:
            context.detach(self._token)
        if kind is not None and not self._has_failed:
            self.tell({}, failed=kind.__qualname__)  # not its text, which may quote anybody
        self._span.end()

    def tell(self, about: Mapping[str, Any], *, name: str | None = None, failed: str | None = None) -> None:
        """What is known of it by now."""
        if name is not None:
            self._span.update_name(name)
        if failed is not None:
            self._has_failed = True
            self._span.set_status(StatusCode.ERROR)
            self._span.set_attribute("error.type", failed)
        self._span.set_attributes(_present(about))


class _Quietly(SpanExporter):
    """Says once a minute that spans are lost."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self._quiet = Quiet(time.monotonic)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """As the other one; it repeats by itself."""
        try:
            result = self._exporter.export(spans)
        except Exception as error:  # noqa: BLE001 - whatever it is, the next ones may get through
            self._tell(len(spans), error)
            return SpanExportResult.FAILURE
        if result is not SpanExportResult.SUCCESS:
            self._tell(len(spans))
        return result

    def shutdown(self) -> None:
        """Nothing comes any more."""
        self._exporter.shutdown()

    def _tell(self, spans: int, error: Exception | None = None) -> None:
        if self._quiet.passes(_LOST):
            log.warning(_LOST, spans=spans, more_of_them=self._quiet.withheld(_LOST), exc_info=error)


def _read(traceparent: str | None) -> SpanContext | None:
    found = _TRACEPARENT.fullmatch(traceparent.strip(" \t")) if traceparent else None
    if found is None or (found[1] == _FIRST_VERSION and found[5]):
        return None
    read = SpanContext(
        int(found[2], 16), int(found[3], 16), is_remote=True, trace_flags=TraceFlags(int(found[4], 16))
    )
    return read if read.is_valid else None


def _present(about: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in about.items() if value is not None}
