"""What one attempt of a transfer takes and achieves, and how it fails."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

from app.error_catalog import CATALOG, Slug

if TYPE_CHECKING:
    from app.clock import Clock
    from app.ipaas.models import CustomerRecord
    from app.outbound.calls import CallError
    from app.outbound.noting import Call

Action = Literal["created", "updated"]
Subscription = Literal["subscribed", "unsubscribed", "unchanged", "not_mapped"]
NO_CONSENT: Final = "The record carries no consent value; the subscription was left as it is."


@dataclass(frozen=True, slots=True)
class Change:
    """One notification about one customer; `destination` is the iPaaS.com subscription id."""

    customer_id: str
    tracking_guid: str
    destination: str | None = None
    record: CustomerRecord | None = None


@dataclass(frozen=True, slots=True)
class Link:
    """A customer's id at Stamped.io; `written_back`: iPaaS.com knows it, too."""

    external_id: str
    written_back: bool


@dataclass(frozen=True, slots=True)
class Consent:
    """What is known beside the record.

    `no`: a "no" that an earlier record said is due. `said_no`: a "no" is the newest that could be read, and
    `told_to` the Stamped.io id that was told last. `in_doubt`: an earlier call had no answer and may still take
    effect, so no state that is read can be trusted.
    """

    no: bool = False
    said_no: bool = False
    told_to: str | None = None
    in_doubt: bool = False

    def is_no(self, external_id: str | None) -> bool:
        """Whether a "no" comes before what the record says, for the customer with this id at Stamped.io."""
        return self.no or (self.said_no and (self.in_doubt or external_id != self.told_to))


NOTHING_DUE: Final = Consent()


class Links(Protocol):
    """Remembers the link of the customer that is being transferred."""

    async def known(self) -> Link | None:
        """The link of an earlier transfer."""
        ...

    async def unseen(self) -> str | None:
        """The id of the customer that an earlier call created without an answer. Raises CallError."""
        ...

    async def is_anothers(self, external_id: str) -> bool:
        """Whether this Stamped.io id is the link of another customer."""
        ...

    async def remember(self, external_id: str) -> None:
        """Keep a new link, whatever becomes of the rest of the transfer. Idempotent."""
        ...


@dataclass(frozen=True, slots=True)
class StampedAnswer:
    """What Stamped.io said to the call that failed; all null when it was not asked."""

    __pydantic_config__ = {"json_schema_serialization_defaults_required": True}  # noqa: RUF012 - read by pydantic

    operation: str | None = None
    status: int | None = None
    message: str | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """A documented error of a transfer; `retry_after` in seconds."""

    slug: Slug
    status: int
    detail: str
    retryable: bool
    stamped: StampedAnswer = field(default_factory=StampedAnswer)
    retry_after: float | None = None

    @classmethod
    def of(cls, slug: Slug, status: int, reason: object = "", *, retryable: bool, **more: Any) -> Failure:
        """`reason` follows the documented sentence."""
        detail = f"{CATALOG[slug].sentence} {reason}".rstrip()
        return cls(slug, status, detail, retryable=retryable, **more)

    @classmethod
    def of_call(cls, slug: Slug, error: CallError, stamped: StampedAnswer) -> Failure:
        """With the status and the patience that the contract has for such an answer."""
        kind, after = error.kind, error.retry_after
        return cls.of(slug, kind.status, error, retryable=kind.retryable, stamped=stamped, retry_after=after)


class TransferFailed(Exception):
    """The transfer ended in a documented error; what was saved before it stands in `Progress`."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.slug)
        self.failure = failure


@dataclass(slots=True)
class Progress:
    """What a transfer has achieved so far; it outlives a failure. `seconds` holds the duration of each step.

    `told`: the consent that Stamped.io has from now on. `calls`: all that were made, `names`: the person's, which
    are to be kept out of what is told of these.
    """

    action: Action | None = None
    external_id: str | None = None
    subscription: Subscription | None = None
    told: bool | None = None
    written_back: bool = False
    notes: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    names: list[str] = field(default_factory=list)

    def step(self, name: str, clock: Clock) -> Step:
        """Measure a step, also when it fails."""
        return Step(self.seconds, name, clock)


@dataclass(slots=True)
class Step:
    """Notes how many seconds it took."""

    seconds: dict[str, float]
    name: str
    clock: Clock
    _began: float = 0.0

    def __enter__(self) -> None:
        self._began = self.clock.monotonic()

    def __exit__(self, *_: object) -> None:
        self.seconds[self.name] = round(self.clock.monotonic() - self._began, 4)
