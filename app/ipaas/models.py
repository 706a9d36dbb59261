"""What iPaaS.com sends: the notification envelope, read leniently, and the customer record, read strictly."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import cached_property, lru_cache
from typing import Annotated, Any
from uuid import NAMESPACE_URL, UUID, uuid5

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError, WithJsonSchema

MAX_NOTIFICATIONS = 100
ID_LIMIT = 100
_DIGITS = 40  # of an id that is a number
_SCOPE_LIMIT = 60
_WORDS = {"model_type": "Input should be an object.", "dict_type": "Input should be an object."}
_UNLINKED = "DELETED:"
_NO_IDS = {"", ".", ".."}  # the latter two would lead a path elsewhere
_ZEROS = re.compile(r"[{(]?[0-]*[)}]?")
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


def _to_id(value: Any) -> Any:
    """Ids come as numbers or as text; they are kept as text."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        message = "Input should be a number or a string"
        raise ValueError(message)  # noqa: TRY004 - pydantic turns a ValueError into a fault with a pointer
    value = value.strip()
    if value in _NO_IDS or not is_plain(value):
        message = f"Input should be an id of 1 to {ID_LIMIT} printable characters"
        raise ValueError(message)
    return value


def _to_optional_id(value: Any) -> Any:
    return None if value is None or value == "" else _to_id(value)


def _to_external_id(value: Any) -> Any:
    """What is no id does not spoil the rest of the record."""
    return None if isinstance(value, str) and value.strip() in _NO_IDS else _to_optional_id(value)


Id = Annotated[str, BeforeValidator(_to_id), WithJsonSchema({"type": ["string", "integer"]})]
OptionalId = Annotated[str | None, BeforeValidator(_to_optional_id)]


class _Lenient(BaseModel):
    model_config = ConfigDict(extra="allow", frozen=True)


class CustomField(_Lenient):
    """One custom field of a record; a cleared one is absent."""

    custom_field_name: str | None = None
    value: Any = None


class ExternalId(_Lenient):
    """The id of a record in another system (`system_id` = iPaaS.com subscription)."""

    system_id: OptionalId = None
    external_id: Annotated[str | None, BeforeValidator(_to_external_id)] = None


class CustomerRecord(_Lenient):
    """A customer of the Customers API (`v2/Customer/{id}`)."""

    id: OptionalId = None
    tracking_guid: str | None = None
    customer_number: OptionalId = None
    first_name: str | None = None
    last_name: str | None = None
    email_address: str | None = None
    updated_datetime: str | None = None
    custom_fields: list[CustomField] | None = None
    external_ids: list[ExternalId] | None = None

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


class Notification(BaseModel):
    """One change of one record."""

    model_config = ConfigDict(extra="ignore", frozen=True)

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

    @property
    def shown_scope(self) -> str:
        """The plain scope, cut and without anything that is no scope, for logs and answers."""
        return re.sub(r"[^a-z0-9/_.-]", "?", self.plain_scope)[:_SCOPE_LIMIT]


class Envelope(BaseModel):
    """The body of a webhook."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    notifications: Annotated[list[Notification], Field(max_length=MAX_NOTIFICATIONS)]


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


def faults_of(error: ValidationError, *prefix: str) -> list[dict[str, str]]:
    """Each fault as a JSON pointer (RFC 6901) and a sentence, never the input itself."""
    return [
        {
            "pointer": "".join(
                "/" + str(part).replace("~", "~0").replace("/", "~1") for part in (*prefix, *fault["loc"])
            ),
            "detail": _WORDS.get(fault["type"]) or fault["msg"].removeprefix("Value error, ") + ".",
        }
        for fault in error.errors(include_url=False, include_input=False, include_context=False)
    ]
