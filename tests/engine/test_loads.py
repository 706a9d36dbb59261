"""Records that are loaded first: outside the order, until they are in hand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.engine.support import Room, SlowIpaas, ask, change, record, room
from tests.support import BY

MINUTE = 60.0
T1, T2, T3 = (f"2026-11-24T10:0{minute}:00Z" for minute in (1, 2, 3))


@pytest.fixture
def ipaas() -> SlowIpaas:
    return SlowIpaas(record(2, T2), record(1, T1, customer=2))


@pytest.fixture
async def here(tmp_path: Path, ipaas: SlowIpaas) -> AsyncIterator[Room]:
    """Records come from iPaaS.com."""
    async with room(tmp_path / "bridge.db", ipaas=ipaas) as opened:
        yield opened


async def answer(here: Room, ipaas: SlowIpaas, outcome: str = "ok") -> None:
    """The load that is open, and its repeats."""
    await here.still()
    (load,) = ipaas.open
    ipaas.release(load, outcome)
    await here.still()
    while outcome == "away" and ipaas.open:
        ipaas.release(ipaas.open[0], outcome)
        await here.still()


async def test_a_caller_waits_for_the_load_and_what_follows(here: Room, ipaas: SlowIpaas) -> None:
    caller = here.send(ask())
    await answer(here, ipaas)
    assert not caller.done()
    await here.release()
    (outcome,) = caller.result()
    assert (outcome.transfer.status, outcome.transfer.attempts) == ("succeeded", 1)
    assert here.stamped.held == {"C-1": 2}
    assert here.engine.running == 0


async def test_callers_join_a_load_that_runs(here: Room, ipaas: SlowIpaas) -> None:
    new = ask()
    callers = [here.send(new) for _ in range(3)]
    await answer(here, ipaas)
    await here.release()
    assert [caller.result()[0].transfer.status for caller in callers] == ["succeeded"] * 3
    assert here.stamped.sent == [("C-1", 2)]


async def test_while_a_record_is_loaded_the_customer_goes_on(here: Room, ipaas: SlowIpaas) -> None:
    loading = here.send(ask())
    with_record = here.send(change(1, T1))
    await here.release()
    assert with_record.result()[0].transfer.status == "succeeded"
    await answer(here, ipaas)
    await here.release()
    assert loading.result()[0].transfer.status == "succeeded"
    assert here.stamped.sent == [("C-1", 1), ("C-1", 2)]


async def test_a_record_that_comes_while_another_one_is_sent_waits_for_its_turn(
    here: Room, ipaas: SlowIpaas
) -> None:
    here.send(change(1, T1))
    loading = here.send(ask())
    await answer(here, ipaas)
    assert [call.version for call in here.stamped.open] == [1]
    await here.release()
    await here.release()
    assert loading.result()[0].transfer.status == "succeeded"
    assert here.stamped.most_at_once == 1
    assert here.stamped.held == {"C-1": 2}


async def test_a_loaded_record_that_is_older_is_superseded_and_its_caller_told(
    here: Room, ipaas: SlowIpaas
) -> None:
    loading = here.send(ask())
    here.send(change(3, T3))
    await here.release()
    await answer(here, ipaas)
    (outcome,) = loading.result()
    assert outcome.transfer.status == "skipped"
    assert here.stamped.open == []
    assert here.stamped.held == {"C-1": 3}


async def test_a_load_that_fails_waits_alone(here: Room, ipaas: SlowIpaas) -> None:
    (stored,) = await here.promise(ask())
    await answer(here, ipaas, "away")
    assert (await here.row(stored)).status == "waiting"
    caller = here.send(change(1, T1))
    await here.release()
    assert caller.result()[0].transfer.status == "succeeded"
    row = await here.row(stored)
    assert (row.status, row.loading, row.tries) == ("waiting", True, 1)
    await here.advance(22 * MINUTE)
    await answer(here, ipaas)
    await here.release()
    assert (await here.row(stored)).status == "succeeded"
    assert here.stamped.held == {"C-1": 2}


async def test_a_load_that_waits_is_not_settled_by_what_others_bring(here: Room, ipaas: SlowIpaas) -> None:
    """Its record may be newer, and may say "no"."""
    (loading,) = await here.promise(ask())
    await answer(here, ipaas, "away")
    (first,) = await here.promise(change(1, T1))
    await here.still()
    (second,) = await here.promise(change(1, T1))
    await here.release()
    await here.release()
    assert [(await here.row(each)).status for each in (first, second)] == ["succeeded"] * 2
    row = await here.row(loading)
    assert (row.status, row.loading) == ("waiting", True)


async def test_a_load_that_fails_for_good_fails_alone(here: Room, ipaas: SlowIpaas) -> None:
    (waiting,) = await here.promise(change(1, T1))
    await here.release("away")
    caller = here.send(ask())
    await answer(here, ipaas, "denied")
    (outcome,) = caller.result()
    assert (outcome.transfer.status, outcome.transfer.error) == ("failed", "customer-not-loaded")
    assert (await here.row(waiting)).status == "waiting"
    await here.advance(22 * MINUTE)
    await here.release()
    assert (await here.row(waiting)).status == "succeeded"
    assert here.stamped.held == {"C-1": 1}


async def test_a_load_that_failed_leaves_no_doubt(here: Room, ipaas: SlowIpaas) -> None:
    here.send(ask())
    await answer(here, ipaas, "away")
    await here.advance(10 * here.timeout)
    assert await here.statuses() == ["failed"]


async def test_six_loads_and_no_more(here: Room, ipaas: SlowIpaas) -> None:
    (stored,) = await here.promise(ask())
    for _ in range(6):
        await answer(here, ipaas, "away")
        await here.advance(400 * MINUTE)
    row = await here.row(stored)
    assert (row.status, row.tries, ipaas.open) == ("failed", 6, [])


async def test_what_is_loaded_is_due_whatever_the_clock_says(here: Room, ipaas: SlowIpaas) -> None:
    here.send(change(1, T1))
    await here.still()
    here.fake_clock.jump(-10 * MINUTE)
    (stored,) = await here.promise(ask())
    await answer(here, ipaas)
    here.fake_clock.jump(-10 * MINUTE)
    await here.release()
    await here.release()
    assert (await here.row(stored)).status == "succeeded"


async def test_a_load_that_waits_can_be_cancelled_or_run_by_hand(here: Room, ipaas: SlowIpaas) -> None:
    first, second = await here.promise(ask(), ask(customer=2))
    await here.still()
    while ipaas.open:
        ipaas.release(ipaas.open[0], "away")
        await here.still()
    cancelled = await here.operations.cancel(await here.row(first), BY)
    assert cancelled is not None
    again = asyncio.create_task(here.engine.rerun(second))
    await answer(here, ipaas)
    await here.release()
    assert again.result() is not None
    assert await here.statuses() == ["cancelled", "succeeded"]
    await here.advance(24 * 60 * MINUTE)
    assert ipaas.open == []


async def test_a_manual_sync_loads_and_always_sends(here: Room, ipaas: SlowIpaas) -> None:
    """What is wanted, never something older."""
    here.send(change(3, T3))
    await here.release()
    sync = asyncio.create_task(here.operations.sync_customer(here.connection, "1", None, None, BY))
    await answer(here, ipaas)
    await here.release()
    assert sync.result().transfer.status == "succeeded"
    assert here.stamped.sent == [("C-1", 3), ("C-1", 3)]
