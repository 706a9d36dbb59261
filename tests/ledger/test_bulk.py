"""Many transfers under one sync, and what can be read of the ledger."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from sqlalchemy import select

from app.ledger import bulk, reports, statistics
from app.ledger.reports import Filter
from app.ledger.stored import Stored, hash_email
from app.ledger.tables import DAY, sync_items
from tests.ledger.support import (
    CUSTOMER,
    ELSEWHERE,
    OTHER,
    OWNER,
    REFUSED,
    RETRYABLE,
    SANDBOX,
    START,
    Ledger,
    bare,
    change,
    changed,
    loads,
)
from tests.support import SCOPE

SYNC = "sync-1"


async def add(ledger: Ledger, *customers: str, fetch: bool = True) -> list[int]:
    await ledger.do(bulk.open_sync, SYNC, SCOPE, "customers", customers, ledger.now)
    return await enter(ledger, fetch=fetch)


async def enter(ledger: Ledger, *, fetch: bool = True) -> list[int]:
    """All that is left to enter; every item's seq, in order."""
    while await ledger.do(bulk.enter_some, ledger.now, {SCOPE: fetch}) is not None:
        pass
    items = (
        select(sync_items.c.transfer_seq).where(sync_items.c.sync_id == SYNC).order_by(sync_items.c.transfer_seq)
    )
    return await ledger.database.read(lambda connection: list(connection.execute(items).scalars()))


async def cancel(ledger: Ledger) -> list[Stored]:
    """The whole sync; what became of its transfers, and of what they had replaced."""
    seqs = await ledger.do(bulk.close_sync, SYNC, ledger.now)
    return await ledger.do(bulk.cancel_some, seqs, ledger.now)


async def counts(ledger: Ledger) -> dict[str, int]:
    found = await ledger.database.read(reports.sync_counts, SYNC)
    assert found is not None
    names = ("total", "succeeded", "failed", "skipped", "cancelled", "remaining")
    return {name: found[name] for name in names if found[name]}


async def test_a_sync_is_counted_to_its_end(ledger: Ledger) -> None:
    await add(ledger, "1", "2", "3", fetch=False)
    assert await counts(ledger) == {"total": 3, "remaining": 3}
    for customer, failure in (("1", None), ("2", REFUSED), ("3", RETRYABLE)):
        claim = await ledger.claim(customer)
        assert (claim.lead.trigger, claim.lead.promised) == ("sync", True)
        await ledger.finish(claim, failure)
    assert await counts(ledger) == {"total": 3, "succeeded": 1, "failed": 1, "remaining": 1}
    assert await ledger.database.read(reports.sync_counts, "nobody") is None


async def test_without_fetching_the_newest_record_is_sent_again(ledger: Ledger) -> None:
    known = await ledger.succeeded(replace(change(3, customer="1"), destination="1796"))
    (again,) = await add(ledger, "1", fetch=False)
    claim = await ledger.claim("1")
    assert (claim.lead.seq, claim.record) == (again, known.record)
    assert (claim.lead.destination, claim.lead.repeat_key) == ("1796", None)


async def test_with_fetching_each_record_is_loaded_first(ledger: Ledger) -> None:
    await ledger.succeeded(change(3, customer="1"))
    seqs = await add(ledger, "1", "2")
    assert [(await ledger.row(seq)).loading for seq in seqs] == [True, True]
    assert await ledger.claim_due() == []
    begun = await ledger.do(loads, SCOPE, OWNER, ledger.now, 10)
    assert [each.seq for each in begun] == seqs


async def test_a_sync_is_applied_with_what_waits_and_ends_with_it(ledger: Ledger) -> None:
    waiting = await ledger.waiting(change(9, consent=False, customer="1", promised=True))
    (mine,) = await add(ledger, "1", fetch=False)
    assert await ledger.row(waiting) == waiting
    claim = await ledger.claim("1")
    assert claim.customer.owes_no
    await ledger.finish(claim)
    assert {(await ledger.row(each)).status for each in (waiting.seq, mine)} == {"succeeded"}


async def test_cancelling_ends_what_has_not_begun(ledger: Ledger) -> None:
    _, second, third = await add(ledger, "1", "2", "3", fetch=False)
    assert await ledger.claim("1")
    assert {each.seq for each in await cancel(ledger)} == {second, third}
    assert await counts(ledger) == {"total": 3, "cancelled": 2, "remaining": 1}
    ledger.now += 5
    assert await cancel(ledger) == []
    found = await ledger.database.read(reports.sync_counts, SYNC)
    assert found is not None
    assert found["cancelled_at"] == START


@pytest.mark.parametrize("fetch", [True, False])
async def test_cancelling_a_sync_leaves_a_no_that_waits(ledger: Ledger, *, fetch: bool) -> None:
    no = await ledger.waiting(change(9, consent=False, promised=True))
    (mine,) = await add(ledger, CUSTOMER, fetch=fetch)
    if fetch:
        (loading,) = await ledger.do(loads, SCOPE, OWNER, ledger.now, 1)
        await ledger.loaded(loading, 9, owner=None)
        assert (await ledger.row(no)).superseded_by == (await ledger.row(mine)).id
    await cancel(ledger)
    assert (await ledger.row(mine)).status == "cancelled"
    ledger.now += 10**6
    claim = await ledger.claim()
    assert (claim.lead.seq, claim.customer.owes_no) == (no.seq, True)


async def test_cancelled_reruns_have_failed_again(ledger: Ledger) -> None:
    failed = await ledger.failed(change(customer="1"), REFUSED)
    await ledger.do(bulk.open_sync, SYNC, bulk.EVERY, "retry", [failed.seq], ledger.now)
    await enter(ledger, fetch=False)
    assert await counts(ledger) == {"total": 1, "remaining": 1}
    await cancel(ledger)
    assert (await ledger.row(failed)).documented_failure() == REFUSED
    assert await counts(ledger) == {"total": 1, "failed": 1}


async def test_items_are_entered_a_few_at_a_time_and_counted_from_the_start(ledger: Ledger) -> None:
    customers = [str(number) for number in range(2 * bulk.BLOCK + 1)]
    await ledger.do(bulk.open_sync, SYNC, SCOPE, "customers", customers, ledger.now)
    entered = []
    while await ledger.do(bulk.enter_some, ledger.now, {SCOPE: True}) is not None:
        entered.append(len(await ledger.database.read(reports.listed, Filter(), 200)))
        assert await counts(ledger) == {"total": len(customers), "remaining": len(customers)}
    assert entered == [bulk.BLOCK, 2 * bulk.BLOCK, len(customers)]


async def test_replicas_that_enter_at_the_same_time_enter_each_item_once(ledger: Ledger) -> None:
    customers = [str(number) for number in range(3 * bulk.BLOCK)]
    await ledger.do(bulk.open_sync, SYNC, SCOPE, "customers", customers, ledger.now)
    await asyncio.gather(*(ledger.do(bulk.enter_some, ledger.now, {SCOPE: True}) for _ in range(6)))
    assert len(await enter(ledger)) == len(customers)
    assert len(await ledger.statuses()) == len(customers)


async def test_cancelling_ends_what_was_not_even_entered(ledger: Ledger) -> None:
    customers = [str(number) for number in range(bulk.BLOCK + 7)]
    await ledger.do(bulk.open_sync, SYNC, SCOPE, "customers", customers, ledger.now)
    assert await ledger.do(bulk.enter_some, ledger.now, {SCOPE: True}) is not None
    assert len(await cancel(ledger)) == bulk.BLOCK
    assert await counts(ledger) == {"total": len(customers), "cancelled": len(customers)}
    assert await ledger.do(bulk.enter_some, ledger.now, {SCOPE: True}) is None


async def test_those_in_no_state_to_run_again_are_left_out(ledger: Ledger) -> None:
    failed = await ledger.failed(change(customer="1"))
    done = await ledger.succeeded(change(customer="2"))
    running = (await ledger.begun(change(customer="3"))).lead
    wanted = [failed.seq, done.seq, running.seq]
    await ledger.do(bulk.open_sync, SYNC, bulk.EVERY, "retry", wanted, ledger.now)
    assert await counts(ledger) == {"total": 3, "remaining": 3}
    assert await enter(ledger, fetch=False) == [failed.seq]
    again = await ledger.row(failed)
    assert (again.status, again.promised, again.next_attempt_at) == ("accepted", True, 0)
    assert await counts(ledger) == {"total": 1, "remaining": 1}


async def test_what_is_of_a_sandbox_is_run_again_only_there(ledger: Ledger) -> None:
    claim = await ledger.begun(change(connection=SANDBOX))
    await ledger.finish(claim, REFUSED)
    for served, status in ((SCOPE, "failed"), (SANDBOX, "accepted")):
        await ledger.do(bulk.open_sync, SYNC + served, bulk.EVERY, "retry", [claim.lead.seq], ledger.now)
        assert await ledger.do(bulk.enter_some, ledger.now, {served: False}) == []
        assert (await ledger.row(claim.lead)).status == status


async def test_a_retry_is_of_all_that_are_served(ledger: Ledger) -> None:
    claims = [await ledger.begun(change(connection=each)) for each in (SCOPE, SANDBOX, ELSEWHERE)]
    for claim in claims:
        await ledger.finish(claim, REFUSED)
    seqs = [claim.lead.seq for claim in claims]
    await ledger.do(bulk.open_sync, SYNC, bulk.EVERY, "retry", seqs, ledger.now)
    assert await ledger.do(bulk.enter_some, ledger.now, {SCOPE: False, ELSEWHERE: True}) == []
    assert await ledger.statuses() == ["accepted", "failed", "accepted"]
    assert await counts(ledger) == {"total": 2, "remaining": 2}


async def test_a_sync_of_a_scope_that_is_not_served_waits_and_keeps_no_other_out(ledger: Ledger) -> None:
    await ledger.do(bulk.open_sync, SYNC, ELSEWHERE, "customers", ["1", "2"], ledger.now)
    await ledger.do(bulk.open_sync, "sync-2", SCOPE, "customers", ["3"], ledger.now)
    assert await ledger.do(bulk.enter_some, ledger.now, {SCOPE: False}) == []
    assert await ledger.do(bulk.enter_some, ledger.now, {SCOPE: False}) is None
    (entered,) = await ledger.database.read(reports.listed, Filter(), 10)
    assert (entered.connection, entered.customer_id, entered.loading) == (SCOPE, "3", False)
    assert await counts(ledger) == {"total": 2, "remaining": 2}
    assert await ledger.do(bulk.enter_some, ledger.now, {SCOPE: False, ELSEWHERE: True}) == []
    found = await ledger.database.read(reports.listed, Filter(connection="1797"), 10)
    assert [(each.customer_id, each.loading) for each in found] == [("2", True), ("1", True)]


async def test_of_one_customers_failures_the_newest_is_run_again(ledger: Ledger) -> None:
    failed = [await ledger.failed(change(minute)) for minute in (2, 5, 9)]
    seqs = await ledger.database.read(reports.seqs, Filter(status="failed"))
    assert seqs == [each.seq for each in failed]
    await ledger.do(bulk.open_sync, SYNC, bulk.EVERY, "retry", seqs, ledger.now)
    await enter(ledger, fetch=False)
    assert [(await ledger.row(each)).status for each in failed] == ["skipped", "skipped", "accepted"]
    assert await counts(ledger) == {"total": 3, "skipped": 2, "remaining": 1}


async def test_lists(ledger: Ledger) -> None:
    failed = await ledger.failed(change(customer="1", guid="guid-1"))
    ledger.now += 10
    done = await ledger.succeeded(change(customer="1"))
    running = (await ledger.begun(change(customer="2"))).lead
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
    assert await listed(group=failed.failure_group) == [failed.seq]
    assert await listed(since=START + 1) == [running.seq, done.seq]
    assert await listed(until=START + 1) == [failed.seq]
    assert await listed(tracking_guid="guid-1") == [failed.seq]
    assert await listed(email_hash=email, status="succeeded") == [done.seq]
    ledger.now += 3 * DAY
    later = await ledger.succeeded(change(customer="3", guid="guid-3"))
    assert await listed(tracking_guid="guid-3") == [later.seq], "on whichever day"
    assert await listed(tracking_guid="guid-1") == [failed.seq]
    assert await listed(email_hash=email, status="succeeded") == [later.seq, done.seq]
    assert await listed(until=START + DAY, status="succeeded") == [done.seq]
    assert await listed(sync_id="nobody") == []
    assert await listed(customer_id="1' OR '1'='1") == []
    assert await ledger.database.read(reports.count, Filter(customer_id="1")) == 2
    assert await ledger.database.read(reports.by_id, done.id) == done
    assert await ledger.database.read(reports.by_id, "nobody") is None


async def test_a_connections_list_has_all_it_was_ever_kept_under(ledger: Ledger) -> None:
    here = ["default@270392", SANDBOX]
    for scope in (*here, ELSEWHERE, "default2@270392", "Default@270392", "de%ult@1", "de_ault@1"):
        await ledger.accept(change(connection=scope))

    async def listed(connection: str) -> list[str]:
        found = await ledger.database.read(reports.listed, Filter(connection=connection), 10)
        return sorted(each.connection for each in found)

    assert await listed("default") == sorted(here)
    assert await listed("1797") == [ELSEWHERE]
    assert await listed("de%ult") == ["de%ult@1"]
    assert await listed("de_ault") == ["de_ault@1"]
    for nobodys in ("def", "default@270392", "%", "", "_______"):
        assert await listed(nobodys) == []


async def test_the_transfers_of_a_sync(ledger: Ledger) -> None:
    await ledger.succeeded(change(customer="1"))
    (mine,) = await add(ledger, "1")
    (found,) = await ledger.database.read(reports.listed, Filter(sync_id=SYNC), 10)
    assert found.seq == mine


async def test_the_oldest_open_one(ledger: Ledger) -> None:
    async def oldest() -> float:
        found = await ledger.database.read(statistics.oldest_open)
        assert found is not None
        return found.created_at

    assert await ledger.database.read(statistics.oldest_open) is None
    first = await ledger.begun(change(customer="1"))
    ledger.now += 100
    await ledger.pending(bare(customer="2", promised=True))
    assert await oldest() == START
    await ledger.finish(first)
    assert await oldest() == START + 100


@pytest.mark.parametrize(
    ("minutes", "newest"),
    [((1, 2), 2), ((2, 1), 2), ((3, 9, 5), 9), ((None, None), None), ((9, None), None), ((None, 9), 9)],
    ids=str,
)
async def test_the_newest_record_of_a_customer_by_its_date_else_by_receipt(
    ledger: Ledger, minutes: tuple[int | None, ...], newest: int | None
) -> None:
    received = [await ledger.pending(change(minute, promised=True)) for minute in minutes]
    record = await ledger.database.read(reports.wanted_record, SCOPE, CUSTOMER)
    wanted = [each.record for each, minute in zip(received, minutes, strict=True) if minute == newest]
    assert record == wanted[-1]
    await add(ledger, CUSTOMER, fetch=False)
    assert (await ledger.claim()).record == record


async def test_nobody_has_a_record_who_was_never_heard_of(ledger: Ledger) -> None:
    await ledger.succeeded(change(1))
    assert await ledger.database.read(reports.wanted_record, SCOPE, "stranger") is None
    assert await ledger.database.read(reports.wanted_record, "another", CUSTOMER) is None


async def test_the_destination_that_a_connection_has_in_common(ledger: Ledger) -> None:
    async def common(name: str = SCOPE) -> str | None:
        return await ledger.database.read(reports.common_destination, name)

    assert await common() is None
    await ledger.accept(replace(change(1, customer="1"), destination="1796"))
    await ledger.accept(change(1, customer="2"))
    assert await common() == "1796"
    assert await common("another") is None
    await ledger.accept(replace(change(1, customer="3"), destination="1797"))
    assert await common() is None, "which of the two is not known"


async def test_attempts_in_order(ledger: Ledger) -> None:
    transfer = await ledger.waiting()
    await ledger.again(transfer, OTHER)
    await ledger.release(owner=OTHER)
    assert await ledger.outcomes(transfer) == [(1, "failed"), (2, "interrupted")]
