"""How attempts at customers begin and end, what stays in doubt after them, and how records are loaded."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from dataclasses import replace
from typing import Any, TypeVar

import pytest
from sqlalchemy import insert

from app.attempt import Failure, StampedAnswer
from app.error_catalog import Slug
from app.ledger import attempts, claims, customers, gates, reports, retry_schedule
from app.ledger.claims import Claim
from app.ledger.customers import Customer
from app.ledger.grouping import group_of
from app.ledger.order import Wanted
from app.ledger.session import Session
from app.ledger.stored import Stored
from app.ledger.tables import attempts as table
from app.ledger.triggers import NewTransfer
from app.ledger.work import claim_work
from app.outbound import noting
from app.outbound.noting import Call
from tests.ledger.support import (
    CUSTOMER,
    ELSEWHERE,
    NOT_LOADED,
    OTHER,
    OWNER,
    REFUSED,
    RETRYABLE,
    SANDBOX,
    TERMS,
    Halfway,
    Ledger,
    ask,
    bare,
    change,
    due,
    loads,
)
from tests.support import SCOPE

NOTED = [
    Call("stamped", "create", 1, 1_795_000_000.25, 1.5, "unavailable", 503, 'Busy, später ✓ "\\u0000" \\'),
    Call("stamped", "create", 2, 1_795_000_002.25, 0.125, "ok", 200),
    Call("ipaas", "write back", 1, 1_795_000_002.5, 15.0, "timeout", None, "timed out after 15 s"),
]
CALLS = noting.dump(NOTED, 0.0, str)
T = TypeVar("T")
MANY = [str(number) for number in range(6)]


async def in_doubt(ledger: Ledger, customer: str = CUSTOMER) -> Claim:
    """A customer whose first attempt was not promised and had no answer; its claim."""
    claim = await ledger.begun(change(5, customer=customer))
    await ledger.finish(claim, RETRYABLE, unanswered_at=ledger.now)
    return claim


async def verification(ledger: Ledger, customer: str = CUSTOMER) -> Claim:
    """Of a customer whose doubt is over."""
    verify_at = (await ledger.customer(customer)).verify_at
    assert verify_at is not None
    ledger.now = verify_at
    (claim,) = await ledger.claim_due()
    assert claim.verifies
    return claim


# ---- claim


async def test_only_one_claim_wins(ledger: Ledger) -> None:
    accepted = await ledger.pending()
    claims = await asyncio.gather(*(ledger.may_claim(owner=f"replica-{number}") for number in range(6)))
    (won,) = [claim for claim in claims if claim is not None]
    stored = await ledger.row(accepted)
    assert (stored.status, stored.owner, stored.attempts) == ("running", won.customer.owner, 1)
    assert (await ledger.customer()).owner == won.customer.owner


@pytest.mark.parametrize("empty_url", ["postgresql"], indirect=True)
async def test_a_claim_waits_for_another_one_that_is_under_way(ledger: Ledger) -> None:
    await ledger.pending()
    halfway = Halfway()

    def claim_slowly(connection: Session) -> Claim | None:
        claim = claims.claim(connection, SCOPE, CUSTOMER, OTHER, ledger.now)
        halfway.stop()
        return claim

    first = asyncio.create_task(ledger.do(claim_slowly))
    await halfway.reached.wait()
    second = asyncio.create_task(ledger.may_claim())
    blocked = await ledger.blocked_or_done(second)
    halfway.go_on.set()
    both = await asyncio.gather(first, second)
    assert blocked
    assert [claim is not None for claim in both] == [True, False]


async def test_two_that_look_for_due_work_never_get_the_same_customer(ledger: Ledger) -> None:
    for customer in MANY:
        await ledger.pending(change(customer=customer, promised=True))
    found = await asyncio.gather(*(ledger.claim_due(4, owner=f"replica-{number}") for number in range(4)))
    claimed = [claim.customer.customer_id for claims in found for claim in claims]
    rest = [claim.customer.customer_id for claim in await ledger.claim_due(10)]
    assert sorted(claimed + rest) == MANY
    assert len(claimed) >= 4
    assert await ledger.claim_due(10) == []
    assert await ledger.statuses() == ["running"] * len(MANY)


@pytest.fixture
async def commit(ledger: Ledger) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """Another replica has claimed one of two customers and one of two loads, and commits when told."""
    await ledger.do(gates.put_up, {SCOPE})
    for customer in ("1", "2"):
        await ledger.pending(change(customer=customer, promised=True))
        await ledger.pending(bare(customer=customer, promised=True))
    halfway = Halfway()

    def claim_slowly(connection: Session) -> None:
        claim_work(connection, [ask(room=2)], OTHER, ledger.now)
        halfway.stop()

    slow = asyncio.create_task(ledger.do(claim_slowly))
    await halfway.reached.wait()

    async def go_on() -> None:
        halfway.go_on.set()
        await slow

    yield go_on
    await go_on()


async def found(work: Coroutine[Any, Any, T]) -> T:
    """What comes of it at once: it waits for no lock."""
    async with asyncio.timeout(5):
        return await work


@pytest.mark.parametrize("empty_url", ["postgresql"], indirect=True)
@pytest.mark.usefixtures("commit")
async def test_nobody_waits_for_a_customer_that_another_one_locks(ledger: Ledger) -> None:
    begun = await found(ledger.claim_due())
    assert [claim.customer.customer_id for claim in begun] == ["2"]
    loading = await found(ledger.do(loads, SCOPE, OWNER, ledger.now, 10))
    assert [each.customer_id for each in loading] == ["2"]


@pytest.mark.parametrize("empty_url", ["postgresql"], indirect=True)
async def test_nobody_waits_for_a_connection_that_another_one_claims_of(
    ledger: Ledger, commit: Callable[[], Awaitable[None]]
) -> None:
    """Its calls are being reserved, so its customers come later; loads need none."""
    work = await found(ledger.claim_work())
    assert (work.claims, [each.customer_id for each in work.loads]) == ([], ["2"])
    await commit()
    work = await found(ledger.claim_work())
    assert ([claim.customer.customer_id for claim in work.claims], work.loads) == (["2"], [])


async def test_what_is_not_due_yet_cannot_be_claimed(ledger: Ledger) -> None:
    waiting = await ledger.waiting()
    assert waiting.next_attempt_at is not None
    ledger.now = waiting.next_attempt_at - 1
    assert await ledger.may_claim() is None
    assert await ledger.claim_due() == []
    ledger.now = waiting.next_attempt_at
    (claim,) = await ledger.claim_due()
    assert (claim.lead.seq, claim.lead.attempts, claim.lead.tries) == (waiting.seq, 2, 1)
    assert (claim.record, claim.began_at) == (waiting.record, ledger.now)


async def test_nothing_is_claimed_beside_one_that_runs(ledger: Ledger) -> None:
    await ledger.begun(change(1))
    second = (await ledger.accept(change(2))).transfer
    assert await ledger.may_claim() is None
    assert await ledger.claim_due() == []
    assert await ledger.row(second) == second


async def test_who_is_promised_comes_before_retries_and_of_these_what_waited_longest(ledger: Ledger) -> None:
    """And a verification, which nobody waits for, after them."""
    later = await ledger.waiting(change(customer="2", promised=True))
    ledger.now -= 600
    waiting = await ledger.waiting(change(customer="1", promised=True))
    await in_doubt(ledger, "4")
    ledger.now += 10**6
    accepted = await ledger.pending(change(customer="3", promised=True))
    claims = [(await ledger.claim_due(1))[0] for _ in range(4)]
    assert [claim.customer.customer_id for claim in claims] == ["3", "1", "2", "4"]
    assert [claim.lead.seq for claim in claims[:3]] == [accepted.seq, waiting.seq, later.seq]
    assert [claim.verifies for claim in claims] == [False, False, False, True]
    assert await ledger.claim_due(0) == []


async def test_a_customer_who_was_never_heard_of_has_nothing_due(ledger: Ledger) -> None:
    assert await ledger.may_claim("stranger") is None
    assert await ledger.release("stranger") is None


async def put_off(ledger: Ledger, scope: str, due: int, loads: int) -> None:
    """So much is due of it."""
    for number in range(due):
        await ledger.pending(change(customer=f"due {number}", connection=scope, promised=True))
    for number in range(loads):
        await ledger.pending(replace(bare(customer=f"load {number}", promised=True), connection=scope))


async def claimed_of(ledger: Ledger, *scopes: str, room: int = 20) -> dict[str, tuple[int, int]]:
    """By scope: how many customers and how many loads were begun, with so much room for each scope."""
    work = await ledger.claim_work(*(ask(scope, room) for scope in scopes))
    customers, loading = (
        [each.customer.connection for each in work.claims],
        [each.connection for each in work.loads],
    )
    return {each: (customers.count(each), loading.count(each)) for each in {*customers, *loading}}


@pytest.mark.parametrize(("served", "other"), [(SCOPE, SANDBOX), (SANDBOX, SCOPE), (SCOPE, ELSEWHERE)])
async def test_what_is_not_served_waits_and_is_begun_once_it_is(ledger: Ledger, served: str, other: str) -> None:
    """A sandbox and a real store, or two stores: neither is ever sent what is the other's."""
    for scope in (other, served):  # it waited longer, and keeps nobody out
        await put_off(ledger, scope, 1, 1)
        ledger.now += 1
    assert await claimed_of(ledger, served, room=2) == {served: (1, 1)}
    ledger.now += 10**6
    assert await claimed_of(ledger, served) == {}
    assert sorted(await ledger.statuses()) == ["accepted", "accepted", "running", "running"]
    assert await claimed_of(ledger, served, other) == {other: (1, 1)}
    assert await claimed_of(ledger, served, other) == {}


async def test_a_customer_whose_scope_is_not_served_is_not_verified_either(ledger: Ledger) -> None:
    claim = await ledger.begun(change(connection=SANDBOX))
    await ledger.finish(claim, REFUSED, unanswered_at=ledger.now)
    ledger.now += 10**6
    assert await claimed_of(ledger, SCOPE) == {}
    assert await claimed_of(ledger, SANDBOX) == {SANDBOX: (1, 0)}


@pytest.mark.parametrize("first", [SCOPE, ELSEWHERE])
async def test_each_scope_has_its_own_room(ledger: Ledger, first: str) -> None:
    """However much waits elsewhere."""
    await put_off(ledger, SCOPE, 9, 9)
    await put_off(ledger, ELSEWHERE, 1, 3)
    second = ELSEWHERE if first == SCOPE else SCOPE
    assert await claimed_of(ledger, first, second, room=4) == {SCOPE: (2, 2), ELSEWHERE: (1, 3)}


@pytest.mark.parametrize(
    ("due", "loads", "limit", "expected"),
    [
        (4, 4, 4, (2, 2)),
        (1, 4, 4, (1, 3)),
        (4, 1, 4, (3, 1)),
        (4, 0, 3, (3, 0)),
        (0, 4, 3, (0, 3)),
        (1, 1, 9, (1, 1)),
    ],
)
async def test_due_customers_and_loads_share_the_room(
    ledger: Ledger, due: int, loads: int, limit: int, expected: tuple[int, int]
) -> None:
    for number in range(due):
        await ledger.pending(change(customer=f"due {number}", promised=True))
    for number in range(loads):
        await ledger.pending(bare(customer=f"load {number}", promised=True))
    work = await ledger.claim_work(ask(room=limit))
    assert (len(work.claims), len(work.loads)) == expected


@pytest.mark.parametrize("careful", [True, False])
async def test_one_that_cannot_be_begun_keeps_nobody_else_out(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, *, careful: bool
) -> None:
    for customer in ("1", "2", "3"):
        await ledger.pending(change(customer=customer, promised=True))
    begin_due = claims._begin_due

    def breaks(connection: Session, customer: Customer, owner: str, now: float) -> Claim | None:
        if customer.customer_id == "2":
            connection.connection.exec_driver_sql("SELECT missing FROM nowhere")
        return begin_due(connection, customer, owner, now)

    monkeypatch.setattr(claims, "_begin_due", breaks)

    async def claimed() -> list[str]:
        begun = await ledger.do(due, SCOPE, OWNER, ledger.now, 10, careful=careful)
        return sorted(claim.customer.customer_id for claim in begun)

    if careful:
        assert await claimed() == ["1", "3"]
        assert sorted(await ledger.statuses()) == ["accepted", "running", "running"]
        return
    with pytest.raises(Exception, match="nowhere"):
        await claimed()
    assert await ledger.statuses() == ["accepted"] * 3


# ---- success


async def test_success_is_recorded_with_its_link(ledger: Ledger) -> None:
    claim = await ledger.begun(replace(change(5, consent=False), destination="1796"))
    ledger.now += 2
    finished = await ledger.finish(
        claim,
        action="updated",
        external_id="143491",
        written_back=True,
        notes=["A note.", "Another."],
        seconds={"upsert": 0.25},
        calls=CALLS,
    )
    (done,) = finished.settled
    assert (done.status, done.action, done.external_id, done.subscription, done.reason) == (
        *("succeeded", "updated", "143491", "unsubscribed", "A note. Another."),
    )
    assert (done.owner, done.finished_at, done.error, done.failure) == (None, ledger.now, None, None)
    (attempt,) = await ledger.database.read(reports.attempts_of, done.seq)
    assert (attempt.number, attempt.outcome, attempt.steps) == (1, "succeeded", {"upsert": 0.25})
    assert attempt.calls == NOTED
    customer = await ledger.customer()
    assert (customer.external_id, customer.owner, customer.sending) == ("143491", None, None)
    assert (customer.owes_no, customer.due_at, customer.doubt) == (False, None, None)
    assert customer.told is False
    assert Wanted.load(customer.settled) == customer.wanted
    assert not finished.is_due
    assert customer.knows_link_at("1796")
    assert customer.knows_link_at(None)
    assert not customer.knows_link_at("1797")


async def test_an_attempt_settles_all_that_it_covers(ledger: Ledger) -> None:
    running = await ledger.begun(change(1))
    newest = await ledger.pending(change(9, promised=True))
    no = await ledger.pending(change(5, consent=False, promised=True))
    by_hand = await ledger.pending(bare("manual", fetch=False))
    await ledger.finish(running)
    claim = await ledger.claim()
    assert claim.lead.seq == newest.seq
    finished = await ledger.finish(claim)
    assert {each.seq: each.status for each in finished.settled} == {
        newest.seq: "succeeded",
        no.seq: "skipped",
        by_hand.seq: "succeeded",
    }
    assert (await ledger.row(no)).superseded_by == newest.id
    for each in (newest, no, by_hand):
        assert await ledger.outcomes(each) == [(1, "succeeded")]


async def test_a_consent_that_comes_while_it_runs_is_applied_next(ledger: Ledger) -> None:
    running = await ledger.begun(change(5, consent=True))
    await ledger.pending(change(6, consent=False, promised=True))
    assert (await ledger.finish(running)).is_due
    assert (await ledger.customer()).owes_no
    claim = await ledger.claim()
    assert claim.customer.owes_no
    await ledger.finish(claim)
    assert not (await ledger.customer()).owes_no


async def test_a_no_that_a_successful_attempt_did_not_tell_stays_due(ledger: Ledger) -> None:
    await ledger.finish(await ledger.begun(change(5, consent=False)), subscription=None, told=None)
    assert (await ledger.customer()).owes_no


# ---- failure


async def test_a_refusal_is_told_and_recorded(ledger: Ledger) -> None:
    claim = await ledger.begun(change(5, promised=True))
    finished = await ledger.finish(claim, REFUSED, external_id="143491")
    (failed,) = finished.settled
    assert (failed.status, failed.error, failed.external_id) == ("failed", Slug.CUSTOMER.value, "143491")
    assert (failed.reason, failed.tries, failed.finished_at) == (REFUSED.detail, 1, ledger.now)
    assert failed.documented_failure() == REFUSED
    assert await ledger.outcomes(failed) == [(1, "failed")]
    customer = await ledger.customer()
    assert (customer.external_id, customer.told, customer.due_at) == ("143491", None, None)
    assert Wanted.load(customer.settled) == customer.wanted, "nobody can take it back any more"


@pytest.mark.parametrize("told", [True, None])
async def test_what_waits_is_not_settled(ledger: Ledger, *, told: bool | None) -> None:
    await ledger.succeeded(change(4, consent=False))
    before = await ledger.customer()
    claim = await ledger.begun(change(5, consent=True, promised=True))
    await ledger.finish(claim, RETRYABLE, told=told)
    customer = await ledger.customer()
    assert customer.settled == before.settled
    assert customer.told is (told or False), "but what was told, was told"


async def fail_until_the_last_try(ledger: Ledger, new: NewTransfer) -> Stored:
    """A promised one that fails for good with its next try."""
    transfer = await ledger.waiting(new)
    for _ in range(retry_schedule.MAX_TRIES - 2):
        due_at = (await ledger.customer()).due_at
        assert due_at is not None
        ledger.now = due_at
        await ledger.finish(await ledger.claim(), RETRYABLE)
    assert (await ledger.row(transfer)).tries == retry_schedule.MAX_TRIES - 1
    return transfer


async def test_the_failure_of_another_settles_nothing(ledger: Ledger) -> None:
    """The record that is wanted waits for its next try; a run by hand beside it ends."""
    await ledger.succeeded(change(1, consent=True))
    settled = (await ledger.customer()).settled
    by_hand = await fail_until_the_last_try(ledger, replace(bare("manual", fetch=False), promised=True))
    waiting = await ledger.pending(change(5, consent=False, promised=True))
    await ledger.finish(await ledger.claim(), RETRYABLE)
    assert [(await ledger.row(each)).status for each in (by_hand, waiting)] == ["failed", "waiting"]
    assert (await ledger.customer()).settled == settled


async def test_a_no_beside_a_record_that_failed_for_good_can_still_be_taken_back(ledger: Ledger) -> None:
    await ledger.succeeded(change(1, consent=True))
    record = await fail_until_the_last_try(ledger, change(9, promised=True))
    no = await ledger.pending(change(5, consent=False, promised=True))
    await ledger.finish(await ledger.claim(), RETRYABLE)
    assert [(await ledger.row(each)).status for each in (record, no)] == ["failed", "waiting"]
    await ledger.cancel(no)
    customer = await ledger.customer()
    assert (customer.wanted.id, customer.wanted.consent, customer.owes_no) == (record.id, True, False)


async def test_what_is_promised_is_tried_six_times_on_schedule(ledger: Ledger) -> None:
    transfer = await ledger.waiting()
    for tries in range(1, retry_schedule.MAX_TRIES):
        transfer = await ledger.row(transfer)
        expected = retry_schedule.retry_at(tries, RETRYABLE, ledger.now, TERMS.unit_seconds, 0.0)
        assert (transfer.tries, transfer.next_attempt_at) == (tries, expected)
        assert expected is not None
        assert (await ledger.customer()).due_at == expected
        ledger.now = expected
        await ledger.finish(await ledger.claim(), RETRYABLE)
    transfer = await ledger.row(transfer)
    assert (transfer.status, transfer.tries, transfer.attempts) == ("failed", 6, 6)
    assert (await ledger.customer()).due_at is None


async def test_looking_what_a_time_out_left_costs_no_promised_try(ledger: Ledger) -> None:
    """Stamped.io hangs for six minutes; a 202 is a promise for half a day."""
    claim = await ledger.begun(change(5, promised=True))
    await ledger.finish(claim, RETRYABLE, unanswered_at=ledger.now)
    for _ in range(retry_schedule.MAX_TRIES):
        ledger.now += 4 * TERMS.timeout_seconds
        for each in await ledger.claim_due():
            await ledger.finish(each, RETRYABLE, unanswered_at=ledger.now)
    waiting = await ledger.row(claim.lead)
    assert (waiting.status, waiting.tries) == ("waiting", 1)


async def test_where_a_try_waits_that_one_looks_what_a_time_out_left(ledger: Ledger) -> None:
    claim = await ledger.begun(change(5, promised=True))
    await ledger.finish(claim, RETRYABLE, unanswered_at=ledger.now)
    ledger.now += TERMS.unit_seconds * 2
    (looks,) = await ledger.claim_due()
    assert (looks.lead.seq, looks.customer.doubtful) == (claim.lead.seq, [claim.lead.id])
    await ledger.finish(looks)
    assert (await ledger.customer()).doubt is None
    assert await ledger.statuses() == ["succeeded"], "nothing else had to"


@pytest.mark.parametrize("failure", [RETRYABLE, REFUSED])
@pytest.mark.parametrize("told", [False, None])
async def test_a_no_that_was_told_is_not_due_whatever_failed_else(
    ledger: Ledger, failure: Any, *, told: bool | None
) -> None:
    await ledger.finish(await ledger.begun(change(5, consent=False)), failure, told=told)
    customer = await ledger.customer()
    assert customer.owes_no is (told is None)
    assert customer.told is told


@pytest.mark.parametrize("promised", [True, False])
async def test_a_newer_one_behind_it_takes_over_its_promise(ledger: Ledger, *, promised: bool) -> None:
    running = await ledger.begun(change(1, promised=promised))
    newer = (await ledger.accept(change(2))).transfer
    assert not newer.promised
    finished = await ledger.finish(running, RETRYABLE)
    assert finished.is_due, "the newer one runs at once"
    (settled,) = finished.settled
    assert settled.status == ("skipped" if promised else "failed")
    assert settled.superseded_by == (newer.id if promised else None)
    assert (await ledger.row(newer)).promised is promised


async def test_a_run_by_hand_waits_for_what_is_wanted_next(ledger: Ledger) -> None:
    await ledger.succeeded(change(1))
    by_hand = await ledger.begun(replace(bare("manual", fetch=False), promised=True))
    newer = await ledger.pending(change(2, promised=True))
    await ledger.finish(by_hand, RETRYABLE)
    assert (await ledger.row(by_hand.lead)).status == "waiting", "a record that nobody sent replaces nothing"
    claim = await ledger.claim()
    assert {each.seq for each in claim.covered} == {by_hand.lead.seq, newer.seq}
    await ledger.finish(claim)
    assert await ledger.statuses() == ["succeeded"] * 3


async def test_what_failed_alike_is_kept_as_long_as_its_error(ledger: Ledger) -> None:
    answer = StampedAnswer("create", 503, "Try 7 later.")
    away = Failure.of(Slug.CUSTOMER, 502, "HTTP status 503: Try 7 later.", retryable=True, stamped=answer)

    async def kept(transfer: Stored) -> tuple[str | None, int | None, str | None]:
        row = await ledger.row(transfer)
        return row.error, row.stamped_status, row.failure_group

    failed = await ledger.failed(change(1), away)
    assert await kept(failed) == (Slug.CUSTOMER, 503, group_of(away))
    again = await ledger.again(failed, promised=True)
    assert await kept(failed) == (Slug.CUSTOMER, 503, group_of(away))
    assert again.claim is not None
    await ledger.finish(again.claim, RETRYABLE)
    assert (await ledger.row(failed)).status == "waiting"
    assert await kept(failed) == (Slug.CUSTOMER, None, group_of(RETRYABLE))
    newer = await ledger.pending(change(2, promised=True))
    assert (await ledger.row(failed)).superseded_by == newer.id
    assert await kept(failed) == (None, None, None)
    await ledger.finish(await ledger.claim(), away)
    assert await kept(newer) == (Slug.CUSTOMER, 503, group_of(away))
    ledger.now += TERMS.unit_seconds * 3
    (claim,) = await ledger.claim_due()
    await ledger.finish(claim)
    assert await kept(newer) == (None, None, None)


# ---- taken over


async def test_what_was_taken_over_cannot_be_finished(ledger: Ledger) -> None:
    claim = await ledger.begun()
    assert await ledger.release()
    assert await ledger.may_finish(claim) is None
    again = await ledger.claim()
    assert await ledger.may_finish(claim) is None, "the same owner, but another attempt"
    await ledger.finish(again)
    assert await ledger.outcomes(claim.lead) == [(1, "interrupted"), (2, "succeeded")]


async def test_an_attempt_that_is_released_is_promised_due_and_in_doubt(ledger: Ledger) -> None:
    claim = await ledger.begun()
    ledger.now += 40
    released = await ledger.release()
    assert released is not None
    (again,) = released
    assert (again.status, again.promised, again.owner) == ("accepted", True, None)
    customer = await ledger.customer()
    assert (customer.owner, customer.doubtful) == (None, [claim.lead.id])
    assert customer.verify_at == retry_schedule.verify_at(ledger.now, TERMS.timeout_seconds)
    assert await ledger.release() is None
    assert (await ledger.claim()).customer.doubt is not None


async def test_only_the_owner_that_is_gone_loses_its_attempt(ledger: Ledger) -> None:
    claim = await ledger.begun()
    before = await ledger.customer()
    assert await ledger.release(owner=OTHER) is None
    assert await ledger.row(claim.lead) == claim.lead
    assert await ledger.customer() == before


async def test_a_newer_one_behind_what_is_released_takes_over(ledger: Ledger) -> None:
    running = await ledger.begun(change(1, consent=False))
    newer = (await ledger.accept(change(2))).transfer
    await ledger.release()
    old = await ledger.row(running.lead)
    assert (old.status, old.superseded_by) == ("skipped", newer.id)
    assert (await ledger.row(newer)).promised
    claim = await ledger.claim()
    assert ([each.seq for each in claim.covered], claim.customer.owes_no) == ([newer.seq], True)


async def test_what_brings_the_process_down_each_time_ends(ledger: Ledger) -> None:
    lead = (await ledger.begun()).lead
    for _ in range(49):
        await ledger.release()
        lead = (await ledger.claim()).lead
    await ledger.release()
    ended = await ledger.row(lead)
    assert (ended.status, ended.error, ended.finished_at) == ("failed", "internal-error", ledger.now)
    assert (ended.attempts, ended.documented_failure() is None) == (50, False)
    assert ended.failure_group == group_of(ended.documented_failure() or REFUSED)
    assert await ledger.may_claim() is None


# ---- doubt


async def test_an_unanswered_call_leaves_the_customer_in_doubt(ledger: Ledger) -> None:
    claim = await in_doubt(ledger)
    customer = await ledger.customer()
    assert customer.doubtful == [claim.lead.id]
    assert customer.verify_at is not None
    assert 2 * TERMS.timeout_seconds <= customer.verify_at - ledger.now <= 4 * TERMS.timeout_seconds


async def test_also_where_the_call_was_repeated_with_success(ledger: Ledger) -> None:
    claim = await ledger.begun(change(5, consent=False))
    await ledger.finish(claim, unanswered_at=ledger.now - 5)
    customer = await ledger.customer()
    assert customer.doubtful == [claim.lead.id]
    assert customer.verify_at == retry_schedule.verify_at(ledger.now - 5, TERMS.timeout_seconds)
    assert not customer.owes_no


async def test_who_was_answered_is_not_in_doubt(ledger: Ledger) -> None:
    for failure in (None, RETRYABLE, REFUSED):
        await ledger.finish(await ledger.begun(), failure)
        customer = await ledger.customer()
        assert (customer.doubt, customer.verify_at) == (None, None)


async def test_what_succeeds_before_such_a_call_took_effect_ends_no_doubt(ledger: Ledger) -> None:
    await in_doubt(ledger)
    verify_at = (await ledger.customer()).verify_at
    ledger.now += 1
    await ledger.succeeded(change(6))
    customer = await ledger.customer()
    assert (customer.doubt is not None, customer.verify_at) == (True, verify_at)


async def test_what_begins_after_it_ends_the_doubt(ledger: Ledger) -> None:
    await in_doubt(ledger)
    verify_at = (await ledger.customer()).verify_at
    assert verify_at is not None
    ledger.now = verify_at
    await ledger.succeeded(change(6))
    customer = await ledger.customer()
    assert (customer.doubt, customer.verify_at) == (None, None)


async def test_it_is_verified_once_when_it_is_due(ledger: Ledger) -> None:
    asked = await in_doubt(ledger)
    assert await ledger.claim_due() == []
    claim = await verification(ledger)
    stored = claim.lead
    assert (stored.trigger, stored.promised, stored.record_hash) == ("verify", True, None)
    assert (stored.status, stored.owner, stored.attempts) == ("running", OWNER, 1)
    assert (claim.record, claim.customer.wanted.id) == (asked.lead.record, asked.lead.id)
    assert claim.customer.doubtful == [asked.lead.id]
    assert await ledger.claim_due() == []
    await ledger.finish(claim)
    customer = await ledger.customer()
    assert (customer.doubt, customer.verify_at, customer.due_at) == (None, None, None)
    ledger.now += 10**6
    assert await ledger.claim_due() == []
    assert await ledger.statuses() == ["failed", "succeeded"]


async def test_a_verification_goes_where_the_last_one_went(ledger: Ledger) -> None:
    claim = await ledger.begun(replace(change(5), destination="1796"))
    await ledger.finish(claim, unanswered_at=ledger.now)
    assert (await verification(ledger)).lead.destination == "1796"


async def test_a_verification_without_an_answer_is_followed_by_another(ledger: Ledger) -> None:
    await in_doubt(ledger)
    claim = await verification(ledger)
    await ledger.finish(claim, unanswered_at=ledger.now)
    assert (await ledger.row(claim.lead)).status == "succeeded"
    await ledger.finish(await verification(ledger))
    assert (await ledger.customer()).doubt is None


async def test_a_verification_that_fails_is_tried_again_like_a_promise(ledger: Ledger) -> None:
    await in_doubt(ledger)
    claim = await verification(ledger)
    await ledger.finish(claim, RETRYABLE)
    again = await ledger.row(claim.lead)
    assert (again.status, again.tries) == ("waiting", 1)
    customer = await ledger.customer()
    assert (customer.doubt is not None, customer.verify_at, customer.due_at) == (True, None, again.next_attempt_at)
    assert again.next_attempt_at is not None
    ledger.now = again.next_attempt_at
    await ledger.finish(await ledger.claim())
    assert (await ledger.customer()).doubt is None
    assert await ledger.statuses() == ["failed", "succeeded"]


async def test_an_attempt_that_fails_after_the_doubt_is_verified_too(ledger: Ledger) -> None:
    """The caller was told; the call without an answer is not forgotten."""
    await in_doubt(ledger)
    verify_at = (await ledger.customer()).verify_at
    assert verify_at is not None
    ledger.now = verify_at
    await ledger.failed(change(6))
    assert (await ledger.customer()).doubt is not None
    await ledger.finish(await verification(ledger))
    assert (await ledger.customer()).doubt is None


async def test_cancelling_what_would_have_looked_leaves_it_to_a_verification(ledger: Ledger) -> None:
    await ledger.succeeded(change(4))
    claim = await ledger.begun(change(5, promised=True))
    await ledger.finish(claim, RETRYABLE, unanswered_at=ledger.now)
    await ledger.cancel(claim.lead)
    assert (await verification(ledger)).customer.doubtful == [claim.lead.id]


async def test_also_where_the_time_for_it_has_passed(ledger: Ledger) -> None:
    await ledger.succeeded(change(4))
    claim = await ledger.begun(change(5, promised=True))
    await ledger.finish(claim, RETRYABLE, unanswered_at=ledger.now)
    ledger.now += 10**6
    await ledger.finish(await ledger.claim(), RETRYABLE)
    assert (await ledger.customer()).verify_at is None, "the next try looks"
    await ledger.cancel(claim.lead)
    assert (await ledger.claim_due())[0].verifies


async def test_where_nothing_is_wanted_any_more_the_doubt_waits_for_what_comes(ledger: Ledger) -> None:
    claim = await ledger.begun(change(5, promised=True))
    await ledger.finish(claim, RETRYABLE, unanswered_at=ledger.now)
    ledger.now += 10**6
    await ledger.finish(await ledger.claim(), RETRYABLE)
    await ledger.cancel(claim.lead)
    assert await ledger.claim_due() == []
    assert (await ledger.begun(change(6))).customer.doubtful == [claim.lead.id]


async def test_a_verification_that_fails_for_good_leaves_the_doubt_and_no_record(ledger: Ledger) -> None:
    await in_doubt(ledger)
    claim = await verification(ledger)
    await ledger.finish(claim, REFUSED)
    assert (await ledger.row(claim.lead)).status == "failed"
    customer = await ledger.customer()
    assert (customer.doubt is not None, customer.doubtful, customer.verify_at) == (True, [], None)
    ledger.now += 10**6
    assert await ledger.claim_due() == []
    await ledger.succeeded(change(6))
    assert (await ledger.customer()).doubt is None


async def test_what_was_sent_late_is_verified(ledger: Ledger) -> None:
    """By a replica that was taken over; the others may have sent theirs before."""
    lost = await ledger.begun(change(5))
    await ledger.release()
    await ledger.finish(await ledger.claim(owner=OTHER))
    for _ in range(2):
        await ledger.do(attempts.doubt, lost, ledger.now, TERMS)
    customer = await ledger.customer()
    assert customer.doubtful == [lost.lead.id]
    assert customer.verify_at == retry_schedule.verify_at(ledger.now, TERMS.timeout_seconds)


async def test_all_whose_records_had_no_answer_are_known(ledger: Ledger) -> None:
    first = await in_doubt(ledger)
    second = await ledger.begun(change(6))
    await ledger.finish(second, RETRYABLE, unanswered_at=ledger.now)
    third = await ledger.begun(change(7))
    doubtful = third.customer.doubtful
    assert doubtful == [first.lead.id, second.lead.id]
    records = await ledger.database.read(reports.tried_records, doubtful)
    assert records == [second.lead.record, first.lead.record], "the last one first"


async def test_what_was_tried_is_known_also_where_a_repeat_brings_another_record(ledger: Ledger) -> None:
    claim = await ledger.begun(change(5, guid="guid-1"))
    await ledger.finish(claim, RETRYABLE, unanswered_at=ledger.now)
    again = await ledger.begun(change(6, guid="guid-1"))
    assert again.lead.seq == claim.lead.seq
    records = await ledger.database.read(reports.tried_records, again.customer.doubtful)
    assert claim.lead.record in records


# ---- whose link it is


async def test_an_id_is_its_last_ones_who_added_it(ledger: Ledger) -> None:
    done = await ledger.begun(change(customer="A", consent=False))
    await ledger.finish(done, external_id="1", written_back=True)
    await ledger.finish(await ledger.begun(change(customer="B", consent=False)), external_id="2")
    assert (await ledger.customer("A")).told is (await ledger.customer("B")).told is False
    claim = await ledger.begun(change(customer="B"))
    await ledger.do(customers.take, claim.customer, "1", ledger.now)
    former, owner = await ledger.customer("A"), await ledger.customer("B")
    assert (former.external_id, former.written_back, former.told) == (None, False, None)
    assert (owner.external_id, owner.written_back, owner.told) == ("1", False, None)
    assert await ledger.database.read(customers.owner_of, SCOPE, "1", "A") == "B"
    assert await ledger.database.read(customers.owner_of, SCOPE, "1", "B") is None
    assert await ledger.database.read(customers.owner_of, "another", "1", "A") is None
    await ledger.do(customers.take, claim.customer, "1", ledger.now)
    assert (await ledger.customer("B")).external_id == "1"
    assert (await ledger.begun(change(customer="A"))).customer.external_id is None, "it is added anew"
    assert former.owes_no, "and told anew"
    assert owner.owes_no


async def test_nobody_knows_a_link_that_was_only_just_taken(ledger: Ledger) -> None:
    claim = await ledger.begun(replace(change(1), destination="1796"))
    await ledger.finish(claim, external_id="1", written_back=True)
    assert (await ledger.customer()).knows_link_at("1796")
    await ledger.do(customers.take, (await ledger.begun(change(2))).customer, "2", ledger.now)
    customer = await ledger.customer()
    assert (customer.external_id, customer.knows_link_at("1796")) == ("2", False)


async def test_the_same_id_of_another_connection_is_another_customers(ledger: Ledger) -> None:
    await ledger.finish(await ledger.begun(change(customer="A")), external_id="1")
    claim = await ledger.begun(change(customer="B", connection="another"))
    await ledger.do(customers.take, claim.customer, "1", ledger.now)
    assert (await ledger.customer("A")).external_id == "1"


async def test_who_was_taken_over_takes_no_id(ledger: Ledger) -> None:
    await ledger.finish(await ledger.begun(change(customer="A")), external_id="1")
    claim = await ledger.begun(change(customer="B"))
    await ledger.release("B")
    await ledger.do(customers.take, claim.customer, "1", ledger.now)
    assert (await ledger.customer("A")).external_id == "1"
    assert (await ledger.customer("B")).external_id is None


async def test_an_attempt_whose_link_was_taken_runs_again_and_the_other_one_is_verified(ledger: Ledger) -> None:
    """Both wrote to the same customer of Stamped.io at the same time."""
    mine = await ledger.begun(change(5, customer="A"))
    await ledger.do(customers.take, mine.customer, "1", ledger.now)
    other = await ledger.begun(change(5, customer="B"), OTHER)
    await ledger.do(customers.take, other.customer, "1", ledger.now)
    await ledger.finish(other, external_id="1")
    finished = await ledger.finish(mine, external_id="1")
    (again,) = finished.settled
    assert (finished.is_due, again.status, again.promised) == (True, "accepted", True)
    assert await ledger.outcomes(again) == [(1, "interrupted")]
    lost, owner = await ledger.customer("A"), await ledger.customer("B")
    assert (lost.external_id, lost.doubt is not None) == (None, True)
    assert (owner.external_id, owner.doubt is not None, owner.verify_at) == ("1", True, ledger.now)
    claims = await ledger.claim_due()
    assert {claim.customer.customer_id: claim.verifies for claim in claims} == {"A": False, "B": True}


async def test_the_end_of_an_attempt_takes_an_id_from_who_was_answered_before(ledger: Ledger) -> None:
    await ledger.finish(
        await ledger.begun(change(customer="A", consent=False)), external_id="1", written_back=True
    )
    claim = await ledger.begun(replace(change(customer="B"), destination="1796"))
    finished = await ledger.finish(claim, external_id="1", answered_at=ledger.now)
    assert [each.status for each in finished.settled] == ["succeeded"]
    former, owner = await ledger.customer("A"), await ledger.customer("B")
    assert (former.external_id, former.linked_at, former.written_back, former.told) == (None, None, False, None)
    assert (owner.external_id, owner.linked_at, owner.knows_link_at("1796")) == ("1", ledger.now, False)


async def test_who_was_answered_before_the_owner_takes_no_id(ledger: Ledger) -> None:
    """Whose answers come the other way round: the customer at Stamped.io is the last one's who wrote to it."""
    mine, other = await ledger.begun(change(5, customer="A")), await ledger.begun(change(5, customer="B"), OTHER)
    await ledger.do(customers.take, other.customer, "1", ledger.now + 1)
    await ledger.do(customers.take, mine.customer, "1", ledger.now)
    assert ((await ledger.customer("A")).external_id, (await ledger.customer("B")).external_id) == (None, "1")
    ledger.now += 2
    (again,) = (await ledger.finish(mine, external_id="1", answered_at=ledger.now - 2)).settled
    assert (again.status, again.promised) == ("accepted", True)
    await ledger.finish(other, external_id="1", answered_at=ledger.now - 1)
    owner = await ledger.customer("B")
    assert (owner.external_id, owner.verify_at is not None) == ("1", True)


async def test_an_id_that_came_with_a_record_is_taken_from_nobody(ledger: Ledger) -> None:
    await ledger.finish(await ledger.begun(change(customer="A")), external_id="1")
    finished = await ledger.finish(await ledger.begun(change(customer="B")), external_id="1")
    assert (finished.is_due, [each.status for each in finished.settled]) == (True, ["accepted"])
    assert (await ledger.customer("A")).external_id == "1"


async def test_a_failure_before_any_answer_keeps_the_link(ledger: Ledger) -> None:
    await ledger.finish(await ledger.begun(change(1)), external_id="1", written_back=True)
    await ledger.finish(await ledger.begun(change(2)), RETRYABLE)
    customer = await ledger.customer()
    assert (customer.external_id, customer.written_back) == ("1", True)


# ---- loads


async def claim_load(ledger: Ledger, owner: str = OWNER) -> Stored:
    (claimed,) = await ledger.do(loads, SCOPE, owner, ledger.now, 10)
    return claimed


async def test_a_load_that_fails_for_good_is_that_triggers_alone(ledger: Ledger) -> None:
    waiting = await ledger.waiting(change(2, consent=False, promised=True))
    before = await ledger.customer()
    loading = await ledger.loading()
    failed = await ledger.not_loaded(loading)
    assert failed is not None
    assert (failed.status, failed.error, failed.loading) == ("failed", NOT_LOADED.slug.value, False)
    assert await ledger.outcomes(loading) == [(1, "failed")]
    assert await ledger.row(waiting) == waiting
    assert await ledger.customer() == before
    assert await ledger.not_loaded(loading) is None


async def test_a_promised_load_is_tried_again_on_schedule(ledger: Ledger) -> None:
    loading = await ledger.loading(bare(promised=True))
    for tries in range(1, retry_schedule.MAX_TRIES):
        waiting = await ledger.not_loaded(loading)
        assert waiting is not None
        assert (waiting.status, waiting.loading, waiting.tries) == ("waiting", True, tries)
        assert await ledger.do(loads, SCOPE, OWNER, ledger.now, 10) == []
        assert waiting.next_attempt_at is not None
        ledger.now = waiting.next_attempt_at
        loading = await claim_load(ledger)
    assert (await ledger.not_loaded(loading)) == await ledger.row(loading)
    assert (await ledger.row(loading)).status == "failed"


async def test_a_load_is_claimed_once(ledger: Ledger) -> None:
    for customer in MANY:
        await ledger.pending(bare(customer=customer, promised=True))
    work = (ledger.do(loads, SCOPE, f"replica-{number}", ledger.now, 4) for number in range(4))
    found = [each for loads in await asyncio.gather(*work) for each in loads]
    found += await ledger.do(loads, SCOPE, OWNER, ledger.now, 10)
    assert sorted(each.customer_id or "" for each in found) == MANY
    assert await ledger.do(loads, SCOPE, OWNER, ledger.now, 0) == []


async def test_a_load_that_is_released_is_due_and_promised(ledger: Ledger) -> None:
    loading = await ledger.loading()
    assert await ledger.do(attempts.release_load, loading.seq, OTHER, ledger.now) is None
    assert await ledger.row(loading) == loading
    again = await ledger.do(attempts.release_load, loading.seq, OWNER, ledger.now)
    assert again is not None
    assert (again.status, again.loading, again.promised, again.owner) == ("accepted", True, True, None)
    assert await ledger.do(attempts.release_load, loading.seq, OWNER, ledger.now) is None
    assert await ledger.not_loaded(loading) is None
    assert (await claim_load(ledger, OTHER)).attempts == 2
    assert await ledger.outcomes(loading) == [(1, "interrupted")]


async def test_a_load_that_brings_the_process_down_each_time_ends(ledger: Ledger) -> None:
    loading = await ledger.loading()
    for _ in range(49):
        await ledger.do(attempts.release_load, loading.seq, OWNER, ledger.now)
        loading = await claim_load(ledger)
    await ledger.do(attempts.release_load, loading.seq, OWNER, ledger.now)
    ended = await ledger.row(loading)
    assert (ended.status, ended.error, ended.loading) == ("failed", "internal-error", False)


# ---- calls


async def calls_of(ledger: Ledger, transfer: Stored) -> list[list[Call]]:
    """Of each of its attempts."""
    return [each.calls for each in await ledger.database.read(reports.attempts_of, transfer.seq)]


async def test_each_attempt_keeps_its_calls_however_it_ended(ledger: Ledger) -> None:
    claim = await ledger.begun(change(1, promised=True))
    await ledger.finish(claim, RETRYABLE, calls=noting.dump(NOTED[:1], 0.0, str))
    ledger.now += 10_000
    await ledger.claim()
    await ledger.release()
    await ledger.finish(await ledger.claim(), calls=CALLS)
    assert await ledger.outcomes(claim.lead) == [(1, "failed"), (2, "interrupted"), (3, "succeeded")]
    assert await calls_of(ledger, claim.lead) == [NOTED[:1], [], NOTED]


async def test_all_that_an_attempt_covers_have_its_calls(ledger: Ledger) -> None:
    running = await ledger.begun(change(1))
    waiting = [await ledger.pending(change(9, promised=True)), await ledger.pending(bare("manual", fetch=False))]
    await ledger.finish(running)
    await ledger.finish(await ledger.claim(), REFUSED, calls=CALLS)
    assert [await calls_of(ledger, each) for each in waiting] == [[NOTED]] * 2


async def test_a_load_keeps_its_calls_where_it_ends_the_attempt(ledger: Ledger) -> None:
    failed = await ledger.loading(bare())
    await ledger.not_loaded(failed, calls=CALLS)
    await ledger.finish(await ledger.begun(change(9)))
    superseded = await ledger.loading(bare())
    await ledger.loaded(superseded, 1, calls=CALLS)
    assert await ledger.outcomes(superseded) == [(1, "skipped")]
    assert [await calls_of(ledger, each) for each in (failed, superseded)] == [[NOTED]] * 2


async def test_what_writes_no_calls_has_made_none(ledger: Ledger) -> None:
    """As a replica of a release that knew none."""
    done = await ledger.waiting()

    def write(session: Session) -> None:
        values = {"transfer_seq": done.seq, "number": 9, "started_at": 1.0, "finished_at": 2.0}
        session.execute(insert(table), [values | {"outcome": "failed", "steps": "{}"}])

    await ledger.do(write)
    assert await calls_of(ledger, done) == [[], []]
