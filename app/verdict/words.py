"""How causes are put into words. Pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from app.error_catalog import Slug
from app.ledger.grouping import alike
from app.times import duration

if TYPE_CHECKING:
    from app.ledger.facts import Alike
    from app.verdict.facts import Store

_DAY: Final = 86_400
_LONGEST: Final = 140
_CONSENT = re.compile(r"The consent value '(.*)' is none of ", re.DOTALL)


def span(seconds: float) -> str:
    """`4 s`, `9 h`, `2 h 5 min`."""
    whole = max(round(seconds), 0)
    return f"{whole} s" if whole < 60 else duration(whole)  # noqa: PLR2004 - a minute


def clock(at: float, now: float) -> str:
    """`14:02 UTC`, with the day where it is not today."""
    form = "%H:%M" if at // _DAY == now // _DAY else "%Y-%m-%d %H:%M"
    return f"{datetime.fromtimestamp(at, UTC):{form}} UTC"


def some(number: int, what: str) -> str:
    """`1 webhook`, `1,237 webhooks`."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def waits(number: int) -> str:
    """`1 transfer waits`, `163 transfers wait`."""
    return f"{some(number, 'transfer')} wait{'s' if number == 1 else ''}"


def told_of(group: Alike, store: Store) -> str:
    """What those of a group say, without its full stop; of an unreadable consent its name and its class."""
    value = _CONSENT.search(group.reason or "") if group.error == Slug.SUBSCRIPTION else None
    if value is not None:
        field = store.consent_field or "the consent field"
        return f"{field} holds {_class_of(value[1])} that is neither yes nor no"
    message = alike(group.error, group.reason)
    if len(message) > _LONGEST:
        message = f"{message[:_LONGEST].rpartition(' ')[0]} …"
    return message.rstrip(".")


def own_of(told: str) -> str:
    """That without Stamped.io's own words, which stand behind the status."""
    return told.partition(": ")[0] if told.startswith("HTTP status ") else told


def _class_of(value: str) -> str:
    if value.strip().lstrip("+-").replace(".", "", 1).isdecimal():
        return "a number"
    if value.lstrip().startswith(("{", "[")):
        return "a list or an object"
    return "a word" if re.fullmatch(r"[\w…-]+", value.strip()) else "a text"
