"""What the pages count, on both databases."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from app.ledger import hours, reports, statistics
from app.ledger.database import Database
from app.ledger.database_url import read_url
from app.ledger.grouping import alike
from app.ledger.reports import Filter
from tests.postgres import fresh_database, server_url
from tools.seed import Plan, fill

NOW = 1_764_000_600.0
HOUR = 3600
COUNT = 400


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A database for made-up transfers of two days."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path_factory.mktemp('statistics')}/ledger.db"
        return
    with fresh_database(server_url()) as fresh:
        yield fresh


@pytest.fixture
async def seeded(url: str) -> AsyncIterator[Database]:
    database = Database(read_url(url))
    await database.migrate()
    empty = await database.read(statistics.is_empty)
    await database.aclose()
    if empty:
        await fill(url, Plan(COUNT, days=2, failed=0.1, now=NOW))
    database = Database(read_url(url))
    yield database
    await database.aclose()


async def test_an_empty_ledger_has_nothing_to_count(tmp_path: Path) -> None:
    database = Database(read_url(f"sqlite:///{tmp_path}/empty.db"))
    await database.migrate()
    assert await database.read(statistics.is_empty)
    assert await database.read(hours.history, 0, NOW) == {}
    assert await database.read(hours.over, NOW) is None
    assert await database.read(statistics.oldest_open) is None
    assert await database.read(statistics.last_webhook) is None
    assert await database.read(statistics.last_answer) is None
    assert await database.read(statistics.failed_groups, Filter(status="failed"), 10) == []
    assert await database.read(statistics.recent_syncs, 10) == []
    await database.aclose()


async def test_hours_add_up_to_all_attempts(seeded: Database) -> None:
    stored = await seeded.read(reports.listed, Filter(), COUNT)
    counted = await seeded.read(hours.history, 0, NOW + HOUR, "default")
    expected: dict[int, list[str]] = {}
    recovered: dict[int, int] = {}
    for transfer in stored:
        for attempt in await seeded.read(reports.attempts_of, transfer.seq):
            expected.setdefault(hours.hour_of(attempt.finished_at), []).append(attempt.outcome)
            if attempt.outcome == "failed" and transfer.status == "succeeded":
                hour = hours.hour_of(attempt.finished_at)
                recovered[hour] = recovered.get(hour, 0) + 1
    assert recovered
    for hour, tally in counted.items():
        outcomes = expected.pop(hour, [])
        assert (tally.succeeded, tally.failed) == (outcomes.count("succeeded"), outcomes.count("failed"))
        assert tally.recovered == recovered.get(hour, 0)
    assert expected == {}


async def test_failed_ones_are_grouped_by_what_they_have_in_common(seeded: Database) -> None:
    failed = await seeded.read(reports.listed, Filter(status="failed"), COUNT)
    groups = await seeded.read(statistics.failed_groups, Filter(status="failed"), 100)
    assert len(groups) > 1
    for group in groups:
        mine = [each for each in failed if each.failure_group == group.newest.failure_group]
        assert {alike(each.error, each.reason) for each in mine} == {group.message}
        assert group.newest == mine[0]
        assert group.total == len(mine)
        assert group.customers == len({each.customer_id for each in mine})
        assert group.first_at == min(each.finished_at or 0 for each in mine)
        assert group.last_at == max(each.finished_at or 0 for each in mine)
        same = await seeded.read(reports.seqs, Filter(status="failed", group=group.newest.failure_group))
        assert same == sorted(each.seq for each in mine)
    totals = [group.total for group in groups]
    assert totals == sorted(totals, reverse=True)
    assert sum(totals) == len(failed)
    first = await seeded.read(statistics.failed_groups, Filter(status="failed"), 2)
    assert first == groups[:2]


async def test_groups_are_of_what_the_filter_leaves(seeded: Database) -> None:
    wanted = Filter(status="failed", since=NOW - 40 * HOUR, until=NOW - 2 * HOUR, stamped_status=401)
    groups = await seeded.read(statistics.failed_groups, wanted, 100)
    assert sum(group.total for group in groups) == await seeded.read(reports.count, wanted) > 0
    assert {group.newest.stamped_status for group in groups} == {401}
    assert len(groups) == 2, "one for each of the errors"


async def test_a_filter_has_an_end_in_time(seeded: Database) -> None:
    begin, end = NOW - 20 * HOUR, NOW - 10 * HOUR
    found = await seeded.read(reports.listed, Filter(since=begin, until=end), COUNT)
    assert found
    assert all(begin <= transfer.created_at < end for transfer in found)


async def test_the_last_ones_are_the_last(seeded: Database) -> None:
    newest = (await seeded.read(reports.listed, Filter(), 1))[0]
    assert await seeded.read(statistics.last_webhook) == newest.created_at
    answer = await seeded.read(statistics.last_answer)
    tried = [each for each in await seeded.read(reports.listed, Filter(), COUNT) if each.attempts]
    assert answer is not None
    last = max(each.finished_at or 0 for each in tried)
    assert last - 1 < answer.started_at + answer.seconds <= last
    assert await seeded.read(statistics.last_answer, "default") == answer
    assert await seeded.read(statistics.last_webhook, "default") == newest.created_at
    for of_none in (statistics.last_answer, statistics.last_webhook, statistics.oldest_open):
        assert await seeded.read(of_none, "nowhere") is None
