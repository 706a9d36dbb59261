"""What a replica begins next: by rank, as far as the calls reach, and as the connection's pauses allow."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from app.attempt import Progress
from app.ledger import attempts, gates, replicas
from app.ledger.attempts import AttemptResult
from app.ledger.claims import Claim
from app.ledger.gates import Ask
from app.ledger.ranks import Rank
from app.ledger.stored import Stored
from app.ledger.trail import By
from app.ledger.triggers import NewTransfer
from app.ledger.work import Work, claim_work
from app.outbound.pauses import Pause
from app.outbound.window import Throttle
from tests.ledger.support import (
    ELSEWHERE,
    OTHER,
    OWNER,
    PLENTY,
    RETRYABLE,
    START,
    TERMS,
    Ledger,
    ask,
    bare,
    change,
)
from tests.support import SCOPE

ADA = By("ada", None, "page")
WINDOW = 61.0
OF_RANK: dict[Rank, dict[str, Any]] = {
    Rank.CALLER: {},
    Rank.PROMISED: {"promised": True},
    Rank.BULK: {"promised": True, "trigger": "sync"},
}


@pytest.fixture(autouse=True)
async def _both_live(ledger: Ledger) -> None:
    for name in (OWNER, OTHER):
        await ledger.do(replicas.beat, name, ledger.now)


def of_rank(rank: Rank, customer: str, connection: str = SCOPE) -> NewTransfer:
    return change(customer=customer, connection=connection, **OF_RANK[rank])


async def wait(ledger: Ledger, rank: Rank, *customers: str, connection: str = SCOPE) -> list[Stored]:
    """So many of this rank wait to be begun."""
    return [(await ledger.accept(of_rank(rank, each, connection), None)).transfer for each in customers]


async def wait_to_load(ledger: Ledger, rank: Rank, *customers: str) -> None:
    for customer in customers:
        await ledger.accept(bare(customer=customer, **OF_RANK[rank]), None)


def names(claims: Sequence[Claim]) -> list[str]:
    return [claim.customer.customer_id for claim in claims]


def loaded(work: Work) -> list[str | None]:
    return [each.customer_id for each in work.loads]


async def turn(ledger: Ledger, how: gates.Turn, seconds: float | None = None, **more: Any) -> None:
    await ledger.do(gates.turn, ask(**more), how, ledger.now, seconds)


async def begin(ledger: Ledger, **more: Any) -> list[str]:
    """Who begins."""
    return names((await ledger.claim_work(ask(**more))).claims)


# ---- ranks


async def test_callers_come_before_promises_these_before_retries_and_these_before_bulk(ledger: Ledger) -> None:
    await wait(ledger, Rank.BULK, "bulk")
    retry = await ledger.waiting(change(customer="retry", promised=True))
    assert retry.next_attempt_at is not None
    ledger.now = retry.next_attempt_at
    await wait(ledger, Rank.PROMISED, "promised")
    await wait(ledger, Rank.CALLER, "caller")
    assert [await begin(ledger, room=1) for _ in range(5)] == [["caller"], ["promised"], ["retry"], ["bulk"], []]


async def test_within_one_claim_too(ledger: Ledger) -> None:
    for rank in (Rank.BULK, Rank.PROMISED, Rank.CALLER):
        await wait(ledger, rank, rank.name)
    assert await begin(ledger) == ["CALLER", "PROMISED", "BULK"]


async def test_of_one_rank_what_waited_longest(ledger: Ledger) -> None:
    for customer in ("first", "second", "third"):
        await ledger.waiting(change(customer=customer, promised=True))
        ledger.now += 1
    ledger.now += 10**6
    assert await begin(ledger, room=2) == ["first", "second"]
    assert await begin(ledger, room=2) == ["third"]


async def test_a_customer_has_the_rank_of_the_first_that_waits_for_it(ledger: Ledger) -> None:
    await wait(ledger, Rank.BULK, "both")
    await wait(ledger, Rank.PROMISED, "promised")
    await wait(ledger, Rank.CALLER, "both")
    assert [await begin(ledger, room=1) for _ in range(2)] == [["both"], ["promised"]]


async def test_whose_caller_has_gone_is_promised(ledger: Ledger) -> None:
    await wait(ledger, Rank.CALLER, "gone")
    claim = (await ledger.claim_work()).claims[0]
    await ledger.release("gone")
    await wait(ledger, Rank.CALLER, "caller")
    assert claim.customer.customer_id == "gone"
    assert [await begin(ledger, room=1) for _ in range(2)] == [["caller"], ["gone"]]


async def test_a_promised_load_comes_before_bulk_where_one_place_is_free_at_a_time(ledger: Ledger) -> None:
    await wait(ledger, Rank.BULK, "1", "2", "3", "4")
    await wait_to_load(ledger, Rank.PROMISED, "promised")
    begun = [await ledger.claim_work(ask(room=1)) for _ in range(2)]
    assert ["promised"] in [loaded(each) for each in begun]


# ---- loads


async def test_loads_of_bulk_wait_for_the_attempts_of_what_was_loaded_before(ledger: Ledger) -> None:
    """Else all records of a sync were fetched long before they are sent."""
    await wait_to_load(ledger, Rank.BULK, "a", "b", "c")
    narrow = Throttle(2, 60.0)
    first = await ledger.claim_work(ask(room=2, throttle=narrow))
    assert (names(first.claims), loaded(first)) == ([], ["a", "b"])
    for each in first.loads:
        await ledger.loaded(each, 5, owner=None)
    second = await ledger.claim_work(ask(room=4, throttle=narrow))
    assert (names(second.claims), loaded(second)) == (["a"], []), "there are calls for one"
    ledger.now += WINDOW
    told: dict[str, Any] = {"held": 0, "used": {START: 2}, "tells": True}
    third = await ledger.claim_work(ask(room=4, throttle=narrow, **told))
    assert (names(third.claims), loaded(third)) == (["b"], ["c"])


async def test_other_loads_wait_for_no_attempts(ledger: Ledger) -> None:
    await wait(ledger, Rank.PROMISED, "1", "2", "3")
    for rank in (Rank.PROMISED, Rank.CALLER):
        await wait_to_load(ledger, rank, f"load {rank.name}")
    work = await ledger.claim_work(ask(room=10, throttle=Throttle(2, 60.0)))
    assert (len(work.claims), loaded(work)) == (1, ["load CALLER", "load PROMISED"])


@pytest.mark.parametrize("how", ["down", "throttled"])
async def test_records_are_loaded_while_stamped_is_away_but_none_of_bulk(ledger: Ledger, how: gates.Turn) -> None:
    await wait_to_load(ledger, Rank.BULK, "bulk")
    await wait_to_load(ledger, Rank.PROMISED, "promised")
    await turn(ledger, how, 60)
    work = await ledger.claim_work()
    assert (work.claims, loaded(work)) == ([], ["promised"])


# ---- calls


async def test_an_attempt_begins_only_with_all_the_calls_that_it_may_need(ledger: Ledger) -> None:
    await wait(ledger, Rank.PROMISED, "1", "2", "3")
    seven = Throttle(7, 60.0)
    first = await ledger.claim_work(ask(throttle=seven, need=3))
    assert (len(first.claims), first.gates[SCOPE].window.held) == (2, {OWNER: 6})
    assert await begin(ledger, throttle=seven, need=3, held=6) == [], "one call is left"
    assert await ledger.statuses() == ["running", "running", "accepted"]
    assert await begin(ledger, throttle=seven, need=3, held=4, tells=True) == ["3"], "two were not needed"


async def test_what_another_replica_has_reserved_is_not_there(ledger: Ledger) -> None:
    await wait(ledger, Rank.PROMISED, "1", "2", "3")
    five = Throttle(5, 60.0)
    assert len((await ledger.claim_work(ask(throttle=five, room=1), owner=OTHER)).claims) == 1
    assert len((await ledger.claim_work(ask(throttle=five))).claims) == 1
    gate = (await ledger.database.read(gates.look, {SCOPE: five}))[SCOPE]
    assert gate.window.held == {OWNER: 2, OTHER: 2}


async def test_replicas_that_claim_at_the_same_time_reserve_no_more_than_there_is(ledger: Ledger) -> None:
    await wait(ledger, Rank.PROMISED, *map(str, range(12)))
    nine = Throttle(9, 60.0)
    owners = [f"replica-{number}" for number in range(10, 16)]
    for owner in owners:
        await ledger.do(replicas.beat, owner, ledger.now)
    works = await asyncio.gather(*(ledger.claim_work(ask(room=2, throttle=nine), owner=each) for each in owners))
    works += [await ledger.claim_work(ask(throttle=nine))]
    begun = [name for work in works for name in names(work.claims)]
    assert len(begun) == len(set(begun)) == 4
    gate = (await ledger.database.read(gates.look, {SCOPE: nine}))[SCOPE]
    assert sum(gate.window.held.values()) == 8


async def test_one_connection_whose_calls_are_spent_holds_up_no_other(ledger: Ledger) -> None:
    await wait(ledger, Rank.PROMISED, "1", "2")
    await wait(ledger, Rank.PROMISED, "1", "2", connection=ELSEWHERE)
    asks = [ask(throttle=Throttle(2, 60.0)), ask(ELSEWHERE)]
    work = await ledger.claim_work(*asks)
    assert [each.customer.connection for each in work.claims] == [SCOPE, ELSEWHERE, ELSEWHERE]


async def test_what_a_replica_tells_is_kept_also_where_nothing_is_due(ledger: Ledger) -> None:
    work = await ledger.claim_work(ask(held=3, used={START: 2}, tells=True, throttle=Throttle(9, 60.0)))
    assert (work.told, work.claims) == ({SCOPE}, [])
    window = (await ledger.database.read(gates.look, {SCOPE: PLENTY}))[SCOPE].window
    assert (window.held, window.spent) == ({OWNER: 3}, {START: 2})
    again = await ledger.claim_work(ask(held=1, throttle=Throttle(9, 60.0)))
    assert again.told == set(), "it is no news"


async def test_callers_who_could_not_begin_are_told_so_that_nobody_overtakes_them(ledger: Ledger) -> None:
    await wait(ledger, Rank.CALLER, "1", "2")
    two = Throttle(2, 60.0)
    work = await ledger.claim_work(ask(throttle=two))
    assert (names(work.claims), work.queues, work.gates[SCOPE].window.crowded) == (["1"], {SCOPE}, False)
    ledger.now += WINDOW
    work = await ledger.claim_work(ask(throttle=two, held=0, used={START: 2}, tells=True))
    assert (names(work.claims), work.queues) == (["2"], set())


# ---- the lowest's tenth


@dataclass
class Crowd:
    """More of each rank than can ever begin; what began is over at once, and has used all its calls."""

    ledger: Ledger
    throttle: Throttle
    need: int
    begun: dict[str, int] = field(default_factory=dict)
    used: dict[float, int] = field(default_factory=dict)
    number: int = 0

    async def windows(self, number: int, *ranks: Rank, room: int = 100) -> dict[str, int]:
        """How many of each rank began in them."""
        self.begun = {}
        for _ in range(number):
            for _claim in range(4):
                await self._top_up(*ranks)
                terms: dict[str, Any] = {"throttle": self.throttle, "need": self.need, "room": room}
                work = await self.ledger.claim_work(ask(**terms, used=self.used, tells=True))
                for claim in work.claims:
                    rank = Rank(claim.lead.rank).name
                    self.begun[rank] = self.begun.get(rank, 0) + 1
                    await self.ledger.finish(claim)
                self.used = {self.ledger.now: self.need * len(work.claims)}
            self.ledger.now += WINDOW
        return self.begun

    async def _top_up(self, *ranks: Rank) -> None:
        """As many of each as could begin at most."""
        waits = (await self.ledger.database.read(gates.waiting, [SCOPE]))[SCOPE]
        for rank in ranks:
            for _ in range(self.throttle.limit // self.need - waits[rank]):
                self.number += 1
                await wait(self.ledger, rank, f"{rank.name} {self.number}")


@pytest.mark.parametrize("above", [Rank.CALLER, Rank.PROMISED])
async def test_the_lowest_keeps_a_tenth(ledger: Ledger, above: Rank) -> None:
    crowd = Crowd(ledger, Throttle(20, 60.0), need=2)
    await crowd.windows(2, above, Rank.BULK)  # until it is known that somebody waits, and something is set aside
    assert await crowd.windows(10, above, Rank.BULK) == {above.name: 90, "BULK": 10}


async def test_what_is_between_the_first_and_the_lowest_gets_nothing_of_either(ledger: Ledger) -> None:
    crowd = Crowd(ledger, Throttle(20, 60.0), need=2)
    await crowd.windows(2, *OF_RANK)
    assert await crowd.windows(5, *OF_RANK) == {"CALLER": 45, "BULK": 5}


async def test_nothing_is_set_aside_where_nobody_waits(ledger: Ledger) -> None:
    crowd = Crowd(ledger, Throttle(20, 60.0), need=2)
    assert await crowd.windows(3, Rank.CALLER) == {"CALLER": 30}
    await crowd.windows(2, Rank.CALLER, Rank.BULK)
    await crowd.windows(3)  # all of them begin
    assert await crowd.windows(3, Rank.CALLER) == {"CALLER": 30}
    window = (await ledger.database.read(gates.look, {SCOPE: crowd.throttle}))[SCOPE].window
    assert (window.owed, window.crowded) == (0.0, False)


@pytest.mark.parametrize(("limit", "need"), [(5, 5), (9, 5), (10, 5), (2, 2), (3, 2), (4, 2)])
async def test_a_narrow_throttle_turns_no_order_round(ledger: Ledger, limit: int, need: int) -> None:
    """Where a window has calls for one attempt or two, nine of ten are the higher rank's all the same."""
    crowd = Crowd(ledger, Throttle(limit, 60.0), need=need)
    await crowd.windows(2, Rank.PROMISED, Rank.BULK)
    begun = await crowd.windows(20, Rank.PROMISED, Rank.BULK)
    each = limit // need
    assert sum(begun.values()) == 20 * each
    assert begun["BULK"] in {2 * each - 1, 2 * each, 2 * each + 1}


# ---- down


async def down(ledger: Ledger, **more: Any) -> None:
    """Stamped.io has not answered for a while, and it is time to look."""
    await turn(ledger, "down", **more)
    ledger.now += 5


async def paused(ledger: Ledger, claim: Claim) -> None:
    """It had no answer either."""
    result = AttemptResult(Progress(), ledger.now, RETRYABLE, paused=True)
    assert await ledger.do(attempts.finish, claim, result, TERMS) is not None


async def test_a_probe_is_one_transfer_that_was_not_tried_since(ledger: Ledger) -> None:
    await wait(ledger, Rank.BULK, "bulk")
    await wait(ledger, Rank.PROMISED, "1", "2")
    await turn(ledger, "down")
    ledger.now += 4.9
    assert (await ledger.claim_work()).claims == [], "not yet"
    ledger.now = START + 5
    work = await ledger.claim_work()
    (claim,) = work.claims
    assert (claim.customer.customer_id in {"1", "2"}, claim.probes, work.checks) == (True, True, [])
    assert work.gates[SCOPE].pauses.at(ledger.now) == Pause("down", START, ledger.now + 10)
    assert work.gates[SCOPE].window.held == {OWNER: 2}
    assert (await ledger.claim_work(owner=OTHER)).claims == [], "one at a time"


async def test_each_probe_is_another_transfer_and_then_a_check(ledger: Ledger) -> None:
    """One that is refused no answer for what it is must not keep the connection down."""
    await wait(ledger, Rank.PROMISED, "1", "2")
    await wait(ledger, Rank.BULK, "bulk")
    await down(ledger)
    tried: list[str] = []
    for _ in range(5):
        work = await ledger.claim_work()
        tried += names(work.claims) or [f"check of {each}" for each in work.checks]
        for claim in work.claims:
            await paused(ledger, claim)
        pause = work.gates[SCOPE].pauses.at(ledger.now)
        assert pause is not None
        assert pause.until is not None
        ledger.now = pause.until
    assert sorted(tried[:2]) == ["1", "2"]
    assert tried[2:] == ["bulk", f"check of {SCOPE}", f"check of {SCOPE}"]
    assert await ledger.statuses() == ["accepted"] * 3
    await wait(ledger, Rank.PROMISED, "new")
    assert names((await ledger.claim_work()).claims) == ["new"]


async def test_a_retry_that_is_not_due_yet_is_no_probe(ledger: Ledger) -> None:
    await ledger.waiting(change(promised=True))
    await down(ledger)
    work = await ledger.claim_work()
    assert (work.claims, work.checks) == ([], [SCOPE])


async def test_a_check_has_one_call_reserved(ledger: Ledger) -> None:
    await down(ledger)
    work = await ledger.claim_work()
    assert (work.checks, work.gates[SCOPE].window.held) == ([SCOPE], {OWNER: 1})


async def test_where_too_few_calls_are_left_for_an_attempt_the_probe_is_a_check(ledger: Ledger) -> None:
    narrow: dict[str, Any] = {"throttle": Throttle(5, 60.0), "need": 5}
    await wait(ledger, Rank.PROMISED, "1")
    await down(ledger, **narrow)
    told: dict[str, Any] = {"held": 0, "used": {ledger.now: 4}, "tells": True}
    work = await ledger.claim_work(ask(**narrow, **told))
    assert (work.claims, work.checks) == ([], [SCOPE])
    spent = await ledger.claim_work(ask(**narrow, held=0, used={ledger.now: 1}, tells=True))
    assert (spent.claims, spent.checks) == ([], [])


async def test_no_calls_at_all_are_no_probe_and_it_comes_as_soon_as_there_is_one(ledger: Ledger) -> None:
    narrow: dict[str, Any] = {"throttle": Throttle(2, 60.0)}
    await down(ledger, **narrow)
    told: dict[str, Any] = {"held": 0, "used": {ledger.now: 2}, "tells": True}
    work = await ledger.claim_work(ask(**narrow, **told))
    assert (work.checks, work.gates[SCOPE].pauses.probes) == ([], 0)
    ledger.now += WINDOW
    assert (await ledger.claim_work(ask(**narrow))).checks == [SCOPE]


async def test_as_soon_as_it_answers_all_of_it_begins_at_the_throttles_pace(ledger: Ledger) -> None:
    ten: dict[str, Any] = {"throttle": Throttle(10, 60.0)}
    await wait(ledger, Rank.PROMISED, *map(str, range(8)))
    await down(ledger, **ten)
    work = await ledger.claim_work(ask(**ten))
    await ledger.finish(work.claims[0])
    await turn(ledger, "up", **ten)
    begun, held = [], 2
    for _ in range(5):
        work = await ledger.claim_work(ask(**ten, held=held, tells=True))
        begun.append(len(work.claims))
        held += 2 * len(work.claims)
        ledger.now += 12
    assert begun == [1, 1, 1, 1, 0]


async def test_a_connection_that_is_down_holds_up_no_other(ledger: Ledger) -> None:
    await wait(ledger, Rank.PROMISED, "1", connection=ELSEWHERE)
    await wait(ledger, Rank.PROMISED, "1")
    await turn(ledger, "down")
    work = await ledger.claim_work(ask(), ask(ELSEWHERE))
    assert [each.customer.connection for each in work.claims] == [ELSEWHERE]
    assert [work.state(each, ledger.now) for each in (SCOPE, ELSEWHERE)] == ["down", "flowing"]


# ---- other pauses


async def test_while_it_is_paused_by_hand_nothing_begins(ledger: Ledger) -> None:
    """No load, no probe, and no verification either."""
    await wait(ledger, Rank.CALLER, "1")
    await wait_to_load(ledger, Rank.PROMISED, "2")
    claim = await ledger.begun(change(customer="3"))
    await ledger.finish(claim, RETRYABLE, unanswered_at=ledger.now)
    await turn(ledger, "down")
    await ledger.do(gates.pause, ask(), None, ledger.now, ADA)
    ledger.now += 10**6
    before = await ledger.statuses()
    work = await ledger.claim_work(ask(held=0, used={ledger.now: 1}, tells=True))
    assert (work.claims, work.loads, work.checks, work.told) == ([], [], [], {SCOPE})
    assert work.state(SCOPE, ledger.now) == "paused"
    assert await ledger.statuses() == before
    await ledger.do(gates.resume, ask(), ledger.now, ADA)
    await turn(ledger, "up")
    work = await ledger.claim_work()
    assert (names(work.claims), loaded(work)) == (["1", "3"], ["2"])


async def test_while_it_is_throttled_no_attempt_begins_and_then_all_do(ledger: Ledger) -> None:
    await wait(ledger, Rank.CALLER, "1")
    await wait(ledger, Rank.PROMISED, "2")
    await turn(ledger, "throttled", 30)
    assert await begin(ledger) == []
    ledger.now += 30
    assert await begin(ledger) == ["1", "2"]


async def test_without_room_nothing_begins(ledger: Ledger) -> None:
    await wait(ledger, Rank.CALLER, "1")
    await wait_to_load(ledger, Rank.CALLER, "2")
    work = await ledger.claim_work(ask(room=0))
    assert (work.claims, work.loads) == ([], [])


async def test_what_is_not_asked_for_is_left_alone(ledger: Ledger) -> None:
    await wait(ledger, Rank.CALLER, "1")
    assert (await ledger.claim_work(replace(ask(), connection=ELSEWHERE))).claims == []
    assert await ledger.do(_nothing, ledger.now) == []


def _nothing(session: Any, now: float) -> list[Claim]:
    asks: list[Ask] = []
    return claim_work(session, asks, OWNER, now).claims
