"""What else was transferred of a customer, on both databases."""

from __future__ import annotations

from app.ledger import retention
from app.ledger.neighbours import Neighbours, neighbours
from app.ledger.stored import Stored
from app.ledger.tables import DAY
from tests.ledger.support import REFUSED, Ledger, change


async def around(ledger: Ledger, transfer: Stored) -> Neighbours:
    return await ledger.database.read(neighbours, transfer)


async def test_the_one_before_the_one_after_and_what_was_sent_last(ledger: Ledger) -> None:
    first = await ledger.succeeded(change(1))
    ledger.now += 10
    await ledger.succeeded(change(2, customer="another"))
    failed = await ledger.failed(change(3), REFUSED)
    ledger.now += 10
    last = await ledger.succeeded(change(4))
    found = await around(ledger, failed)
    assert (found.earlier, found.later, found.sent) == (first.id, last.id, first)
    assert await around(ledger, first) == Neighbours(None, failed.id, None)
    found = await around(ledger, last)
    assert (found.earlier, found.later, found.sent) == (failed.id, None, first)  # a failed one was not sent
    unknown = first.but({"customer_id": None})
    assert await around(ledger, unknown) == Neighbours(None, None, None)


async def test_what_was_sent_before_may_have_lost_its_record(ledger: Ledger) -> None:
    await ledger.succeeded(change(1))
    ledger.now += 40 * DAY
    newest = await ledger.succeeded(change(2))
    await ledger.do(retention.forget_records, ledger.now)
    sent = (await around(ledger, newest)).sent
    assert sent is not None
    assert (sent.record, sent.record_hash is not None) == (None, True)
