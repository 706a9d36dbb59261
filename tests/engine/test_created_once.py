"""A customer of iPaaS.com is created once, though an attempt was broken off before it could say so, and though
their e-mail changed since.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import select

from app.ledger.session import Session
from app.ledger.tables import customers
from tests.engine.support import Person, Room, SlowStamped, change, room

BEFORE, AFTER = "before@example.com", "after@example.com"


async def linked(here: Room) -> str | None:
    """The link of the one customer, as it is stored."""

    def read(session: Session) -> str | None:
        found: str | None = session.execute(select(customers.c.external_id)).scalar_one()
        return found

    return await here.database.read(read)


async def let_another_succeed(here: Room) -> None:
    """Stamped.io answers: what fails before and after it is no outage."""
    caller = here.send(change(1, customer=99))
    await here.release()
    assert [outcome.transfer.status for outcome in caller.result()] == ["succeeded"]


async def test_an_answer_that_was_lost(here: Room) -> None:
    here.send(change(1, email=BEFORE))
    await here.release("lost")
    here.send(change(2, email=AFTER))
    await here.release()
    assert list(here.stamped.emails.values()) == [AFTER]
    assert await here.statuses() == ["failed", "succeeded"]


async def test_a_process_that_was_killed(here: Room, tmp_path: Path) -> None:
    """The customer was created, and the process died before it could keep the id."""
    await here.promise(change(1, email=BEFORE))
    await here.still()
    await here.promise(change(2, email=AFTER))
    copy = tmp_path / "copy.db"
    for name in ("bridge.db", "bridge.db-wal"):  # what is on the disk at the moment of a crash
        content = (tmp_path / name).read_bytes()
        Path(str(copy) + name.removeprefix("bridge.db")).write_bytes(content)  # noqa: ASYNC240 - small
    stamped = SlowStamped()
    stamped.people = {"143491": Person(BEFORE, "C-1", 1)}
    async with room(copy, stamped=stamped) as after:
        await after.release()
        assert after.stamped.emails == {"143491": AFTER}
        assert await after.statuses() == ["skipped", "succeeded"]


async def test_a_rerun_with_another_record(here: Room) -> None:
    new = change(1, email=BEFORE)
    here.send(new)
    await here.release("lost")
    here.send(change(2, guid=new.tracking_guid, email=AFTER))
    await here.release()
    assert list(here.stamped.emails.values()) == [AFTER]


async def test_what_was_refused_was_not_created(here: Room) -> None:
    here.send(change(1, email=BEFORE))
    await here.release("refused")
    here.stamped.people = {"7": Person(BEFORE, "X-7")}  # somebody else's
    here.send(change(2, email=AFTER))
    await here.release()
    assert here.stamped.searched == 0
    assert here.stamped.emails["7"] == BEFORE


async def test_a_stranger_with_an_email_that_was_tried_is_left_alone(here: Room) -> None:
    """Nobody knows whether the call had an effect; but whoever is found there is somebody else."""
    here.stamped.people = {"7": Person(BEFORE, "X-7")}
    here.send(change(1, email=BEFORE))
    await here.release("late")
    here.send(change(2, email=AFTER))
    await here.release()
    assert here.stamped.searched > 0
    assert here.stamped.people == {"7": Person(BEFORE, "X-7"), "143492": Person(AFTER, "C-1", 2)}


async def test_every_email_that_was_tried_is_looked_for(here: Room) -> None:
    for version, email in enumerate((BEFORE, "between@example.com", "last@example.com")):
        here.send(change(version, email=email))
        outcome = "late" if version else "lost"
        await here.release(outcome)
        assert [person.email for person in here.stamped.people.values() if person.external_id == "C-1"] == [BEFORE]
        await let_another_succeed(here)
    here.send(change(9, email=AFTER))
    await here.release()
    del here.stamped.people["143492"]  # the other one
    assert here.stamped.people == {"143491": Person(AFTER, "C-1", 9)}


async def test_a_promised_one_that_created_it_unseen_finds_it_at_its_next_try(here: Room) -> None:
    await here.promise(change(1, email=BEFORE))
    await here.release("lost")
    await here.promise(change(2, email=AFTER))
    await here.release()
    assert here.stamped.people == {"143491": Person(AFTER, "C-1", 2)}


async def test_one_that_is_gone_is_added_once(here: Room) -> None:
    """It was added anew, and nobody heard of it."""
    here.send(change(1))
    await here.release()
    here.stamped.people.clear()
    here.send(change(2, email=BEFORE))
    assert (await here.release()).target == "143491"
    assert (await here.release("lost")).kind == "add"
    here.stamped.people["143500"] = here.stamped.people.pop("143491")  # by another id
    here.send(change(3, email=AFTER))
    assert (await here.release()).target == "143491"
    assert (await here.release()).target == "143500"
    assert here.stamped.people == {"143500": Person(AFTER, "C-1", 3)}


async def test_another_customers_link_is_never_taken(here: Room) -> None:
    """The first e-mail was a slip: it is that of another customer of iPaaS.com."""
    here.send(change(1, customer=2, email=BEFORE))
    await here.release()
    here.send(change(1, customer=1, email=BEFORE))
    await here.release("away")
    here.send(change(2, customer=1, email=AFTER))
    await here.release()
    assert sorted(here.stamped.emails.values()) == [AFTER, BEFORE]
    assert here.stamped.held == {"C-1": 2, "C-2": 1}


@pytest.mark.parametrize("times", [1, 2])
async def test_the_usual_way_costs_no_search(here: Room, times: int) -> None:
    for version in range(times):
        here.send(change(version))
        await here.release("away")
        await let_another_succeed(here)
    here.send(change(9))
    await here.release()
    assert here.stamped.searched == 0


async def test_a_new_link_costs_no_transaction_where_the_rest_is_quick(here: Room) -> None:
    here.send(change(1))
    await here.release()
    assert here.database.asked["take"] == 0
    assert await linked(here) == "143491"


async def test_a_new_link_is_kept_before_a_subscription_that_takes_long(tmp_path: Path) -> None:
    async with room(tmp_path / "bridge.db", consent=True) as here:
        caller = here.send(change(1, consent=True))
        await here.release(again=False)
        assert here.stamped.open, "the subscription is being set"
        async with asyncio.timeout(5):
            while not here.database.asked["take"]:  # noqa: ASYNC110 - it comes by itself
                await asyncio.sleep(0)
        await here.still()
        assert not caller.done()
        assert await linked(here) == "143491"
        await here.release_all()
