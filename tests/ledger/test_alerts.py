"""Who tells of what, once an hour at most, whatever the number of replicas."""

from __future__ import annotations

import asyncio

from app.ledger import alerts
from app.ledger.alerts import AGAIN_SECONDS, OVER_SECONDS, UNSENT_SECONDS, Key, Trouble
from app.ledger.database import Database
from app.ledger.database_url import read_url
from app.ledger.tables import DAY
from tests.ledger.support import START

KEYS: Key = ("default", "stamped-keys")
OTHER: Key = ("1797", "stamped-keys")


async def told(database: Database, now: float, *present: Key, patience: float = 0.0) -> dict[Key, str]:
    found = await database.run(alerts.claim, dict.fromkeys(present, patience), now)
    return {key: what for key, (what, _) in found.items()}


async def test_it_is_told_once_and_so_is_its_end(database: Database) -> None:
    assert await told(database, START, KEYS) == {KEYS: "begun"}
    assert await told(database, START + 15, KEYS, OTHER) == {OTHER: "begun"}
    assert await told(database, START + 300, OTHER) == {}
    assert not await database.read(alerts.is_quiet)
    assert await told(database, START + 15 + OVER_SECONDS + 1, OTHER) == {KEYS: "over"}
    assert await told(database, START + 20 + OVER_SECONDS + 1, OTHER) == {}
    assert await told(database, START + 2 * (20 + OVER_SECONDS)) == {OTHER: "over"}
    assert await database.read(alerts.is_quiet)


def test_what_comes_and_goes_is_told_once_an_hour() -> None:
    """For a day: 30 s each ten minutes."""
    known: dict[Key, Trouble] = {}
    said: list[str] = []
    for moment in range(0, int(DAY), 15):
        kept, told = alerts.news(known, {KEYS: 0.0} if moment % 600 < 30 else {}, START + moment)
        known |= kept
        said += told.values()
    assert said.count("begun") == said.count("over") == 24


async def test_what_goes_on_is_told_again_after_a_day(database: Database) -> None:
    assert await told(database, START, KEYS) == {KEYS: "begun"}
    for hour in range(1, 24):
        assert await told(database, START + hour * 3600, KEYS) == {}
    assert await told(database, START + DAY, KEYS) == {KEYS: "begun"}


async def test_what_has_to_last_first(database: Database) -> None:
    assert await told(database, START, KEYS, patience=600) == {}
    assert await told(database, START + 590, KEYS, patience=600) == {}  # within five minutes it is the same
    assert await told(database, START + 900 + 600, KEYS, patience=600) == {}
    assert await told(database, START + 900 + 900, KEYS, patience=600) == {}
    assert await told(database, START + 900 + 1200, KEYS, patience=600) == {KEYS: "begun"}


async def test_what_no_target_took_is_told_anew(database: Database) -> None:
    assert await told(database, START, KEYS) == {KEYS: "begun"}
    await database.run(alerts.take_back, KEYS, START + 5)
    assert await told(database, START + UNSENT_SECONDS, KEYS) == {}
    assert await told(database, START + 5 + UNSENT_SECONDS, KEYS) == {KEYS: "begun"}
    assert await told(database, START + 5 + UNSENT_SECONDS + AGAIN_SECONDS - 1, KEYS) == {}


async def test_of_two_replicas_one_tells(empty_url: str, database: Database) -> None:
    other = database if database.is_sqlite else Database(read_url(empty_url))
    try:
        for step, expected in ((0.0, "begun"), (OVER_SECONDS * 2, "over")):
            present = [KEYS, OTHER] if expected == "begun" else []
            both = await asyncio.gather(*(told(each, START + step, *present) for each in (database, other) * 4))
            assert sorted(what for each in both for what in each.values()) == [expected] * 2
    finally:
        if other is not database:
            await other.aclose()
