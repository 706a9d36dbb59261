"""How a text reads once what is spelled otherwise in it is undone, with the way back to where it stands. Pure.

Percent signs, HTML's references, backslashes, and what Unicode has for the same letter, in any nesting.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from html.entities import html5
from itertools import chain, repeat
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

MOST_LAYERS: Final = 10  # of different kinds; of one kind there may be any number
MASK: Final = "…"  # what the redaction leaves is not read as three dots
_NO_LETTERS = frozenset({"Mn", "Me", "Cf"})  # accents that stand alone, zero-width and soft hyphens
_ALIKE = str.maketrans(dict.fromkeys("‘’ʼ′＇", "'") | dict.fromkeys("‐‑‒–—−", "-"))  # noqa: RUF001 - that is the point
_WIDEST = 3  # one character may stand for eighteen
_LONGEST_KEPT = 24  # of what is kept because it comes again
_MOST_KEPT = 0x10000
_HEX = "[0-9a-f]"
_PERCENT = "%(?:25)*"  # and the signs of more layers
_MORE = rf"{_PERCENT}[89ab]{_HEX}"
_SPELLED = re.compile(  # percents and references of many layers at once: n of them in a row never take n rounds
    rf"{_PERCENT}(?:[cd]{_HEX}{_MORE}|e{_HEX}(?:{_MORE}){{2}}|f[0-7](?:{_MORE}){{3}}|u{_HEX}{{4}}|{_HEX}{{2}})"
    rf"|&(?:amp;)*(?:#0*+(?:\d{{1,7}}|x0*+{_HEX}{{1,6}});?|[a-z][a-z0-9]{{1,31}};)"
    rf"|\\(?:u\{{0*+{_HEX}{{1,6}}\}}|u0{{4}}00{_HEX}{{2}}|u{_HEX}{{4}}|x{_HEX}{{2}}|[nrtbf\"'/\\])"
)
_REFERENCES = {name.lower().rstrip(";"): value.lower() for name, value in sorted(html5.items())}
_CONTROLS = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f"}


@dataclass(frozen=True, slots=True)
class Reading:
    """What one reads, in small letters. Its character `i` stands at `at[i]`, and the whole ends at `at[-1]`."""

    text: str
    at: Sequence[int]

    def span(self, begin: int, end: int) -> tuple[int, int]:
        """Where a part of it stands; what is one character there is not parted."""
        at = self.at
        while at[end] == at[end - 1]:
            end += 1
        return at[begin], at[end]


def is_plain(text: str) -> bool:
    """Whether it reads in no other way."""
    return text.isascii() and "%" not in text and "&" not in text and "\\" not in text


def readings(text: str) -> tuple[list[Reading], list[tuple[int, int]]]:
    """The text, and with each layer undone, to the last; and where there are too many. Linear in its length."""
    reading = _as_it_stands(text)
    found = [reading]
    if is_plain(text):
        return found, []
    for layer in range(MOST_LAYERS):
        reading = _undone(reading if layer else _folded(reading))
        if reading.text == found[-1].text:
            return found, []
        found.append(reading)
    return found, [reading.span(*spelled.span()) for spelled in _SPELLED.finditer(reading.text)]


def plainly(text: str) -> str:
    """How it reads at last."""
    return text.lower() if is_plain(text) else readings(text)[0][-1].text


def whole(text: str, begin: int, end: int, belongs: Callable[[str], bool]) -> tuple[int, int]:
    """A part with all around it that belongs to it."""
    while begin and belongs(text[begin - 1]):
        begin -= 1
    while end < len(text) and belongs(text[end]):
        end += 1
    return begin, end


def replaced(text: str, parts: Iterable[tuple[int, int, str]]) -> str:
    """With other words for these parts; of those that overlap, the first one's for all."""
    pieces: list[str] = []
    done = 0
    for begin, end, words in sorted(parts, key=lambda part: (part[0], -part[1])):
        if begin >= done:
            pieces += (text[done:begin], words)
        done = max(done, end)
    return "".join(pieces) + text[done:]


def _as_it_stands(text: str) -> Reading:
    low = text.lower()
    if len(low) != len(text):  # a capital may have two small letters
        low = "".join(letter.lower()[0] for letter in text)
    return Reading(low, range(len(text) + 1))


def _undone(reading: Reading) -> Reading:
    """One layer less."""
    text, at = reading.text, reading.at
    words: list[str] = []
    places: list[int] = []
    done = 0
    for found in _SPELLED.finditer(text):
        begin, end = found.span()
        letters = (_letters_of if end - begin <= _LONGEST_KEPT else _letters)(text[begin:end]).translate(_FOLDS)
        words += (text[done:begin], letters)
        places += at[done:begin]
        places += at[begin : begin + 1] if len(letters) == 1 else [at[begin]] * len(letters)
        done = end
    if not done:
        return reading
    words.append(text[done:])
    places += at[done:]
    return Reading("".join(words), places)


def _letters(spelled: str) -> str:
    """What one spelling stands for."""
    if spelled[0] == "%":
        return _of_percents(re.sub(r"%(?:25)+(?=[0-9a-fu]{2})", "%", spelled))
    if spelled[0] == "&":
        name = spelled[1:].rstrip(";").rpartition(";")[2]  # without those of more layers
        return _of_number(name[1:]) if name[0] == "#" else _REFERENCES.get(name, spelled)
    mark = spelled[1:]
    if len(mark) == 1:
        return _CONTROLS.get(mark, mark)
    return _letter(mark.lstrip("ux").strip("{}"), 16)


_letters_of = lru_cache(maxsize=2048)(_letters)


def _of_percents(spelled: str) -> str:
    if spelled[1] == "u":
        return _letter(spelled[2:], 16)
    raw = bytes.fromhex(spelled.replace("%", ""))
    try:
        return raw.decode().lower()
    except UnicodeDecodeError:
        return raw.decode("latin-1").lower()


def _of_number(number: str) -> str:
    return _letter(number[1:], 16) if number[0] == "x" else _letter(number, 10)


def _letter(digits: str, base: int) -> str:
    try:
        return chr(int(digits, base)).lower()
    except (ValueError, OverflowError):
        return "\ufffd"


class _Folds(dict[int, str]):
    """Each character as the plainest one that is read like it; `widths`: in how many, as a character."""

    def __missing__(self, code: int) -> str:
        letter = chr(code)
        folded = letter
        if letter.isascii() or letter == MASK:
            folded = letter.lower()
        else:
            parts = unicodedata.normalize("NFKD", letter)
            plain = "".join(part for part in parts if unicodedata.category(part) not in _NO_LETTERS)
            plain = plain.casefold().translate(_ALIKE)
            folded = plain if len(plain) <= _WIDEST else letter
        if len(self) < _MOST_KEPT:
            self[code] = folded
        return folded


class _Widths(dict[int, str]):
    def __missing__(self, code: int) -> str:
        width = chr(len(_FOLDS[code]))
        if len(self) < _MOST_KEPT:
            self[code] = width
        return width


_FOLDS: Final = _Folds()
_WIDTHS: Final = _Widths()


def _folded(reading: Reading) -> Reading:
    text, at = reading.text, reading.at
    if text.isascii():
        return reading
    folded = text.translate(_FOLDS)
    if all(len(_FOLDS[ord(letter)]) == 1 for letter in set(text)):
        return Reading(folded, at)
    places = chain.from_iterable(map(repeat, at, text.translate(_WIDTHS).encode("latin-1")))
    return Reading(folded, [*places, at[-1]])
