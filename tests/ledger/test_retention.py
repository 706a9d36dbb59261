"""What is deleted and when; in batches, with the hash and the ids kept."""

from __future__ import annotations

import pytest
from sqlalchemy import Connection, func, insert, select

from app.ledger import bulk, reports, retention
from app.ledger.stored import Stored
from app.ledger.tables import attempts, rejections, sync_items, syncs, transfers
from tests.ledger.support import START, Ledger, change

DAYS = retention.DAY


def count(connection: Connection, table: str) -> int:
    tables = {"transfers": transfers, "attempts": attempts, "syncs": syncs, "sync_items": sync_items}
    return connection.execute(select(func.count()).select_from(tables[table])).scalar_one()


async def ended(ledger: Ledger, customer: str = "1") -> Stored:
    return (await ledger.finish(await ledger.running(change(1, customer=customer)))).transfer


async def test_a_record_goes_and_its_hash_and_ids_stay(ledger: Ledger) -> None:
    old = await ended(ledger)
    ledger.now += 30 * DAYS
    young = await ended(ledger, "2")
    assert await ledger.do(retention.forget_records, ledger.now) == 1
    kept = await ledger.row(old)
    assert kept.record is None
    assert (kept.record_hash, kept.email_hash, kept.id) == (old.record_hash, old.email_hash, old.id)
    assert kept.record_hash
    assert (kept.status, kept.external_id) == ("succeeded", "143491")
    assert (await ledger.row(young)).record
    assert await ledger.do(retention.forget_records, ledger.now) == 0


async def test_what_has_not_ended_keeps_its_record(ledger: Ledger) -> None:
    waiting = await ledger.waiting(change(1, promised=True))
    running = await ledger.running(change(1, customer="2"))
    rerun = await ledger.rerun((await ledger.failed(change(1, customer="3"))).seq, None)
    assert rerun is not None
    assert await ledger.do(retention.forget_records, ledger.now + 400 * DAYS) == 0
    assert await ledger.do(retention.forget_transfers, ledger.now + 400 * DAYS) == 0
    for each in (waiting, running, rerun.transfer):
        assert (await ledger.row(each)).record


async def test_batches(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "BATCH", 3)
    for number in range(7):
        await ended(ledger, str(number))
    later = ledger.now + 1
    assert [await ledger.do(retention.forget_records, later) for _ in range(4)] == [3, 3, 1, 0]
    assert [await ledger.do(retention.forget_transfers, later) for _ in range(4)] == [3, 3, 1, 0]
    assert await ledger.database.read(count, "transfers") == 0


async def test_a_transfer_goes_with_all_that_belongs_to_it(ledger: Ledger) -> None:
    failed = await ledger.failed(change(customer="1"))
    await ledger.do(bulk.open_sync, "sync-1", "default", "retry", [failed.seq], ledger.now)
    assert await ledger.do(bulk.enter_some, ledger.now, fetch=True) is not None
    again = await ledger.claim(failed.seq)
    assert again is not None
    await ledger.finish(again.transfer)
    assert await ledger.do(retention.forget_transfers, ledger.now) == 0, "not before its time"
    assert await ledger.do(retention.forget_transfers, ledger.now + 1) == 1
    for table in ("transfers", "attempts", "sync_items", "syncs"):
        assert await ledger.database.read(count, table) == 0


async def test_a_sync_goes_with_the_last_of_its_transfers(ledger: Ledger) -> None:
    await ledger.do(bulk.open_sync, "sync-1", "default", "customers", ["1", "2"], ledger.now)
    assert await ledger.do(bulk.enter_some, ledger.now, fetch=True) is not None
    for seq in await ledger.database.read(reports.due, ledger.now, 10):
        entered = await ledger.claim(seq)
        assert entered is not None
        await ledger.finish(entered.transfer)
        ledger.now += 10
    assert await ledger.do(retention.forget_transfers, START + 5) == 1
    found = await ledger.database.read(reports.sync_counts, "sync-1")
    assert found is not None
    assert (found["total"], found["succeeded"], found["remaining"]) == (2, 1, 0)
    assert await ledger.do(retention.forget_transfers, START + 15) == 1
    assert await ledger.database.read(reports.sync_counts, "sync-1") is None


async def test_a_sync_that_is_not_entered_yet_stays(ledger: Ledger) -> None:
    customers = [str(number) for number in range(bulk.BLOCK + 1)]
    await ledger.do(bulk.open_sync, "sync-1", "default", "customers", customers, ledger.now)
    later = ledger.now + 400 * DAYS
    assert await ledger.do(retention.forget_transfers, later) == 0
    found = await ledger.database.read(reports.sync_counts, "sync-1")
    assert found is not None
    assert (found["total"], found["remaining"]) == (bulk.BLOCK + 1, bulk.BLOCK + 1)
    await ledger.do(bulk.cancel_sync, "sync-1", ledger.now)
    await ledger.do(retention.forget_transfers, later)
    assert await ledger.database.read(reports.sync_counts, "sync-1") is None


async def test_old_rejections_go(ledger: Ledger) -> None:
    def add(connection: Connection) -> None:
        usual = {"status": 422, "error": "invalid-request", "reason": "…", "address": None}
        connection.execute(insert(rejections), [usual | {"at": START + day * DAYS} for day in range(4)])

    await ledger.do(add)
    assert await ledger.do(retention.forget_rejections, START + 2 * DAYS) == 2
    left = await ledger.database.read(reports.rejected, 10)
    assert [row["at"] for row in left] == [START + 3 * DAYS, START + 2 * DAYS], "newest first"


async def test_a_repeat_of_what_lost_its_record_is_still_a_repeat(ledger: Ledger) -> None:
    new = change(1, guid="guid-1")
    await ledger.finish(await ledger.running(new))
    await ledger.do(retention.forget_records, ledger.now + 1)
    assert (await ledger.accept(new)).replayed


async def test_a_rerun_of_what_lost_its_record_has_none(ledger: Ledger) -> None:
    """So that it is fetched anew."""
    failed = await ledger.failed()
    await ledger.do(retention.forget_records, ledger.now + 1)
    entered = await ledger.rerun(failed.seq)
    assert entered is not None
    assert entered.claimed
    assert entered.transfer.customer_record() is None
