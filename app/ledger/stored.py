"""A transfer as it is stored. Pure."""

from __future__ import annotations

import json
import secrets
import uuid
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Literal

from app.attempt import Action, Failure, StampedAnswer, Subscription
from app.error_catalog import Slug
from app.ipaas.models import CustomerRecord, read_record
from app.ledger.tables import FINAL
from app.outbound import noting

if TYPE_CHECKING:
    from collections.abc import Mapping

    from app.outbound.noting import Call
    from app.outbound.pauses import Pause

Status = Literal["accepted", "running", "waiting", "succeeded", "skipped", "failed", "cancelled"]
Trigger = Literal["webhook", "manual", "sync", "verify"]


@dataclass(frozen=True)
class Stored:
    """One row of `transfers`; times are seconds since 1970, UTC.

    Made without its constructor, which costs ten times as much for so many fields: every webhook makes five.
    """

    seq: int
    id: str
    connection: str
    customer_id: str | None
    tracking_guid: str
    repeat_key: str | None
    destination: str | None
    traceparent: str | None
    scope: str
    trigger: Trigger
    debug: bool
    loading: bool
    place: int | None
    entered: int | None
    record: str | None
    fetched: bool
    record_hash: str | None
    email_hash: str | None
    changed_at: float | None
    consent: bool | None
    status: Status
    promised: bool
    tries: int
    attempts: int
    next_attempt_at: float | None
    rank: int
    owner: str | None
    action: Action | None
    external_id: str | None
    subscription: Subscription | None
    reason: str | None
    error: str | None
    stamped_status: int | None
    failure_group: str | None
    failure: str | None
    before: str | None
    superseded_by: str | None
    created_at: float
    day: int
    started_at: float | None
    finished_at: float | None
    pause: Pause | None = None
    """Why it waits, where its connection is paused; not stored."""

    @classmethod
    def of(cls, row: Mapping[Any, Any]) -> Stored:
        """From a row's mapping."""
        made = object.__new__(cls)
        made.__dict__.update(row)
        return made

    def but(self, values: Mapping[str, Any]) -> Stored:
        """With other values."""
        return Stored.of({**self.__dict__, **values})

    @property
    def always_sends(self) -> bool:
        """It asks for an attempt, whatever its record is worth: a run by hand, or a verification."""
        return self.trigger != "webhook"

    @property
    def brings_nothing(self) -> bool:
        """It has no record that somebody else sent: done as soon as what is wanted is applied."""
        return self.always_sends and (self.fetched or self.record_hash is None)

    @property
    def is_final(self) -> bool:
        """Whether nothing happens to it any more by itself."""
        return self.status in FINAL

    def customer_record(self) -> CustomerRecord | None:
        """The record that came along; None = fetch it."""
        return read_record(json.loads(self.record)) if self.record else None

    def documented_failure(self) -> Failure | None:
        """The error of the last attempt."""
        return load_failure(self.failure)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt; times are seconds since 1970, UTC, and `steps` has the seconds of each of its steps."""

    number: int
    started_at: float
    finished_at: float
    outcome: str
    failure: Failure | None
    steps: dict[str, float]
    calls: list[Call]

    @classmethod
    def of(cls, row: Mapping[Any, Any]) -> Attempt:
        """From a row of `attempts`."""
        return cls(
            row["number"],
            row["started_at"],
            row["finished_at"],
            row["outcome"],
            load_failure(row["failure"]),
            json.loads(row["steps"]),
            noting.load(row["calls"]),
        )


def new_id(now: float) -> str:
    """A UUID of version 7: sorted by time."""
    milliseconds = int(now * 1000) & ((1 << 48) - 1)
    value = milliseconds << 80 | 0x7 << 76 | secrets.randbits(12) << 64 | 0b10 << 62 | secrets.randbits(62)
    return str(uuid.UUID(int=value))


def dump_record(record: CustomerRecord) -> str:
    """The record as JSON, always the same for the same record."""
    return json.dumps(record.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))


def hashed(text: str) -> str:
    """What stays of a record, or finds an e-mail, when the text itself must not."""
    return sha256(text.encode()).hexdigest()


def hash_email(email: str) -> str:
    """Ignores case and white space around."""
    return hashed(email.strip().casefold())


def dump_failure(failure: Failure | None) -> str | None:
    """As JSON."""
    return json.dumps(asdict(failure)) if failure else None


def load_failure(text: str | None) -> Failure | None:
    """The inverse of `dump_failure`."""
    if text is None:
        return None
    fields = json.loads(text)
    return Failure(**fields | {"slug": Slug(fields["slug"]), "stamped": StampedAnswer(**fields["stamped"])})
