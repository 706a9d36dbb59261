"""Structured logs: one chain for the product and its libraries, with the redaction in front of the sink."""

from __future__ import annotations

import logging
import sys
import traceback
from contextvars import ContextVar
from json import JSONEncoder
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import structlog

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from structlog.typing import EventDict, Processor, WrappedLogger

    from app.telemetry.redaction import Redactor

_TECHNICAL = frozenset({"timestamp", "level", "logger"})
_QUIET = ("uvicorn.access", "httpx", "httpcore", "asyncio")
_context: ContextVar[Mapping[str, Any] | None] = ContextVar("log_context", default=None)


class lines_about:  # noqa: N801 - used as a function is, and cheaper than a generator
    """Whatever is logged in here says so."""

    __slots__ = ("_token", "_values")

    def __init__(self, **values: Any) -> None:
        self._values = values

    def __enter__(self) -> None:
        self._token = _context.set(self._values)

    def __exit__(self, *_: object) -> None:
        _context.reset(self._token)


def configure_logs(level: str, log_format: str, redactor: Redactor) -> None:
    """Send every log line, uvicorn's included, to standard output. Idempotent; the last call wins."""
    shared: list[Processor] = [
        _with_context,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        _exception_without_text,
        _redaction(redactor),
    ]
    logging.raiseExceptions = (
        False  # what cannot be written is not told to the terminal instead, with all it holds
    )
    renderer: Processor = _as_json
    if log_format == "console":
        shared.append(_exception_as_text)
        renderer = structlog.dev.ConsoleRenderer(colors=sys.stdout.isatty())
    structlog.configure(  # our own lines do not pass through `logging`, which is half of their cost
        processors=[*shared, renderer],
        logger_factory=_Lines.to(sys.stdout),
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
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


class _Lines:
    """Writes lines; `name` is the logger's, as in `logging`."""

    def __init__(self, stream: TextIO, name: str) -> None:
        self._stream = stream
        self.name = name

    @classmethod
    def to(cls, stream: TextIO) -> Callable[..., _Lines]:
        """Makes loggers by their name."""
        return lambda name="app": cls(stream, name)

    def msg(self, line: str) -> None:
        """In one piece, at once."""
        self._stream.write(f"{line}\n")
        self._stream.flush()

    debug = info = warning = error = critical = msg


def _with_context(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    context = _context.get()
    return {**context, **event} if context else event


_encode = JSONEncoder(ensure_ascii=False, default=repr).encode


def _as_json(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    return _encode(event)


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


def _exception_as_text(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    if "exception" in event:
        event["exception"] = "\n".join(event["exception"])
    return event


def _redaction(redactor: Redactor) -> Callable[[WrappedLogger, str, EventDict], EventDict]:
    def redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        for key, value in event.items():
            if isinstance(value, str | dict | list | tuple) and key not in _TECHNICAL and not key.startswith("_"):
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
