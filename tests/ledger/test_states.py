"""The two rules that the database itself keeps, and the graph of states: each but the final ones has an exit."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Connection, insert, update
from sqlalchemy.exc import IntegrityError

from app.ledger import endings, moves
from app.ledger.stored import Stored, new_id
from app.ledger.tables import FINAL, OPEN, transfers
from tests.ledger.support import OWNER, REFUSED, RETRYABLE, START, Ledger, change


def row(status: str, customer: str | None = "1", **more: Any) -> dict[str, Any]:
    values = {
        "id": new_id(START),
        "connection": "default",
        "customer_id": customer,
        "tracking_guid": "3c90c3cc-0d44-4b50-8888-8dd25736052a",
        "scope": "customer/updated",
        "trigger": "webhook",
        "debug": False,
        "fetched": False,
        "status": status,
        "promised": False,
        "tries": 0,
        "attempts": 0,
        "created_at": START,
    }
    return values | more


def insert_all(connection: Connection, rows: list[dict[str, Any]]) -> None:
    for each in rows:
        connection.execute(insert(transfers).values(each))


@pytest.mark.parametrize(
    "statuses",
    [("running", "running"), ("accepted", "accepted"), ("accepted", "waiting"), ("waiting", "waiting")],
)
async def test_the_database_refuses_a_second_one(ledger: Ledger, statuses: tuple[str, str]) -> None:
    with pytest.raises(IntegrityError):
        await ledger.do(insert_all, [row(status) for status in statuses])
    assert await ledger.statuses() == []


async def test_the_database_refuses_a_change_of_state_too(ledger: Ledger) -> None:
    await ledger.do(insert_all, [row("running"), row("waiting"), row("failed")])

    def to(connection: Connection, status: str) -> None:
        connection.execute(update(transfers).where(transfers.c.status == "failed").values(status=status))

    for status in OPEN:
        with pytest.raises(IntegrityError):
            await ledger.do(to, status)
    assert await ledger.statuses() == ["running", "waiting", "failed"]


async def test_the_database_allows_all_else(ledger: Ledger) -> None:
    final = [row(status) for status in FINAL for _ in range(2)]
    others = [row(status, "2") for status in ("running", "waiting")]
    nobody = [row("skipped", None) for _ in range(2)]
    another = [row("running", connection="another"), row("accepted", connection="another")]
    await ledger.do(insert_all, [row("running"), row("accepted"), *final, *others, *nobody, *another])
    assert len(await ledger.statuses()) == 16


async def test_the_database_refuses_a_second_of_the_same_key_or_id(ledger: Ledger) -> None:
    for twice in ({"repeat_key": "key"}, {"id": new_id(START)}):
        with pytest.raises(IntegrityError):
            await ledger.do(insert_all, [row("succeeded", **twice), row("failed", **twice)])
    await ledger.do(insert_all, [row("succeeded", repeat_key=None), row("failed", repeat_key=None)])


async def exits(ledger: Ledger, status: str) -> set[str]:
    """What a transfer in this state can become by one move."""
    found: set[str] = set()
    for number, move in enumerate(MOVES):
        customer = f"{status}-{number}"
        transfer = await REACH[status](ledger, customer)
        assert (await ledger.row(transfer)).status == status
        await move(ledger, transfer)
        found.add((await ledger.row(transfer)).status)
    return found - {status}


async def reach_accepted(ledger: Ledger, customer: str) -> Stored:
    return (await ledger.accept(change(customer=customer, promised=True), None)).transfer


async def reach_running(ledger: Ledger, customer: str) -> Stored:
    return await ledger.running(change(customer=customer))


async def reach_waiting(ledger: Ledger, customer: str) -> Stored:
    return await ledger.waiting(change(customer=customer, promised=True))


async def reach_succeeded(ledger: Ledger, customer: str) -> Stored:
    return (await ledger.finish(await ledger.running(change(customer=customer)))).transfer


async def reach_failed(ledger: Ledger, customer: str) -> Stored:
    return await ledger.failed(change(customer=customer))


async def reach_cancelled(ledger: Ledger, customer: str) -> Stored:
    cancelled = await ledger.do(moves.cancel, (await reach_accepted(ledger, customer)).seq, ledger.now)
    assert cancelled is not None
    return cancelled


async def reach_skipped(ledger: Ledger, customer: str) -> Stored:
    older = await reach_waiting(ledger, customer)
    await ledger.running(change(customer=customer))
    return older


REACH = {
    "accepted": reach_accepted,
    "running": reach_running,
    "waiting": reach_waiting,
    "succeeded": reach_succeeded,
    "failed": reach_failed,
    "cancelled": reach_cancelled,
    "skipped": reach_skipped,
}


async def by_claim(ledger: Ledger, transfer: Stored) -> None:
    later = Ledger(ledger.database, ledger.now + 10**6)
    await later.claim(transfer.seq)


async def by_success(ledger: Ledger, transfer: Stored) -> None:
    await ledger.may_finish(transfer)


async def by_retryable_failure(ledger: Ledger, transfer: Stored) -> None:
    await ledger.do(moves.promise, transfer.seq)
    await ledger.may_finish(transfer, RETRYABLE)


async def by_refusal(ledger: Ledger, transfer: Stored) -> None:
    await ledger.may_finish(transfer, REFUSED)


async def by_a_newer_one_sent(ledger: Ledger, transfer: Stored) -> None:
    await ledger.may_finish(transfer, superseded_by="another")


async def by_death(ledger: Ledger, transfer: Stored) -> None:
    await ledger.do(endings.give_up, transfer.seq, OWNER, ledger.now)


async def by_a_newer_change(ledger: Ledger, transfer: Stored) -> None:
    await ledger.accept(change(customer=transfer.customer_id or ""))


async def by_cancelling(ledger: Ledger, transfer: Stored) -> None:
    await ledger.do(moves.cancel, transfer.seq, ledger.now)


async def by_rerun(ledger: Ledger, transfer: Stored) -> None:
    await ledger.rerun(transfer.seq)


MOVES = (
    *(by_claim, by_success, by_retryable_failure, by_refusal, by_a_newer_one_sent),
    *(by_death, by_a_newer_change, by_cancelling, by_rerun),
)


async def test_every_state_has_its_exits_and_no_others(ledger: Ledger) -> None:
    assert set(REACH) == {*OPEN, *FINAL}
    graph = {status: await exits(ledger, status) for status in REACH}
    assert graph == {
        "accepted": {"running", "skipped", "cancelled"},
        "running": {"succeeded", "waiting", "failed", "skipped", "accepted"},
        "waiting": {"running", "skipped", "cancelled"},
        "succeeded": set(),
        "failed": {"running"},
        "cancelled": {"running"},
        "skipped": set(),
    }
