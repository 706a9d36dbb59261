"""Whom a transfer is about is shown on asking only: one mask for viewers, pages and the command line."""

from __future__ import annotations

import re
from typing import Any, Final

from app.telemetry.redaction import Redactor, mask_email

_LABELS: Final = frozenset({"customfieldname", "systemname", "tablename"})
_IDS: Final = frozenset({"id", "trackingguid", "customerid", "externalid", "systemid", "internalid", "categoryid"})
_SHOWN: Final = _IDS | _LABELS | {"createddatetime", "updateddatetime"}
_FREE: Final = frozenset({"reason", "detail", "message", "sentence"})
_HIDDEN: Final = "…"
_GUID: Final = re.compile(r"[0-9A-Fa-f-]{32,36}")
_redactor = Redactor()


def masked(transfer: dict[str, Any]) -> dict[str, Any]:
    """A copy of what is told of one without clear e-mail addresses and names, wherever in it they stand."""
    names = names_of(transfer.get("record"))
    return {
        name: _masked(value, "", names) if name == "record" else _without(value, name, names)
        for name, value in transfer.items()
    }


def masked_record(record: dict[str, Any]) -> dict[str, Any]:
    """Ids, dates, what is yes or no, and the begin of an e-mail; anything else may name the person."""
    shown: dict[str, Any] = _masked(record, "", names_of(record))
    return shown


def masked_field(name: str, value: Any) -> Any:
    """Of what is sent to Stamped.io, whose fields have any names: nothing but the begin of an e-mail."""
    if isinstance(value, bool):
        return value
    return mask_email(str(value)) if "email" in _plain(name) else _HIDDEN


def masked_id(text: str | None) -> str | None:
    """An id may be an address."""
    return _redactor.text(text) if text else text


def _masked(value: Any, key: str, names: list[str]) -> Any:
    if isinstance(value, dict):
        return {_redactor.text(each): _masked(item, _plain(each), names) for each, item in value.items()}
    if isinstance(value, list):
        return [_masked(item, key, names) for item in value]
    if value in (None, "") or isinstance(value, bool):
        return value
    if key == "trackingguid" and not _GUID.fullmatch(str(value)):
        return _HIDDEN
    if key in _SHOWN:
        return _redactor.text(value, names=names) if isinstance(value, str) else value
    return mask_email(str(value)) if "email" in key else _HIDDEN


def names_of(record: Any) -> list[str]:
    """Every name in a record, and its parts, which a text that was cut may end with; the longest first."""
    return sorted(_names(record), key=lambda name: (-len(name), name))


def _names(value: Any, key: str = "") -> set[str]:
    if isinstance(value, dict):
        return {name for each, item in value.items() for name in _names(item, _plain(each))}
    if isinstance(value, list):
        return {name for item in value for name in _names(item, key)}
    if isinstance(value, str) and key.endswith("name") and key not in _LABELS:
        return {value.strip(), *value.split()}
    return set()


def _without(value: Any, key: str, names: list[str]) -> Any:
    """Free text may quote the customer; an id may be an address."""
    if isinstance(value, dict):
        return {each: _without(item, each, names) for each, item in value.items()}
    if isinstance(value, list):
        return [_without(item, key, names) for item in value]
    return _redactor.text(value, names=names if key in _FREE else ()) if isinstance(value, str) else value


def _plain(key: str) -> str:
    """`first_name`, `FirstName` → `firstname`."""
    return key.replace("_", "").lower()
