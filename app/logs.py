"""Structured logs: one chain for the product and its libraries, with the redaction in front of the sink."""

from __future__ import annotations

import logging
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

if TYPE_CHECKING:
    from collections.abc import Callable

    from structlog.typing import EventDict, Processor, WrappedLogger

    from app.redaction import Redactor

_TECHNICAL = frozenset({"timestamp", "level", "logger"})
_QUIET = ("uvicorn.access", "httpx", "httpcore", "asyncio")


def configure_logs(level: str, log_format: str, redactor: Redactor) -> None:
    """Send every log line, uvicorn's included, to standard output. Idempotent; the last call wins."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        _exception_without_text,
        _redaction(redactor),
    ]
    renderer: Processor = structlog.processors.JSONRenderer(ensure_ascii=False)
    if log_format == "console":
        renderer = structlog.dev.ConsoleRenderer(colors=sys.stdout.isatty())
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        library = logging.getLogger(name)
        library.handlers = []
        library.propagate = True
    for name in _QUIET:  # uvicorn's access lines show whole URLs; the product logs requests itself
        logging.getLogger(name).setLevel(logging.WARNING)


def _exception_without_text(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Class and place of each error, not its text: that may quote a person's data."""
    info = event.pop("exc_info", None)
    error = info if isinstance(info, BaseException) else info[1] if isinstance(info, tuple) else None
    if error is None and info:
        error = sys.exc_info()[1]
    chain = []
    while error is not None:
        frames = traceback.extract_tb(error.__traceback__)
        places = " > ".join(f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames)
        chain.append(f"{type(error).__qualname__} at {places}")
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if chain:
        event["exception"] = chain
    return event


def _redaction(redactor: Redactor) -> Callable[[WrappedLogger, str, EventDict], EventDict]:
    def redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        for key, value in event.items():
            if key not in _TECHNICAL and not key.startswith("_"):
                event[key] = _clean(value, redactor)
        return event

    return redact


def _clean(value: Any, redactor: Redactor) -> Any:
    if isinstance(value, str):
        return redactor.text(value)
    if isinstance(value, dict):
        return {key: _clean(item, redactor) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_clean(item, redactor) for item in value]
    return value
