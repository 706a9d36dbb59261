"""Ways to write the same text, as encoders, templates and people do."""

from __future__ import annotations

import html
import json
from collections.abc import Callable, Sequence
from urllib.parse import quote, quote_plus

Spelling = Callable[[str], str]


def _each(letter: Spelling) -> Spelling:
    return lambda text: "".join(map(letter, text))


SPELLINGS: dict[str, Spelling] = {
    "percent": lambda text: quote(text, safe=""),
    "form": quote_plus,
    "percent, each": lambda text: "".join(f"%{byte:02x}" for byte in text.encode()),
    "percent, deep": lambda text: quote(text, safe="").replace("%", "%252525"),
    "percent, utf-16": _each(lambda letter: f"%u{ord(letter):04x}"),
    "reference": _each(lambda letter: letter if letter.isalnum() else f"&#{ord(letter)};"),
    "hex reference": _each(lambda letter: f"&#x{ord(letter):X};"),
    "html": lambda text: html.escape(text).replace("@", "&commat;").replace("ü", "&uuml;"),
    "json": json.dumps,
    "backslash": _each(lambda letter: f"\\u{ord(letter):04X}"),
    "javascript": _each(lambda letter: letter if letter.isalnum() else f"\\u{{{ord(letter):x}}}"),
    "python": lambda text: text.encode("unicode_escape").decode().replace("@", "\\x40").replace("'", "\\'"),
    "fullwidth": _each(lambda letter: chr(ord(letter) + 0xFEE0) if "!" <= letter <= "~" else letter),
    "upper": str.upper,
    "lower": str.lower,
    "zero width": "\u200b".join,
}


def spelled(text: str, ways: Sequence[str]) -> str:
    """In all these ways, one after the other."""
    for way in ways:
        text = SPELLINGS[way](text)
    return text
