"""What is remembered of a customer's link, and what a call without an answer may have left at Stamped.io."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from app.attempt import Link
from app.ipaas.models import read_record
from app.ledger import customers, reports
from app.ledger.faults import DatabaseGone
from app.mapping import ValueFault

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.connections import Connection
    from app.ledger.claims import Claim
    from app.ledger.database import Database
    from app.mapping import StampedFields
    from app.outbound.tries import Tries


_SOON_SECONDS = 0.05


@dataclass(slots=True)
class Memory:
    """The links of one attempt's customer, as its claim found them."""

    connection: Connection
    database: Database
    claim: Claim
    tries: Tries
    now: Callable[[], float]
    answered_at: float | None = None
    _later: asyncio.TimerHandle | None = None
    _keeping: asyncio.Task[None] | None = None

    async def known(self) -> Link | None:
        """The link of an earlier transfer."""
        customer = self.claim.customer
        if customer.external_id is None:
            return None
        return Link(customer.external_id, customer.knows_link_at(self.claim.lead.destination))

    async def unseen(self) -> str | None:
        """Rule 7: whom an `add` without an answer created, by the e-mail that was tried; taken only if it is ours.

        The e-mail that is about to be sent comes first, and alone needs no looking: adding finds its customer.
        Raises CallError.
        """
        doubtful = self.claim.customer.doubtful
        if not doubtful and not self.claim.verifies:
            return None
        records = await self.database.read(reports.tried_records, doubtful)
        tried = {each.email.casefold(): each for each in filter(None, map(self._fields, records))}
        sends = self._fields(self.claim.record or "{}")
        own = tried.pop(sends.email.casefold(), None) if sends else None
        if not tried and not self.claim.verifies:
            return None
        for each in filter(None, (own, *tried.values())):
            found = await self.tries(partial(self.connection.stamped.find, each.email))
            is_ours = found is not None and found.is_known_as(each.body.get("externalId"))
            if found is not None and is_ours and not await self.is_anothers(found.id):
                return found.id
        return None

    async def is_anothers(self, external_id: str) -> bool:
        """Whether this Stamped.io id is the link of another customer (rule 8)."""
        customer = self.claim.customer
        whose = (customer.connection, external_id, customer.customer_id)
        return await self.database.read(customers.owner_of, *whose) is not None

    async def remember(self, external_id: str) -> None:
        """The end of the attempt keeps a new link; where that is not soon, it is kept before. Idempotent."""
        await self.kept()
        self.answered_at = self.now()
        self._later = asyncio.get_running_loop().call_later(
            _SOON_SECONDS, self._keep, external_id, self.answered_at
        )

    async def kept(self) -> None:
        """Until what was begun is done; where the database is away, the end of the attempt keeps it."""
        if self._later is not None:
            self._later.cancel()
        if self._keeping is not None:
            with suppress(DatabaseGone):
                await self._keeping

    def _keep(self, external_id: str, answered_at: float) -> None:
        kept = self.database.run(customers.take, self.claim.customer, external_id, answered_at)
        self._keeping = asyncio.create_task(kept)

    def _fields(self, record: str) -> StampedFields | None:
        try:
            return self.connection.mapping.fields(read_record(json.loads(record)))
        except ValueFault:
            return None
