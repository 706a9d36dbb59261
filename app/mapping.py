"""iPaaS.com's record → Stamped.io's customer and the desired subscription, by JMESPath expressions."""

from __future__ import annotations

import json
import re
import tomllib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import jmespath
from jmespath import exceptions as jmespath_errors
from jmespath import functions
from jmespath.visitor import Options

from app.outbound.calls import printable
from app.privacy import names_of

if TYPE_CHECKING:
    from collections import abc
    from collections.abc import Callable

    from jmespath.parser import ParsedResult

    from app.ipaas.models import CustomerRecord

BUILT_IN = """\
[customer]
email = "email_address"
firstName = "first_name"
lastName = "last_name"
externalId = "customer_number"
"""

_YES = frozenset({"true", "1", "yes", "y", "subscribed", "on"})
_NO = frozenset({"false", "0", "no", "n", "unsubscribed", "off"})
_CONSENT_WORDS = "true/false, 1/0, yes/no, y/n, subscribed/unsubscribed, on/off"
_SHOWN_VALUE = 50
_APART = r"@\s,;<>()\"\x00-\x1f\x7f"
_LABEL = rf"[^{_APART}.-](?:[^{_APART}.]*[^{_APART}.-])?"
_EMAIL = re.compile(rf"[^{_APART}]+@{_LABEL}(?:\.{_LABEL})+")
_EMAIL_LIMIT = 254  # RFC 5321, 4.5.3.1.3, less the angle brackets


class MappingFault(Exception):
    """The mapping file cannot be used; the text names line and column."""


class ValueFault(Exception):
    """A record does not yield what the mapping needs; the text names field and reason, not the person."""


class UnreadableConsent(Exception):
    """The consent value is no yes and no no; it never subscribes anyone. The text names the value."""

    def __init__(self, value: str) -> None:
        super().__init__(value)
        self._value = value

    def __str__(self) -> str:
        return self.told(str)

    def told(self, hide: Callable[[str], str]) -> str:
        """With what `hide` leaves of the value; cut after that, for half an address is not known for one."""
        shown = printable(hide(self._value))
        shown = shown if len(shown) <= _SHOWN_VALUE else shown[: _SHOWN_VALUE - 1] + "…"
        return f"The consent value '{shown}' is none of {_CONSENT_WORDS}."


@dataclass(frozen=True, slots=True)
class StampedFields:
    """The body of an upsert, and the e-mail that identifies the customer at Stamped.io."""

    email: str
    body: dict[str, Any]

    @property
    def names(self) -> list[str]:
        """The person's names, to be kept out of error texts."""
        return names_of(self.body)


@dataclass(frozen=True, slots=True)
class _Expression:
    target: str
    parsed: ParsedResult
    name: str | None = None  # where it is a field's name, or custom_field() of one, and nothing else
    is_custom: bool = False

    def value(self, record: CustomerRecord) -> Any:
        try:
            found = self._found(record)
        except (jmespath_errors.JMESPathError, TypeError, ValueError) as error:  # of its functions
            message = f"The mapping of {self.target} does not fit this record ({type(error).__name__})."
            raise ValueFault(message) from None
        return found.strip() if isinstance(found, str) else found

    def _found(self, record: CustomerRecord) -> Any:
        if self.name is None:
            return self.parsed.search(record.view, Options(custom_functions=_RecordFunctions(record)))
        return record.custom_field(self.name) if self.is_custom else record.view.get(self.name)


@dataclass(frozen=True, slots=True)
class Mapping:
    """A compiled mapping. Pure: the same record gives the same result."""

    customer: tuple[_Expression, ...]
    subscribed: _Expression | None = field(default=None)

    def fields(self, record: CustomerRecord) -> StampedFields:
        """Stamped.io's fields; null and empty results are left out. Raises ValueFault, also without an e-mail."""
        body = {each.target: each.value(record) for each in self.customer}
        body = {name: value for name, value in body.items() if value is not None and value not in ("", [], {})}
        email = body.get("email")
        if email is None:
            message = "The record has no e-mail address."
            raise ValueFault(message)
        if not isinstance(email, str) or len(email) > _EMAIL_LIMIT or not _EMAIL.fullmatch(email):
            message = "The record's e-mail address is not valid."
            raise ValueFault(message)
        return StampedFields(email, body)

    def wants_subscription(self, record: CustomerRecord) -> bool | None:
        """The consent; None when the record has none. Raises UnreadableConsent and ValueFault."""
        if self.subscribed is None:
            return None
        return read_consent(self.subscribed.value(record))

    def readable_consent(self, record: CustomerRecord) -> bool | None:
        """The same, where what cannot be read counts as absent."""
        try:
            return self.wants_subscription(record)
        except (UnreadableConsent, ValueFault):
            return None


def read_consent(value: Any) -> bool | None:
    """True, False, or None for no consent value. Raises UnreadableConsent, naming the value."""
    if value is None or value in ("", [], {}):
        return None
    word = str(value).strip().lower() if isinstance(value, str | int) else ""
    if word in _YES:
        return True
    if word in _NO:
        return False
    raise UnreadableConsent(str(value))


def load_mapping(
    text: str | bytes = BUILT_IN, *, subscription_field: str | None = None, source: str = "mapping"
) -> Mapping:
    """Compile a mapping file's text. `subscription_field` is short for `custom_field('…')`.

    Raises MappingFault with the line and column of the first fault.
    """
    text = _decoded(text, source) if isinstance(text, bytes) else text
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        message = f"{source}: {error}"
        raise MappingFault(message) from None
    except RecursionError:
        message = f"{source}: it is nested too deeply"
        raise MappingFault(message) from None
    for name, table in tables.items():
        if name not in {"customer", "subscription"} or not isinstance(table, dict):
            raise _fault(source, text, name, f"[{name}] is not known; use [customer] and [subscription]")
    customer: dict[str, Any] = tables.get("customer", {})
    subscription: dict[str, Any] = tables.get("subscription", {})
    for name in subscription:
        if name != "subscribed":
            raise _fault(source, text, name, f"{name} is not known; [subscription] has only `subscribed`")
    if "email" not in customer:
        raise _fault(
            source, text, "[customer]", "[customer] must map `email`, which Stamped.io knows customers by"
        )
    if subscription_field and "subscribed" in subscription:
        reason = "`subscribed` is mapped here and by SUBSCRIPTION_FIELD; keep one of them"
        raise _fault(source, text, "subscribed", reason)
    if subscription_field:
        quoted = json.dumps(subscription_field).replace("`", "\\u0060")
        subscription = {"subscribed": f"custom_field(`{quoted}`)"}
    return Mapping(
        customer=tuple(_compile(source, text, name, value) for name, value in customer.items()),
        subscribed=_compile(source, text, "subscribed", subscription["subscribed"]) if subscription else None,
    )


def _decoded(text: bytes, source: str) -> str:
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError as error:
        before = text[: error.start].decode("utf-8")
        raise _fault(source, before, "", "it is not UTF-8", len(before)) from None


def _compile(source: str, text: str, target: str, expression: Any) -> _Expression:
    if not isinstance(expression, str) or not expression.strip():
        raise _fault(source, text, target, f"{target} must be a JMESPath expression in quotes")
    try:
        parsed = jmespath.compile(expression)
    except RecursionError:
        raise _fault(source, text, target, f"{target} is nested too deeply") from None
    except jmespath_errors.JMESPathError as error:
        offset = getattr(error, "lex_position", 0) or 0
        reason = f"{target} is not a JMESPath expression ({type(error).__name__})"
        raise _fault(source, text, expression, reason, offset) from None
    for name, arguments in _called(parsed.parsed):
        if name not in _RecordFunctions.FUNCTION_TABLE:
            raise _fault(source, text, expression, f"{target} calls {name}(), which does not exist")
        signature = _RecordFunctions.FUNCTION_TABLE[name]["signature"]
        variadic = bool(signature) and signature[-1].get("variadic", False)
        if arguments < len(signature) or (arguments > len(signature) and not variadic):
            raise _fault(source, text, expression, f"{target} calls {name}() with {arguments} arguments")
    return _Expression(target, parsed, *_plain(parsed.parsed))


def _plain(node: abc.Mapping[str, Any]) -> tuple[str | None, bool]:
    """What needs no JMESPath: a field's name, or custom_field() of a literal; and whether it is the latter."""
    if node["type"] == "field":
        return node["value"], False
    arguments = node["children"] if node["type"] == "function_expression" else []
    is_custom = node.get("value") == "custom_field" and [each["type"] for each in arguments] == ["literal"]
    name = arguments[0]["value"] if is_custom else None
    return (name, True) if isinstance(name, str) else (None, False)


def _called(node: abc.Mapping[str, Any]) -> list[tuple[str, int]]:
    """The functions that an expression calls, and the number of arguments of each."""
    children = [child for child in node.get("children", ()) if isinstance(child, dict)]
    own = [(node["value"], len(children))] if node.get("type") == "function_expression" else []
    return own + [call for child in children for call in _called(child)]


def _fault(source: str, text: str, needle: str, reason: str, offset: int = 0) -> MappingFault:
    """Points at `needle` in the file, as a whole word where it is one."""
    found = re.search(rf"(?<![\w]){re.escape(needle)}", text)
    position = min((found.start() if found else 0) + offset, len(text))
    line = text.count("\n", 0, position) + 1
    column = position - (text.rfind("\n", 0, position) + 1) + 1
    return MappingFault(f"{source}: {reason} (at line {line}, column {column})")


class _RecordFunctions(functions.Functions):
    """JMESPath's functions, and `custom_field('Name')` of the record at hand."""

    def __init__(self, record: CustomerRecord) -> None:
        self._record = record

    @functions.signature({"types": ["string"]})
    def _func_custom_field(self, name: str) -> Any:
        return self._record.custom_field(name)
