"""A group on PostgreSQL: nobody is waited for, nothing is read too early, and it all comes out as one by one."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from app.ledger import customers, triggers
from app.ledger.database import Database
from app.ledger.database_url import read_url
from app.ledger.faults import DatabaseGone
from app.ledger.pipeline import GroupSession
from app.ledger.session import About, Ahead, Session, shared
from app.ledger.stored import dump_record
from app.ledger.triggers import Entered
from tests.ledger.support import (
    OTHER,
    OWNER,
    START,
    Halfway,
    Ledger,
    at_once,
    bare,
    change,
    held,
    mark,
    marks,
    queued,
)
from tests.support import SCOPE, record_of

on_postgresql = pytest.mark.parametrize("empty_url", ["postgresql"], indirect=True)
pytestmark = on_postgresql
LOCK = "SELECT FROM customers WHERE customer_id = '1' FOR UPDATE"


@asynccontextmanager
async def somebody_else(url: str, *statements: str) -> AsyncIterator[psycopg.AsyncConnection]:
    """Another session in a transaction that has done this; it is rolled back unless it was committed."""
    async with await psycopg.AsyncConnection.connect(url) as connection:
        for statement in statements:
            await connection.execute(statement.encode())
        yield connection
        await connection.rollback()


def beside(database: Database, patch: pytest.MonkeyPatch) -> list[object]:
    """Grows with each work that is run beside the group."""
    seen: list[object] = []
    run = database._writers.run

    async def note(work: Any) -> Any:
        seen.append(work)
        return await run(work)

    patch.setattr(database._writers, "run", note)
    return seen


def groups(patch: pytest.MonkeyPatch) -> list[list[About]]:
    """What the works were about that shared a transaction, for each one."""
    seen: list[list[About]] = []
    begin = GroupSession.__init__

    def note(session: GroupSession, connection: Connection, settings: str, about: list[About]) -> None:
        seen.append(list(about))
        begin(session, connection, settings, about)

    patch.setattr(GroupSession, "__init__", note)
    return seen


async def waits(task: asyncio.Task[Any], url: str) -> bool:
    """Whether a session waits for a lock longer than the group would, before this task is done."""
    query = """
SELECT 1 FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE NOT granted AND datname = current_database()
AND clock_timestamp() - query_start > interval '250 milliseconds'"""
    async with asyncio.timeout(10), await psycopg.AsyncConnection.connect(url, autocommit=True) as eye:
        while not task.done():
            if await (await eye.execute(query.encode())).fetchone():
                return True
    return False


# what somebody else has locked


async def test_a_locked_customer_is_waited_for_beside_the_group(
    ledger: Ledger, empty_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "123":
        await ledger.succeeded(change(customer=name))
    seen = beside(ledger.database, monkeypatch)
    async with somebody_else(empty_url, LOCK):
        halfway = Halfway()
        first = asyncio.create_task(ledger.do(held, halfway))
        await halfway.reached.wait()
        tasks = {name: asyncio.create_task(ledger.accept(change(customer=name))) for name in "123"}
        await queued(ledger.database, 3)
        halfway.go_on.set()
        async with asyncio.timeout(5):
            done = await asyncio.gather(first, tasks["2"], tasks["3"])
        assert [each.transfer.place for each in done[1:]] == [2, 2]
        assert not tasks["1"].done()
        assert len(seen) == 1, "the others were done in the group"
    assert (await tasks["1"]).transfer.place == 2


async def test_a_locked_transfer_is_waited_for_beside_the_group(
    ledger: Ledger, empty_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched, failed = [await ledger.loading(bare(customer=name)) for name in "12"]
    others = [await ledger.loading(bare(customer=name)) for name in "34"]
    seen = beside(ledger.database, monkeypatch)
    lock = f"SELECT FROM transfers WHERE seq IN ({fetched.seq}, {failed.seq}) FOR UPDATE"
    async with somebody_else(empty_url, lock):
        halfway = Halfway()
        first = asyncio.create_task(ledger.do(held, halfway))
        await halfway.reached.wait()
        works: list[Awaitable[Any]] = [ledger.may_load(fetched, 1), ledger.not_loaded(failed)]
        works += [ledger.may_load(others[0], 1), ledger.not_loaded(others[1])]
        slow_load, slow_failure, load, failure = [asyncio.ensure_future(work) for work in works]
        await queued(ledger.database, 4)
        halfway.go_on.set()
        async with asyncio.timeout(5):
            await asyncio.gather(first, load, failure)
        assert len(seen) == 2
        assert not slow_load.done()
        assert not slow_failure.done()
    assert (await slow_load).claim is not None
    assert (await slow_failure).status == "failed"


async def test_a_link_that_is_anothers_is_taken_beside_the_group(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, others = await ledger.begun(change(customer="1")), await ledger.begun(change(customer="2"))
    await ledger.do(customers.take, others.customer, "777", ledger.now)
    seen = beside(ledger.database, monkeypatch)
    more = await ledger.begun(change(customer="3"))
    await at_once(
        ledger.database,
        ledger.do(customers.take, mine.customer, "777", ledger.now),
        ledger.do(customers.take, more.customer, "888", ledger.now),
    )
    links = [(await ledger.customer(name)).external_id for name in "123"]
    assert links == ["777", None, "888"]
    assert len(seen) == 1
    await ledger.do(customers.take, mine.customer, "777", ledger.now)
    assert len(seen) == 1, "its own again is nobody else's"


@pytest.mark.parametrize("ends", ["commit", "rollback"])
async def test_a_new_customer_whom_another_session_is_adding_is_found_or_made(
    ledger: Ledger, empty_url: str, ends: str
) -> None:
    insert = "INSERT INTO customers (connection, customer_id, written_back, place, runs) "
    async with somebody_else(empty_url, insert + f"VALUES ('{SCOPE}', '1', false, 7, 0)") as session:
        halfway = Halfway()
        first = asyncio.create_task(ledger.do(held, halfway))
        await halfway.reached.wait()
        tasks = {name: asyncio.create_task(ledger.accept(change(customer=name))) for name in "123"}
        await queued(ledger.database, 3)
        halfway.go_on.set()
        await first
        is_waited_for = await waits(tasks["1"], empty_url)
        others = await asyncio.gather(tasks["2"], tasks["3"], return_exceptions=True)
        await getattr(session, ends)()
    own = await asyncio.gather(tasks["1"], return_exceptions=True)
    places = [each.transfer.place if isinstance(each, Entered) else each for each in (*own, *others)]
    assert places == [8 if ends == "commit" else 1, 1, 1]
    assert is_waited_for
    assert (await ledger.customer("1")).place == places[0]


def held_before_it_writes(monkeypatch: pytest.MonkeyPatch) -> Halfway:
    """Each group stops when its works have ended."""
    halfway, write = Halfway(), GroupSession.commit

    def hold(session: GroupSession) -> None:
        halfway.stop()
        write(session)

    monkeypatch.setattr(GroupSession, "commit", hold)
    return halfway


async def test_a_new_customer_whom_another_session_adds_at_the_last_moment_is_found(
    ledger: Ledger, empty_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the group has looked for it, before it writes."""
    seen = beside(ledger.database, monkeypatch)
    halfway = held_before_it_writes(monkeypatch)
    task = asyncio.create_task(ledger.accept(change(customer="1")))
    await halfway.reached.wait()
    insert = "INSERT INTO customers (connection, customer_id, written_back, place, runs) "
    async with somebody_else(empty_url, insert + f"VALUES ('{SCOPE}', '1', false, 7, 0)") as session:
        await session.commit()
    halfway.go_on.set()
    assert (await task).transfer.place == 8
    assert len(seen) == 1


async def test_the_same_notification_that_another_session_adds_at_the_last_moment_is_found(
    ledger: Ledger, empty_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = bare(customer="1")
    halfway = held_before_it_writes(monkeypatch)
    task = asyncio.create_task(ledger.accept(new))
    await halfway.reached.wait()
    other = Database(read_url(empty_url))
    entered = await other._writers.run(lambda session: triggers.accept(session, new, OTHER, START))
    await other.aclose()
    halfway.go_on.set()
    again = await task
    assert (again.transfer.seq, again.loads) == (entered.transfer.seq, False)
    assert await ledger.statuses() == ["running"]


# works about the same thing


async def test_works_about_one_thing_never_share_a_transaction_and_keep_their_order(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ledger.pending(change(customer="1"))
    seen = groups(monkeypatch)
    names = ["1", "2", "1", "3", "1", "2"]
    entered = await at_once(ledger.database, *(ledger.accept(change(customer=name)) for name in names))
    assert [each.transfer.place for each in entered] == [2, 1, 3, 1, 4, 2]
    assert [[each.customer_id for each in group] for group in seen[1:]] == [["1", "2", "3"], ["1", "2"], ["1"]]


async def test_the_same_notification_never_shares_a_transaction_with_itself(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though nothing is locked for what is loaded first."""
    new, other = bare(customer="1"), bare(customer="2")
    seen = groups(monkeypatch)
    entered = await at_once(ledger.database, *(ledger.accept(each) for each in (new, other, new)))
    assert [each.loads for each in entered] == [True, True, False]
    assert [len(group) for group in seen[1:]] == [2, 1]


async def test_the_same_notification_twice_at_once_is_one_transfer(ledger: Ledger, empty_url: str) -> None:
    other = Database(read_url(empty_url))
    for new in (bare(customer="1"), change(customer="2"), change(customer="3", promised=True)):
        works = [each.run(triggers.accept, new, OWNER, START) for each in (ledger.database, other) for _ in "123"]
        halfways = [Halfway(), Halfway()]
        holds = [
            asyncio.create_task(each.run(held, halfway))
            for each, halfway in zip((ledger.database, other), halfways, strict=True)
        ]
        for halfway in halfways:
            await halfway.reached.wait()
        tasks = [asyncio.create_task(work) for work in works]
        for each in (ledger.database, other):
            await queued(each, 3)
        for halfway in halfways:
            halfway.go_on.set()
        entered = await asyncio.gather(*tasks)
        await asyncio.gather(*holds)
        assert len({each.transfer.seq for each in entered}) == 1
        assert sum(each.claim is not None or each.loads for each in entered) == 1
    await other.aclose()
    assert await ledger.statuses() == ["running"] * 3


async def test_two_customers_who_take_one_link_at_once_come_out_as_one_after_another(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    claims = [await ledger.begun(change(customer=name)) for name in "12"]
    seen = groups(monkeypatch)
    await at_once(
        ledger.database, *(ledger.do(customers.take, each.customer, "777", ledger.now) for each in claims)
    )
    assert [(await ledger.customer(name)).external_id for name in "12"] == [None, "777"]
    assert [len(group) for group in seen] == [1, 1, 1]


async def test_works_that_wait_for_another_group_are_not_overtaken(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    claims = [await ledger.begun(change(customer=name)) for name in "12"]
    seen = groups(monkeypatch)
    takes = [ledger.do(customers.take, each.customer, "777", ledger.now) for each in claims]
    await at_once(
        ledger.database, *takes, ledger.accept(change(customer="2")), ledger.accept(change(customer="3"))
    )
    assert [[each.customer_id for each in group] for group in seen[1:]] == [["1", "3"], ["2"], ["2"]]


async def test_two_replicas_that_take_one_link_at_once_do_not_both_get_it(
    ledger: Ledger, empty_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    claims = [await ledger.begun(change(customer=name)) for name in "12"]
    halfway = Halfway()
    write = GroupSession.commit

    def hold(session: GroupSession) -> None:
        if (session.ahead or Ahead()).customers.get((SCOPE, "1")):
            halfway.stop()
        write(session)

    monkeypatch.setattr(GroupSession, "commit", hold)
    other = Database(read_url(empty_url))
    slow = asyncio.create_task(ledger.do(customers.take, claims[0].customer, "777", ledger.now))
    await halfway.reached.wait()
    quick = asyncio.create_task(other.run(customers.take, claims[1].customer, "777", ledger.now))
    await asyncio.wait([quick], timeout=0.3)
    halfway.go_on.set()
    await asyncio.gather(slow, quick)
    await other.aclose()
    links = [(await ledger.customer(name)).external_id for name in "12"]
    assert sorted(map(str, links)) == ["777", "None"]


async def test_who_ends_with_a_link_and_who_takes_it_do_not_both_get_it(ledger: Ledger) -> None:
    """As where the end of an attempt keeps a link, because the database was away before."""
    ends, takes = await ledger.begun(change(customer="1")), await ledger.begun(change(customer="2"))
    await at_once(
        ledger.database,
        ledger.finish(ends, external_id="777"),
        ledger.do(customers.take, takes.customer, "777", ledger.now),
    )
    links = [(await ledger.customer(name)).external_id for name in "12"]
    assert sorted(map(str, links)) == ["777", "None"]


async def test_two_attempts_that_end_with_one_link_do_not_both_get_it(ledger: Ledger) -> None:
    claims = [await ledger.begun(change(customer=name)) for name in "12"]
    await at_once(ledger.database, *(ledger.finish(each, external_id="777") for each in claims))
    links = [(await ledger.customer(name)).external_id for name in "12"]
    assert links == ["777", None]


async def test_what_comes_first_has_the_smaller_number(ledger: Ledger) -> None:
    """Lists are in that order."""
    entered = await at_once(ledger.database, *(ledger.accept(change(customer=name)) for name in "1234"))
    numbers = [each.transfer.seq for each in entered]
    assert numbers == sorted(numbers)


async def test_a_promise_that_is_given_while_loading_fails_is_kept(ledger: Ledger) -> None:
    """A repeat is told that the service goes on trying; that very moment the load of the first one fails."""
    new = bare()
    loading = await ledger.loading(new)
    again, failed = await at_once(
        ledger.database, ledger.accept(replace(new, promised=True), None), ledger.not_loaded(loading)
    )
    assert again.transfer.promised
    assert failed.status == "waiting"
    assert (await ledger.row(loading)).status == "waiting"


async def test_a_load_that_ends_twice_ends_once(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    loading = await ledger.loading(bare())
    seen = groups(monkeypatch)
    failed, late, again = await at_once(
        ledger.database, ledger.not_loaded(loading), ledger.may_load(loading, 1), ledger.not_loaded(loading)
    )
    assert (failed.status, late, again) == ("failed", None, None)
    assert [len(group) for group in seen[1:]] == [1, 1, 1]
    assert (await ledger.row(loading)).status == "failed"


async def test_a_repeat_of_what_just_failed_to_load_is_loaded_again(ledger: Ledger) -> None:
    new = bare()
    loading = await ledger.loading(new)
    failed, again = await at_once(ledger.database, ledger.not_loaded(loading), ledger.accept(new, OTHER))
    assert (failed.status, again.transfer.seq, again.loads) == ("failed", loading.seq, True)
    row = await ledger.row(loading)
    assert (row.status, row.owner, row.attempts) == ("running", OTHER, 2)


async def test_a_link_that_was_lost_takes_no_place_back(
    ledger: Ledger, empty_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who has it now is looked at without a lock, while another replica gives that customer a place."""
    await ledger.succeeded(change(1, customer="2"))
    mine = await ledger.begun(change(customer="1"))
    halfway = Halfway()
    look = customers.look

    def look_and_wait(session: Session, name: str, customer_id: str | None) -> Any:
        found = look(session, name, customer_id)
        halfway.stop()
        return found

    monkeypatch.setattr(customers, "look", look_and_wait)
    task = asyncio.create_task(ledger.finish(mine, external_id="92"))
    await halfway.reached.wait()
    async with await psycopg.AsyncConnection.connect(empty_url) as other:
        await other.execute("UPDATE customers SET place = place + 1 WHERE customer_id = '2'")
    halfway.go_on.set()
    await task
    monkeypatch.undo()
    assert (await ledger.customer("2")).place == 2


# a database that goes and comes


async def end_backends(url: str) -> None:
    """As a restart of the server does; returns when they are gone."""
    ended = b"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = current_database()"
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        found = await connection.execute(ended + b" AND pid <> pg_backend_pid()")
        assert {ended for (ended,) in await found.fetchall()} == {True}


async def test_a_connection_that_ended_while_nobody_needed_it_is_noticed_by_nobody(
    ledger: Ledger, empty_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ledger.accept(change(customer="1"))
    await end_backends(empty_url)
    seen = beside(ledger.database, monkeypatch)
    entered = await asyncio.gather(*(ledger.accept(change(customer=name)) for name in "234"))
    assert [each.transfer.place for each in entered] == [1, 1, 1]
    before = len(seen)
    assert before, "who came first ran beside the group"
    await ledger.accept(change(customer="5"))
    assert len(seen) == before, "the group has another one"


async def test_a_connection_that_ended_leaves_no_line_of_the_driver_in_the_log(
    ledger: Ledger, empty_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It would be nobody's event, and it shows the text of an error as the server wrote it."""
    await ledger.accept(change(customer="1"))
    await end_backends(empty_url)
    await ledger.accept(change(customer="2"))
    gc.collect()
    assert [record.getMessage() for record in caplog.records if record.name == "psycopg"] == []


@shared(lambda _halfway: About("held"))
def hold_and_write(session: Session, halfway: Halfway) -> None:
    halfway.stop()
    mark(session, "held", [])


@shared(lambda _halfway: About("held"))
def hold_and_read(session: Session, halfway: Halfway) -> set[str]:
    halfway.stop()
    return marks(session)


async def test_a_connection_that_ends_between_reading_and_writing_is_gone(ledger: Ledger, empty_url: str) -> None:
    halfway = Halfway()
    task = asyncio.create_task(ledger.do(hold_and_write, halfway))
    await halfway.reached.wait()
    await end_backends(empty_url)
    halfway.go_on.set()
    with pytest.raises(DatabaseGone):
        await task
    assert await ledger.do(mark, "held", []) == "marked held"


async def test_a_connection_that_ends_before_a_work_reads_is_noticed_by_nobody(
    ledger: Ledger, empty_url: str
) -> None:
    halfway = Halfway()
    task = asyncio.create_task(ledger.do(hold_and_read, halfway))
    await halfway.reached.wait()
    await end_backends(empty_url)
    halfway.go_on.set()
    assert await task == set()


async def test_a_database_that_turned_read_only_is_gone_for_the_group_and_comes_back(ledger: Ledger) -> None:
    await ledger.accept(change(customer="1"))

    def read_only(session: Session) -> None:
        session.execute(text("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY"))

    await ledger.database._writers.run(read_only)
    await ledger.database._group.run(read_only, About(SCOPE))
    with pytest.raises(DatabaseGone, match="read-only transaction"):
        await ledger.accept(change(customer="2"))
    assert (await ledger.accept(change(customer="3"))).transfer.place == 1


# what is written later is what is written at once


@pytest.mark.parametrize("name", ["a\0b", "a\ud800b"])
async def test_what_postgresql_does_not_store_fails_alone(ledger: Ledger, name: str) -> None:
    before, error, after = await at_once(
        ledger.database, *(ledger.do(mark, each, []) for each in ("a", name, "b"))
    )
    assert (before, after) == ("marked a", "marked b")
    with pytest.raises(type(error)):
        await ledger.database._writers.run(lambda session: mark(session, name, []))


async def test_a_group_whose_transaction_the_server_has_given_up_tells_nobody_that_it_was_done(
    ledger: Ledger,
) -> None:
    """It answers a COMMIT by a ROLLBACK then, and not by an error."""
    done, _ = await at_once(ledger.database, ledger.do(mark, "a", []), ledger.do(swallow, "s"))
    assert isinstance(done, DatabaseGone) or await ledger.database.read(marks) == {"a"}


@shared(lambda name: About(SCOPE, name))
def swallow(session: Session, _name: str) -> None:
    with suppress(DBAPIError):
        session.execute(text("SELECT 1 / 0"))


async def test_a_record_of_a_megabyte_and_every_character_is_stored_as_it_came(ledger: Ledger) -> None:
    words = "".join(map(chr, (*range(0x250), 0x2028, 0xFFFF, 0x1F600))) + "\"\\'%s%(a)s"
    names = [words * 1_700, "\0\\u0000\0", words]
    records = [record_of(first_name=name) for name in names]
    entered = await at_once(
        ledger.database,
        *(ledger.accept(change(customer=str(at), record=each)) for at, each in enumerate(records)),
    )
    assert len(dump_record(records[0])) > 1_000_000
    for each, record in zip(entered, records, strict=True):
        assert (await ledger.row(each.transfer)).record == dump_record(record)
