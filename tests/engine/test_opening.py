"""A start whose database is not there yet: said once, then once a minute; and it goes on by itself."""

from __future__ import annotations

from pathlib import Path

import pytest
import structlog

from app.clock import Clock
from app.engine.opening import Opening
from app.engine.pulse import Pulse
from app.ledger.database import Database
from app.ledger.database_url import read_url
from app.ledger.faults import DatabaseGone, SchemaFault

AWAY = DatabaseGone('FATAL:  database "bridge" does not exist')
MISSING = "The database of DATABASE_URL does not exist: create it (createdb)."
BEHIND = SchemaFault("The schema is behind.")


class Late(Database):
    """Each start of it ends in the next of `ends`; then it is there."""

    def __init__(self, path: Path, ends: list[Exception]) -> None:
        super().__init__(read_url(f"sqlite:///{path}/late.db"))
        self.ends = ends

    async def migrate(self) -> None:
        if self.ends:
            raise self.ends.pop(0)
        await super().migrate()


@pytest.mark.parametrize(
    ("ends", "said"),
    [
        ([AWAY] * 60, ["waiting for the database"]),
        ([AWAY] * 61, ["waiting for the database"] * 2),
        ([AWAY, BEHIND] * 3, ["waiting for the database", "the database cannot be used"]),
        ([ValueError()] * 3, ["the database cannot be prepared"]),
    ],
)
async def test_it_is_said_once_a_minute_what_is_missing(
    tmp_path: Path, ends: list[Exception], said: list[str]
) -> None:
    at, faults = [0.0], []

    async def sleep(seconds: float) -> None:
        faults.append(opening.fault)
        at[0] += seconds

    async def take_over() -> None:
        """Nothing was left."""

    clock = Clock(monotonic=lambda: at[0], sleep=sleep)
    database = Late(tmp_path, list(ends))
    opening = Opening(database, clock, Pulse(database, clock), take_over)
    with structlog.testing.capture_logs() as lines:
        await opening.done()
    assert [line["event"] for line in lines] == said
    assert faults == [MISSING if end is AWAY else str(end) or None for end in ends]
    assert opening.fault is None
    if ends[0] is AWAY:
        assert (lines[0]["hint"], lines[0]["file"]) == (MISSING, f"{tmp_path}/late.db")
    await database.aclose()
