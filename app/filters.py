"""Which transfers are meant: filters as they are written, for the ledger. Strict where a slip would be costly."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    StrictBool,
    WithJsonSchema,
)
from pydantic_core import CoreSchema, core_schema

from app.catalog import Slug
from app.ipaas.models import Id
from app.ledger.reports import LIST_LIMIT, Filter
from app.ledger.stored import Status

DEFAULT_LIMIT = 50
MAX_SYNC_IDS = 3000
_WRITTEN = {"anyOf": [{"type": "string", "format": kind} for kind in ("date-time", "date")]}
_NO_TIME = "Input should be a date and time such as 2026-11-24T12:30:00Z"
_TIME = re.compile(
    r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?:Z|[+-]\d\d:?\d\d)?)?", re.ASCII | re.IGNORECASE
)


def _digits(value: Any) -> Any:
    """Pydantic takes `1_0`, too."""
    if isinstance(value, str) and not re.fullmatch(r"-?\d{1,19}", value, re.ASCII):
        message = "Input should be a valid integer, unable to parse string as an integer"
        raise ValueError(message)
    return value


_Limit = Annotated[int, Field(ge=1, le=LIST_LIMIT), BeforeValidator(_digits)]
_Cursor = Annotated[int, Field(ge=0, le=2**62), BeforeValidator(_digits)]


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


def read_time(value: Any) -> float:
    """Seconds since 1970 of an ISO 8601 text; no zone = UTC. Raises ValueError, also for a number."""
    if not isinstance(value, str) or not _TIME.fullmatch(value.strip()):
        raise ValueError(_NO_TIME)
    try:
        moment = datetime.fromisoformat(value.strip().upper())
    except ValueError:
        raise ValueError(_NO_TIME) from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


Time = Annotated[float, BeforeValidator(read_time), WithJsonSchema(_WRITTEN)]


class ListFilter(BaseModel):
    """Which transfers to list."""

    model_config = ConfigDict(extra="forbid")

    status: Annotated[Status | None, OrEmpty()] = Field(None, description="Only these")
    customer_id: Annotated[Id | None, OrEmpty()] = Field(None, description="iPaaS.com's customer id")
    error: Annotated[Slug | None, OrEmpty()] = Field(None, description="The slug of a documented error")
    since: Annotated[Time | None, OrEmpty()] = Field(None, description="Received then or later; no zone = UTC")
    tracking_guid: Annotated[Id | None, OrEmpty()] = Field(None, description="The notification's tracking GUID")
    sync_id: Annotated[Id | None, OrEmpty()] = Field(None, description="Those of one sync")
    limit: Annotated[_Limit | None, OrEmpty()] = Field(DEFAULT_LIMIT, description="How many at most")
    cursor: Annotated[_Cursor | None, OrEmpty()] = Field(None, description="`next` of the page before")

    @property
    def filter(self) -> Filter:
        """For the ledger."""
        return Filter(**self.model_dump(exclude={"limit"}))


class SyncRequest(BaseModel):
    """Which customers to send again."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"customer_ids": ["150713", "150714"]}]})

    customer_ids: list[Id] = Field(min_length=1, max_length=MAX_SYNC_IDS)


class RetryFilter(BaseModel):
    """Which transfers to run again; a dry run only counts them."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"status": "failed", "dry_run": True}]}
    )

    status: Literal["failed", "cancelled"] = "failed"
    error: Slug | None = None
    since: Time | None = None
    dry_run: StrictBool = False

    @property
    def filter(self) -> Filter:
        """For the ledger."""
        return Filter(**self.model_dump(exclude={"dry_run"}))
