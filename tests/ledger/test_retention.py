"""What is deleted and when; in batches, with the hash and the ids kept, and never what is wanted."""

from __future__ import annotations

import pytest
from sqlalchemy import func, insert, select

from app.ledger import bulk, rejected, reports, retention
from app.ledger.session import Session
from app.ledger.stored import Stored
from app.ledger.tables import DAY, attempts, rejections, sync_items, syncs, transfers
from tests.ledger.support import REFUSED, START, Ledger, bare, change, date
from tests.support import SCOPE

DAYS = DAY


def count(connection: Session, table: str) -> int:
    tables = {"transfers": transfers, "attempts": attempts, "syncs": syncs, "sync_items": sync_items}
    found: int = connection.execute(select(func.count()).select_from(tables[table])).scalar_one()
    return found


async def ended(ledger: Ledger, customer: str = "1") -> Stored:
    return await ledger.succeeded(change(1, customer=customer))


async def forget_all(ledger: Ledger) -> None:
    """All that has ended, as after years."""
    later = ledger.now + 1
    await ledger.do(retention.forget_records, later)
    await ledger.do(retention.forget_transfers, later)


async def test_a_record_goes_and_its_hash_and_ids_stay(ledger: Ledger) -> None:
    old = await ended(ledger)
    ledger.now += 30 * DAYS
    young = await ended(ledger, "2")
    assert await ledger.do(retention.forget_records, ledger.now) == 1
    kept = await ledger.row(old)
    assert kept.record is None
    assert (kept.record_hash, kept.email_hash, kept.id) == (old.record_hash, old.email_hash, old.id)
    assert (kept.changed_at, kept.place) == (old.changed_at, old.place)
    assert kept.record_hash
    assert (kept.status, kept.external_id) == ("succeeded", "91")
    assert (await ledger.row(young)).record
    assert await ledger.do(retention.forget_records, ledger.now) == 0


async def test_what_has_not_ended_keeps_its_record(ledger: Ledger) -> None:
    waiting = await ledger.waiting(change(1, promised=True))
    running = (await ledger.begun(change(1, customer="2"))).lead
    rerun = (await ledger.again(await ledger.failed(change(1, customer="3")), None)).transfer
    assert await ledger.do(retention.forget_records, ledger.now + 400 * DAYS) == 0
    assert await ledger.do(retention.forget_transfers, ledger.now + 400 * DAYS) == 0
    for each in (waiting, running, rerun):
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
    await ledger.do(bulk.open_sync, "sync-1", bulk.EVERY, "retry", [failed.seq], ledger.now)
    assert await ledger.do(bulk.enter_some, ledger.now, {SCOPE: False}) is not None
    await ledger.finish(await ledger.claim("1"))
    assert await ledger.do(retention.forget_transfers, ledger.now) == 0, "not before its time"
    assert await ledger.do(retention.forget_transfers, ledger.now + 1) == 1
    for table in ("transfers", "attempts", "sync_items", "syncs"):
        assert await ledger.database.read(count, table) == 0


async def test_a_sync_goes_with_the_last_of_its_transfers(ledger: Ledger) -> None:
    await ledger.do(bulk.open_sync, "sync-1", SCOPE, "customers", ["1", "2"], ledger.now)
    assert await ledger.do(bulk.enter_some, ledger.now, {SCOPE: False}) is not None
    for claim in await ledger.claim_due():
        await ledger.finish(claim)
        ledger.now += 10
    assert await ledger.do(retention.forget_transfers, START + 5) == 1
    found = await ledger.database.read(reports.sync_counts, "sync-1")
    assert found is not None
    assert (found["total"], found["succeeded"], found["remaining"]) == (2, 1, 0)
    assert await ledger.do(retention.forget_transfers, START + 15) == 1
    assert await ledger.database.read(reports.sync_counts, "sync-1") is None


async def test_a_sync_that_is_not_entered_yet_stays(ledger: Ledger) -> None:
    customers = [str(number) for number in range(bulk.BLOCK + 1)]
    await ledger.do(bulk.open_sync, "sync-1", SCOPE, "customers", customers, ledger.now)
    later = ledger.now + 400 * DAYS
    assert await ledger.do(retention.forget_transfers, later) == 0
    found = await ledger.database.read(reports.sync_counts, "sync-1")
    assert found is not None
    assert (found["total"], found["remaining"]) == (bulk.BLOCK + 1, bulk.BLOCK + 1)
    assert await ledger.do(bulk.close_sync, "sync-1", ledger.now) == []
    await ledger.do(retention.forget_transfers, later)
    assert await ledger.database.read(reports.sync_counts, "sync-1") is None


async def test_old_rejections_go(ledger: Ledger) -> None:
    def add(connection: Session) -> None:
        usual = {"status": 422, "error": "invalid-request", "reason": "…", "address": None}
        connection.execute(insert(rejections), [usual | {"at": START + day * DAYS} for day in range(4)])

    await ledger.do(add)
    assert await ledger.do(retention.forget_rejections, START + 2 * DAYS) == 2
    left = await ledger.database.read(rejected.listed, None, None, None, 10)
    assert [row["at"] for row in left] == [START + 3 * DAYS, START + 2 * DAYS], "newest first"


async def test_a_repeat_of_what_lost_its_record_is_still_a_repeat(ledger: Ledger) -> None:
    new = change(1, guid="guid-1")
    await ledger.succeeded(new)
    await ledger.do(retention.forget_records, ledger.now + 1)
    assert (await ledger.accept(new)).replayed


async def test_the_order_and_the_link_stay_when_all_is_deleted(ledger: Ledger) -> None:
    await ledger.finish(await ledger.begun(change(9, consent=True)), external_id="1", written_back=True)
    before = await ledger.customer()
    await forget_all(ledger)
    assert await ledger.statuses() == []
    assert await ledger.customer() == before
    assert before.wanted.moment is not None
    assert before.wanted.moment.at == date(9)
    assert (await ledger.accept(change(5, consent=False))).transfer.status == "skipped"
    claim = await ledger.begun(change(10))
    assert (claim.customer.external_id, claim.customer.written_back) == ("1", True)


async def test_a_due_no_stays_when_all_is_deleted(ledger: Ledger) -> None:
    await ledger.failed(change(9, consent=False), REFUSED)
    await forget_all(ledger)
    claim = await ledger.begun(change(10))
    assert claim.customer.owes_no


async def test_a_due_no_and_the_order_stay_also_where_a_later_one_is_cancelled(ledger: Ledger) -> None:
    await ledger.failed(change(9, consent=False), REFUSED)
    before = await ledger.customer()
    await forget_all(ledger)
    await ledger.cancel(await ledger.pending(change(10, promised=True)))
    customer = await ledger.customer()
    assert customer.wanted == before.wanted
    assert customer.owes_no


async def test_a_run_by_hand_sends_nothing_older_where_the_newest_record_is_deleted(ledger: Ledger) -> None:
    await ledger.succeeded(change(9, consent=False))
    older = (await ledger.accept(change(5, consent=True))).transfer
    assert older.status == "skipped"
    ledger.now += 10
    await ledger.do(retention.forget_records, ledger.now)
    claim = await ledger.begun(bare("manual", fetch=False))
    assert (claim.record, claim.customer.wanted.consent) == (None, False)


async def test_what_is_wanted_again_and_lost_its_record_is_loaded(ledger: Ledger) -> None:
    replaced = await ledger.waiting(change(2, consent=False, promised=True))
    newer = await ledger.pending(change(3, promised=True))
    await ledger.do(retention.forget_records, ledger.now + 1)
    await ledger.cancel(newer)
    again = await ledger.row(replaced)
    assert (again.status, again.loading, again.record) == ("accepted", True, None)
    assert (await ledger.customer()).owes_no
