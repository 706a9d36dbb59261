"""Which transfers are meant: filters as they are written, for the ledger. Strict where a slip would be costly."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    StrictBool,
    StrictInt,
)
from pydantic_core import CoreSchema, core_schema

from app.error_catalog import Slug
from app.ipaas.models import Id
from app.ledger.grouping import Tag
from app.ledger.reports import LIST_LIMIT, Filter
from app.ledger.stored import Status
from app.ledger.tables import PENDING, RERUNNABLE
from app.times import Time

DEFAULT_LIMIT = 50
MAX_SYNC_IDS = MAX_CHOSEN = 3000
_DAY = 86_400
_ABOUT_THE_CALL = {"limit", "dry_run", "first", "tag", "format"}
_STATUS: Any = Field(ge=100, le=599)
_REFUSED_WITH: Any = Field(None, description="The HTTP status that Stamped.io answered")


def _digits(value: Any) -> Any:
    """Pydantic takes `1_0`, too."""
    if isinstance(value, str) and not re.fullmatch(r"-?\d{1,19}", value, re.ASCII):
        message = "Input should be a valid integer, unable to parse string as an integer"
        raise ValueError(message)
    return value


def _whole(value: Any) -> Any:
    """In JSON, 401.0 is 401."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


_Limit = Annotated[int, Field(ge=1, le=LIST_LIMIT), BeforeValidator(_digits)]
_Most = Annotated[int, Field(ge=1, le=2**62), BeforeValidator(_digits)]
_Cursor = Annotated[int, Field(ge=0, le=2**62), BeforeValidator(_digits)]
GROUP_PATTERN = r"^[0-9a-f]{12}$"
_Group = Annotated[str, Field(pattern=GROUP_PATTERN, examples=["088c64560262"])]
_Hash = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
_SOME_TEXT = r"^[^\x00-\x1f\x7f-\x9f]*[^\x00-\x20\x7f-\xa0][^\x00-\x1f\x7f-\x9f]*$"
_Words = Annotated[str, Field(min_length=1, max_length=200, pattern=_SOME_TEXT)]
_TransferId = Annotated[
    str, Field(pattern=r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"), AfterValidator(str.lower)
]
Format = Literal["csv", "json"]


class OrEmpty:
    """In a query, where an empty value is none, and nothing is null."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Around the value's own."""
        return core_schema.no_info_before_validator_function(
            lambda value: None if value == "" else value, handler(source)
        )

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """The value's own, or empty."""
        shown = handler(schema)
        kinds = [each for each in shown.get("anyOf", [shown]) if each != {"type": "null"}]
        return {"anyOf": [*kinds, {"const": ""}]}


class _Filters(BaseModel):
    """What narrows every list and every re-run of many, as it is written in JSON."""

    model_config = ConfigDict(extra="forbid")

    customer_id: Id | None = Field(None, description="iPaaS.com's customer id")
    error: Slug | None = Field(None, description="The slug of a documented error")
    stamped_status: Annotated[StrictInt, _STATUS, BeforeValidator(_whole)] | None = _REFUSED_WITH
    group: _Group | None = Field(None, description="Those that failed alike: `group` of `GET /errors/groups`")
    since: Time | None = Field(None, description="Received then or later; no zone = UTC")
    until: Time | None = Field(None, description="Received before; no zone = UTC")
    connection: Id | None = Field(None, description="Those of one connection")
    words: _Words | None = Field(
        None,
        description="Those that failed alike, where the newest of them says all of these words, in any case",
        examples=["key not valid"],
    )

    @property
    def filter(self) -> Filter:
        """For the ledger."""
        return Filter(**self.model_dump(exclude=_ABOUT_THE_CALL))


class SyncRequest(BaseModel):
    """Which customers to send again."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"customer_ids": ["150713", "150714"]}]}
    )

    customer_ids: list[Id] = Field(min_length=1, max_length=MAX_SYNC_IDS)


class _Chosen(_Filters):
    """The same where some may be chosen one by one, too."""

    transfer_ids: list[_TransferId] | None = Field(
        None, min_length=1, max_length=MAX_CHOSEN, description="Of these only"
    )


class RetryFilter(_Chosen):
    """Which transfers to run again; a dry run only counts them."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"status": "failed", "dry_run": True}]})

    status: Literal["failed", "cancelled", "waiting"] = Field(
        "failed", description="Left out beside `transfer_ids`: all of these that can run again"
    )
    dry_run: StrictBool = False
    first: StrictBool = Field(
        default=False, description="Run one first, and the rest only when that one has succeeded"
    )

    @property
    def filter(self) -> Filter:
        """For the ledger."""
        said = self.status if "status" in self.model_fields_set else None
        return rerunnable(replace(super().filter, status=said))


class CancelFilter(_Chosen):
    """Which transfers to cancel, of those that have not begun; a dry run only counts them."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"customer_id": "150713", "dry_run": True}]})

    status: Literal["accepted", "waiting"] | None = Field(None, description="Only these")
    dry_run: StrictBool = False

    @property
    def filter(self) -> Filter:
        """For the ledger."""
        return replace(super().filter, among=PENDING)


class RevealFilter(_Chosen):
    """Which transfers to export with e-mails and names."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"status": "failed", "format": "csv"}]})

    status: Status | None = Field(None, description="Only these")
    format: Format = "csv"


class _Asked(_Filters):
    """The same in a query."""

    stamped_status: Annotated[int, _STATUS, BeforeValidator(_digits)] | None = _REFUSED_WITH

    @classmethod
    def __pydantic_init_subclass__(cls, **_: Any) -> None:
        """Each value may be empty."""
        for field in cls.model_fields.values():
            if not any(isinstance(each, OrEmpty) for each in field.metadata):
                field.metadata = [*field.metadata, OrEmpty()]
        cls.model_rebuild(force=True)


class ListFilter(_Asked):
    """Which transfers to list."""

    status: Status | None = Field(None, description="Only these")
    tracking_guid: Annotated[Id, AfterValidator(str.lower)] | None = Field(
        None, description="The notification's tracking GUID"
    )
    sync_id: Id | None = Field(None, description="Those of one sync")
    email_hash: _Hash | None = Field(None, description="SHA-256 of the customer's e-mail in lower case, in hex")
    limit: _Limit | None = Field(DEFAULT_LIMIT, description="How many at most")
    cursor: _Cursor | None = Field(None, description="`next` of the page before")


class Narrowed(BaseModel):
    """What one connection alone is asked of."""

    model_config = ConfigDict(extra="forbid")

    connection: Annotated[Id | None, OrEmpty()] = Field(None, description="Only this one and what concerns all")


class ExportFilter(ListFilter):
    """Which transfers to export."""

    format: Format | None = Field("csv", description="How it is written")
    limit: _Most | None = Field(None, description="How many at most")


class GroupFilter(_Asked):
    """Which failed transfers to group: those of the last 24 hours, where nothing else is said."""

    tag: Tag | None = Field(None, description="Only those that this mends: new keys, other data, or time alone")

    def at(self, now: float) -> Filter:
        """For the ledger, with both ends."""
        until = ending(now) if self.until is None else self.until
        since = until - _DAY if self.since is None else self.since
        return replace(self.filter, status="failed", since=since, until=until)


class RejectionFilter(BaseModel):
    """Which rejections to list."""

    model_config = ConfigDict(extra="forbid")

    since: Annotated[Time | None, OrEmpty()] = Field(None, description="Then or later; no zone = UTC")
    until: Annotated[Time | None, OrEmpty()] = Field(None, description="Before; no zone = UTC")
    limit: Annotated[_Limit | None, OrEmpty()] = Field(LIST_LIMIT, description="How many at most")
    cursor: Annotated[_Cursor | None, OrEmpty()] = Field(None, description="`next` of the page before")


def read_group(text: str) -> bool:
    """Whether it can be the name of a group."""
    return re.fullmatch(GROUP_PATTERN.strip("^$"), text, re.ASCII) is not None


def rerunnable(wanted: Filter) -> Filter:
    """Those that run again: of chosen ones all that can, else the failed ones, where no status is said."""
    if wanted.status is not None:
        return wanted
    if wanted.transfer_ids is not None:
        return replace(wanted, among=RERUNNABLE)
    return replace(wanted, status="failed")


def ending(now: float) -> float:
    """An end in whole seconds that is not over yet, so that nothing which is stored by now is left out."""
    return math.floor(now) + 1.0
