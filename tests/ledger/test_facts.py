"""What a verdict counts, on both databases."""

from __future__ import annotations

from typing import Any

from sqlalchemy import insert

from app.attempt import Failure, StampedAnswer
from app.error_catalog import Slug
from app.ledger import facts, retention
from app.ledger.database import Database
from app.ledger.facts import SLOT, Refused, Rejected, Word
from app.ledger.grouping import group_of
from app.ledger.session import Session
from app.ledger.stored import dump_failure
from app.ledger.tables import DAY, transfers
from tests.ledger.support import ELSEWHERE, START
from tests.support import SCOPE

NOW = START // DAY * DAY + 12 * 3600
DENIED = Failure(
    Slug.CUSTOMER,
    502,
    "HTTP status 401 Unauthorized.",
    retryable=False,
    stamped=StampedAnswer("create", 401, "No."),
)
REFUSED = Failure(
    Slug.CUSTOMER,
    422,
    "HTTP status 400: Bad e-mail.",
    retryable=False,
    stamped=StampedAnswer("create", 400, "Bad."),
)
EXPIRED = Failure(Slug.NOT_LOADED, 502, "HTTP status 401 Unauthorized: expired", retryable=False)
UNKNOWN = Failure(Slug.NOT_LOADED, 422, "HTTP status 404 Not Found: nobody", retryable=False)


def row(seq: int, at: float, failure: Failure | None = None, **fields: Any) -> dict[str, Any]:
    """One that was received then, and took a second."""
    usual: dict[str, Any] = {column.name: None for column in transfers.c}
    usual |= dict.fromkeys(("debug", "loading", "fetched", "promised"), False)
    usual |= dict.fromkeys(("id", "customer_id", "tracking_guid"), str(seq))
    usual |= {"seq": seq, "connection": SCOPE, "scope": "customer/updated", "trigger": "webhook", "record": "{}"}
    usual |= {"tries": 0, "attempts": 1, "rank": 1, "status": "succeeded"}
    usual |= {"created_at": at, "day": int(at // DAY), "finished_at": at + 1}
    if failure is not None:
        usual |= {"status": "failed", "error": failure.slug.value, "reason": failure.detail}
        usual |= {"stamped_status": failure.stamped.status, "failure_group": group_of(failure)}
        usual["failure"] = dump_failure(failure)
    return usual | fields


async def filled(database: Database, *rows: dict[str, Any]) -> facts.Counted:
    def add(session: Session) -> None:
        session.execute(insert(transfers), list(rows))

    await database.run(add)
    return await database.read(facts.counted, SCOPE, NOW)


async def test_nothing(database: Database) -> None:
    found = await database.read(facts.counted, SCOPE, NOW)
    assert (found.first_webhook, found.last_webhook, found.today, found.failed) == (None, None, 0, None)
    assert (found.stamped, found.ipaas, found.refused) == (None, None, Refused(0, None))


async def test_what_came_when(database: Database) -> None:
    found = await filled(
        database,
        row(1, NOW - 9 * DAY),
        row(2, NOW - DAY + 1),
        row(3, NOW - 11 * 3600),
        row(4, NOW - 30, trigger="sync"),
        row(5, NOW - 20, trigger="verify"),
        row(6, NOW - 10, connection=ELSEWHERE),
    )
    assert (found.first_webhook, found.last_webhook) == (NOW - 9 * DAY, NOW - 11 * 3600)
    assert (found.today, found.day, found.hour) == (2, 3, 1)
    slots = await database.read(facts.slots, SCOPE, NOW)
    assert slots == {int((NOW - DAY + 1) // SLOT): 1, int((NOW - 11 * 3600) // SLOT): 1}


async def test_failures_that_nobody_ran_again(database: Database) -> None:
    found = await filled(
        database,
        row(1, NOW - 2 * DAY, DENIED),
        row(2, NOW - 3 * 3600, REFUSED),
        row(3, NOW - 3000, REFUSED),
        row(4, NOW - 2000, DENIED, connection=ELSEWHERE),
        row(5, NOW - 1000),
        row(6, NOW - 900, DENIED, finished_at=NOW - 950),
    )
    assert found.failed is not None
    assert (found.failed.day, found.failed.hour, found.failed.first_at) == (3, 2, NOW - 3 * 3600)
    assert found.failed.commonest is not None
    assert (found.failed.commonest.total, found.failed.commonest.reason) == (2, REFUSED.detail)


async def test_keys_that_are_refused_until_a_later_success(database: Database) -> None:
    before = (row(1, NOW - 900), row(2, NOW - 800, DENIED), row(3, NOW - 700, DENIED))
    found = await filled(database, *before, row(4, NOW - 600, connection=ELSEWHERE))
    assert found.stamped == Word(NOW - 699, failed=True, status=401)
    assert found.refused == Refused(2, NOW - 799)
    found = await filled(database, row(5, NOW - 2 * DAY, finished_at=NOW - 5))  # an old one that was run again
    assert found.stamped == Word(NOW - 5, failed=False)
    assert found.refused == Refused(0, None)


async def test_data_that_are_refused_show_that_the_keys_are_right(database: Database) -> None:
    found = await filled(database, row(1, NOW - 800, DENIED), row(2, NOW - 700, REFUSED))
    assert found.stamped == Word(NOW - 699, failed=False, status=400)


async def test_a_token_that_is_refused_until_something_is_loaded(database: Database) -> None:
    found = await filled(database, row(1, NOW - 900, UNKNOWN), row(2, NOW - 800, EXPIRED))
    assert (found.ipaas, found.unloaded) == (Word(NOW - 799, failed=True, status=401), 2)
    found = await filled(database, row(3, NOW - 700, fetched=True))
    assert (found.ipaas, found.unloaded) == (Word(NOW - 699, failed=False), 0)


async def test_who_waits_for_long(database: Database) -> None:
    waiting: dict[str, Any] = {"status": "waiting", "finished_at": None}
    await filled(
        database,
        row(1, NOW - 3000, **waiting),
        row(2, NOW - 100, **waiting),
        row(3, NOW - 50, connection=ELSEWHERE, **waiting),
        row(4, NOW - DAY, before="{}", **waiting),  # it failed, and is run again
        row(5, NOW - DAY, before="{}", connection=ELSEWHERE, **waiting),
    )
    assert await database.read(facts.waiting_since, NOW - 1800) == {SCOPE: (NOW - 3000, 2)}
    assert await database.read(facts.waiting_since, NOW - 3600) == {}


async def test_what_was_refused_before_it_was_a_transfer(database: Database) -> None:
    rows = [
        {"at": NOW - ago, "status": status, "error": "unauthorized", "reason": "No.", "address": None}
        for ago, status in ((7000, 401), (60, 422), (8000, 401))
    ]
    await database.run(retention.add_rejections, rows)
    assert await database.read(facts.rejected, NOW - 7200) == [Rejected(NOW - 60, 422), Rejected(NOW - 7000, 401)]
