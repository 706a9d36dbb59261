"""Which failures are alike: by error, Stamped.io's status, and the message without what varies in it. Pure.

And what mends them, by the class that the table of statuses has for them.
"""

from __future__ import annotations

import re
from hashlib import sha256
from typing import TYPE_CHECKING, Final, Literal

from app.error_catalog import said
from app.outbound.status_table import Kind

if TYPE_CHECKING:
    from app.attempt import Failure

Tag = Literal["keys", "data", "passes"]
_TAGS: Final[dict[Kind, Tag]] = {
    Kind.DENIED: "keys",
    Kind.REFUSED: "data",
    Kind.THROTTLED: "passes",
    Kind.UNAVAILABLE: "passes",
    Kind.TIMEOUT: "passes",
}
VARIES: Final = "…"  # what the redaction leaves of names, too
_DIGITS = 12
_HEAD = re.compile(r"HTTP status \d{3}(?!\w)")  # our own words, which no other status is alike
# No pattern looks twice at the same text, so that whatever is said takes a time that only grows with its length.
_QUOTES = re.compile(  # a message that was cut may lack the last one
    r'"[^"]*(?:"|$)|“[^”]*(?:”|$)|«[^»]*(?:»|$)|`[^`]*`'
    r"|\u2018[^\u2018]*?\u2019(?![\w…])|(?<![\w…])'(?:[^']|(?<=\w)'(?=\w))*'(?![\w…])"
)
_ADDRESSES = re.compile(r"[^\s\"'<>]+")
_EMAILS = re.compile(r"[^\s\"(),;<>]+")
_MONTH = r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]{0,6}"
_DAY = rf"(?:\d{{1,2}}[ -]{_MONTH}|{_MONTH} \d{{1,2}})(?!\w)"
_YEAR = r",?[ -]\d{4}(?!\w)"
_DATES = re.compile(  # with the day of the week or with the year: "1 May" may be no date
    rf"(?<!\w)(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]{{0,6}},? {_DAY}(?:{_YEAR})?|{_DAY}{_YEAR})"
)
_WORDS = re.compile(r"[+#]?[\w-]+")
_ZONES = re.compile(r"(?<=…) ?(?:[AaPp]\.?[Mm]\.?|UTC|GMT)(?!\w)")
_SEVERAL = re.compile(r"…(?:[\s.,:/+#%*-]{0,3}…)+")
_ENDS = ".:!?…"


def tag_of(failure: Failure | None) -> Tag:
    """What mends it: new keys, other data, or time alone; None = nothing else is known."""
    if failure is None:
        return "passes"
    return _TAGS[Kind.of(failure.status, retryable=failure.retryable)]


def group_of(failure: Failure) -> str:
    """Names those that are alike."""
    kind = failure.stamped.status or f"answered {failure.status}"
    text = f"{failure.slug}\n{kind}\n{alike(failure.slug, failure.detail)}"
    return sha256(text.encode("utf-8", "replace")).hexdigest()[:_DIGITS]


def alike(slug: str | None, detail: str | None) -> str:
    """What those of a group say after the sentence that is documented for their error; that one, if it is all."""
    message = said(slug, detail)
    head = _HEAD.match(message)
    if head is None:
        return normalised(message)
    rest = message[head.end() :]
    return head[0] + (" " if rest.startswith(" ") else "") + normalised(rest)


def normalised(message: str) -> str:
    """`…` for quotes, URLs, e-mails, names that were masked, dates, and words with a digit; single blanks."""
    text = _QUOTES.sub(VARIES, " ".join(message.split()))
    text = _ADDRESSES.sub(lambda run: _taken_out(run[0]) if "://" in run[0] else run[0], text)
    text = _EMAILS.sub(lambda run: _taken_out(run[0]) if "@" in run[0] or "%40" in run[0] else run[0], text)
    text = _DATES.sub(VARIES, text.replace("***", VARIES))
    text = _WORDS.sub(lambda word: VARIES if any(map(str.isdecimal, word[0])) else word[0], text)
    return _SEVERAL.sub(VARIES, _ZONES.sub("", _SEVERAL.sub(VARIES, text)))


def _taken_out(run: str) -> str:
    """But for the end of the sentence."""
    return VARIES + run[len(run.rstrip(_ENDS)) :].replace(VARIES, "")
