"""What somebody looks for who writes into the one search box. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

from app.ipaas.models import read_guid

Kind = Literal["nothing", "guid", "customer", "email", "words"]

_NAMED: Final = re.compile(r"(customer|guid|transfer|words?|message)(?: id)?\s*:\s*(\S.*)", re.IGNORECASE)
# of a page or a call: its last part; the begin has no ? or #, so that nothing is looked at again and again
_ADDRESS: Final = re.compile(r"[^?#\s]+/([^/?#\s]+)/?(?:[?#]\S*)?")
_AROUND: Final = "<>()[]{}\"'“”«»,;"
_QUOTED: Final = re.compile(r"[\"“«](.+)[\"”»]")


@dataclass(frozen=True, slots=True)
class Search:
    """`guid`: of a transfer or a notification; an `email` may stand in no address."""

    kind: Kind
    value: str = ""


def read_search(text: str) -> Search:
    """One word with a digit is a customer id, a text with an e-mail in it is that e-mail; what is quoted is words.

    `customer: 401`, `words: 401` and so on say what is meant.
    """
    text = " ".join(text.split())
    email = next((word for word in map(_tidy, text.split()) if "@" in word.strip("@")), None)
    if email:
        return Search("email", email)
    named = _NAMED.fullmatch(text)
    meant, text = (named[1].lower(), named[2]) if named else ("", text)
    quoted, address = _QUOTED.fullmatch(text), _ADDRESS.fullmatch(text)
    guid = read_guid(address[1] if address else _tidy(text))
    if meant == "customer":
        return Search("customer", text)
    if guid and meant in {"", "guid", "transfer"}:
        return Search("guid", guid)
    is_id = not (meant or quoted or address or " " in text) and any(map(str.isdecimal, text))
    if is_id:
        return Search("customer", text)
    return Search("words", quoted[1] if quoted else text) if text else Search("nothing")


def _tidy(word: str) -> str:
    return word.strip(_AROUND).removeprefix("mailto:")
