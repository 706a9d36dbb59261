"""What is remembered of a transfer's customer, and what a broken-off attempt may have left at Stamped.io."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING

from app.attempt import Link
from app.ipaas.models import read_record
from app.ledger import links
from app.mapping import ValueFault

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import RowMapping

    from app.connection import Connection
    from app.ipaas.models import CustomerRecord
    from app.ledger.database import Database
    from app.ledger.stored import Stored
    from app.tries import Tries


class Memory:
    """The link of one transfer's customer, as the claim found it. `record`: what the attempt is about to send."""

    def __init__(  # noqa: PLR0913 - what an attempt knows
        self,
        connection: Connection,
        database: Database,
        transfer: Stored,
        link: RowMapping | None,
        record: CustomerRecord,
        tries: Tries,
    ) -> None:
        self._connection = connection
        self._database = database
        self._transfer = transfer
        self._link = link
        self._record = record
        self._tries = tries

    async def known(self) -> Link | None:
        """The link of an earlier transfer, or of an attempt that could not say any more what it did.

        Raises CallError.
        """
        if self._link is not None and self._link["external_id"] is not None:
            told = self._link["written_back_to"]
            there = None in {told, self._transfer.destination} or told == self._transfer.destination
            return Link(self._link["external_id"], self._link["written_back"] and there)
        return await self._unseen()

    async def remember(self, external_id: str) -> None:
        """Keep a new link. Idempotent."""
        await self._database.run(links.remember, self._transfer, external_id)

    async def _unseen(self) -> Link | None:
        """An attempt whose end nobody knows may have created the customer, under an e-mail that has changed since.

        The same e-mail needs no looking: Stamped.io itself finds that customer again.
        """
        records = await self._database.read(links.unseen_records, self._transfer)
        if self._transfer.attempts > 1 and self._transfer.record is not None:
            records.append(self._transfer.record)  # the record of the last attempt, where this one fetched it anew
        stamped = self._connection.stamped
        for email in self._other_emails(records):
            found = await self._tries(partial(stamped.find, email))
            if found is not None and not await self._database.read(links.is_taken, self._transfer, found.id):
                return Link(found.id, written_back=False)
        return None

    def _other_emails(self, records: Iterable[str]) -> list[str]:
        current = self._email(self._record)
        emails = dict.fromkeys(self._email(read_record(json.loads(record))) for record in records)
        return [email for email in emails if email is not None and email != current]

    def _email(self, record: CustomerRecord) -> str | None:
        try:
            return self._connection.mapping.fields(record).email.casefold()
        except ValueFault:
            return None
