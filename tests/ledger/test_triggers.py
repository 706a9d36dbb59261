"""Accept, repeat, re-run, load, promise and cancel in every state: what is wanted then, and what is promised."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any, NamedTuple

import pytest

from app.ledger import attempts, reports, retention, triggers
from app.ledger.session import Session
from app.ledger.stored import Stored, Trigger
from app.ledger.triggers import Entered, NewTransfer
from tests.ledger.support import (
    CUSTOMER,
    ELSEWHERE,
    OTHER,
    OWNER,
    REFUSED,
    RETRYABLE,
    SANDBOX,
    Halfway,
    Ledger,
    applied,
    bare,
    change,
    changed,
    date,
    loads,
)
from tests.support import SCOPE

GUID = "3c90c3cc-0d44-4b50-8888-8dd25736052a"


class Case(NamedTuple):
    """Two changes, in the order of receipt, by the minute they were made in; which of them is the newer one."""

    first: int | None
    second: int | None
    second_is_newer: bool


CASES = [
    Case(1, 2, second_is_newer=True),
    Case(2, 1, second_is_newer=False),
    Case(1, 1, second_is_newer=True),  # neither is strictly older, so receipt decides
    Case(None, None, second_is_newer=True),
    Case(5, None, second_is_newer=True),
    Case(None, 5, second_is_newer=True),
]
cases = pytest.mark.parametrize("case", CASES)


def assert_superseded(transfer: Stored, by: Stored) -> None:
    assert (transfer.status, transfer.superseded_by) == ("skipped", by.id)
    assert by.id in (transfer.reason or "")
    assert (transfer.next_attempt_at, transfer.owner, transfer.error) == (None, None, None)
    assert transfer.finished_at is not None


def first_name(entered: Entered) -> str | None:
    """Of the record that is sent."""
    assert entered.claim is not None
    assert entered.claim.record is not None
    record = replace(entered.transfer, record=entered.claim.record).customer_record()
    return record.first_name if record else None


# ---- accept


async def test_with_an_owner_it_runs_at_once(ledger: Ledger) -> None:
    entered = await ledger.accept(change(5, guid=GUID))
    assert entered.claim is not None
    assert not entered.replayed
    stored = entered.transfer
    assert (stored.status, stored.owner, stored.attempts, stored.tries) == ("running", OWNER, 1, 0)
    assert (stored.started_at, stored.next_attempt_at, stored.finished_at) == (ledger.now, None, None)
    assert (stored.tracking_guid, stored.promised, stored.is_final) == (GUID, False, False)
    customer = await ledger.customer()
    assert (customer.owner, customer.sending, customer.due_at) == (OWNER, stored.id, None)
    assert (customer.wanted.id, customer.wanted.moment) == (stored.id, entered.claim.customer.wanted.moment)


async def test_without_an_owner_it_is_due_whatever_the_clock_says(ledger: Ledger) -> None:
    entered = await ledger.accept(change(promised=True), None)
    assert entered.claim is None
    assert (entered.transfer.status, entered.transfer.promised) == ("accepted", True)
    ledger.now -= 10**6
    claim = await ledger.claim(owner=OTHER)
    assert claim.lead.seq == entered.transfer.seq


async def test_while_one_runs_the_next_is_accepted(ledger: Ledger) -> None:
    first = await ledger.begun(change(1))
    second = await ledger.accept(change(2))
    assert (second.claim, second.transfer.status) == (None, "accepted")
    assert await ledger.may_claim() is None
    assert (await ledger.finish(first)).is_due
    assert (await ledger.claim()).lead.seq == second.transfer.seq


async def test_other_customers_and_connections_are_not_held_up(ledger: Ledger) -> None:
    await ledger.begun()
    assert (await ledger.accept(change(customer="2"))).claim
    assert (await ledger.accept(change(connection="another"))).claim


async def test_a_skipped_one_ends_at_once_and_holds_nothing_up(ledger: Ledger) -> None:
    deleted = replace(change(), skip_reason="Only …", repeat_key=None, record=None, customer_id=None)
    entered = await ledger.accept(deleted)
    assert (entered.transfer.status, entered.transfer.reason, entered.claim) == ("skipped", "Only …", None)
    assert entered.transfer.finished_at == ledger.now
    assert (await ledger.accept(change())).claim


@cases
async def test_one_that_waits_and_one_that_arrives(ledger: Ledger, case: Case) -> None:
    first = await ledger.waiting(change(case.first, promised=True))
    entered = await ledger.accept(change(case.second))
    if case.second_is_newer:
        assert entered.claim, "a waiting transfer never holds up a newer change"
        assert [each.seq for each in entered.ended] == [first.seq]
        assert_superseded(await ledger.row(first), entered.transfer)
    else:
        assert_superseded(entered.transfer, first)
        assert await ledger.row(first) == first


@cases
@pytest.mark.parametrize("failure", [None, RETRYABLE, REFUSED])
async def test_one_that_was_tried_and_one_that_arrives(ledger: Ledger, case: Case, failure: Any) -> None:
    first = await ledger.begun(change(case.first))
    await ledger.finish(first, failure)
    entered = await ledger.accept(change(case.second))
    if case.second_is_newer:
        assert entered.claim
    else:
        assert_superseded(entered.transfer, first.lead)


@cases
async def test_one_that_runs_and_one_that_arrives(ledger: Ledger, case: Case) -> None:
    running = await ledger.begun(change(case.first))
    second = (await ledger.accept(change(case.second))).transfer
    if case.second_is_newer:
        assert second.status == "accepted"
        await ledger.finish(running)
        assert (await ledger.claim()).lead.seq == second.seq
    else:
        assert_superseded(second, running.lead)
        assert not (await ledger.finish(running)).is_due


@cases
async def test_a_rerun_of_one_after_another_was_sent(ledger: Ledger, case: Case) -> None:
    failed = await ledger.failed(change(case.first))
    second = await ledger.accept(change(case.second))
    if not case.second_is_newer:
        assert_superseded(second.transfer, failed)
        assert (await ledger.again(failed)).claim
        return
    assert second.claim
    await ledger.finish(second.claim)
    assert_superseded((await ledger.again(failed)).transfer, second.transfer)


async def test_a_rerun_of_the_older_one_while_the_newer_waits(ledger: Ledger) -> None:
    failed = await ledger.failed(change(1))
    waiting = await ledger.waiting(change(2, promised=True))
    assert_superseded((await ledger.again(failed)).transfer, waiting)
    assert await ledger.row(waiting) == waiting


async def test_waiting_ones_collapse_into_the_newest(ledger: Ledger) -> None:
    running = await ledger.begun(change(0))
    received = [await ledger.pending(change(minute, promised=True)) for minute in (3, 5, 4, 5, 8)]
    final = [await ledger.row(each) for each in received]
    assert [each.status for each in final] == ["skipped"] * 4 + ["accepted"]
    by = [each.superseded_by for each in final]
    assert by == [received[1].id, received[3].id, received[1].id, received[4].id, None]
    await ledger.finish(running)
    assert (await ledger.claim()).lead.seq == received[4].seq


# ---- consent


async def test_an_older_no_is_due_beside_the_newer_record_that_waits(ledger: Ledger) -> None:
    waiting = await ledger.waiting(change(9, promised=True))
    older = await ledger.accept(change(5, consent=False))
    assert older.claim is not None
    assert (older.claim.customer.wanted.id, older.claim.customer.owes_no) == (waiting.id, True)
    assert {each.seq for each in older.claim.covered} == {waiting.seq, older.transfer.seq}
    assert first_name(older) == "minute 9"
    await ledger.finish(older.claim)
    assert (await ledger.row(waiting)).status == "succeeded"
    assert_superseded(await ledger.row(older.transfer), waiting)


async def test_an_older_yes_is_superseded_and_never_due(ledger: Ledger) -> None:
    await ledger.waiting(change(9, promised=True))
    older = await ledger.accept(change(5, consent=True))
    assert older.transfer.status == "skipped"
    customer = await ledger.customer()
    assert (customer.wanted.consent, customer.owes_no) == (True, False)
    assert customer.wanted.consented != customer.wanted.moment, "the record that is sent says nothing"


async def test_a_no_that_failed_is_applied_with_whatever_comes_next(ledger: Ledger) -> None:
    """Also with an older trigger, that is superseded otherwise."""
    failed = await ledger.failed(change(9, consent=False))
    older = await ledger.accept(change(5, consent=True))
    assert older.claim is not None
    assert older.claim.customer.owes_no
    assert first_name(older) == "minute 9"
    await ledger.finish(older.claim)
    assert_superseded(await ledger.row(older.transfer), failed)
    assert not (await ledger.customer()).owes_no
    assert (await ledger.accept(change(5, consent=True))).transfer.status == "skipped"


async def test_a_no_stays_due_behind_absent_ones_and_a_yes_does_not(ledger: Ledger) -> None:
    for customer, consent in (("1", True), ("2", False)):
        await ledger.waiting(change(2, consent=consent, customer=customer, promised=True))
        entered = await ledger.accept(change(3, customer=customer))
        assert entered.claim is not None
        assert entered.claim.customer.owes_no is (consent is False)
        assert applied(entered.claim.customer) is (None if consent else False)
        await ledger.finish(entered.claim)
        assert (await ledger.customer(customer)).told is (None if consent else False)


async def test_a_repeat_of_the_first_notification_never_overwrites_a_no_of_the_same_date(ledger: Ledger) -> None:
    first = change(5, consent=True)
    await ledger.failed(first)
    await ledger.succeeded(change(5, consent=False))
    assert (await ledger.accept(first)).transfer.status == "skipped"
    assert (await ledger.wanted()).consent is False


@pytest.mark.parametrize("failure", [RETRYABLE, REFUSED])
async def test_the_consent_of_a_run_by_hand_counts_as_the_newest(ledger: Ledger, failure: Any) -> None:
    await ledger.succeeded(change(9, consent=True))
    await ledger.failed(change(5, consent=False, trigger="manual"), failure)
    assert (await ledger.customer()).owes_no


async def test_the_consent_of_a_run_by_hand_counts_as_the_newest_also_behind_an_undated_record(
    ledger: Ledger,
) -> None:
    await ledger.succeeded(change(9, consent=True))
    await ledger.succeeded(change(None))
    claim = await ledger.begun(change(5, consent=False, trigger="manual"))
    assert claim.customer.owes_no


# ---- promises


@pytest.mark.parametrize("state", ["accepted", "waiting"])
async def test_a_newer_one_takes_over_the_promise(ledger: Ledger, state: str) -> None:
    older = await (ledger.pending if state == "accepted" else ledger.waiting)(change(1, promised=True))
    entered = await ledger.accept(change(2))
    assert entered.claim is not None
    assert entered.transfer.promised
    assert_superseded(await ledger.row(older), entered.transfer)
    await ledger.finish(entered.claim, RETRYABLE)
    assert (await ledger.row(entered.transfer)).status == "waiting", "nobody else would try again"


async def test_who_replaces_a_no_that_is_owed_is_promised_it(ledger: Ledger) -> None:
    """Also where nobody was promised the no: its own caller waits, and is told that it was superseded."""
    running = await ledger.begun(change(1))
    no = (await ledger.accept(change(2, consent=False))).transfer
    assert not no.promised
    absent = (await ledger.accept(change(3))).transfer
    assert absent.promised
    await ledger.finish(running)
    await ledger.finish(await ledger.claim(), RETRYABLE)
    assert (await ledger.row(absent)).status == "waiting"


async def test_beside_what_is_promised_nobody_is_told_an_error(ledger: Ledger) -> None:
    """Its attempt is the promised one's, which is tried again."""
    await ledger.waiting(change(9, promised=True))
    older = await ledger.accept(change(5, consent=False))
    assert older.claim is not None
    await ledger.finish(older.claim, RETRYABLE)
    assert await ledger.statuses() == ["waiting", "waiting"]


async def test_without_a_promise_to_take_over_the_caller_is_told_the_error(ledger: Ledger) -> None:
    await ledger.failed(change(1))
    entered = await ledger.accept(change(2))
    assert entered.claim is not None
    assert not entered.transfer.promised
    await ledger.finish(entered.claim, RETRYABLE)
    assert (await ledger.row(entered.transfer)).status == "failed"


async def test_a_promise_changes_what_a_failure_means(ledger: Ledger) -> None:
    claim = await ledger.begun()
    assert (await ledger.do(triggers.promise, claim.lead.seq)).promised
    await ledger.finish(claim, RETRYABLE)
    assert (await ledger.row(claim.lead)).status == "waiting"


async def test_a_promise_comes_too_late_for_what_has_ended(ledger: Ledger) -> None:
    failed = await ledger.failed()
    assert await ledger.do(triggers.promise, failed.seq) == failed


# ---- repeats


async def test_a_repeat_of_one_that_succeeded_is_its_answer(ledger: Ledger) -> None:
    new = change()
    done = await ledger.succeeded(new)
    again = await ledger.accept(new)
    assert again.replayed
    assert again.claim is None
    assert again.transfer == done
    assert await ledger.statuses() == ["succeeded"]


async def test_a_repeat_of_one_that_was_superseded_is_its_answer(ledger: Ledger) -> None:
    new = change(1, promised=True)
    await ledger.waiting(new)
    await ledger.succeeded(change(2))
    again = await ledger.accept(new)
    assert (again.replayed, again.transfer.status) == (True, "skipped")


@pytest.mark.parametrize("promised", [False, True])
async def test_a_repeat_of_one_that_runs_joins_it(ledger: Ledger, *, promised: bool) -> None:
    new = change()
    running = (await ledger.begun(new)).lead
    again = await ledger.accept(replace(new, promised=promised), OTHER)
    assert again.claim is None
    assert not again.replayed
    assert again.transfer.seq == running.seq
    assert (await ledger.row(running)).promised is promised
    assert (await ledger.row(running)).owner == OWNER


async def test_a_repeat_of_one_that_is_accepted_joins_it(ledger: Ledger) -> None:
    new = change(promised=True)
    first = await ledger.pending(new)
    again = await ledger.accept(replace(new, promised=False))
    assert (again.claim, again.transfer.seq) == (None, first.seq)
    assert (await ledger.row(first)).promised, "a promise is never taken back by a repeat that waits"


async def test_a_repeat_of_one_that_loads_joins_it(ledger: Ledger) -> None:
    new = bare()
    loading = await ledger.loading(new)
    again = await ledger.accept(replace(new, promised=True), OTHER)
    assert (again.transfer.seq, again.claim, again.loads) == (loading.seq, None, False)
    assert again.transfer.promised


async def test_a_repeat_of_one_that_failed_runs_with_the_record_that_came_now(ledger: Ledger) -> None:
    failed = await ledger.failed(change(1, guid=GUID))
    ledger.now += 5
    again = await ledger.accept(change(2, guid=GUID), OTHER)
    stored = again.transfer
    assert first_name(again) == "minute 2"
    assert (stored.seq, stored.attempts, stored.owner, stored.tries) == (failed.seq, 2, OTHER, 0)
    assert (stored.finished_at, stored.started_at) == (None, ledger.now)


async def test_a_repeat_of_one_that_waits_runs_now(ledger: Ledger) -> None:
    new = change(promised=True)
    waiting = await ledger.waiting(new)
    again = await ledger.accept(replace(new, promised=False))
    assert again.claim is not None
    assert (again.transfer.seq, again.transfer.next_attempt_at, again.transfer.tries) == (waiting.seq, None, 0)
    await ledger.finish(again.claim, RETRYABLE)
    assert (await ledger.row(waiting)).status == "waiting", "a promise is never taken back by a repeat that waits"


async def test_a_repeat_of_a_cancelled_one_runs(ledger: Ledger) -> None:
    new = change(promised=True)
    assert await ledger.cancel(await ledger.pending(new))
    assert (await ledger.accept(new)).claim


async def test_the_same_guid_of_another_customer_or_connection_is_no_repeat(ledger: Ledger) -> None:
    first = (await ledger.begun(change(guid=GUID))).lead
    for new in (change(guid=GUID, customer="2"), change(guid=GUID, connection="another")):
        assert (await ledger.accept(new)).transfer.seq != first.seq


async def test_an_older_record_in_a_repeat_does_not_replace_the_wanted_one(ledger: Ledger) -> None:
    await ledger.failed(change(5, guid=GUID))
    assert first_name(await ledger.accept(change(4, guid=GUID))) == "minute 5"


async def test_a_no_that_a_repeat_says_no_more_stays_due(ledger: Ledger) -> None:
    """Also where a later trigger is taken back, and what is wanted is found anew."""
    await ledger.failed(change(5, consent=False, guid=GUID))
    await ledger.failed(change(6, guid=GUID))
    assert (await ledger.customer()).owes_no
    await ledger.cancel(await ledger.pending(change(7, promised=True)))
    assert (await ledger.customer()).owes_no


# ---- runs by hand


@pytest.mark.parametrize("minute", [1, None])
async def test_a_run_by_hand_with_a_record_counts_as_the_newest(ledger: Ledger, minute: int | None) -> None:
    await ledger.succeeded(change(9))
    waiting = await ledger.waiting(change(9, promised=True))
    entered = await ledger.accept(change(minute, trigger="manual"))
    assert first_name(entered) == f"minute {minute}"
    assert_superseded(await ledger.row(waiting), entered.transfer)
    assert (await ledger.accept(change(8))).transfer.status == "skipped"
    assert (await ledger.accept(change(10))).transfer.status == "accepted"


async def test_a_run_by_hand_is_no_repeat_of_anything(ledger: Ledger) -> None:
    new = change(1, trigger="manual")
    first = await ledger.succeeded(new)
    again = await ledger.accept(new)
    assert again.claim
    assert again.transfer.seq != first.seq


@pytest.mark.parametrize("trigger", ["manual", "sync"])
async def test_a_run_by_hand_without_a_record_sends_what_is_wanted(ledger: Ledger, trigger: Trigger) -> None:
    await ledger.succeeded(change(5))
    assert (await ledger.accept(change(4))).transfer.status == "skipped"
    by_hand = await ledger.accept(bare(trigger, fetch=False))
    assert first_name(by_hand) == "minute 5"
    assert by_hand.claim is not None
    await ledger.finish(by_hand.claim)
    assert (await ledger.row(by_hand.transfer)).status == "succeeded"


async def test_a_run_by_hand_without_a_record_ends_nothing(ledger: Ledger) -> None:
    waiting = await ledger.waiting(change(5, consent=False, promised=True))
    by_hand = await ledger.accept(bare("manual", fetch=False))
    assert by_hand.ended == ()
    assert by_hand.claim is not None
    assert {each.seq for each in by_hand.claim.covered} == {waiting.seq, by_hand.transfer.seq}
    assert by_hand.claim.customer.owes_no
    await ledger.finish(by_hand.claim)
    assert (await ledger.row(waiting)).status == "succeeded"
    assert (await ledger.row(by_hand.transfer)).status == "succeeded"


@pytest.mark.parametrize("load", [True, False])
async def test_a_run_by_hand_that_waits_is_applied_with_a_newer_record(ledger: Ledger, *, load: bool) -> None:
    """Nobody else sent its record, so the newer one replaces nothing of it."""
    await ledger.succeeded(change(1))
    running = await ledger.begun(bare("manual", fetch=False))
    if load:
        loading = await ledger.loading(bare("sync", promised=True))
        by_hand = (await ledger.loaded(loading, 1, owner=None)).transfer
    else:
        by_hand = await ledger.pending(bare("sync", promised=True, fetch=False))
    newer = await ledger.pending(change(2, promised=True))
    assert (await ledger.row(by_hand)).status == "accepted"
    await ledger.finish(running)
    await ledger.finish(await ledger.claim())
    assert {(await ledger.row(each)).status for each in (by_hand, newer)} == {"succeeded"}


async def test_a_run_by_hand_goes_where_the_last_one_went(ledger: Ledger) -> None:
    await ledger.succeeded(replace(change(1, customer="1"), destination="1796"))
    for customer in ("1", "stranger"):
        entered = await ledger.accept(bare("manual", customer=customer, fetch=False))
        assert entered.transfer.destination == "1796"
    await ledger.succeeded(replace(change(1, customer="3"), destination="1797"))
    for customer, destination in (("1", "1796"), ("3", "1797"), ("another stranger", None)):
        entered = await ledger.accept(bare("manual", customer=customer, fetch=False))
        assert entered.transfer.destination == destination


# ---- re-runs


@pytest.mark.parametrize("owner", [OWNER, None])
async def test_a_rerun_begins_anew(ledger: Ledger, owner: str | None) -> None:
    failed = await ledger.failed()
    entered = await ledger.again(failed, owner, promised=owner is None)
    assert (entered.claim is not None) is (owner is not None)
    assert entered.transfer.status == ("running" if owner else "accepted")
    assert (entered.transfer.tries, entered.transfer.finished_at) == (0, None)
    assert entered.transfer.promised is (owner is None)


async def test_only_failed_cancelled_and_waiting_ones_run_again(ledger: Ledger) -> None:
    running = (await ledger.begun()).lead
    accepted = await ledger.pending(change(customer="2"))
    succeeded = await ledger.succeeded(change(customer="3"))
    superseded = await ledger.waiting(change(1, customer="4", promised=True))
    await ledger.accept(change(2, customer="4"))
    for other in (running, accepted, succeeded, await ledger.row(superseded)):
        assert await ledger.rerun(other) is None
        assert await ledger.row(other) == other


async def test_a_rerun_beside_one_that_runs_waits_for_it(ledger: Ledger) -> None:
    first = await ledger.failed(change(None))
    second = await ledger.failed(change(None))
    running = await ledger.begun(bare("manual", fetch=False))
    entered = await ledger.again(second)
    assert (entered.claim, entered.transfer.status) == (None, "accepted")
    assert_superseded((await ledger.again(first)).transfer, second)
    assert (await ledger.row(running.lead)).status == "running"


async def test_a_rerun_of_what_waits_keeps_its_promise(ledger: Ledger) -> None:
    waiting = await ledger.waiting()
    entered = await ledger.again(waiting)
    assert entered.claim is not None
    assert entered.transfer.promised
    await ledger.finish(entered.claim, RETRYABLE)
    assert (await ledger.row(waiting)).tries == 1


@pytest.mark.parametrize(("mine", "other"), [(SANDBOX, SCOPE), (SCOPE, SANDBOX), (SCOPE, ELSEWHERE)])
async def test_what_is_of_a_scope_that_is_not_served_is_never_run_again(
    ledger: Ledger, mine: str, other: str
) -> None:
    """Of a sandbox not at a real store, of a store not at another one."""
    claim = await ledger.begun(change(connection=mine))
    await ledger.finish(claim, REFUSED)
    failed = await ledger.row(claim.lead)

    async def again(*served: str) -> Entered | None:
        fetch = dict.fromkeys(served, False)
        return await ledger.do(triggers.rerun, failed.seq, OWNER, ledger.now, fetch=fetch)

    assert await again(other) is None
    assert await ledger.row(failed) == failed
    assert await again(other, mine) is not None


async def test_a_rerun_is_loaded_first_where_its_own_scope_can_fetch(ledger: Ledger) -> None:
    for fetches in (False, True):
        failed = await ledger.failed(change(5, customer=f"fetches {fetches}", trigger="manual"))
        await ledger.do(retention.forget_records, ledger.now + 1)
        fetch = {ELSEWHERE: not fetches, SCOPE: fetches}
        entered = await ledger.do(triggers.rerun, failed.seq, OWNER, ledger.now, fetch=fetch)
        assert entered is not None
        assert entered.loads is fetches


async def test_a_rerun_of_what_lost_its_record_is_loaded_first(ledger: Ledger) -> None:
    failed = await ledger.failed(change(5))
    await ledger.do(retention.forget_records, ledger.now + 1)
    entered = await ledger.again(failed, fetch=True)
    assert (entered.loads, entered.claim) == (True, None)
    assert first_name(await ledger.loaded(entered.transfer, 5)) == "minute 5"


async def test_a_rerun_of_what_was_fetched_is_fetched_anew(ledger: Ledger) -> None:
    """It may have failed for what has been mended since."""
    entered = await ledger.loaded(await ledger.loading(), 5)
    assert entered.claim is not None
    await ledger.finish(entered.claim, REFUSED)
    assert (await ledger.again(entered.transfer, fetch=True)).loads


# ---- a record that is loaded first


@pytest.mark.parametrize("owner", [OWNER, None])
async def test_without_a_record_it_is_loaded_outside_the_order(ledger: Ledger, owner: str | None) -> None:
    waiting = await ledger.waiting(change(1, consent=False, promised=True))
    before = await ledger.wanted()
    entered = await ledger.accept(bare(promised=True), owner)
    assert entered.loads is (owner is not None)
    assert (entered.claim, entered.transfer.loading, entered.transfer.place) == (None, True, None)
    assert await ledger.row(waiting) == waiting
    assert await ledger.wanted() == before


async def test_its_place_begins_with_the_record_in_hand(ledger: Ledger) -> None:
    loading = await ledger.loading()
    meanwhile = await ledger.succeeded(change(None))
    entered = await ledger.loaded(loading, None)
    assert first_name(entered) == "minute None"
    stored = entered.transfer
    assert meanwhile.place is not None
    assert stored.place is not None
    assert stored.place > meanwhile.place
    assert (stored.loading, stored.fetched, stored.attempts, stored.started_at) == (False, True, 1, ledger.now)
    assert (await ledger.wanted()).id == stored.id


async def test_a_loaded_record_that_is_older_is_superseded(ledger: Ledger) -> None:
    sent = await ledger.succeeded(change(5))
    loading = await ledger.loading()
    entered = await ledger.loaded(loading, 4)
    assert_superseded(entered.transfer, sent)
    assert (entered.transfer.fetched, entered.transfer.changed_at) == (True, date(4))
    assert await ledger.outcomes(loading) == [(1, "skipped")]
    assert await ledger.may_load(loading, 6) is None


async def test_an_older_one_with_a_record_does_not_end_one_that_loads(ledger: Ledger) -> None:
    loading = await ledger.loading(bare(promised=True))
    await ledger.succeeded(change(3, consent=True))
    entered = await ledger.loaded(loading, 12, consent=False)
    assert first_name(entered) == "minute 12"
    assert (await ledger.customer()).owes_no


async def test_a_loaded_older_record_leaves_a_due_no_due(ledger: Ledger) -> None:
    await ledger.waiting(change(9, consent=False, promised=True))
    assert (await ledger.loaded(await ledger.loading(), 5, consent=True)).transfer.status == "skipped"
    customer = await ledger.customer()
    assert customer.owes_no
    assert customer.wanted.moment is not None
    assert customer.wanted.moment.at == date(9)


@pytest.mark.parametrize("trigger", ["manual", "sync"])
async def test_a_run_by_hand_that_loads_never_sends_something_older(ledger: Ledger, trigger: Trigger) -> None:
    await ledger.succeeded(change(9))
    entered = await ledger.loaded(await ledger.loading(bare(trigger)), 5)
    assert entered.claim, "but it always makes an attempt"
    assert first_name(entered) == "minute 9"
    await ledger.finish(entered.claim)
    assert (await ledger.row(entered.transfer)).status == "succeeded"


async def test_what_is_loaded_while_another_runs_waits_for_its_turn(ledger: Ledger) -> None:
    """Its load was an attempt of its own, which is told."""
    loading = await ledger.loading()
    running = await ledger.begun(change(5))
    entered = await ledger.loaded(loading, 6)
    assert (entered.claim, entered.transfer.status, entered.transfer.loading) == (None, "accepted", False)
    assert (entered.transfer.attempts, entered.transfer.owner) == (1, None)
    assert await ledger.outcomes(loading) == [(1, "loaded")]
    await ledger.finish(running)
    claim = await ledger.claim()
    assert (claim.lead.seq, claim.lead.attempts) == (loading.seq, 2)
    await ledger.finish(claim)
    assert await ledger.outcomes(loading) == [(1, "loaded"), (2, "succeeded")]


async def test_a_loaded_record_takes_over_promises(ledger: Ledger) -> None:
    waiting = await ledger.waiting(change(5, promised=True))
    entered = await ledger.loaded(await ledger.loading(), 6)
    assert entered.transfer.promised
    assert_superseded(await ledger.row(waiting), entered.transfer)


async def test_what_was_taken_over_keeps_no_record_that_comes_late(ledger: Ledger) -> None:
    late = await ledger.loading()
    assert await ledger.do(attempts.release_load, late.seq, OWNER, ledger.now)
    (again,) = await ledger.do(loads, SCOPE, OTHER, ledger.now, 1)
    await ledger.loaded(again, 5, owner=OTHER)
    kept = await ledger.row(late)
    assert await ledger.may_load(late, 4) is None
    assert await ledger.row(late) == kept
    assert kept.changed_at == date(5)


# ---- cancel


@pytest.mark.parametrize("state", ["accepted", "waiting"])
async def test_what_has_not_begun_can_be_cancelled(ledger: Ledger, state: str) -> None:
    pending = await (ledger.pending if state == "accepted" else ledger.waiting)()
    changed_now = await ledger.cancel(pending)
    assert changed_now is not None
    (cancelled,) = changed_now
    assert (cancelled.status, cancelled.next_attempt_at, cancelled.finished_at) == ("cancelled", None, ledger.now)
    assert (cancelled.error, cancelled.failure, cancelled.superseded_by) == (None, None, None)
    assert (await ledger.wanted()).id is None, "as if it had never come"
    ledger.now += 10**6
    assert await ledger.may_claim() is None
    assert await ledger.cancel(pending) is None


async def test_what_runs_or_has_ended_cannot_be_cancelled(ledger: Ledger) -> None:
    running = (await ledger.begun(change(customer="1"))).lead
    ended = [await ledger.succeeded(change(customer="2")), await ledger.failed(change(customer="3"))]
    loading = await ledger.loading(bare(customer="4"))
    for each in (running, *ended, loading):
        assert await ledger.cancel(each) is None
        assert await ledger.row(each) == each


async def test_what_waits_to_be_loaded_can_be_cancelled(ledger: Ledger) -> None:
    waiting = await ledger.waiting(change(5, promised=True))
    await ledger.cancel(await ledger.pending(bare(promised=True)))
    assert await ledger.statuses() == ["waiting", "cancelled"]
    assert (await ledger.wanted()).id == waiting.id
    assert await ledger.do(loads, SCOPE, OWNER, ledger.now, 10) == []


@pytest.mark.parametrize("state", ["accepted", "waiting"])
@pytest.mark.parametrize("consent", [True, False, None])
async def test_what_it_replaced_is_wanted_again_with_its_promise(
    ledger: Ledger,
    state: str,
    consent: bool | None,  # noqa: FBT001 - three-valued
) -> None:
    replaced = await ledger.waiting(change(2, consent=consent, promised=True))
    before = await ledger.wanted()
    newer = await (ledger.pending if state == "accepted" else ledger.waiting)(change(3, promised=True))
    changed_now = await ledger.cancel(newer)
    assert changed_now is not None
    assert [(each.seq, each.status) for each in changed_now] == [
        (newer.seq, "cancelled"),
        (replaced.seq, "accepted"),
    ]
    assert await ledger.wanted() == before
    claim = await ledger.claim()
    assert (claim.lead.seq, claim.lead.superseded_by, claim.lead.reason) == (replaced.seq, None, None)
    await ledger.finish(claim, RETRYABLE)
    assert (await ledger.row(replaced)).status == "waiting"


async def test_what_replaced_what_it_replaced_is_cancelled_in_turn(ledger: Ledger) -> None:
    chain = [await ledger.pending(change(minute, promised=True)) for minute in (1, 2, 3)]
    for last, reopened in ((chain[2], chain[1]), (chain[1], chain[0])):
        await ledger.cancel(last)
        assert (await ledger.row(reopened)).status == "accepted"
    assert await ledger.statuses() == ["accepted", "cancelled", "cancelled"]


async def test_what_it_had_superseded_names_what_supersedes_it_now(ledger: Ledger) -> None:
    waiting = await ledger.waiting(change(5, promised=True))
    newest = await ledger.pending(change(9, promised=True))
    older = (await ledger.accept(change(3))).transfer
    assert_superseded(older, newest)
    await ledger.cancel(newest)
    assert_superseded(await ledger.row(older), waiting)


async def test_an_older_one_that_it_had_superseded_at_once_is_wanted(ledger: Ledger) -> None:
    newest = await ledger.pending(change(9, promised=True))
    older = (await ledger.accept(change(3))).transfer
    await ledger.cancel(newest)
    assert (await ledger.claim()).lead.seq == older.seq


async def test_a_no_beside_the_record_is_due_again(ledger: Ledger) -> None:
    """The no and the record that is wanted came with two triggers, both replaced."""
    newer = await ledger.waiting(change(9, promised=True))
    no = await ledger.pending(change(5, consent=False, promised=True))
    await ledger.cancel(await ledger.pending(change(10, consent=True, promised=True)))
    customer = await ledger.customer()
    assert (customer.wanted.id, customer.owes_no) == (newer.id, True)
    assert {(await ledger.row(each)).status for each in (newer, no)} == {"accepted"}


@pytest.mark.parametrize("tried", [False, True])
async def test_a_cancelled_no_is_not_owed(ledger: Ledger, *, tried: bool) -> None:
    """Where it was tried, some of it may be at Stamped.io, so what is wanted is set again."""
    done = await ledger.succeeded(change(1, consent=True))
    no = change(2, consent=False, promised=True)
    await ledger.cancel(await (ledger.waiting(no) if tried else ledger.pending(no)))
    customer = await ledger.customer()
    assert (customer.wanted.id, customer.wanted.consent, customer.owes_no) == (done.id, True, False)
    claims = await ledger.claim_due()
    assert [(claim.verifies, claim.record) for claim in claims] == ([(True, done.record)] if tried else [])


async def test_a_cancelled_sync_leaves_what_waited(ledger: Ledger) -> None:
    no = await ledger.waiting(change(5, consent=False, promised=True))
    for fetch in (False, True):
        sync = await ledger.pending(bare("sync", promised=True, fetch=fetch))
        if fetch:
            (sync,) = await ledger.do(loads, SCOPE, OWNER, ledger.now, 1)
            sync = (await ledger.loaded(sync, 5, consent=False, owner=None)).transfer
            assert_superseded(await ledger.row(no), sync)
        await ledger.cancel(sync)
        assert (await ledger.customer()).owes_no
        assert (await ledger.row(no)).status in {"accepted", "waiting"}
    assert (await ledger.claim()).lead.seq == no.seq


async def test_a_cancelled_rerun_is_failed_again_as_it_was(ledger: Ledger) -> None:
    failed = await ledger.failed(change(5))
    again = await ledger.again(failed, None, promised=True)
    assert again.transfer.status == "accepted"
    ledger.now += 60
    await ledger.cancel(again.transfer)
    names = "status error stamped_status failure_group reason failure finished_at promised tries next_attempt_at"
    shown = names.split()
    now = await ledger.row(failed)
    assert now.failure_group
    assert [getattr(now, name) for name in shown] == [getattr(failed, name) for name in shown]
    assert now.documented_failure() == RETRYABLE
    assert (await ledger.wanted()).id == failed.id, "it failed, but it stays the newest"


@pytest.mark.parametrize("load", [False, True])
async def test_also_where_the_rerun_failed_once_more_and_waits(ledger: Ledger, *, load: bool) -> None:
    failed = await ledger.failed(change(5), REFUSED)
    if load:
        await ledger.do(retention.forget_records, ledger.now + 1)
    again = await ledger.again(failed, OWNER, fetch=load, promised=True)
    if again.claim is None:
        await ledger.not_loaded(again.transfer)
    else:
        await ledger.finish(again.claim, RETRYABLE)
    assert (await ledger.row(failed)).status == "waiting"
    await ledger.cancel(failed)
    now = await ledger.row(failed)
    assert (now.status, now.documented_failure(), now.loading) == ("failed", REFUSED, False)


HISTORIES: dict[str, tuple[tuple[str, int | None, bool | None], ...]] = {
    "nothing": (),
    "a no was sent": (("succeeded", 2, False),),
    "a no failed": (("failed", 2, False),),
    "a no waits": (("waiting", 2, False),),
    "a yes waits": (("waiting", 2, True),),
    "a yes was dropped": (("waiting", 2, True), ("waiting", 3, None)),
    "a no behind a record that was refused": (("waiting", 2, False), ("refused", 3, None)),
    "an older no beside a record": (("pending", 9, None), ("pending", 5, False)),
    "an older yes beside a record": (("pending", 9, None), ("pending", 5, True)),
    "an older no was sent beside a record": (("pending", 9, None), ("pending", 5, False), ("sent", None, None)),
    "an older yes was sent beside a record": (("pending", 9, None), ("pending", 5, True), ("sent", None, None)),
    "a no was sent, a yes failed": (("succeeded", 2, False), ("failed", 3, True)),
    "a no was told, then the attempt failed": (("told", 2, False),),
    "a yes was told, then the attempt failed": (("told", 2, True),),
    "undated ones": (("succeeded", None, True), ("waiting", None, False), ("waiting", None, None)),
}


async def happen(ledger: Ledger, what: str, new: NewTransfer) -> None:
    match what:
        case "succeeded":
            await ledger.succeeded(new)
        case "failed":
            await ledger.failed(new)
        case "refused":
            await ledger.failed(new, REFUSED)
        case "waiting":
            await ledger.waiting(replace(new, promised=True))
        case "pending":
            await ledger.pending(replace(new, promised=True))
        case "told":
            await ledger.finish(await ledger.begun(new), RETRYABLE, told=new.consent)
        case "sent":
            await ledger.finish(await ledger.claim())


@pytest.mark.parametrize("history", HISTORIES)
@pytest.mark.parametrize("consent", [None, True])
async def test_a_trigger_that_is_taken_back_leaves_what_was_wanted(
    ledger: Ledger,
    history: str,
    consent: bool | None,  # noqa: FBT001 - three-valued
) -> None:
    await ledger.succeeded(change(0))
    for what, minute, said in HISTORIES[history]:
        await happen(ledger, what, change(minute, consent=said))
    before = await ledger.customer()
    cancelled = await ledger.pending(change(20, consent=consent, promised=True))
    assert await ledger.cancel(cancelled)
    after = await ledger.customer()
    assert (after.wanted, after.told, after.owes_no) == (before.wanted, before.told, before.owes_no)
    assert not after.owes_no or after.due_at is not None or after.verify_at is not None, "nobody applies the no"


async def test_what_was_cancelled_and_runs_again_is_wanted_again_after_the_next_is_taken_back(
    ledger: Ledger,
) -> None:
    """Its place in the order is that of the re-run, not one from before what has been sent since."""
    no = await ledger.pending(change(5, consent=False, promised=True))
    await ledger.cancel(no)
    await ledger.succeeded(change(3))
    await ledger.again(no, None, promised=True)
    assert (await ledger.customer()).owes_no
    await ledger.cancel(await ledger.pending(change(6, promised=True)))
    assert (await ledger.customer()).owes_no
    assert (await ledger.row(no)).status == "accepted"


async def test_what_a_cancelled_rerun_replaced_is_wanted_again_with_its_promise(ledger: Ledger) -> None:
    await ledger.failed(change(1, guid=GUID))
    waiting = await ledger.waiting(change(2, consent=False, promised=True))
    repeat = await ledger.accept(change(3, guid=GUID, promised=True), None)
    assert_superseded(await ledger.row(waiting), repeat.transfer)
    await ledger.cancel(repeat.transfer)
    assert (await ledger.customer()).due_at is not None
    assert (await ledger.row(waiting)).promised
    claim = await ledger.claim()
    assert claim.customer.owes_no
    await ledger.finish(claim)
    assert (await ledger.row(waiting)).status in {"succeeded", "skipped"}


async def test_a_promise_beside_what_runs_comes_back_too(ledger: Ledger) -> None:
    """An older trigger, accepted for the no that is owed: replaced, and what replaced it is cancelled."""
    running = await ledger.begun(change(5, consent=False))
    older = await ledger.pending(change(3, promised=True))
    assert older.status == "accepted"
    await ledger.cancel(await ledger.pending(change(9, promised=True)))
    await ledger.finish(running, RETRYABLE)
    assert (await ledger.customer()).due_at is not None, "a 202 was given, and the no is still owed"
    assert (await ledger.claim()).customer.owes_no


async def test_a_no_that_a_cancelled_yes_had_overwritten_is_due_again(ledger: Ledger) -> None:
    """Its attempt told Stamped.io, then failed at something else, and waits."""
    await ledger.succeeded(change(1, consent=False))
    claim = await ledger.begun(change(2, consent=True, promised=True))
    await ledger.finish(claim, RETRYABLE, external_id="9", subscription="subscribed", told=True)
    assert await ledger.cancel(claim.lead)
    assert (await ledger.customer()).owes_no
    (verification,) = await ledger.claim_due()
    assert (verification.verifies, verification.customer.doubtful) == (True, [])
    assert verification.customer.owes_no
    await ledger.finish(verification)
    customer = await ledger.customer()
    assert (customer.told, customer.owes_no, customer.doubt, customer.verify_at) == (False, False, None, None)


async def test_a_no_that_nobody_waits_for_is_applied_after_a_cancel(ledger: Ledger) -> None:
    """Its own caller was told the error; what would have applied it is cancelled, and nothing is left open."""
    await ledger.failed(change(5, consent=False))
    await ledger.cancel(await ledger.pending(change(6, promised=True)))
    (verification,) = await ledger.claim_due()
    assert verification.verifies
    assert verification.customer.owes_no


async def test_a_cancel_beside_what_runs_leaves_the_no_to_that(ledger: Ledger) -> None:
    running = await ledger.begun(change(5, consent=False))
    await ledger.cancel(await ledger.pending(change(6, promised=True)))
    assert (await ledger.customer()).verify_at is None
    await ledger.finish(running)
    customer = await ledger.customer()
    assert (customer.owes_no, customer.due_at, customer.verify_at) == (False, None, None)


@pytest.mark.parametrize("consent", [True, False, None])
@pytest.mark.parametrize("said", [True, False, None])
async def test_a_cancelled_rerun_has_its_old_record_again(
    ledger: Ledger,
    said: bool | None,  # noqa: FBT001 - three-valued
    consent: bool | None,  # noqa: FBT001 - three-valued
) -> None:
    failed = await ledger.failed(change(5, consent=said, guid=GUID))
    before = await ledger.customer()
    again = await ledger.accept(change(6, consent=consent, guid=GUID, promised=True), None)
    assert (again.transfer.seq, again.transfer.changed_at) == (failed.seq, date(6))
    await ledger.cancel(again.transfer)
    assert replace(await ledger.row(failed), before=None, entered=1) == replace(failed, before=None, entered=1)
    customer = await ledger.customer()
    assert (customer.wanted, customer.owes_no) == (before.wanted, said is False)
    assert first_name(await ledger.again(failed)) == "minute 5"


async def test_a_promised_rerun_that_was_replaced_is_wanted_again(ledger: Ledger) -> None:
    """It had failed for good before; its re-run is a promise of its own."""
    failed = await ledger.failed(change(5))
    await ledger.again(failed, None, promised=True)
    await ledger.cancel(await ledger.pending(change(6, promised=True)))
    again = await ledger.row(failed)
    assert (again.status, again.promised, again.superseded_by) == ("accepted", True, None)
    assert (await ledger.claim()).lead.seq == failed.seq


@pytest.mark.parametrize("repeated", [False, True])
async def test_a_cancelled_yes_hides_no_no_also_where_a_repeat_had_brought_another_record(
    ledger: Ledger, *, repeated: bool
) -> None:
    await ledger.failed(change(1, consent=False), REFUSED)
    yes = await ledger.waiting(change(5, consent=True, guid=GUID, promised=True))
    if repeated:
        await ledger.accept(change(6, guid=GUID, promised=True), None)
    await ledger.cancel(yes)
    assert (await ledger.row(yes)).status == "cancelled"
    assert (await ledger.customer()).owes_no


@pytest.mark.parametrize("later", [True, None])
async def test_what_was_replaced_long_ago_is_not_wanted_again_behind_an_undated_record(
    ledger: Ledger,
    later: bool | None,  # noqa: FBT001 - three-valued
) -> None:
    """By its date it is newer than the no, but what came between has none: the no was received last."""
    yes = await ledger.pending(change(5, consent=True, promised=True))
    await ledger.pending(change(None, promised=True))
    await ledger.failed(change(4, consent=False), REFUSED)
    before = await ledger.customer()
    assert before.owes_no
    await ledger.cancel(await ledger.pending(change(9, consent=later, promised=True)))
    customer = await ledger.customer()
    assert customer.wanted == before.wanted
    assert customer.owes_no
    assert (await ledger.row(yes)).status == "skipped"


# ---- at the same time


@pytest.mark.parametrize("empty_url", ["postgresql"], indirect=True)
async def test_a_promise_waits_for_an_attempt_that_ends(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else `finish` reads "not promised", the caller gets its 202, and `failed` is written: nobody retries."""
    claim, halfway, record_failure = await ledger.begun(), Halfway(), attempts._record_failure

    def slowly(*args: Any) -> Stored:
        halfway.stop()
        return record_failure(*args)

    monkeypatch.setattr(attempts, "_record_failure", slowly)
    finishing = asyncio.create_task(ledger.finish(claim, RETRYABLE))
    await halfway.reached.wait()
    promising = asyncio.create_task(ledger.do(triggers.promise, claim.lead.seq))
    blocked = await ledger.blocked_or_done(promising)
    halfway.go_on.set()
    await asyncio.gather(finishing, promising)
    assert blocked, "the promise was given in the middle of another move"
    assert promising.result().status == "failed"


@pytest.mark.parametrize("empty_url", ["postgresql"], indirect=True)
async def test_triggers_of_a_customer_take_turns(ledger: Ledger) -> None:
    """A run by hand sends what arrives while it waits for its turn; of two that come at once, one is replaced."""
    await ledger.succeeded(change(1))
    halfway = Halfway()

    def accept_slowly(connection: Session) -> Stored:
        entered = triggers.accept(connection, change(2, promised=True), None, ledger.now)
        halfway.stop()
        return entered.transfer

    accepting = asyncio.create_task(ledger.do(accept_slowly))
    await halfway.reached.wait()
    newest = asyncio.create_task(ledger.accept(change(3)))
    blocked = await ledger.blocked_or_done(newest)
    halfway.go_on.set()
    replaced, entered = await asyncio.gather(accepting, newest)
    assert blocked
    assert first_name(entered) == "minute 3"
    assert_superseded(await ledger.row(replaced), entered.transfer)


async def test_of_one_notification_that_comes_many_times_at_once_one_runs(ledger: Ledger) -> None:
    new = change(1)
    entered = await asyncio.gather(*(ledger.accept(new, f"replica-{number}") for number in range(6)))
    assert len([each for each in entered if each.claim]) == 1
    assert await ledger.statuses() == ["running"]


async def test_of_many_changes_at_once_the_newest_is_wanted(ledger: Ledger) -> None:
    minutes = (4, 9, 2, 7, 5, 1)
    await asyncio.gather(*(ledger.accept(change(minute, promised=True), None) for minute in minutes))
    claim = await ledger.claim()
    assert claim.lead.changed_at == date(9)
    assert sorted(await ledger.statuses()) == ["running"] + ["skipped"] * 5
    found = await ledger.database.read(reports.wanted_record, SCOPE, CUSTOMER)
    assert found == claim.record
    assert changed(9).first_name == "minute 9"
