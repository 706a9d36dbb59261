"""What a call to a foreign system can come to, without any HTTP client: errors, their classes, their texts."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

from app.outbound.reason_phrases import reason_phrase
from app.outbound.status_table import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

MESSAGE_LIMIT = 500
WRITES = frozenset({"create", "update", "subscribe", "unsubscribe"})  # what changes a customer at Stamped.io
ENVELOPES = ("customer", "data", "result", "results")  # what an answer may be wrapped in
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_READ_LIMIT = 20_000
_LAST_WORD = re.compile(r"(?<!\w)\w+\Z")
_SEPARATOR = re.compile(r"[\s<>\"(),;]")
_TAGS = re.compile(  # bounded, so that thousands of `<` don't each look at all that follows
    r"<(script|style)\b[^<]*(?:<(?!/\1>)[^<]*){0,50}</\1>|<[^<>]*>", re.IGNORECASE
)
_MOST_PARTS = 200
_LONGEST_RETRY_AFTER = 86_400.0
_THROTTLE_SECONDS = 60.0  # "without it 60 s, as iPaaS.com's template does"


@dataclass(slots=True)
class CallError(Exception):
    """A call failed. `message` is redacted and cut; `retry_after` is in seconds; `status` None = no answer.

    `sent` False: it never left, so it cannot have had any effect.
    """

    operation: str
    kind: Kind
    status: int | None
    message: str
    retry_after: float | None = None
    sent: bool = True

    @property
    def is_unanswered(self) -> bool:
        """It may have taken effect, or still will."""
        return self.status is None and self.sent and self.operation in WRITES

    def __str__(self) -> str:
        """The text that follows the documented sentence."""
        if self.status is None:
            return f"No answer: {self.message}."
        line = status_line(self.status)
        return f"{line}: {self.message}" if self.message else f"{line}."


def status_line(status: int) -> str:
    """`HTTP status 401 Unauthorized`."""
    return f"HTTP status {status} {reason_phrase(status)}".rstrip()


def parse_retry_after(value: str | None, now: datetime) -> float:
    """Seconds to wait, from seconds or an HTTP date (RFC 9110, 10.2.3); 60 when absent or unreadable."""
    if value is None:
        return _THROTTLE_SECONDS
    value = value.strip()
    if re.fullmatch(r"\d+(\.\d+)?", value, re.ASCII):
        return min(float(value), _LONGEST_RETRY_AFTER)
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, OverflowError):  # the latter for a year or a zone of many digits
        return _THROTTLE_SECONDS
    seconds = (moment.replace(tzinfo=moment.tzinfo or UTC) - now).total_seconds()
    return min(max(seconds, 0.0), _LONGEST_RETRY_AFTER)


def message_of(body: Any, text: str) -> str:
    """The message of an error body: `message`, then `error`, then `errors`, then its text without HTML."""
    found = ""
    if isinstance(body, dict):
        fields = {str(key).lower(): value for key, value in body.items()}
        found = next(filter(None, (_flat(fields.get(key)) for key in ("message", "error", "errors"))), "")
    elif isinstance(body, str):
        found = _flat(body)
    if not found and body not in ({}, [], "") and text.strip() != "null":
        found = " ".join(html.unescape(_TAGS.sub(" ", begin_of(text))).split())
    return found


def begin_of(text: str) -> str:
    """As much as is worth reading, in whole words: a part of a key or an address would not be known for one."""
    if len(text) <= _READ_LIMIT:
        return text
    ends = [found.start() for found in _SEPARATOR.finditer(text, 0, _READ_LIMIT)]
    begin = text[: ends[-1] if ends else _READ_LIMIT]
    return begin if ends else _LAST_WORD.sub("", begin) or begin


def printable(text: str) -> str:
    """Without control characters and halves of surrogate pairs: no database and no log takes all of them."""
    return _UNPRINTABLE.sub(" ", text)


def cut(message: str, limit: int = MESSAGE_LIMIT) -> str:
    """So many characters at most, all of them printable, and no part of a word: it might be a part of a name."""
    message = printable(message)
    if len(message) <= limit:
        return message
    whole = message[: limit - 1].rpartition(" ")[0] or _LAST_WORD.sub("", message[: limit - 2])
    return f"{whole or message[: limit - 2]} …"


def _flat(value: Any) -> str:
    """The strings in a message, however deep they are packed, as one line."""
    parts = islice(_strings(value, depth=4), _MOST_PARTS)
    return "; ".join(" ".join(part.split()) for part in parts if part.strip())


def _strings(value: Any, depth: int) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list) and depth:
        for item in value:
            yield from _strings(item, depth - 1)
    elif isinstance(value, dict) and depth:
        fields = {str(key).lower(): item for key, item in value.items()}
        if "message" in fields:
            yield from _strings(fields["message"], depth - 1)
        else:
            for name, item in value.items():
                yield from (f"{name}: {text}" for text in _strings(item, depth - 1))
