"""Somebody takes note of a group; what fails in it afterwards has come back. And what mends which failures."""

from __future__ import annotations

import asyncio

import pytest

from app.attempt import Failure, StampedAnswer
from app.error_catalog import Slug
from app.groups import issues
from app.ledger import acknowledgements, retention
from app.ledger.grouping import Tag, tag_of
from app.ledger.reports import Filter
from app.ledger.tables import DAY
from app.ledger.trail import By
from app.outbound.status_table import Kind, classify
from tests.ledger.support import REFUSED, START, Ledger, change

BY = By("ada", None, "page")
EVERY = Filter(status="failed", since=START - 10, until=START + 1000)
DENIED = Failure.of(
    Slug.CUSTOMER, 502, "HTTP status 401 Unauthorized.", retryable=False, stamped=StampedAnswer("add", 401)
)


async def test_an_acknowledged_group_stands_last_until_it_comes_back(ledger: Ledger) -> None:
    often = await ledger.failed(change(customer="1"), REFUSED)
    await ledger.failed(change(customer="2"), REFUSED)
    once = await ledger.failed(change(customer="3"), DENIED)

    async def shown() -> list[tuple[str, bool, bool]]:
        found = await ledger.database.read(issues, EVERY)
        return [(each.id, each.is_quiet, each.is_back) for each in found]

    first, second = str(often.failure_group), str(once.failure_group)
    assert await shown() == [(first, False, False), (second, False, False)]
    ledger.now += 5
    assert await ledger.do(acknowledgements.add, first, ledger.now, BY) is not None
    assert await shown() == [(second, False, False), (first, True, False)]
    ledger.now += 5
    await ledger.failed(change(customer="4"), REFUSED)
    (back, _) = await ledger.database.read(issues, EVERY)
    assert back.noted is not None
    assert (back.id, back.is_back, back.noted.who) == (first, True, "ada")
    assert (back.noted.back, back.noted.back_at) == (1, ledger.now)
    await ledger.do(acknowledgements.add, first, ledger.now, BY)
    assert (await shown())[-1] == (first, True, False), "once more, with what had come back"
    assert await ledger.do(acknowledgements.remove, first, ledger.now, BY)
    assert await shown() == [(first, False, False), (second, False, False)]


async def test_only_what_has_failed_is_acknowledged(ledger: Ledger) -> None:
    failed = await ledger.failed(change(customer="1"), REFUSED)
    assert await ledger.do(acknowledgements.add, "0" * 12, ledger.now, BY) is None
    assert not await ledger.do(acknowledgements.remove, "0" * 12, ledger.now, BY)
    assert await ledger.do(acknowledgements.remove, str(failed.failure_group), ledger.now, BY), "there is no harm"


async def test_several_take_note_at_once(ledger: Ledger) -> None:
    group = str((await ledger.failed(change(customer="1"), REFUSED)).failure_group)
    noted = (ledger.database.run(acknowledgements.add, group, ledger.now, BY) for _ in range(20))
    assert None not in await asyncio.gather(*noted)


async def test_old_ones_go(ledger: Ledger) -> None:
    failed = await ledger.failed(change(customer="1"), REFUSED)
    await ledger.do(acknowledgements.add, str(failed.failure_group), ledger.now, BY)
    for later, left in ((0, 1), (400 * DAY, 0)):
        await ledger.do(retention.forget_transfers, ledger.now + later)
        assert len(await ledger.database.read(acknowledgements.read, EVERY)) == left


async def test_a_trend_has_each_failure_once(ledger: Ledger) -> None:
    for each in range(4):
        ledger.now = START + each * 300
        await ledger.failed(change(customer=str(each)), REFUSED)
    (found,) = await ledger.database.read(issues, Filter(status="failed", since=START, until=START + 1200))
    assert found.group.trend == tuple(int(part % 6 == 0) for part in range(24))


async def test_those_of_one_tag(ledger: Ledger) -> None:
    await ledger.failed(change(customer="1"), REFUSED)
    await ledger.failed(change(customer="2"), DENIED)
    tags: list[tuple[Tag | None, int]] = [("keys", 1), ("data", 1), ("passes", 0), (None, 2)]
    for tag, count in tags:
        assert len(await ledger.database.read(issues, EVERY, tag)) == count


@pytest.mark.parametrize(
    ("status", "tag"),
    [
        (401, "keys"),
        (403, "keys"),
        (404, "keys"),
        (400, "data"),
        (409, "data"),
        (422, "data"),
        (429, "passes"),
        (503, "passes"),
    ],
)
def test_what_mends_an_answer(status: int, tag: str) -> None:
    kind = classify(status)
    failure = Failure.of(
        Slug.CUSTOMER, kind.status, retryable=kind.retryable, stamped=StampedAnswer("add", status)
    )
    assert tag_of(failure) == tag


@pytest.mark.parametrize(
    ("failure", "tag"),
    [
        (
            Failure.of(Slug.NOT_LOADED, Kind.DENIED.status, "HTTP status 401 Unauthorized.", retryable=False),
            "keys",
        ),
        (Failure.of(Slug.NOT_LOADED, Kind.REFUSED.status, "HTTP status 404 Not Found.", retryable=False), "data"),
        (
            Failure.of(
                Slug.SUBSCRIPTION, Kind.REFUSED.status, "\u201cmaybe\u201d is no consent.", retryable=False
            ),
            "data",
        ),
        (
            Failure.of(Slug.CUSTOMER, Kind.TIMEOUT.status, "No answer: timed out after 15 s.", retryable=True),
            "passes",
        ),
        (Failure(Slug.INTERNAL_ERROR, 500, "The attempt was interrupted 50 times.", retryable=True), "passes"),
    ],
    ids=str,
)
def test_what_mends_what_has_no_answer_of_stamped(failure: Failure, tag: str) -> None:
    assert tag_of(failure) == tag
