"""What iPaaS.com sends: the notification envelope, read leniently, and the customer record, read strictly."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import cached_property, lru_cache
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any
from uuid import NAMESPACE_URL, UUID, uuid5

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, WithJsonSchema
from pydantic_core import PydanticCustomError

from app.privacy import names_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

MAX_NOTIFICATIONS = 100
_MOST_ITEMS = 1000  # of a record, each kind
MOST_FAULTS = 100  # are told
ID_LIMIT = 100
_DIGITS = 40  # of an id that is a number
_SCOPE_LIMIT = 60
_WORDS = dict.fromkeys(("model_type", "dict_type", "model_attributes_type"), "Input should be an object.")
_UNLINKED = "DELETED:"
_NO_IDS = {"", ".", ".."}  # the latter two would lead a path elsewhere
_ZEROS = re.compile(r"[{(]?[0-]*[)}]?")
_EXACT = 2**53  # floats beyond may have been another number
_BLANKS = " \t\r\n"
# JSON Schema knows no stripping: between blanks, up to so many printable characters, and not only one or two dots.
ID_PATTERN = rf"^(?![ \t\r\n]*\.{{0,2}}[ \t\r\n]*$)[ \t\r\n]*[^\x00-\x1f\x7f-\x9f]{{1,{ID_LIMIT}}}[ \t\r\n]*$"
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_APART = re.compile(r"[\s,;]+")


def ids_in(text: str) -> list[str]:
    """Customer ids as people list them, apart by blanks, lines, commas or semicolons; each once, in order."""
    return list(dict.fromkeys(part for part in _APART.split(text) if part))


def _to_id(value: Any) -> Any:
    """Ids come as numbers (7.0 is 7, where it is told exactly) or as text, with blanks around; kept as text."""
    if isinstance(value, float) and value.is_integer() and abs(value) < _EXACT:
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value) if abs(value) < 10**ID_LIMIT else ""
    if not isinstance(value, str):
        message = "Input should be a number or a string"
        raise ValueError(message)  # noqa: TRY004 - pydantic turns a ValueError into a fault with a pointer
    value = value.strip(_BLANKS)
    if value in _NO_IDS or not is_plain(value):
        message = f"Input should be an id of 1 to {ID_LIMIT} printable characters"
        raise ValueError(message)
    return value


def _to_optional_id(value: Any) -> Any:
    return None if value is None or value == "" else _to_id(value)


def _to_required_id(value: Any) -> Any:
    if value is None or value == "":
        raise PydanticCustomError("missing", "Field required")
    return _to_id(value)


def _to_external_id(value: Any) -> Any:
    """What is no id does not spoil the rest of the record."""
    try:
        return _to_optional_id(value)
    except ValueError:
        return None


_AN_ID = {"anyOf": [{"type": "string", "pattern": ID_PATTERN}, {"type": "integer"}]}
_AN_ID_OR_NONE = {"anyOf": [*_AN_ID["anyOf"], {"const": ""}, {"type": "null"}]}
Id = Annotated[str, BeforeValidator(_to_id), WithJsonSchema(_AN_ID)]
_WHATEVER: dict[str, Any] = {"description": "An id as others; what is none is left out"}
OptionalId = Annotated[str | None, BeforeValidator(_to_optional_id), WithJsonSchema(_AN_ID_OR_NONE)]


class _Lenient(BaseModel):
    model_config = ConfigDict(extra="allow", frozen=True)


class CustomField(_Lenient):
    """One custom field of a record; a cleared one is absent."""

    custom_field_name: str | None = None
    value: Any = None


class ExternalId(_Lenient):
    """The id of a record in another system (`system_id` = iPaaS.com subscription)."""

    system_id: OptionalId = None
    external_id: Annotated[str | None, BeforeValidator(_to_external_id), WithJsonSchema(_WHATEVER)] = None


class CustomerRecord(_Lenient):
    """A customer of the Customers API (`v2/Customer/{id}`)."""

    id: OptionalId = None
    tracking_guid: str | None = None
    customer_number: OptionalId = None
    first_name: str | None = None
    last_name: str | None = None
    email_address: str | None = None
    updated_datetime: str | None = None
    custom_fields: Annotated[list[CustomField], Field(max_length=_MOST_ITEMS)] | None = None
    external_ids: Annotated[list[ExternalId], Field(max_length=_MOST_ITEMS)] | None = None

    @property
    def names(self) -> list[str]:
        """The person's names, and their parts."""
        return names_of(self.view)

    def custom_field(self, name: str) -> Any:
        """The value of a custom field, its name compared without case; None when it is absent."""
        wanted = name.strip().casefold()
        for field in self.custom_fields or ():
            if (field.custom_field_name or "").strip().casefold() == wanted:
                return field.value
        return None

    def link(self, system_id: str | None) -> str | None:
        """The id of this customer in that system, as far as the record itself knows it: the first valid one."""
        mine = (each for each in self.external_ids or () if system_id is not None and each.system_id == system_id)
        return next(filter(None, (linked(each.external_id) for each in mine)), None)

    @property
    def updated_at(self) -> datetime | None:
        """When the record was changed; None when it doesn't say so readably. No zone = UTC."""
        try:
            moment = datetime.fromisoformat((self.updated_datetime or "").strip())
        except ValueError:
            return None
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)

    @cached_property
    def view(self) -> dict[str, Any]:
        """The record as mapping expressions see it, also under iPaaS.com's PascalCase names."""
        fields = self.model_dump()
        return {_pascal(name): value for name, value in fields.items()} | fields


@lru_cache(maxsize=1000)
def _pascal(name: str) -> str:
    return "".join(part.title() for part in name.split("_"))


class BareRecord(CustomerRecord):
    """A record that is the body of a webhook."""

    model_config = ConfigDict(json_schema_extra={"not": {"required": ["notifications"]}})

    id: Annotated[str, BeforeValidator(_to_required_id), WithJsonSchema(_AN_ID)]


TRANSFERRED = frozenset({"customer/created", "customer/updated"})
_DEBUG = r"(/+[Dd][Ee][Bb][Uu][Gg])?"  # JSON Schema knows no flag that ignores case
_SENT = rf"^\s*/*[Cc][Uu][Ss][Tt][Oo][Mm][Ee][Rr]/+([Cc][Rr][Ee]|[Uu][Pp][Dd])[Aa][Tt][Ee][Dd]{_DEBUG}/*\s*$"
_GIVEN = {"required": ["id"], "properties": {"id": _AN_ID}}
_NAMES_ITS_CUSTOMER: dict[str, Any] = {
    "anyOf": [
        _GIVEN,
        {"required": ["customer"], "properties": {"customer": {"type": "object", **_GIVEN}}},
        {"properties": {"scope": {"not": {"pattern": _SENT}}}},  # is skipped
    ]
}


class Notification(BaseModel):
    """One change of one record."""

    model_config = ConfigDict(extra="ignore", frozen=True, json_schema_extra=_NAMES_ITS_CUSTOMER)

    id: OptionalId = None
    destination: OptionalId = None
    scope: str
    tracking_guid: Any = None
    customer: CustomerRecord | None = None

    @property
    def path(self) -> list[str]:
        """The scope in lower case, in parts: `Customer/Updated/debug` → customer, updated, debug."""
        return [part for part in self.scope.strip().lower().split("/") if part]

    @property
    def debug(self) -> bool:
        """Whether iPaaS.com asks for more in the log."""
        return self.path[-1:] == ["debug"]

    @property
    def plain_scope(self) -> str:
        """The scope without case and without `/debug`."""
        return "/".join(self.path[:-1] if self.debug else self.path)


class Envelope(BaseModel):
    """The body of a webhook."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    notifications: Annotated[list[Notification], Field(max_length=MAX_NOTIFICATIONS)]


class Outline(BaseModel):
    """An envelope whose notifications have not been looked at."""

    model_config = ConfigDict(extra="ignore")

    notifications: Annotated[list[Any], Field(max_length=MAX_NOTIFICATIONS)]


def shown_scope(text: str) -> str:
    """Cut, and without anything that is no scope."""
    return re.sub(r"[^a-z0-9/_.-]", "?", text)[:_SCOPE_LIMIT]


def is_plain(value: str) -> bool:
    """Whether an id from outside can be kept, logged and put into a path: short and printable."""
    return len(value) <= ID_LIMIT and not _UNPRINTABLE.search(value)


def is_endless(value: str) -> bool:
    """A number that is too long for an id of any system."""
    return len(value) > _DIGITS and value.isdecimal()


def linked(external_id: str | None) -> str | None:
    """An external ID, quotes removed, unless it says that it was deleted, or is an endless number."""
    value = (external_id or "").strip().strip('"').strip()
    return None if value in _NO_IDS or value.upper().startswith(_UNLINKED) or is_endless(value) else value


def read_guid(value: Any) -> str | None:
    """A tracking GUID as lower-case text; None when it is missing, all zeros, or no GUID at all."""
    if not isinstance(value, str):
        return None
    try:
        guid = UUID(value.strip())
    except ValueError:
        return None
    return str(guid) if guid.int else None


def guid_for(text: Any) -> str | None:
    """Always the same GUID for the same text, which need be none itself; None for nothing."""
    if not isinstance(text, str) or not text.strip():
        return None
    return read_guid(text) or (None if _ZEROS.fullmatch(text.strip()) else str(uuid5(NAMESPACE_URL, text.strip())))


_RECORD = TypeAdapter(CustomerRecord)


def read_record(value: Any) -> CustomerRecord:
    """Raises pydantic.ValidationError, which names what is wrong."""
    return _RECORD.validate_python(value)


def faults_of(errors: Iterable[Mapping[str, Any]], *, skip: int = 0) -> list[dict[str, str]]:
    """Pydantic's faults as JSON pointers (RFC 6901) and sentences, never the input itself.

    `skip`: so many parts of each place are no part of the pointer.
    """
    return [
        {
            "pointer": "".join(
                "/" + str(part).replace("~", "~0").replace("/", "~1") for part in fault["loc"][skip:]
            ),
            "detail": _WORDS.get(fault["type"]) or fault["msg"].removeprefix("Value error, ") + ".",
        }
        for fault in islice(errors, MOST_FAULTS)
    ]
