"""The flow "Add/Update Stamped.io Customer FROM iPaaS.com": upsert, then reconcile the subscription.

The whole of it is idempotent: run again from the start, it changes nothing twice. It knows of no HTTP server.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Literal, Protocol

from app.calls import CallError, Kind
from app.catalog import CATALOG, Slug
from app.mapping import UnreadableConsent, ValueFault

if TYPE_CHECKING:
    from collections.abc import Iterator

    from app.clock import Clock
    from app.connection import Connection
    from app.ipaas.models import CustomerRecord
    from app.mapping import StampedFields
    from app.stamped.models import StampedCustomer
    from app.tries import Tries

Action = Literal["created", "updated"]
Subscription = Literal["subscribed", "unsubscribed", "unchanged", "not_mapped"]


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


class Links(Protocol):
    """Remembers the link of the customer that is being transferred."""

    async def known(self) -> Link | None:
        """The link of an earlier transfer."""
        ...

    async def remember(self, external_id: str) -> None:
        """Keep a new link, whatever becomes of the rest of the transfer. Idempotent."""
        ...


@dataclass(frozen=True, slots=True)
class StampedAnswer:
    """What Stamped.io said to the call that failed; all None when it was not asked."""

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


class TransferFailed(Exception):
    """The transfer ended in a documented error; what was saved before it stands in `Progress`."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.slug)
        self.failure = failure


@dataclass(slots=True)
class Progress:
    """What a transfer has achieved so far; it outlives a failure. `seconds` holds the duration of each step."""

    action: Action | None = None
    external_id: str | None = None
    subscription: Subscription | None = None
    written_back: bool = False
    notes: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def step(self, name: str, clock: Clock) -> Iterator[None]:
        """Measure a step, also when it fails."""
        began = clock.monotonic()
        try:
            yield
        finally:
            self.seconds[name] = round(clock.monotonic() - began, 4)


async def run_transfer(  # noqa: PLR0913 - what the flow runs on
    change: Change,
    record: CustomerRecord,
    connection: Connection,
    links: Links,
    tries: Tries,
    clock: Clock,
    progress: Progress,
) -> None:
    """Bring one customer to Stamped.io and note in `progress` what was done. Raises TransferFailed."""
    fields = _map(record, connection)
    with progress.step("link", clock):
        link = await _known_link(change, record, fields, connection, links, tries)
    if link is not None:  # saved before, whatever comes now
        progress.external_id, progress.written_back = link.external_id, link.written_back
    with progress.step("upsert", clock):
        saved = await _upsert(link, fields, connection, tries, progress)
    if link is None or link.external_id != saved.id:
        await links.remember(saved.id)
        link = Link(saved.id, written_back=False)
    progress.written_back = link.written_back
    if not link.written_back:
        with progress.step("write_back", clock):
            await _write_back(change, saved.id, fields, connection, tries, progress)
    with progress.step("subscription", clock):
        await _reconcile(record, fields, saved, connection, tries, progress)


async def load_record(change: Change, connection: Connection, tries: Tries) -> CustomerRecord:
    """The record that came along, else the one at iPaaS.com. Raises TransferFailed."""
    if change.record is not None:
        return change.record
    ipaas = connection.ipaas
    if ipaas is None:
        reason = (
            "No record came along or was received before, and IPAAS_API_URL is not set, so none can be fetched."
        )
        raise TransferFailed(_refusal(Slug.NOT_LOADED, reason))
    with _failing_as(Slug.NOT_LOADED, connection):
        return await tries(lambda: ipaas.customer(change.customer_id, change.tracking_guid))


def _map(record: CustomerRecord, connection: Connection) -> StampedFields:
    try:
        return connection.mapping.fields(record)
    except ValueFault as fault:
        raise TransferFailed(_refusal(Slug.CUSTOMER, str(fault))) from None


async def _known_link(  # noqa: PLR0913 - the flow's own parts
    change: Change,
    record: CustomerRecord,
    fields: StampedFields,
    connection: Connection,
    links: Links,
    tries: Tries,
) -> Link | None:
    """The link decides create or update, not the scope."""
    ipaas, destination = connection.ipaas, change.destination
    told = record.link(destination)
    if told is not None:
        return Link(told, written_back=True)
    with _failing_as(Slug.CUSTOMER, connection, fields):
        known = await links.known()
    if known is not None or ipaas is None or destination is None:
        return known
    with _failing_as(Slug.NOT_LOADED, connection, fields):
        found = await tries(lambda: ipaas.external_id(change.customer_id, destination))
    return Link(found, written_back=True) if found else None


async def _upsert(
    link: Link | None, fields: StampedFields, connection: Connection, tries: Tries, progress: Progress
) -> StampedCustomer:
    stamped = connection.stamped
    with _failing_as(Slug.CUSTOMER, connection, fields):
        saved = None
        if link is not None:
            try:
                saved = await tries(lambda: stamped.update(link.external_id, fields.body))
                progress.action = "updated"
            except CallError as error:
                if error.status != HTTPStatus.NOT_FOUND:
                    raise
                progress.external_id = None
                try:
                    saved = await _add(fields, connection, tries)
                except CallError:
                    raise error from None  # the first error is the cause: a wrong store answers 404 to everything
                progress.notes.append("The linked customer was gone at Stamped.io; it was added and linked anew.")
        if saved is None:
            saved = await _add(fields, connection, tries)
    progress.action = progress.action or "created"
    progress.external_id = saved.id
    return saved


async def _add(fields: StampedFields, connection: Connection, tries: Tries) -> StampedCustomer:
    """Create, or update by e-mail; an answer without an id is looked up, never sent twice."""
    saved = await tries(lambda: connection.stamped.add(fields.body))
    saved = saved or await tries(lambda: connection.stamped.find(fields.email))
    if saved is None:
        message = "neither the answer nor a search by e-mail names the customer"
        raise CallError("create", Kind.UNAVAILABLE, HTTPStatus.OK, message)
    return saved


async def _write_back(  # noqa: PLR0913 - the flow's own parts
    change: Change,
    external_id: str,
    fields: StampedFields,
    connection: Connection,
    tries: Tries,
    progress: Progress,
) -> None:
    """Before the subscription call, so that the next transfer is an update whatever comes. Never fails it."""
    ipaas, destination = connection.ipaas, change.destination
    if ipaas is not None and destination is None:
        progress.notes.append("No destination is known, so the external ID was not written back to iPaaS.com.")
    if ipaas is None or destination is None:
        return
    try:
        await tries(
            lambda: ipaas.write_external_id(change.customer_id, destination, external_id, change.tracking_guid)
        )
    except CallError as error:
        reason = connection.redactor.text(str(error), names=fields.names)
        progress.notes.append(f"The external ID could not be written back to iPaaS.com. {reason}")
    else:
        progress.written_back = True


async def _reconcile(  # noqa: PLR0913 - the flow's own parts
    record: CustomerRecord,
    fields: StampedFields,
    saved: StampedCustomer,
    connection: Connection,
    tries: Tries,
    progress: Progress,
) -> None:
    """Only if consent is mapped and differs from Stamped.io's state."""
    progress.subscription = "not_mapped"
    if connection.mapping.subscribed is None:
        return
    progress.subscription = None
    try:
        wanted = connection.mapping.wants_subscription(record)
    except (UnreadableConsent, ValueFault) as fault:
        text = connection.redactor.text(str(fault), names=fields.names)
        raise TransferFailed(_refusal(Slug.SUBSCRIPTION, text)) from None
    if wanted is None:
        progress.subscription = "not_mapped"
        progress.notes.append("The record carries no consent value; the subscription was left as it is.")
        return
    with _failing_as(Slug.SUBSCRIPTION, connection, fields):
        current = saved.is_subscribed
        if current is None:
            current = await tries(lambda: _state(saved.id, connection))
        if current is wanted:
            progress.subscription = "unchanged"
            return
        await tries(lambda: _set_subscription(fields.email, saved.id, connection, wanted=wanted))
    progress.subscription = "subscribed" if wanted else "unsubscribed"


async def _set_subscription(email: str, customer_id: str, connection: Connection, *, wanted: bool) -> None:
    """A web page may stand for a success or for a failure: then the state that it left counts."""
    plain = await connection.stamped.set_subscription(email, subscribed=wanted)
    if not plain and await _state(customer_id, connection) is not wanted:
        operation = "subscribe" if wanted else "unsubscribe"
        raise CallError(operation, Kind.UNAVAILABLE, HTTPStatus.OK, "the answer does not say that it was done")


async def _state(customer_id: str, connection: Connection) -> bool | None:
    """Asked once; an unknown state is not False, and setting it again is harmless. Raises CallError: throttled."""
    try:
        found = await connection.stamped.get(customer_id)
    except CallError as error:
        if error.kind is Kind.THROTTLED:
            raise
        return None
    return found.is_subscribed if found else None


@contextmanager
def _failing_as(slug: Slug, connection: Connection, fields: StampedFields | None = None) -> Iterator[None]:
    """A call that fails in here fails the transfer with this documented error."""
    try:
        yield
    except CallError as error:
        error.message = connection.redactor.text(error.message, names=fields.names if fields else ())
        stamped = StampedAnswer()
        if slug is not Slug.NOT_LOADED:
            stamped = StampedAnswer(error.operation, error.status, error.message)
        failure = Failure(
            slug=slug,
            status=error.kind.status,
            detail=f"{CATALOG[slug].sentence} {error}",
            retryable=error.kind.retryable,
            stamped=stamped,
            retry_after=error.retry_after,
        )
        raise TransferFailed(failure) from None


def _refusal(slug: Slug, reason: str) -> Failure:
    """A failure that was found without asking anybody; only new data mend it."""
    status = Kind.REFUSED.status
    return Failure(slug=slug, status=status, detail=f"{CATALOG[slug].sentence} {reason}", retryable=False)
