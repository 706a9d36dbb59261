"""A re-run of many sends one first, whatever happens to the process meanwhile."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.ledger import reports
from app.ledger.reports import Filter
from tests.engine.support import Room, change, room
from tests.engine.test_recovery import on_disk
from tests.support import BY


async def started(here: Room) -> str:
    """Four failed; one of them is under way again."""
    for customer in range(1, 5):
        here.send(change(1, customer=customer))
        await here.release("refused")
    sync_id = await here.operations.retry_all(Filter(status="failed"), BY, one_first=True)
    await here.still()
    assert [call.customer for call in here.stamped.open] == ["C-1"]
    return sync_id


async def counts(here: Room, sync_id: str) -> tuple[int, int, int, int]:
    found = await here.database.read(reports.sync_counts, sync_id)
    assert found is not None
    return found["succeeded"], found["failed"], found["remaining"], found["held"]


async def test_the_rest_follows_at_once_when_it_has_succeeded(here: Room) -> None:
    sync_id = await started(here)
    await here.release()  # no time passes
    assert len(here.stamped.open) == 3
    await here.release_all()
    assert await counts(here, sync_id) == (4, 0, 0, 0)


async def test_the_rest_is_left_at_once_when_it_has_failed(here: Room) -> None:
    sync_id = await started(here)
    await here.release("refused")
    assert here.stamped.open == []
    assert await counts(here, sync_id) == (0, 4, 0, 3)
    assert await here.operations.go_on(sync_id, BY)
    await here.release_all()
    assert await counts(here, sync_id) == (3, 1, 0, 0)


@pytest.mark.parametrize("outcome", ["ok", "refused"])
async def test_the_next_start_knows_who_went_first(here: Room, tmp_path: Path, outcome: str) -> None:
    sync_id = await started(here)
    async with room(on_disk(tmp_path)) as after:  # as after a kill
        await after.still()
        assert [call.customer for call in after.stamped.open] == ["C-1"]
        await after.release(outcome)
        await after.release_all()
        assert await counts(after, sync_id) == ((4, 0, 0, 0) if outcome == "ok" else (0, 4, 0, 3))


async def test_another_replica_goes_on_with_the_rest(here: Room, tmp_path: Path) -> None:
    async with room(tmp_path / "bridge.db", beside=here) as beside:
        sync_id = await started(here)
        await here.release()
        await beside.advance(5)
        await here.release_all()
        assert await counts(beside, sync_id) == (4, 0, 0, 0)
        assert len(here.stamped.sent) == 4, "each once"
