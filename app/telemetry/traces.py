"""Traces, where OpenTelemetry's own settings ask for them; else nothing of it is imported (ADR 29).

Spans name what is done, never an address: those of Stamped.io may carry an e-mail. A process has one tracer, as it
has one log.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, Self

import structlog

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

log = structlog.stdlib.get_logger("traces")

Kind = Literal["server", "client", "internal"]
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_OURS = "http/protobuf"
_STOP_SECONDS = 2.0  # of the few that are left after what ran has ended


class Span:
    """Something that goes on, from `with` to its end; this one is of no trace. `traceparent` as W3C writes it."""

    __slots__ = ()
    traceparent: str | None = None
    trace_id: str | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """It has ended."""

    def tell(self, about: Mapping[str, Any], *, name: str | None = None, failed: str | None = None) -> None:
        """What is known of it by now; `failed`: why it is a failure, in a word."""


NOTHING: Final = Span()


class Tracer(Protocol):
    """What makes spans."""

    def begin(
        self,
        kind: Kind,
        name: str,
        parent: str | None,
        about: Mapping[str, Any],
        others: Iterable[str | None] = (),
    ) -> Span:
        """Below `parent`, or at the root of a trace; `others`: spans that it belongs to as well."""
        ...

    def here(self) -> Span:
        """What goes on in this task."""
        ...

    def stop(self, seconds: float) -> None:
        """Hand over what is left, in so many seconds at most."""
        ...


_tracer: Tracer | None = None


def use(tracer: Tracer | None) -> None:
    """From now on; None = no traces."""
    global _tracer  # noqa: PLW0603 - the process has one
    _tracer = tracer


def start() -> None:
    """If the environment asks for it, and the extra `otel` is installed. Idempotent."""
    if _tracer is not None or not is_asked_for(os.environ):
        return
    try:
        from app.telemetry.otel import open_tracer  # noqa: PLC0415 - needs the extra, and takes its time
    except ImportError:
        log.warning("no traces: what they need is not installed; pip install 'ipaas-stamped[otel]'")
        return
    use(open_tracer())


async def stop() -> None:
    """Hand over what is left, as far as somebody takes it soon. Idempotent."""
    if _tracer is not None:
        tracer = _tracer
        use(None)
        await asyncio.to_thread(tracer.stop, _STOP_SECONDS)


def is_asked_for(environment: Mapping[str, str]) -> bool:
    """An address to send them to, or `OTEL_TRACES_EXPORTER=otlp`, asks for them."""
    exporter = environment.get("OTEL_TRACES_EXPORTER", "").strip().lower()
    if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true" or exporter not in {"", "otlp"}:
        return False
    if not exporter and not any(environment.get(name) for name in _ENDPOINTS):
        return False
    protocol = next((environment[name] for name in _PROTOCOLS if environment.get(name)), _OURS)
    if protocol != _OURS:
        log.warning("no traces: only one protocol of OTLP is spoken", protocol=_OURS)
        return False
    return True


def are_on() -> bool:
    """Whether anybody takes them."""
    return _tracer is not None


def serving(method: str, traceparent: str | None) -> Span:
    """A request of a caller; its trace goes on where it brings one."""
    about = {"http.request.method": method}
    return NOTHING if _tracer is None else _tracer.begin("server", method, traceparent, about)


def working(name: str, traceparent: str | None, others: Iterable[str | None] = (), **about: Any) -> Span:
    """An attempt or a load; it belongs to the trace of its transfer, however long ago that came."""
    return NOTHING if _tracer is None else _tracer.begin("internal", name, traceparent, ours(**about), others)


def calling(system: str, operation: str, number: int) -> Span:
    """Try `number` of a call to another system, below what goes on in this task."""
    if _tracer is None:
        return NOTHING
    about = ours(system=system, operation=operation, tries=number)
    return _tracer.begin("client", f"{system} {operation}", _tracer.here().traceparent, about)


def called(span: Span, method: str, status: int | None, outcome: str) -> None:
    """What a call came to; `ok`, or the kind of failure."""
    if span is not NOTHING:
        about = {"http.request.method": method, "http.response.status_code": status, **ours(outcome=outcome)}
        span.tell(about, failed=None if outcome == "ok" else outcome)


def here() -> Span:
    """What goes on in this task."""
    return NOTHING if _tracer is None else _tracer.here()


def ours(**about: Any) -> dict[str, Any]:
    """Attributes that only we have."""
    return {f"ipaas_stamped.{name}": value for name, value in about.items()}
