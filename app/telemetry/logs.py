"""Structured logs: one chain for the product and its libraries, with the redaction in front of the sink."""

from __future__ import annotations

import logging
import re
import sys
import threading
import traceback
from contextlib import suppress
from contextvars import ContextVar
from json import JSONEncoder
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import structlog

from app.telemetry import traces

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from structlog.typing import EventDict, Processor, WrappedLogger

    from app.telemetry.redaction import Redactor

_TECHNICAL = frozenset({"timestamp", "level"})
_SERVER = "uvicorn.error"  # says where it serves; what else libraries tell below a warning may be anybody's data
_MOST_ERRORS = 20
_INVISIBLE = re.compile(r"[\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
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
    """Send every log line, uvicorn's included, to standard output. Idempotent; the last call wins.

    Libraries are heard from a warning on, whatever the level is.
    """
    processors: list[Processor] = [
        _with_context,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _exception_without_text,
        _redaction(redactor),
    ]
    if log_format == "console":
        processors += (_on_one_line, structlog.dev.ConsoleRenderer(colors=sys.stdout.isatty()))
    else:
        processors.append(_as_json)
    number = logging.getLevelNamesMapping()[level]
    make = _Lines.to(sys.stdout)
    structlog.configure(  # our own lines do not pass through `logging`, which is half of their cost
        processors=processors,
        logger_factory=make,
        wrapper_class=structlog.make_filtering_bound_logger(number),
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    root.handlers = [_OfLibraries(number)]
    root.setLevel(max(number, logging.WARNING))
    for name in ("uvicorn", "uvicorn.access", _SERVER):
        library = logging.getLogger(name)
        library.handlers = []
        library.propagate = True
        library.setLevel(number if name == _SERVER else root.level)
    logging.captureWarnings(capture=True)
    _tell_of_uncaught()


class _OfLibraries(logging.Handler):
    """Makes lines of ours of theirs; `level` is that of the service."""

    def filter(self, record: logging.LogRecord) -> bool:
        """A logger may have a level of its own."""
        heard = logging.INFO if record.name == _SERVER else logging.WARNING
        return record.levelno >= max(heard, self.level) and bool(super().filter(record))

    def emit(self, record: logging.LogRecord) -> None:
        """Its first line alone: what follows that are traces, tasks and rows."""
        lines = _message_of(record).strip().splitlines() or [""]
        told: Any = record.exc_info
        if not told and lines[0].startswith("Traceback "):  # Starlette tells of a failed start so
            told = sys.exc_info()[1]
        log = structlog.stdlib.get_logger(record.name)
        with suppress(OSError, ValueError):  # of a stream that is gone
            log.log(min(record.levelno // 10 * 10, logging.CRITICAL), lines[0], exc_info=told)


def _message_of(record: logging.LogRecord) -> str:
    """With the class of an exception for its text."""
    arguments = record.args
    if isinstance(arguments, tuple):
        arguments = tuple(map(_told, arguments))
    try:
        return str(record.msg) % arguments if arguments else str(_told(record.msg))
    except Exception:  # noqa: BLE001 - whatever an object's own text raises
        return "a line that cannot be told"


def _told(value: Any) -> Any:
    """The text of an error may quote anybody, but for what the system itself says."""
    if isinstance(value, OSError) and value.strerror:
        return f"{type(value).__qualname__}: {value.strerror}"
    return type(value).__qualname__ if isinstance(value, BaseException) else value


def _tell_of_uncaught() -> None:
    """What nobody catches is told as any other exception is, unless somebody else does that."""
    log = structlog.stdlib.get_logger("app")

    def uncaught(kind: type[BaseException], error: BaseException | None, trace: Any) -> None:
        if error is None or issubclass(kind, KeyboardInterrupt):
            sys.__excepthook__(kind, error or kind(), trace)
        else:
            log.critical("uncaught", exc_info=error)

    if sys.excepthook is sys.__excepthook__:
        sys.excepthook = uncaught
    if threading.excepthook is threading.__excepthook__:
        threading.excepthook = lambda of: log.error("a thread broke", exc_info=of.exc_value)
    if sys.unraisablehook is sys.__unraisablehook__:
        sys.unraisablehook = lambda of: log.error("ignored", exc_info=of.exc_value)


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
        try:
            self._stream.write(f"{line}\n")
        except UnicodeEncodeError:  # of a terminal that has not all letters
            self._stream.write(f"{ascii(line)[1:-1]}\n")
        self._stream.flush()

    debug = info = warning = error = critical = msg


def _with_context(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    context, trace_id = _context.get(), traces.here().trace_id
    if trace_id is not None:
        event = {**event, "trace_id": trace_id}
    return {**context, **event} if context else event


_encode = JSONEncoder(ensure_ascii=False).encode


def _as_json(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    line = _encode(event)
    return line if line.isprintable() else _INVISIBLE.sub(lambda found: f"\\u{ord(found[0]):04x}", line)


def _on_one_line(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """But for exceptions; whatever is not printed as itself is escaped, so that no value is taken for a line."""
    shown = {_escaped(key): _escaped(value) for key, value in event.items()}
    if "exception" in event:
        shown["exception"] = "\n".join(f"  {_escaped(each)}" for each in event["exception"])
    return shown


def _escaped(value: Any) -> Any:
    if not isinstance(value, str) or value.isprintable():
        return value
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in value)


def _exception_without_text(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Class and place of each error, not its text: that may quote a person's data."""
    info = event.pop("exc_info", None)
    error = info if isinstance(info, BaseException) else info[1] if isinstance(info, tuple) else None
    if error is None and info:
        error = sys.exc_info()[1]
    chain: list[BaseException] = []
    while error is not None and id(error) not in map(id, chain) and len(chain) < _MOST_ERRORS:
        chain.append(error)
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if chain:
        event["exception"] = [text for each in chain for text in _class_and_place(each)]
    return event


def _class_and_place(error: BaseException) -> Iterator[str]:
    """Of a group also those that it holds."""
    frames = traceback.extract_tb(error.__traceback__)
    places = " > ".join(f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames)
    yield f"{type(error).__qualname__} at {places or 'an unknown place'}"
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions[:_MOST_ERRORS]:
            yield from _class_and_place(each)


def _redaction(redactor: Redactor) -> Callable[[WrappedLogger, str, EventDict], EventDict]:
    def redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        return {
            key if key.isidentifier() else redactor.text(key): value
            if key in _TECHNICAL and isinstance(value, str)
            else _clean(value, redactor)
            for key, value in event.items()
        }

    return redact


def _clean(value: Any, redactor: Redactor) -> Any:
    """What JSON has, without what is to be hidden; of anything else its text."""
    if isinstance(value, str):
        return redactor.text(value)
    if value is None or type(value) in (int, float, bool):
        return value
    if isinstance(value, dict):
        return {redactor.text(str(key)): _clean(item, redactor) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_clean(item, redactor) for item in value]
    try:
        return redactor.text(repr(_told(value)))
    except Exception:  # noqa: BLE001 - whatever an object's own text raises
        return type(value).__qualname__
