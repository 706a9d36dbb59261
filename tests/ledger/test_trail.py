"""Who did what: written with the deed or not at all, found by transfer, and deleted with it."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from sqlalchemy import func, select

from app.ledger import bulk, reports, retention, tables, trail, triggers
from app.ledger.session import Session
from app.ledger.stored import Stored
from app.ledger.tables import DAY
from app.ledger.trail import By
from tests.ledger.support import OWNER, REFUSED, START, Ledger, bare, change
from tests.support import SCOPE

ADA = By("ada", "203.0.113.7", "api")
BOB = By("bob", None, "page")
HOUR = 3600.0


async def deeds(ledger: Ledger, transfer: Stored | int) -> list[tuple[str, str]]:
    """What, and by whom."""
    seq = transfer if isinstance(transfer, int) else transfer.seq
    return [(each.what, each.who) for each in await ledger.database.read(trail.of_transfer, seq)]


async def rows(ledger: Ledger) -> int:
    counted = select(func.count()).select_from(tables.trail)
    return await ledger.database.read(lambda session: int(session.execute(counted).scalar_one()))


async def test_a_rerun_and_a_cancel_say_by_whom_from_where_and_when(ledger: Ledger) -> None:
    failed = await ledger.failed(change(1), REFUSED)
    other = await ledger.failed(change(1, customer="2"), REFUSED)
    ledger.now += 5
    assert await ledger.do(triggers.rerun, failed.seq, None, ledger.now, fetch={SCOPE: False}, by=ADA) is not None
    ledger.now += 5
    assert await ledger.do(triggers.cancel, failed.seq, ledger.now, BOB) is not None
    found = await ledger.database.read(trail.of_transfer, failed.seq)
    assert found == [
        trail.Deed(ledger.now - 5, "re-run", "ada", "203.0.113.7", "api"),
        trail.Deed(ledger.now, "cancelled", "bob", None, "page"),
    ]
    assert await ledger.database.read(reports.story_of, failed.seq) == (
        await ledger.database.read(reports.attempts_of, failed.seq),
        found,
    )
    assert await deeds(ledger, other) == []


async def test_what_could_not_be_done_is_not_in_the_trail(ledger: Ledger) -> None:
    done = await ledger.succeeded(change(1))
    assert await ledger.do(triggers.rerun, done.seq, None, ledger.now, fetch={SCOPE: False}, by=ADA) is None
    assert await ledger.do(triggers.cancel, done.seq, ledger.now, ADA) is None
    assert await rows(ledger) == 0


async def test_nothing_is_noted_of_what_is_rolled_back(ledger: Ledger) -> None:
    waiting = await ledger.waiting(change(1, promised=True))

    def cancel_and_break(session: Session) -> None:
        assert triggers.cancel(session, waiting.seq, ledger.now, ADA) is not None
        raise RuntimeError

    with pytest.raises(RuntimeError):
        await ledger.do(cancel_and_break)
    assert (await ledger.row(waiting)).status == "waiting"
    assert await rows(ledger) == 0


async def test_a_run_by_hand_says_by_whom_also_beside_webhooks(ledger: Ledger) -> None:
    """They may share one transaction."""
    news = [change(1, customer=str(number)) for number in range(6)]
    by_hand = [replace(bare("manual", customer="8", fetch=fetch), by=ADA) for fetch in (False, True)]
    everything = [*news[:3], *by_hand, *news[3:]]
    entered = await asyncio.gather(*(ledger.accept(new, OWNER) for new in everything))
    for new, each in zip(everything, entered, strict=True):
        assert await deeds(ledger, each.transfer) == ([("sync", "ada")] if new.by else [])
    assert await rows(ledger) == 2


async def test_what_nobody_did_by_hand_leaves_no_trail(ledger: Ledger) -> None:
    failed = await ledger.failed(change(1), REFUSED)
    assert await ledger.again(failed, None)
    assert await ledger.cancel(failed)
    assert await rows(ledger) == 0


async def test_a_sync_is_noted_once_and_found_from_each_of_its_transfers(ledger: Ledger) -> None:
    alone = await ledger.succeeded(change(1, customer="9"))
    await ledger.do(bulk.open_sync, "sync-1", SCOPE, "customers", ["1", "2"], ledger.now, ADA)
    await ledger.do(bulk.open_sync, "sync-2", SCOPE, "customers", ["3"], ledger.now, BOB)
    for _ in range(2):
        assert await ledger.do(bulk.enter_some, ledger.now, {SCOPE: True}) is not None
    ledger.now += 1
    for _ in range(2):
        assert len(await ledger.do(bulk.close_sync, "sync-1", ledger.now, BOB)) == 2
    assert await rows(ledger) == 3
    first, second, other = (alone.seq + number for number in (1, 2, 3))
    for seq in (first, second):
        assert await deeds(ledger, seq) == [("sync", "ada"), ("sync cancelled", "bob")]
    assert await deeds(ledger, other) == [("sync", "bob")]
    assert await deeds(ledger, alone) == []


async def test_a_rerun_of_many_stands_among_what_was_done_to_each_alone(ledger: Ledger) -> None:
    failed = await ledger.failed(change(1), REFUSED)
    await ledger.do(trail.note, BOB, "revealed", ledger.now, seq=failed.seq)
    ledger.now += 1
    await ledger.do(bulk.open_sync, "sync-1", bulk.EVERY, "retry", [failed.seq], ledger.now, ADA)
    assert await ledger.do(bulk.enter_some, ledger.now, {SCOPE: False}) is not None
    ledger.now += 1
    assert await ledger.do(triggers.cancel, failed.seq, ledger.now, BOB) is not None
    assert await deeds(ledger, failed) == [("revealed", "bob"), ("re-run all", "ada"), ("cancelled", "bob")]


async def test_who_looks_again_within_an_hour_is_noted_already(ledger: Ledger) -> None:
    done = await ledger.succeeded(change(1))

    async def noted(by: By, after: float = 0.0, seq: int = done.seq) -> bool:
        return await ledger.database.read(trail.has_revealed, seq, by, ledger.now + after)

    for by in (ADA, BOB):
        assert not await noted(by)
        await ledger.do(trail.note, by, "revealed", ledger.now, seq=done.seq)
        assert await noted(by, HOUR - 1)
        assert not await noted(by, HOUR)
    assert not await noted(ADA, seq=done.seq + 1)
    for other in (By("eve", ADA.where, "api"), By("ada", "203.0.113.8", "api"), By("ada", ADA.where, "page")):
        assert not await noted(other)


async def test_only_a_look_is_a_look(ledger: Ledger) -> None:
    done = await ledger.succeeded(change(1))
    await ledger.do(trail.note, ADA, "re-run", ledger.now, seq=done.seq)
    assert not await ledger.database.read(trail.has_revealed, done.seq, ADA, ledger.now)


async def test_the_trail_goes_with_the_ids_and_not_with_the_record(ledger: Ledger) -> None:
    old = await ledger.succeeded(change(1))
    await ledger.do(trail.note, ADA, "revealed", ledger.now, seq=old.seq)
    ledger.now += 10
    young = await ledger.succeeded(change(1, customer="2"))
    await ledger.do(trail.note, ADA, "revealed", ledger.now, seq=young.seq)
    await ledger.do(retention.forget_records, ledger.now + 1)
    assert await deeds(ledger, old) == [("revealed", "ada")]
    assert await ledger.do(retention.forget_transfers, START + 5) == 1
    assert await deeds(ledger, old) == []
    assert await deeds(ledger, young) == [("revealed", "ada")]


async def test_what_is_of_no_transfer_goes_by_its_time(ledger: Ledger) -> None:
    for days in (0, 2):
        await ledger.do(trail.note, ADA, "sync", START + days * DAY, subject=f"sync-{days}")
    await ledger.do(retention.forget_transfers, START + DAY)
    assert await rows(ledger) == 1
    await ledger.do(retention.forget_transfers, START + 3 * DAY)
    assert await rows(ledger) == 0
