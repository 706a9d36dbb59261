"""The one redaction: whatever leaves the product as a log line or an error text passes here first."""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING, Final

from app.telemetry.spelling import MASK, Reading, is_plain, plainly, readings, replaced, whole

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_APART = r"\s@<>\"(),;"  # what no address has outside of quotes; all else may be part of one (RFC 5322)
# The lookbehind lets a match begin at the begin of a run only, which keeps a long text without an `@` linear.
_EMAIL = re.compile(rf"(?:\"[^\"@]{{1,64}}\"|(?<![^{_APART}])[^{_APART}]+)@(?=[^{_APART}])")
_SEPARATOR = re.compile(rf"(?!@)[{_APART}]")
_JOINED = "\x7f"  # for a separator that only a decoder sees: what is around it may be one address
_CREDENTIAL = re.compile(r"\b(basic|bearer)[\s+]+[\w.~+/=-]{6,}|\b(?:pub)?key-[\w-]{6,}")
_CREDENTIALS: Final = ("key-", "basic", "bearer")
_SHORTEST_ENCODED = 8  # bytes; parts of what is shorter are found in any text
_HIDDEN = "***"

_Part = tuple[int, int, str]


def mask_email(email: str) -> str:
    """`anna@example.com` → `a…@example.com`; text without an `@` is hidden whole."""
    local, at, domain = email.rpartition("@")
    return f"{local[:1]}{MASK}@{domain}" if at else _HIDDEN


class Redactor:
    """Masks e-mail addresses, credentials and the known secrets of this process, however they are spelled."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets: frozenset[str] = frozenset()
        self._clear: tuple[str, ...] = ()
        self._encoded: tuple[str, ...] = ()
        self._signs: tuple[str, ...] = ()
        self.learn(*secrets)

    def learn(self, *secrets: str) -> None:
        """Hide these from now on, too: in any case, and within base64."""
        self._secrets |= {secret for secret in secrets if secret}
        self._clear = tuple({way for secret in self._secrets for way in (secret.lower(), plainly(secret)) if way})
        self._encoded = tuple({part for secret in self._secrets for part in _encodings(secret)})
        signs = ("@", *_CREDENTIALS)
        self._signs = (*signs, *(clear for clear in self._clear if not any(sign in clear for sign in signs)))

    def text(self, text: str, *, names: Iterable[str] = ()) -> str:
        """`text` without secrets and clear e-mails; `names` (of the person it is about) become `…`. Idempotent."""
        known = [words for name in names if len(name) > 1 and (words := plainly(name).split())] if names else []
        if is_plain(text) and not self._suspects(text, known):  # most texts
            return text
        found, too_deep = readings(text)
        if too_deep:
            text = replaced(text, _words_at(text, too_deep))
            found, _ = readings(text)
        finders = (self._secrets_in, _credentials_in, _emails_in)
        text = replaced(text, [part for each in found for parts_in in finders for part in parts_in(text, each)])
        if any(words[0] in reading.text for words in known for reading in found):
            found, _ = readings(text)  # what is hidden by now parts words
            text = replaced(text, [part for each in found for part in _names_in(each, known)])
        return text

    def _suspects(self, text: str, names: list[list[str]]) -> bool:
        """Whether there may be anything to hide in a plain text. base64 of a key has capitals."""
        low = text.lower()
        for sign in self._signs:  # a loop, for it takes half the time of `any`
            if sign in low:
                return True
        if names and any(words[0] in low for words in names):
            return True
        return text[1:] != low[1:] and any(map(low.__contains__, self._encoded))

    def _secrets_in(self, _text: str, reading: Reading) -> Iterator[_Part]:
        for secret in self._clear:
            for begin in _places(secret, reading.text):
                yield *reading.span(begin, begin + len(secret)), _HIDDEN
        for part in self._encoded:
            done = 0
            for begin in _places(part, reading.text):
                if begin >= done:
                    first, done = whole(reading.text, begin, begin + len(part), _is_base64)
                    yield *reading.span(first, done), _HIDDEN


def _credentials_in(text: str, reading: Reading) -> Iterator[_Part]:
    if any(map(reading.text.__contains__, _CREDENTIALS)):
        for found in _CREDENTIAL.finditer(reading.text):
            begin, end = reading.span(*found.span())
            scheme = slice(*reading.span(*found.span(1))) if found[1] else slice(0)
            yield begin, end, f"{text[scheme]} {_HIDDEN}".lstrip()


def _emails_in(text: str, reading: Reading) -> Iterator[_Part]:
    if "@" in reading.text:
        for found in _EMAIL.finditer(_joined(text, reading)):
            begin, end = reading.span(*found.span())
            is_one = reading.span(found.start(), found.start() + 1)[1] == begin + 1
            first = text[begin] if is_one else found[0].lstrip(_JOINED)[0]
            if text[begin : end - 1] not in {MASK, first + MASK}:  # has been masked before
                yield begin, end, f"{first}{MASK}@"


def _joined(text: str, reading: Reading) -> str:
    """Only what separates in `text` itself does: a blank that is decoded may stand within an address."""
    if is_plain(text):
        return reading.text
    letters = list(reading.text)
    for found in _SEPARATOR.finditer(reading.text):
        place = found.start()
        if text[reading.span(place, place + 1)[1] - 1] != found[0]:
            letters[place] = _JOINED
    return "".join(letters)


def _names_in(reading: Reading, names: list[list[str]]) -> Iterator[_Part]:
    for words in names:
        if words[0] in reading.text:  # cheaper than a pattern
            name = r"[\s+]+".join(map(re.escape, words))
            for found in re.finditer(rf"(?<!\w){name}(?!\w)", reading.text):
                yield *reading.span(*found.span()), MASK


def _words_at(text: str, places: Iterable[tuple[int, int]]) -> Iterator[_Part]:
    done = 0
    for begin, end in places:
        if begin >= done:
            first, done = whole(text, begin, end, lambda letter: not letter.isspace())
            yield first, done, _HIDDEN


def _places(part: str, text: str) -> Iterator[int]:
    place = text.find(part)
    while place >= 0:
        yield place
        place = text.find(part, place + 1)


def _is_base64(letter: str) -> bool:
    return letter.isalnum() or letter in "+/=-_"


def _encodings(secret: str) -> Iterator[str]:
    """What every base64 of a text that has this in it contains, in small letters, by where it begins in it."""
    raw = secret.encode("utf-8", "replace")
    for before in range(3 if len(raw) >= _SHORTEST_ENCODED else 0):
        encoded = base64.b64encode(bytes(before) + raw).decode().lower()
        own = encoded[-(-before * 8 // 6) : (before + len(raw)) * 8 // 6]
        yield from {own, own.replace("+", "-").replace("/", "_")}


def basic_credentials(user: str, password: str) -> str:
    """What HTTP Basic makes of a key pair (RFC 7617): a secret, too."""
    return base64.b64encode(f"{user}:{password}".encode()).decode()
