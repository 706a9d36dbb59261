"""The rules that the database itself keeps, and the graph of states: each has its exits and no others."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import pytest
from sqlalchemy import insert
from sqlalchemy.exc import IntegrityError

from app.ledger import attempts, reports, rows, triggers
from app.ledger.claims import Claim
from app.ledger.session import Session
from app.ledger.stored import Stored, new_id
from app.ledger.tables import FINAL, OPEN, transfers
from tests.ledger.support import OWNER, REFUSED, RETRYABLE, START, Ledger, bare, change, loads
from tests.support import SCOPE


def row(**more: Any) -> dict[str, Any]:
    values: dict[str, Any] = {
        "id": new_id(START),
        "connection": SCOPE,
        "customer_id": "1",
        "tracking_guid": "guid",
    }
    values |= {
        "scope": "customer/updated",
        "trigger": "webhook",
        "status": "succeeded",
        "created_at": START,
        "day": 1,
    }
    return rows.EMPTY | values | more


def insert_all(connection: Session, some: list[dict[str, Any]]) -> None:
    for each in some:
        connection.execute(insert(transfers).values(each))


async def test_the_database_refuses_a_second_of_the_same_key_or_id(ledger: Ledger) -> None:
    for twice in ({"repeat_key": "key"}, {"id": new_id(START)}):
        with pytest.raises(IntegrityError):
            await ledger.do(insert_all, [row(**twice), row(**twice)])
    assert await ledger.statuses() == []
    await ledger.do(insert_all, [row(repeat_key=None), row(repeat_key=None)])


class Reached(NamedTuple):
    """A transfer in some state, and the attempt that brought it there, if there was one."""

    transfer: Stored
    claim: Claim | None = None


async def accepted(ledger: Ledger, customer: str) -> Reached:
    return Reached(await ledger.pending(change(1, customer=customer, promised=True)))


async def running(ledger: Ledger, customer: str) -> Reached:
    claim = await ledger.begun(change(1, customer=customer))
    return Reached(claim.lead, claim)


async def waiting(ledger: Ledger, customer: str) -> Reached:
    claim = await ledger.begun(change(1, customer=customer, promised=True))
    await ledger.finish(claim, RETRYABLE)
    return Reached(claim.lead, claim)


async def succeeded(ledger: Ledger, customer: str) -> Reached:
    claim = await ledger.begun(change(1, customer=customer))
    await ledger.finish(claim)
    return Reached(claim.lead, claim)


async def failed(ledger: Ledger, customer: str) -> Reached:
    claim = await ledger.begun(change(1, customer=customer))
    await ledger.finish(claim, RETRYABLE)
    return Reached(claim.lead, claim)


async def cancelled(ledger: Ledger, customer: str) -> Reached:
    reached = await waiting(ledger, customer)
    assert await ledger.cancel(reached.transfer)
    return reached


async def skipped(ledger: Ledger, customer: str) -> Reached:
    """Superseded by one that has not begun."""
    reached = await waiting(ledger, customer)
    await ledger.pending(change(2, customer=customer, promised=True))
    return reached


async def accepted_again(ledger: Ledger, customer: str) -> Reached:
    reached = await failed(ledger, customer)
    await ledger.again(reached.transfer, None, promised=True)
    return reached


async def waiting_again(ledger: Ledger, customer: str) -> Reached:
    reached = await failed(ledger, customer)
    claim = (await ledger.again(reached.transfer, promised=True)).claim
    assert claim is not None
    await ledger.finish(claim, RETRYABLE)
    return Reached(claim.lead, claim)


async def accepted_to_load(ledger: Ledger, customer: str) -> Reached:
    return Reached(await ledger.pending(bare(customer=customer, promised=True)))


async def loading(ledger: Ledger, customer: str) -> Reached:
    return Reached(await ledger.loading(bare(customer=customer)))


async def waiting_to_load(ledger: Ledger, customer: str) -> Reached:
    reached = Reached(await ledger.loading(bare(customer=customer, promised=True)))
    await ledger.not_loaded(reached.transfer)
    return reached


REACH = {
    "accepted": accepted,
    "running": running,
    "waiting": waiting,
    "succeeded": succeeded,
    "failed": failed,
    "cancelled": cancelled,
    "skipped": skipped,
    "accepted again": accepted_again,
    "waiting again": waiting_again,
    "accepted to load": accepted_to_load,
    "running to load": loading,
    "waiting to load": waiting_to_load,
}
STATES: dict[str, set[str]] = {
    "accepted": {"running", "skipped", "cancelled"},
    "running": {"succeeded", "waiting", "failed", "skipped", "accepted"},
    "waiting": {"running", "skipped", "cancelled", "accepted"},
    "succeeded": set(),
    "failed": {"running", "accepted", "skipped"},
    "cancelled": {"running", "accepted", "skipped"},
    "skipped": {"accepted"},  # what superseded it is cancelled
    "accepted again": {"running", "skipped", "failed"},
    "waiting again": {"running", "accepted", "skipped", "failed"},
    "accepted to load": {"running", "cancelled"},
    "running to load": {"accepted", "waiting", "failed", "skipped"},
    "waiting to load": {"running", "accepted", "cancelled"},
}


async def by_claim(ledger: Ledger, reached: Reached) -> None:
    later = Ledger(ledger.database, ledger.now + 10**6)
    await later.may_claim(reached.transfer.customer_id or "")


async def by_claim_to_load(ledger: Ledger, _reached: Reached) -> None:
    await ledger.do(loads, SCOPE, OWNER, ledger.now + 10**6, 100)


async def by_success(ledger: Ledger, reached: Reached) -> None:
    if reached.claim is not None:
        await ledger.may_finish(reached.claim)


async def by_success_beside_a_newer_record(ledger: Ledger, reached: Reached) -> None:
    await ledger.accept(change(2, customer=reached.transfer.customer_id or ""))
    await by_success(ledger, reached)


async def by_retryable_failure(ledger: Ledger, reached: Reached) -> None:
    await ledger.do(triggers.promise, reached.transfer.seq)
    if reached.claim is not None:
        await ledger.may_finish(reached.claim, RETRYABLE)
    await ledger.not_loaded(reached.transfer)


async def by_retryable_failure_before_a_newer_one(ledger: Ledger, reached: Reached) -> None:
    await ledger.accept(change(2, customer=reached.transfer.customer_id or ""), None)
    await by_retryable_failure(ledger, reached)


async def by_refusal(ledger: Ledger, reached: Reached) -> None:
    if reached.claim is not None:
        await ledger.may_finish(reached.claim, REFUSED)
    await ledger.not_loaded(reached.transfer, REFUSED)


async def by_an_old_record_that_is_loaded(ledger: Ledger, reached: Reached) -> None:
    await ledger.accept(change(2, customer=reached.transfer.customer_id or ""))
    await ledger.may_load(reached.transfer, 1)


async def by_a_record_that_is_loaded(ledger: Ledger, reached: Reached) -> None:
    await ledger.may_load(reached.transfer, 1, owner=None)


async def by_death(ledger: Ledger, reached: Reached) -> None:
    await ledger.release(reached.transfer.customer_id or "")
    await ledger.do(attempts.release_load, reached.transfer.seq, OWNER, ledger.now)


async def by_a_newer_change(ledger: Ledger, reached: Reached) -> None:
    await ledger.accept(change(2, customer=reached.transfer.customer_id or ""))


async def by_an_older_change(ledger: Ledger, reached: Reached) -> None:
    await ledger.accept(change(0, customer=reached.transfer.customer_id or ""))


async def by_a_run_by_hand(ledger: Ledger, reached: Reached) -> None:
    await ledger.accept(change(0, trigger="manual", customer=reached.transfer.customer_id or ""))


async def by_cancelling(ledger: Ledger, reached: Reached) -> None:
    await ledger.cancel(reached.transfer)


async def by_cancelling_what_superseded_it(ledger: Ledger, reached: Reached) -> None:
    superseding = (await ledger.row(reached.transfer)).superseded_by
    found = await ledger.database.read(reports.by_id, superseding) if superseding else None
    if found is not None:
        await ledger.cancel(found)


async def by_rerun(ledger: Ledger, reached: Reached) -> None:
    await ledger.rerun(reached.transfer, fetch=True)


async def by_rerun_in_the_background(ledger: Ledger, reached: Reached) -> None:
    await ledger.rerun(reached.transfer, None, fetch=True, promised=True)


async def by_rerun_after_a_newer_one(ledger: Ledger, reached: Reached) -> None:
    if (await ledger.row(reached.transfer)).status in {"failed", "cancelled"}:
        await ledger.accept(change(2, customer=reached.transfer.customer_id or ""))
        await ledger.rerun(reached.transfer)


async def by_promise(ledger: Ledger, reached: Reached) -> None:
    await ledger.do(triggers.promise, reached.transfer.seq)


MOVES: tuple[Callable[[Ledger, Reached], Awaitable[None]], ...] = (
    *(by_claim, by_claim_to_load, by_success, by_success_beside_a_newer_record, by_retryable_failure),
    *(by_retryable_failure_before_a_newer_one, by_refusal, by_an_old_record_that_is_loaded),
    *(by_a_record_that_is_loaded, by_death, by_a_newer_change, by_an_older_change, by_a_run_by_hand),
    *(by_cancelling, by_cancelling_what_superseded_it, by_rerun, by_rerun_in_the_background),
    *(by_rerun_after_a_newer_one, by_promise),
)


@pytest.mark.parametrize("state", REACH)
async def test_every_state_has_its_exits_and_no_others(ledger: Ledger, state: str) -> None:
    assert set(REACH) >= {*OPEN, *FINAL}
    status = state.split(maxsplit=1)[0]
    found: set[str] = set()
    for number, move in enumerate(MOVES):
        reached = await REACH[state](ledger, f"{state}-{number}")
        assert (await ledger.row(reached.transfer)).status == status
        await move(ledger, reached)
        found.add((await ledger.row(reached.transfer)).status)
    assert found - {status} == STATES[state]
