"""What a transfer sends to Stamped.io beside what was sent before, field by field. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from app.ipaas.models import read_record
from app.mapping import UnreadableConsent, ValueFault
from app.privacy import masked_field

if TYPE_CHECKING:
    from app.mapping import Mapping

Change = Literal["first", "new", "changed", "removed", "unchanged"]

_CONSENT: Final = "Consent"
_SAID: Final = {True: "yes", False: "no", None: "none in the record"}


@dataclass(frozen=True, slots=True)
class Field:
    """One of Stamped.io's; None = it is left out of the call. Its `change` is that of the clear values."""

    name: str
    was: str | None
    now: str | None
    change: Change


@dataclass(frozen=True, slots=True)
class Comparison:
    """`fault`: why the record cannot be mapped: no fields then. `alone`: there is nothing to compare to."""

    fields: list[Field]
    alone: bool
    fault: str | None = None


@dataclass(frozen=True, slots=True)
class _Mapped:
    """In the clear, and as it may be shown."""

    clear: dict[str, Any]
    shown: dict[str, str]


def compare(mapping: Mapping, record: str, before: str | None, *, asked: bool) -> Comparison:
    """Two records (JSON), mapped as the connection maps today; masked until somebody `asked`."""
    try:
        now = _mapped(mapping, record, asked=asked)
    except ValueFault as fault:
        return Comparison([], alone=True, fault=str(fault))
    try:
        was = _mapped(mapping, before, asked=asked) if before else None
    except ValueFault:  # it was sent by another mapping
        was = None
    names = dict.fromkeys([*(was.clear if was else ()), *now.clear])
    names = dict.fromkeys([*(name for name in names if name != _CONSENT), _CONSENT])
    fields = [_field(name, was, now) for name in names]
    return Comparison(fields, alone=was is None)


def text_of(value: Any) -> str:
    """Of a record, for people."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2)


def _field(name: str, was: _Mapped | None, now: _Mapped) -> Field:
    is_there, was_there = name in now.clear, was is not None and name in was.clear
    change: Change = "unchanged"
    if was is None:
        change = "first"
    elif not was_there:
        change = "new"
    elif not is_there:
        change = "removed"
    elif was.clear[name] != now.clear[name]:
        change = "changed"
    return Field(name, was.shown.get(name) if was else None, now.shown.get(name), change)


def _mapped(mapping: Mapping, text: str, *, asked: bool) -> _Mapped:
    """Raises ValueFault."""
    record = read_record(json.loads(text))
    body = mapping.fields(record).body
    consent, told = _SAID[None], _SAID[None]
    if mapping.subscribed is None:
        consent = told = "not mapped"
    else:
        try:
            consent = told = _SAID[mapping.wants_subscription(record)]
        except UnreadableConsent as unreadable:
            consent, told = str(unreadable), f"cannot be read: {unreadable}" if asked else "cannot be read"
        except ValueFault as fault:
            consent = told = str(fault)
    shown = {name: text_of(value if asked else masked_field(name, value)) for name, value in body.items()}
    return _Mapped(body | {_CONSENT: consent}, shown | {_CONSENT: told})
