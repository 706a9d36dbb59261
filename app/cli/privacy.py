"""Whom a transfer is about is shown on asking only."""

from __future__ import annotations

from typing import Any

from app.telemetry.redaction import Redactor, mask_email

_LABELS = frozenset({"customfieldname", "systemname", "tablename"})
_HIDDEN = ("phone", "mobile", "address", "street", "birth", "company")
_SHOWN = frozenset({"transferid", "trackingguid", "customerid", "externalid", "systemid", "internalid", "id"})


def masked(transfer: dict[str, Any]) -> dict[str, Any]:
    """A copy without clear e-mail addresses and names, wherever in it they stand."""
    record = transfer.get("record")
    names = sorted(_names(record), key=len, reverse=True)
    return {
        name: _record(value, "", names) if name == "record" else _text(value, name, names)
        for name, value in transfer.items()
    }


def _names(value: Any, key: str = "") -> set[str]:
    """Every name in a record, and its parts."""
    if isinstance(value, dict):
        return {name for each, item in value.items() for name in _names(item, _plain(each))}
    if isinstance(value, list):
        return {name for item in value for name in _names(item, key)}
    if isinstance(value, str) and _is_name(key):
        return {value.strip(), *value.split()}
    return set()


def _record(value: Any, key: str, names: list[str]) -> Any:
    if isinstance(value, dict):
        return {each: _record(item, _plain(each), names) for each, item in value.items()}
    if isinstance(value, list):
        return [_record(item, key, names) for item in value]
    if isinstance(value, str | int | float) and not isinstance(value, bool) and value != "":
        return _field(value, key, names)
    return value


def _field(value: float | str, key: str, names: list[str]) -> Any:
    if "email" in key:
        return mask_email(str(value))
    if _is_name(key):
        return f"{str(value)[:1]}…"
    if any(word in key for word in _HIDDEN):
        return "***"
    return _text(value, key, names)


def _text(value: Any, key: str, names: list[str]) -> Any:
    """Free text, which may quote the customer."""
    if isinstance(value, dict):
        return {each: _text(item, _plain(each), names) for each, item in value.items()}
    if isinstance(value, list):
        return [_text(item, key, names) for item in value]
    if isinstance(value, str) and _plain(key) not in _SHOWN:
        return Redactor().text(value, names=names)
    return value


def _is_name(key: str) -> bool:
    return key.endswith("name") and key not in _LABELS


def _plain(key: str) -> str:
    """`first_name`, `FirstName` → `firstname`."""
    return key.replace("_", "").lower()
