"""The flow "Add/Update Stamped.io Customer FROM iPaaS.com": upsert, then reconcile the subscription.

The whole of it is idempotent: run again from the start, it changes nothing twice. It knows of no HTTP server.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING

from app.attempt import NO_CONSENT, NOTHING_DUE, Failure, Link, StampedAnswer, TransferFailed
from app.error_catalog import Slug
from app.mapping import UnreadableConsent, ValueFault
from app.outbound.calls import CallError
from app.outbound.status_table import Kind

if TYPE_CHECKING:
    from app.attempt import Change, Consent, Links, Progress
    from app.clock import Clock
    from app.connections import Connection
    from app.ipaas.models import CustomerRecord
    from app.mapping import StampedFields
    from app.outbound.tries import Tries
    from app.stamped.models import StampedCustomer


async def load_record(change: Change, connection: Connection, tries: Tries) -> CustomerRecord:
    """The record that came along, else the one at iPaaS.com. Raises TransferFailed."""
    if change.record is not None:
        return change.record
    ipaas = connection.ipaas
    if ipaas is None:
        reason = "There is no record: none came along, and none can be fetched, for IPAAS_API_URL is not set."
        raise TransferFailed(_refusal(Slug.NOT_LOADED, reason))
    with _FailingAs(Slug.NOT_LOADED, connection):
        return await tries(lambda: ipaas.customer(change.customer_id, change.tracking_guid))


@dataclass(frozen=True, slots=True)
class Transfer:
    """One attempt to bring one customer to Stamped.io. `verifies`: only what differs there is set again."""

    change: Change
    record: CustomerRecord
    connection: Connection
    links: Links
    tries: Tries
    clock: Clock
    progress: Progress
    due: Consent = NOTHING_DUE
    verifies: bool = False

    async def run(self) -> None:
        """Do it all, and note in `progress` what was done. Raises TransferFailed."""
        progress, clock = self.progress, self.clock
        try:
            fields = self._map()
            with progress.step("link", clock):
                link = await self._known_link(fields)
            if link is None and self.verifies:
                progress.notes.append("Nothing of what was sent is at Stamped.io.")
                return
            if link is not None:  # saved before, whatever comes now
                progress.external_id, progress.written_back = link.external_id, link.written_back
            with progress.step("upsert", clock):
                saved = await self._upsert(link, fields)
        except TransferFailed as failed:
            await self._withdraw_all_the_same(failed.failure)
            raise
        if link is None or link.external_id != saved.id:
            await self.links.remember(saved.id)
            link = Link(saved.id, written_back=False)
        progress.written_back = link.written_back
        if not link.written_back:
            with progress.step("write_back", clock):
                await self._write_back(saved.id, fields)
        with progress.step("subscription", clock):
            await self._reconcile(saved, fields)

    def _map(self) -> StampedFields:
        self.progress.names = self.record.names
        try:
            fields = self.connection.mapping.fields(self.record)
        except ValueFault as fault:
            raise TransferFailed(_refusal(Slug.CUSTOMER, str(fault))) from None
        self.progress.names += fields.names
        return fields

    async def _known_link(self, fields: StampedFields) -> Link | None:
        """The link decides create or update, not the scope. One that is another customer's is none."""
        ipaas, change, links = self.connection.ipaas, self.change, self.links
        destination = change.destination
        told, known = self.record.link(destination), await links.known()
        if told is not None and known is not None and told == known.external_id:
            return Link(told, written_back=True)
        if told is not None and not await links.is_anothers(told):
            return Link(told, written_back=True)
        if known is not None:
            return known
        with _FailingAs(Slug.CUSTOMER, self.connection, fields):
            unseen = await links.unseen()
        if unseen is not None or ipaas is None or destination is None:
            return Link(unseen, written_back=False) if unseen else None
        with _FailingAs(Slug.NOT_LOADED, self.connection, fields):
            found = await self.tries(lambda: ipaas.external_id(change.customer_id, destination))
        return Link(found, written_back=True) if found and not await links.is_anothers(found) else None

    async def _upsert(self, link: Link | None, fields: StampedFields) -> StampedCustomer:
        with _FailingAs(Slug.CUSTOMER, self.connection, fields):
            if link is not None and self.verifies:
                found = await self._read(link.external_id)
                if found is not None and found.holds(fields.body):
                    self.progress.notes.append("Verified after a call without an answer: nothing differed.")
                    return found
            saved = await (self._add(fields) if link is None else self._update(link.external_id, fields))
        self.progress.external_id = saved.id
        return saved

    async def _update(self, external_id: str, fields: StampedFields) -> StampedCustomer:
        """A linked customer that is gone: the one that an earlier transfer saved, else added and linked anew.

        The last failure counts, of whichever of these calls.
        """
        progress = self.progress
        try:
            saved = await self.tries(lambda: self.connection.stamped.update(external_id, fields.body))
        except CallError as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise
            progress.external_id = None
            another = await self._another(external_id)
            if another is not None:
                return await self._update(another, fields)
            saved = await self._add(fields)
            progress.notes.append("The linked customer was gone at Stamped.io; it was added and linked anew.")
        else:
            progress.action = "updated"
        return saved

    async def _another(self, gone: str) -> str | None:
        """What else the customer may be known under: an earlier link, or what a call without an answer left."""
        known = await self.links.known()
        if known is not None and known.external_id != gone:
            return known.external_id
        unseen = await self.links.unseen()
        return unseen if unseen != gone else None

    async def _add(self, fields: StampedFields) -> StampedCustomer:
        """Create, or update by e-mail; an answer without an id is looked up, never sent twice."""
        stamped = self.connection.stamped
        saved = await self.tries(lambda: stamped.add(fields.body))
        saved = saved or await self.tries(lambda: stamped.find(fields.email))
        if saved is None:
            message = "neither the answer nor a search by e-mail names the customer"
            raise stamped.failed(CallError("create", Kind.UNAVAILABLE, HTTPStatus.OK, message))
        self.progress.action = "created"
        return saved

    async def _write_back(self, external_id: str, fields: StampedFields) -> None:
        """Before the subscription call, so that the next transfer is an update whatever comes. Never fails it."""
        ipaas, change, progress = self.connection.ipaas, self.change, self.progress
        destination = change.destination
        if ipaas is None:
            return
        if destination is None:
            progress.notes.append("No destination is known, so the external ID was not written back to iPaaS.com.")
            return
        try:
            await self.tries(
                lambda: ipaas.write_external_id(change.customer_id, destination, external_id, change.tracking_guid)
            )
        except CallError as error:
            reason = self.connection.redactor.text(str(error), names=fields.names)
            progress.notes.append(f"The external ID could not be written back to iPaaS.com. {reason}")
        else:
            progress.written_back = True

    async def _reconcile(self, saved: StampedCustomer, fields: StampedFields) -> None:
        """Only if consent is mapped and differs from Stamped.io's state; a "no" that is due counts as mapped."""
        mapping, progress = self.connection.mapping, self.progress
        progress.subscription = "not_mapped"
        if mapping.subscribed is None:
            return
        wanted, fault = self._wanted()
        if wanted is not None:
            progress.subscription = None
            with _FailingAs(Slug.SUBSCRIPTION, self.connection, fields):
                await self._subscribe(saved, fields.email, wanted=wanted)
        if fault is not None and not self.verifies:  # whose record it is has been told already
            hide = partial(self.connection.redactor.text, names=[*self.record.names, *fields.names])
            text = fault.told(hide) if isinstance(fault, UnreadableConsent) else hide(str(fault))
            progress.subscription = None if wanted is None else progress.subscription
            raise TransferFailed(_refusal(Slug.SUBSCRIPTION, text)) from None
        if wanted is None:
            progress.notes.append(NO_CONSENT)

    def _wanted(self) -> tuple[bool | None, Exception | None]:
        """The consent, and why the record's own could not be read. No "yes" comes before a newer "no"."""
        try:
            said, fault = self.connection.mapping.wants_subscription(self.record), None
        except (UnreadableConsent, ValueFault) as unreadable:
            said, fault = None, unreadable
        is_no = self.due.is_no(self.progress.external_id) or (said is True and self.due.said_no)
        return (False if is_no else said), fault

    async def _subscribe(self, saved: StampedCustomer, email: str, *, wanted: bool) -> None:
        """In doubt no state is trusted, and the call is always made."""
        in_doubt = self.tries.unanswered_at is not None or (self.due.in_doubt and not self.verifies)
        current = None if in_doubt else saved.is_subscribed
        if current is None and not in_doubt:
            current = await self.tries(lambda: self._state(saved.id))
        if current is wanted:
            self.progress.subscription = "unchanged"
        else:
            await self.tries(lambda: self._set_subscription(email, saved.id, wanted=wanted))
            self.progress.subscription = "subscribed" if wanted else "unsubscribed"
        self.progress.told = wanted

    async def _withdraw_all_the_same(self, failure: Failure) -> None:
        """A "no" is applied also where the record itself is refused for good, to the e-mail that Stamped.io has.

        Raises TransferFailed where only that fails in a way that may pass: it is to be tried again.
        """
        if failure.slug is not Slug.CUSTOMER or failure.status != Kind.REFUSED.status:
            return
        if self.connection.mapping.subscribed is None or self._wanted()[0] is not False:
            return
        known = await self.links.known()
        external_id = self.progress.external_id or (known.external_id if known else None)
        if external_id is None:
            return
        self.progress.external_id = external_id
        try:
            with _FailingAs(Slug.SUBSCRIPTION, self.connection), self.progress.step("subscription", self.clock):
                saved = await self._read(external_id)
                if saved is not None and saved.email:
                    await self._subscribe(saved, saved.email, wanted=False)
        except TransferFailed as failed:
            if failed.failure.retryable:
                raise

    async def _read(self, external_id: str) -> StampedCustomer | None:
        """None = gone, or no answer that names a customer. Raises CallError."""
        try:
            return await self.tries(lambda: self.connection.stamped.get(external_id))
        except CallError as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise
            return None

    async def _set_subscription(self, email: str, customer_id: str, *, wanted: bool) -> None:
        """A web page may stand for a success or for a failure: then the state that it left counts."""
        plain = await self.connection.stamped.set_subscription(email, subscribed=wanted)
        if not plain and await self._state(customer_id) is not wanted:
            operation = "subscribe" if wanted else "unsubscribe"
            raise CallError(operation, Kind.UNAVAILABLE, HTTPStatus.OK, "the answer does not say that it was done")

    async def _state(self, customer_id: str) -> bool | None:
        """Asked once; unknown is not False, and setting it again is harmless. Raises CallError: throttled."""
        try:
            found = await self.connection.stamped.get(customer_id)
        except CallError as error:
            if error.kind is Kind.THROTTLED:
                raise
            return None
        return found.is_subscribed if found else None


@dataclass(frozen=True, slots=True)
class _FailingAs:
    """A call that fails in here fails the transfer with this documented error."""

    slug: Slug
    connection: Connection
    fields: StampedFields | None = None

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        if isinstance(error, CallError):
            raise TransferFailed(self._failure(error)) from None

    def _failure(self, error: CallError) -> Failure:
        error.message = self.connection.redactor.text(
            error.message, names=self.fields.names if self.fields else ()
        )
        stamped = StampedAnswer()
        if self.slug is not Slug.NOT_LOADED:
            stamped = StampedAnswer(error.operation, error.status, error.message)
        return Failure.of_call(self.slug, error, stamped)


def _refusal(slug: Slug, reason: str) -> Failure:
    """A failure that was found without asking anybody; only new data mend it."""
    return Failure.of(slug, Kind.REFUSED.status, reason, retryable=False)
