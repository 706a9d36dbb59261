"""What stands before a connection's calls, as replicas share it: reserved calls, pauses, and who waits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import select

from app.ledger import bulk, gates, replicas, trail, triggers
from app.ledger.gates import Ask, Gate
from app.ledger.ranks import Rank
from app.ledger.session import Session
from app.ledger.tables import trail as deeds
from app.ledger.trail import By
from app.outbound.pauses import Pause
from app.outbound.window import Throttle
from tests.ledger.support import (
    ELSEWHERE,
    OTHER,
    OWNER,
    SANDBOX,
    START,
    Halfway,
    Ledger,
    ask,
    bare,
    change,
)
from tests.support import SCOPE

TEN = Throttle(10, 60.0)
ADA = By("ada", "203.0.113.7", "api")
OPENS = 60.1  # a window and what clocks may differ by
TURNS: list[tuple[gates.Turn, float | None]] = [("down", None), ("up", None), ("throttled", 20.0)]


def mine(**more: Any) -> Ask:
    return ask(throttle=TEN, **more)


async def alive(ledger: Ledger, *names: str) -> None:
    for name in names:
        await ledger.do(replicas.beat, name, ledger.now)


@pytest.fixture(autouse=True)
async def _both_live(ledger: Ledger) -> None:
    await alive(ledger, OWNER, OTHER)


async def lease(ledger: Ledger, most: int, least: int = 2, owner: str = OWNER, **told: Any) -> int:
    _, taken = await ledger.do(gates.lease, mine(**told), most, least, owner, ledger.now)
    return taken


async def look(ledger: Ledger, scope: str = SCOPE) -> Gate:
    found = await ledger.database.read(gates.look, {scope: TEN, SANDBOX: TEN})
    return found[scope]


async def turn(ledger: Ledger, how: gates.Turn, seconds: float | None = None) -> Gate:
    return await ledger.do(gates.turn, mine(), how, ledger.now, seconds)


# ---- calls


async def test_nothing_is_known_of_a_connection_before_its_first_call(ledger: Ledger) -> None:
    assert await ledger.database.read(gates.look, {SCOPE: TEN}) == {}
    assert await ledger.do(gates.lock, {}, ledger.now) == {}


async def test_what_one_replica_has_reserved_is_not_the_others(ledger: Ledger) -> None:
    assert await lease(ledger, 7) == 7
    assert await lease(ledger, 7, least=4, owner=OTHER) == 0
    assert await lease(ledger, 7, owner=OTHER) == 3
    assert (await look(ledger)).window.held == {OWNER: 7, OTHER: 3}


async def test_what_a_replica_used_keeps_its_place_and_what_it_gives_back_is_everybodys(ledger: Ledger) -> None:
    assert await lease(ledger, 10) == 10
    ledger.now += 5
    assert await lease(ledger, 0, 0, held=2, used={ledger.now: 3}) == 0
    window = (await look(ledger)).window
    assert (window.held, window.spent) == ({OWNER: 2}, {ledger.now: 3})
    assert await lease(ledger, 9, owner=OTHER) == 5
    assert await lease(ledger, 0, 0, held=0, used={ledger.now: 2}) == 0
    ledger.now += OPENS
    assert await lease(ledger, 9, held=0) == 5


async def test_each_connection_has_calls_of_its_own(ledger: Ledger) -> None:
    assert await lease(ledger, 10) == 10
    _, taken = await ledger.do(gates.lease, replace(mine(), connection=ELSEWHERE), 10, 2, OWNER, ledger.now)
    assert taken == 10


async def test_replicas_that_reserve_at_the_same_time_never_get_more_than_there_is(ledger: Ledger) -> None:
    """Also the first ones ever."""
    names = [f"replica-{number}" for number in range(10, 18)]
    await alive(ledger, *names)
    taken = await asyncio.gather(*(lease(ledger, 3, owner=name) for name in names))
    assert sorted(taken) == [0, 0, 0, 0, 0, 3, 3, 3]
    assert sum((await look(ledger)).window.held.values()) == 9


@pytest.mark.parametrize("empty_url", ["postgresql"], indirect=True)
async def test_who_reserves_waits_for_another_one_that_is_about_to(ledger: Ledger) -> None:
    await lease(ledger, 1, 1)
    halfway = Halfway()

    def slowly(session: Session) -> int:
        _, taken = gates.lease(session, mine(held=1), 6, 2, OWNER, ledger.now)
        halfway.stop()
        return taken

    first = asyncio.create_task(ledger.do(slowly))
    await halfway.reached.wait()
    second = asyncio.create_task(lease(ledger, 6, owner=OTHER))
    blocked = await ledger.blocked_or_done(second)
    halfway.go_on.set()
    assert (await first, await second, blocked) == (6, 3, True)


async def test_what_a_dead_replica_held_counts_as_used_when_others_find_it_dead(ledger: Ledger) -> None:
    assert await lease(ledger, 8, owner=OTHER) == 8
    ledger.now += replicas.DEAD_AFTER_SECONDS
    await alive(ledger, OWNER)
    await ledger.do(replicas.bury, OWNER, ledger.now)
    assert await lease(ledger, 9) == 2, "it says that it lives"
    ledger.now += 1
    await ledger.do(replicas.bury, OWNER, ledger.now)
    assert await lease(ledger, 9, held=2) == 0
    window = (await look(ledger)).window
    assert (window.held, window.spent) == ({OWNER: 2}, {ledger.now: 8})
    ledger.now += OPENS
    assert await lease(ledger, 9, held=2) == 8


async def test_one_that_leaves_in_order_leaves_only_what_it_used(ledger: Ledger) -> None:
    await lease(ledger, 8, owner=OTHER)
    await lease(ledger, 0, 0, owner=OTHER, held=0, used={ledger.now: 1})
    await ledger.do(replicas.leave, OTHER)
    assert await lease(ledger, 10) == 9


async def test_a_replica_reserves_before_its_first_heartbeat_is_seen(ledger: Ledger) -> None:
    await ledger.do(replicas.leave, OWNER)
    assert await lease(ledger, 4) == 4
    assert await lease(ledger, 4, held=4) == 4
    assert (await look(ledger)).window.held == {OWNER: 8}


async def test_what_keeps_no_place_any_more_is_not_kept(ledger: Ledger) -> None:
    await lease(ledger, 4)
    await lease(ledger, 0, 0, held=0, used={ledger.now: 4})
    ledger.now += OPENS
    await lease(ledger, 0, 0)
    assert (await look(ledger)).window.spent == {}


# ---- pauses


@pytest.mark.parametrize(("how", "seconds"), TURNS)
async def test_each_turn_is_seen_by_all_and_may_be_told_twice(
    ledger: Ledger, how: gates.Turn, seconds: float | None
) -> None:
    told = [await turn(ledger, how, seconds) for _ in range(2)]
    seen = await look(ledger)
    assert told[0].pauses == told[1].pauses == seen.pauses
    expected = {
        "down": Pause("down", START, START + 5),
        "up": None,
        "throttled": Pause("throttled", START, START + 20),
    }
    assert seen.pause(ledger.now, 2) == expected[how]


async def test_when_stamped_answers_again_its_calls_come_at_the_throttles_pace(ledger: Ledger) -> None:
    await turn(ledger, "down")
    ledger.now += 5
    gate = await turn(ledger, "up")
    assert gate.pauses.at(ledger.now) is None
    assert [gate.window.left(ledger.now + seconds) for seconds in (0, 11, 12, 24, 48)] == [2, 2, 4, 6, 10]
    assert await lease(ledger, 10) == 2


async def test_that_it_answers_is_no_news_where_it_was_not_down(ledger: Ledger) -> None:
    await turn(ledger, "up")
    assert await lease(ledger, 10) == 10


async def test_nothing_begins_before_the_end_of_what_stamped_asked_for(ledger: Ledger) -> None:
    gate = await turn(ledger, "throttled", 20)
    pause = gate.pause(ledger.now, 2)
    assert pause == Pause("throttled", START, START + 20)
    assert await lease(ledger, 10) == 0
    ledger.now += 20
    assert (await look(ledger)).pause(ledger.now, 2) is None
    assert await lease(ledger, 10) == 2


async def test_what_one_replica_uses_at_that_time_is_not_lost(ledger: Ledger) -> None:
    """It is on its way while another one tells of the 429."""
    await lease(ledger, 4, owner=OTHER)
    await turn(ledger, "throttled", 20)
    ledger.now += 10
    await lease(ledger, 0, 0, owner=OTHER, held=0, used={ledger.now: 4})
    gate = await look(ledger)
    ledger.now += OPENS
    assert [gate.window.left(ledger.now - 0.2), gate.window.left(ledger.now)] == [6, 10]


async def test_too_few_calls_for_an_attempt_are_a_pause_until_there_are_enough(ledger: Ledger) -> None:
    await lease(ledger, 9)
    await lease(ledger, 0, 0, held=0, used={START: 7, START + 3: 2})
    ledger.now += 5
    gate = await look(ledger)
    assert gate.pause(ledger.now, 1) is None
    assert gate.pause(ledger.now, 2) == Pause("throttled", START + 3, START + OPENS)
    assert gate.pause(START + OPENS, 2) is None
    early = gate.pause(START + 2.5, 2)  # before the end of a step in which calls ended
    assert early == Pause("throttled", START, START + OPENS)


async def test_by_hand_until_by_hand(ledger: Ledger) -> None:
    gate = await ledger.do(gates.pause, mine(), "stock-taking", ledger.now, ADA)
    assert gate.pauses == (await look(ledger)).pauses
    ledger.now += 100
    again = await ledger.do(gates.pause, mine(), "new keys", ledger.now, ADA)
    assert again.pauses.at(ledger.now) == Pause("paused", START, None, "new keys")
    ledger.now += 100
    resumed = await ledger.do(gates.resume, mine(), ledger.now, ADA)
    assert resumed.pauses.at(ledger.now) is None
    assert await lease(ledger, 10) == 2, "with no storm"
    ledger.now += 12
    again = await ledger.do(gates.resume, mine(), ledger.now, ADA)
    assert again.window.left(ledger.now) == 2, "and no new pace where it was not paused"


async def test_to_resume_what_is_down_is_to_probe_it_at_once(ledger: Ledger) -> None:
    await turn(ledger, "down")
    ledger.now += 2
    gate = await ledger.do(gates.resume, mine(), ledger.now, ADA)
    assert gate.pauses.at(ledger.now) == Pause("down", START, ledger.now)
    assert (await look(ledger)).pauses.is_to_probe(ledger.now)


async def test_at_a_start_what_is_down_is_probed_at_once_and_nothing_else(ledger: Ledger) -> None:
    await turn(ledger, "down")
    await ledger.do(gates.turn, replace(mine(), connection=SANDBOX), "throttled", ledger.now, 60.0)
    before = (await look(ledger, SANDBOX)).pauses
    ledger.now += 2
    await ledger.do(gates.hasten, ledger.now)
    assert (await look(ledger)).pauses.at(ledger.now) == Pause("down", START, ledger.now)
    assert (await look(ledger, SANDBOX)).pauses == before


async def test_who_paused_and_resumed_is_in_the_trail(ledger: Ledger) -> None:
    await ledger.do(gates.resume, mine(), ledger.now, ADA)
    await ledger.do(gates.pause, mine(), None, ledger.now, ADA)
    ledger.now += 5
    await ledger.do(gates.resume, mine(), ledger.now, ADA)

    def read(session: Session) -> list[tuple[Any, ...]]:
        found = select(deeds.c.at, deeds.c.what, deeds.c.who, deeds.c.subject, deeds.c.transfer_seq)
        return [tuple(row) for row in session.execute(found.order_by(deeds.c.seq))]

    assert await ledger.database.read(read) == [
        (START, "paused", "ada", SCOPE, None),
        (START + 5, "resumed", "ada", SCOPE, None),
    ]


async def test_a_transfer_tells_how_its_connection_was_paused_while_it_was_open(ledger: Ledger) -> None:
    done = await ledger.succeeded(change(1))
    ledger.now += 1
    open_one = await ledger.pending(change(1, customer="2", promised=True))
    elsewhere = await ledger.pending(change(1, customer="2", promised=True, connection=ELSEWHERE))
    await ledger.do(gates.pause, mine(), None, ledger.now, ADA)
    ledger.now += 1
    late = await ledger.pending(change(1, customer="3", promised=True))
    await ledger.do(gates.resume, mine(), ledger.now, ADA)
    told = [await ledger.database.read(trail.of_transfer, each.seq) for each in (done, open_one, elsewhere, late)]
    assert [[deed.what for deed in each] for each in told] == [[], ["paused", "resumed"], [], ["resumed"]]


@pytest.mark.parametrize(
    "end",
    [
        lambda session, now: gates.turn(session, mine(), "up", now, None),
        lambda session, now: gates.resume(session, mine(), now, ADA),
    ],
    ids=["up", "resume"],
)
async def test_one_pause_ends_without_the_other(ledger: Ledger, end: Callable[[Session, float], object]) -> None:
    await turn(ledger, "down")
    await ledger.do(gates.pause, mine(), None, ledger.now, ADA)
    await ledger.do(end, ledger.now)
    left = (await look(ledger)).pause(ledger.now, 2)
    assert left is not None
    await ledger.do(end, ledger.now)
    assert (await look(ledger)).pause(ledger.now, 2) == left


# ---- who waits


async def test_who_waits_is_counted_by_rank_and_connection(ledger: Ledger) -> None:
    await ledger.accept(change(customer="1"), None)
    await ledger.accept(bare(customer="2"), None)
    for customer in ("3", "4", "5"):
        await ledger.pending(change(customer=customer, promised=True))
    await ledger.waiting(change(customer="6", promised=True))
    await ledger.pending(change(customer="7", promised=True, trigger="sync"))
    await ledger.begun(change(customer="8"))
    await ledger.succeeded(change(customer="9"))
    await ledger.pending(change(customer="1", promised=True, connection=SANDBOX))
    await ledger.do(bulk.open_sync, "sync-1", SCOPE, "customers", ["20", "21", "22"], ledger.now)
    await ledger.do(bulk.open_sync, "sync-2", SANDBOX, "customers", ["20"], ledger.now)
    found = await ledger.database.read(gates.waiting, [SCOPE, ELSEWHERE])
    assert found == {
        SCOPE: {Rank.CALLER: 2, Rank.PROMISED: 3, Rank.RETRY: 1, Rank.BULK: 4},
        ELSEWHERE: dict.fromkeys(Rank, 0),
    }
    assert await ledger.do(bulk.enter_some, ledger.now, {SCOPE: False}) is not None
    found = await ledger.database.read(gates.waiting, [SCOPE])
    assert found[SCOPE][Rank.BULK] == 4, "entered, and no more than before"


async def test_a_caller_that_was_promised_waits_among_the_promised(ledger: Ledger) -> None:
    caller = (await ledger.accept(change(customer="1"), None)).transfer
    await ledger.do(triggers.promise, caller.seq)
    found = await ledger.database.read(gates.waiting, [SCOPE])
    assert (found[SCOPE][Rank.CALLER], found[SCOPE][Rank.PROMISED]) == (0, 1)
