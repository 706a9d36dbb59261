"""Many transfers under one sync, and what can be read of the ledger."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import Connection, select

from app.ledger import bulk, endings, reports
from app.ledger.reports import Filter
from app.ledger.stored import hash_email
from app.ledger.tables import sync_items
from tests.ledger.support import CUSTOMER, OWNER, REFUSED, RETRYABLE, START, Ledger, change, changed

SYNC = "sync-1"


async def add(ledger: Ledger, *customers: str, fetch: bool = True) -> list[int]:
    await ledger.do(bulk.open_sync, SYNC, "default", "customers", customers, ledger.now)
    return await enter(ledger, fetch=fetch)


async def enter(ledger: Ledger, *, fetch: bool = True) -> list[int]:
    """All that is left to enter; every item's seq, in order."""
    while await ledger.do(bulk.enter_some, ledger.now, fetch=fetch) is not None:
        pass
    items = (
        select(sync_items.c.transfer_seq).where(sync_items.c.sync_id == SYNC).order_by(sync_items.c.transfer_seq)
    )
    return await ledger.database.read(lambda connection: list(connection.execute(items).scalars()))


async def counts(ledger: Ledger) -> dict[str, int]:
    found = await ledger.database.read(reports.sync_counts, SYNC)
    assert found is not None
    names = ("total", "succeeded", "failed", "skipped", "cancelled", "remaining")
    return {name: found[name] for name in names if found[name]}


async def test_a_sync_is_counted_to_its_end(ledger: Ledger) -> None:
    first, second, third = await add(ledger, "1", "2", "3")
    assert await counts(ledger) == {"total": 3, "remaining": 3}
    for seq, failure in ((first, None), (second, REFUSED), (third, RETRYABLE)):
        entered = await ledger.claim(seq)
        assert entered is not None
        assert entered.transfer.trigger == "sync"
        assert entered.transfer.promised
        await ledger.finish(entered.transfer, failure)
    assert await counts(ledger) == {"total": 3, "succeeded": 1, "failed": 1, "remaining": 1}
    assert await ledger.database.read(reports.sync_counts, "nobody") is None


async def test_the_last_record_is_sent_again_or_fetched(ledger: Ledger) -> None:
    known = await ledger.running(replace(change(3, customer="1"), destination="1796"))
    await ledger.finish(known)
    (again,) = await add(ledger, "1", fetch=False)
    stored = await ledger.row(again)
    assert stored.record == (await ledger.row(known)).record
    assert stored.destination == "1796"
    assert stored.repeat_key is None


@pytest.mark.parametrize("fetch", [True, False])
async def test_without_a_record_it_is_fetched(ledger: Ledger, *, fetch: bool) -> None:
    await ledger.finish(await ledger.running(change(3, customer="1")))
    first, unknown = await add(ledger, "1", "2", fetch=fetch)
    assert ((await ledger.row(first)).record is None) is fetch
    assert (await ledger.row(unknown)).record is None


async def test_a_sync_supersedes_what_waits(ledger: Ledger) -> None:
    waiting = await ledger.waiting(change(9, customer="1", promised=True))
    (mine,) = await add(ledger, "1", fetch=False)
    assert (await ledger.row(waiting)).superseded_by == (await ledger.row(mine)).id
    assert (await ledger.row(mine)).record == waiting.record


async def test_cancelling_ends_what_has_not_begun(ledger: Ledger) -> None:
    first, _, third = await add(ledger, "1", "2", "3")
    assert await ledger.claim(first)
    ended = await ledger.do(bulk.cancel_sync, SYNC, ledger.now)
    assert third in {each.seq for each in ended}
    assert await counts(ledger) == {"total": 3, "cancelled": 2, "remaining": 1}
    assert await ledger.do(bulk.cancel_sync, SYNC, ledger.now + 5) == []
    found = await ledger.database.read(reports.sync_counts, SYNC)
    assert found is not None
    assert found["cancelled_at"] == ledger.now


async def test_items_are_entered_a_few_at_a_time_and_counted_from_the_start(ledger: Ledger) -> None:
    customers = [str(number) for number in range(2 * bulk.BLOCK + 1)]
    await ledger.do(bulk.open_sync, SYNC, "default", "customers", customers, ledger.now)
    entered = []
    while await ledger.do(bulk.enter_some, ledger.now, fetch=True) is not None:
        entered.append(len(await ledger.database.read(reports.listed, Filter(), 200)))
        assert await counts(ledger) == {"total": len(customers), "remaining": len(customers)}
    assert entered == [bulk.BLOCK, 2 * bulk.BLOCK, len(customers)]


async def test_cancelling_ends_what_was_not_even_entered(ledger: Ledger) -> None:
    customers = [str(number) for number in range(bulk.BLOCK + 7)]
    await ledger.do(bulk.open_sync, SYNC, "default", "customers", customers, ledger.now)
    assert await ledger.do(bulk.enter_some, ledger.now, fetch=True) is not None
    assert len(await ledger.do(bulk.cancel_sync, SYNC, ledger.now)) == bulk.BLOCK
    assert await counts(ledger) == {"total": len(customers), "cancelled": len(customers)}
    assert await ledger.do(bulk.enter_some, ledger.now, fetch=True) is None


async def test_those_in_no_state_to_run_again_are_left_out(ledger: Ledger) -> None:
    failed = await ledger.failed(change(customer="1"))
    done = (await ledger.finish(await ledger.running(change(customer="2")))).transfer
    running = await ledger.running(change(customer="3"))
    wanted = [failed.seq, done.seq, running.seq]
    await ledger.do(bulk.open_sync, SYNC, "default", "retry", wanted, ledger.now)
    assert await counts(ledger) == {"total": 3, "remaining": 3}
    assert await enter(ledger) == [failed.seq]
    again = await ledger.row(failed)
    assert (again.status, again.promised, again.next_attempt_at) == ("accepted", True, ledger.now)
    assert await counts(ledger) == {"total": 1, "remaining": 1}


async def test_of_one_customers_failures_the_newest_is_run_again(ledger: Ledger) -> None:
    failed = [await ledger.failed(change(minute)) for minute in (2, 9, 4)]
    seqs = await ledger.database.read(reports.seqs, Filter(status="failed"))
    await ledger.do(bulk.open_sync, SYNC, "default", "retry", seqs, ledger.now)
    await enter(ledger)
    assert [(await ledger.row(each)).status for each in failed] == ["skipped", "accepted", "skipped"]


async def test_lists(ledger: Ledger) -> None:
    failed = await ledger.failed(change(customer="1", guid="guid-1"))
    ledger.now += 10
    done = (await ledger.finish(await ledger.running(change(customer="1")))).transfer
    running = await ledger.running(change(customer="2"))
    email = hash_email(changed(1).email_address or "")

    async def listed(limit: int = 50, **wanted: object) -> list[int]:
        found = await ledger.database.read(reports.listed, Filter(**wanted), limit)  # type: ignore[arg-type]
        return [each.seq for each in found]

    assert await listed() == [running.seq, done.seq, failed.seq]
    assert await listed(limit=2) == [running.seq, done.seq]
    assert await listed(cursor=done.seq) == [failed.seq]
    assert await listed(status="running") == [running.seq]
    assert await listed(customer_id="1") == [done.seq, failed.seq]
    assert await listed(error="customer-create-or-update-failed") == [failed.seq]
    assert await listed(since=START + 1) == [running.seq, done.seq]
    assert await listed(tracking_guid="guid-1") == [failed.seq]
    assert await listed(email_hash=email, status="succeeded") == [done.seq]
    assert await listed(customer_id="1' OR '1'='1") == []
    assert await ledger.database.read(reports.by_id, done.id) == done
    assert await ledger.database.read(reports.by_id, "nobody") is None


async def test_due_ones_are_those_whose_time_came_oldest_first(ledger: Ledger) -> None:
    waiting = await ledger.waiting(change(customer="1", promised=True))
    accepted = [(await ledger.accept(change(customer=str(n)), None)).transfer.seq for n in (2, 3, 4)]
    assert await ledger.database.read(reports.due, ledger.now, 10) == accepted
    assert await ledger.database.read(reports.due, ledger.now, 2) == accepted[:2]
    assert waiting.next_attempt_at is not None
    assert await ledger.database.read(reports.due, waiting.next_attempt_at, 10) == [waiting.seq, *accepted]


async def test_the_oldest_open_one(ledger: Ledger) -> None:
    assert await ledger.database.read(reports.oldest_open) is None
    first = await ledger.running(change(customer="1"))
    ledger.now += 100
    await ledger.accept(change(customer="2"), None)
    assert await ledger.database.read(reports.oldest_open) == START
    await ledger.finish(first)
    assert await ledger.database.read(reports.oldest_open) == START + 100


def last_of_customer(connection: Connection, name: str, customer_id: str) -> tuple[str | None, str | None]:
    whose = (connection, name, customer_id)
    return reports.last_record(*whose), reports.last_destination(*whose)


async def test_the_last_record_of_a_customer(ledger: Ledger) -> None:
    none = await ledger.database.read(last_of_customer, "default", CUSTOMER)
    assert none == (None, None)
    await ledger.accept(replace(change(1), destination="1796"))
    last = await ledger.accept(change(2))
    await ledger.accept(replace(change(), record=None, destination=None))
    record, destination = await ledger.database.read(last_of_customer, "default", CUSTOMER)
    assert (record, destination) == (last.transfer.record, "1796")
    assert await ledger.database.read(last_of_customer, "default", "stranger") == (None, "1796")
    await ledger.accept(replace(change(1), destination="1797"))
    stranger = await ledger.database.read(last_of_customer, "default", "stranger")
    assert stranger == (None, None), "which of the two is not known"
    assert await ledger.database.read(last_of_customer, "default", CUSTOMER) == (record, "1797")
    assert await ledger.database.read(last_of_customer, "another", CUSTOMER) == (None, None)


@pytest.mark.parametrize(
    ("minutes", "newest"),
    [((1, 2), 2), ((2, 1), 2), ((3, 9, 5), 9), ((None, None), None), ((9, None), None), ((None, 9), 9)],
    ids=str,
)
async def test_the_newest_record_of_a_customer_by_its_date_else_by_receipt(
    ledger: Ledger, minutes: tuple[int | None, ...], newest: int | None
) -> None:
    received = [await ledger.failed(change(minute)) for minute in minutes]
    record, _ = await ledger.database.read(last_of_customer, "default", CUSTOMER)
    wanted = [each.record for each, minute in zip(received, minutes, strict=True) if minute == newest]
    assert record == wanted[-1]
    (again,) = await add(ledger, CUSTOMER, fetch=False)
    assert (await ledger.row(again)).record == record


async def test_attempts_in_order(ledger: Ledger) -> None:
    transfer = await ledger.waiting()
    entered = await ledger.rerun(transfer.seq)
    assert entered is not None
    await ledger.do(endings.give_up, transfer.seq, OWNER, ledger.now)
    found = await ledger.database.read(reports.attempts_of, transfer.seq)
    assert [(row["number"], row["outcome"]) for row in found] == [(1, "failed"), (2, "interrupted")]
