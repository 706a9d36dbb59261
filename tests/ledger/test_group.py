"""Works that share a transaction: each learns its own end, and none spoils another's."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import event

from app.ledger.database import Database
from app.ledger.database_url import read_url
from app.ledger.faults import DatabaseFault, DatabaseGone
from app.ledger.pipeline import GroupSession
from app.ledger.pool import Pool
from app.ledger.session import About, Session, shared
from tests.ledger.support import Halfway, at_once, held, mark, marks, queued

on_sqlite = pytest.mark.parametrize("empty_url", ["sqlite"], indirect=True)
on_postgresql = pytest.mark.parametrize("empty_url", ["postgresql"], indirect=True)
NAMES = [f"w{number:02}" for number in range(12)]
Runs = list[str]


# the group's session is the only one with such a limit
ONLY_THE_GROUP = "current_setting('lock_timeout') = '200ms'"


class Unusual(BaseException):
    """Not even an Exception."""


@asynccontextmanager
async def trigger(url: str, body: str, *, deferred: bool = False) -> AsyncIterator[None]:
    """The server does this with each new mark; `deferred`: in the commit."""
    kind, when = ("CONSTRAINT ", "DEFERRABLE INITIALLY DEFERRED ") if deferred else ("", "")
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        function = f"BEGIN {body}; RETURN NEW; END"
        await connection.execute(
            f"CREATE FUNCTION watch() RETURNS trigger LANGUAGE plpgsql AS $${function}$$".encode()
        )
        try:
            await connection.execute(
                f"CREATE {kind}TRIGGER watch AFTER INSERT ON replicas {when}"
                "FOR EACH ROW EXECUTE FUNCTION watch()".encode()
            )
            yield
        finally:
            await connection.execute("DROP FUNCTION watch CASCADE")


async def end_group(url: str) -> None:
    """As a restart of the server does with what is in a transaction; returns when it is gone."""
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        found = await connection.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = current_database() "
            "AND pid <> pg_backend_pid() AND state LIKE 'idle in transaction%'"
        )
        assert await found.fetchall() == [(True,)]


@shared(lambda name, _runs: About("marks", name))
def spoil(session: Session, name: str, runs: Runs) -> None:
    mark(session, name, runs)
    raise ZeroDivisionError(name)


@shared(lambda error: About("marks", str(error)))
def fail(_session: Session, error: BaseException) -> None:
    raise error


@shared(lambda name, _halfway: About("marks", name))
def mark_and_wait(session: Session, name: str, halfway: Halfway) -> str:
    mark(session, name, [])
    halfway.stop()
    return name


def mark_alone(session: Session, name: str, runs: Runs) -> str:
    """Not shared."""
    return mark(session, name, runs)


def wait_alone(_session: Session, halfway: Halfway) -> str:
    halfway.stop()
    return "waited"


def at_commit(database: Database, patch: pytest.MonkeyPatch, react: Callable[[Callable[[], None]], None]) -> None:
    """Put this in the place of each commit of the group; it is given the commit itself."""
    if database.is_sqlite:
        dialect = database._group._engine.dialect
        commit = dialect.do_commit
        patch.setattr(dialect, "do_commit", lambda connection: react(lambda: commit(connection)))
        return
    write = GroupSession.commit
    patch.setattr(GroupSession, "commit", lambda session: react(lambda: write(session)))


def commits(database: Database, runs: Runs, patch: pytest.MonkeyPatch) -> list[Runs]:
    """What ran in each transaction that was committed, as they come."""
    seen: list[Runs] = []

    def note(commit: Callable[[], None]) -> None:
        commit()
        seen.append(runs[sum(map(len, seen)) :])

    at_commit(database, patch, note)
    return seen


def lost(database: Database) -> Exception:
    """As a driver says that nobody answers."""
    fault = sqlite3.OperationalError if database.is_sqlite else psycopg.OperationalError
    return fault("disk I/O error")


def gone(results: list[Any]) -> list[bool]:
    return [isinstance(result, DatabaseGone) for result in results]


# many works, one transaction


async def test_what_waits_together_shares_a_transaction_and_each_has_its_own_result(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = Runs()
    seen = commits(database, runs, monkeypatch)
    results = await at_once(database, *(database.run(mark, name, runs) for name in NAMES))
    assert results == [f"marked {name}" for name in NAMES]
    assert seen == [[], NAMES], "once, in the order in which they came, behind that which was waited for"
    assert await database.read(marks) == set(NAMES)


async def test_not_more_than_64_share_one(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = Runs()
    seen = commits(database, runs, monkeypatch)
    names = [f"w{number:03}" for number in range(150)]
    await at_once(database, *(database.run(mark, name, runs) for name in names))
    assert [len(each) for each in seen] == [0, 64, 64, 22]
    assert runs == names


async def test_nobody_is_told_before_the_commit(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    before, after, runs = Halfway(), Halfway(), Runs()

    def hold(commit: Callable[[], None]) -> None:
        before.stop()
        commit()
        after.stop()

    at_commit(database, monkeypatch, hold)
    tasks = [asyncio.create_task(database.run(mark, name, runs)) for name in NAMES]
    async with asyncio.timeout(10):
        await before.reached.wait()
        began = set(runs)
        assert began
        assert await database.read(marks) == set()
        before.go_on.set()
        await after.reached.wait()
        assert await database.read(marks) == began
        assert not any(task.done() for task in tasks)
        after.go_on.set()
        assert await asyncio.gather(*tasks) == [f"marked {name}" for name in NAMES]


# one that fails


async def test_a_work_that_fails_spoils_no_other(database: Database) -> None:
    runs = Runs()
    works: list[Any] = [database.run(mark, name, runs) for name in NAMES]
    works.insert(5, database.run(spoil, "spoilt", runs))
    *results, last = await at_once(database, *works, database.run(spoil, "spoilt too", runs))
    error = results.pop(5)
    assert results == [f"marked {name}" for name in NAMES]
    assert [type(each) for each in (error, last)] == [ZeroDivisionError] * 2
    assert [str(each) for each in (error, last)] == ["spoilt", "spoilt too"]
    assert await database.read(marks) == set(NAMES), "nothing of those that failed, and of each other one row"
    assert sorted(runs[-14:]) == sorted([*NAMES, "spoilt", "spoilt too"]), "each was run again"
    assert await database.run(mark, "next", runs) == "marked next"


async def test_what_a_transaction_of_its_own_wrote_before_it_failed_is_not_there(database: Database) -> None:
    with pytest.raises(ZeroDivisionError):
        await database.run(spoil, "spoilt", [])
    assert await at_once(database, database.run(mark, "spoilt", [])) == ["marked spoilt"]


async def test_whatever_a_work_raises_is_told_to_its_caller_only(database: Database) -> None:
    error, other = await at_once(database, database.run(fail, Unusual("this")), database.run(mark, "a", []))
    assert (type(error), str(error), other) == (Unusual, "this", "marked a")
    assert await database.run(mark, "b", []) == "marked b"


@on_sqlite
async def test_a_work_that_ends_an_iteration_does_not_keep_the_others_from_being_told(database: Database) -> None:
    """No future takes a StopIteration: `next` of nothing would leave all others of its group waiting for ever."""
    halfway = Halfway()
    first = asyncio.create_task(database.run(held, halfway))
    await halfway.reached.wait()
    works = [database.run(fail, StopIteration("nothing")), database.run(mark, "a", [])]
    tasks = [asyncio.create_task(work) for work in works]
    await queued(database, 2)
    halfway.go_on.set()
    await first
    done, waiting = await asyncio.wait(tasks, timeout=1)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert done == set(tasks)


@on_postgresql
async def test_a_statement_that_the_server_refuses_when_the_group_writes_spoils_no_other(
    database: Database,
) -> None:
    await database.run(mark, "there before", [])
    runs = Runs()
    before, again, after = await at_once(
        database, *(database.run(mark, name, runs) for name in ("a", "there before", "b"))
    )
    assert (before, after) == ("marked a", "marked b")
    assert isinstance(again, psycopg.errors.UniqueViolation)
    assert "there before" not in "".join(map(str, again.args)), "the key is nobody's business"
    assert await database.read(marks) == {"there before", "a", "b"}
    assert sorted(runs) == sorted(["a", "b"] * 2 + ["there before"] * (1 + 3)), "somebody else may be first: again"


@on_postgresql
async def test_a_lock_that_is_not_given_when_the_group_writes_spoils_no_other(
    database: Database, empty_url: str
) -> None:
    """The server has undone it: there is no doubt, and no reason to turn all of them away."""
    async with await psycopg.AsyncConnection.connect(empty_url) as other:
        await other.execute("INSERT INTO replicas (id, seen_at) VALUES ('b', 0)")
        works = {name: asyncio.create_task(database.run(mark, name, [])) for name in "abc"}
        async with asyncio.timeout(5):
            others = await asyncio.gather(works["a"], works["c"], return_exceptions=True)
        waits = not works["b"].done()
        await other.rollback()
    last = await asyncio.gather(works["b"], return_exceptions=True)
    assert waits
    assert [*others, *last] == ["marked a", "marked c", "marked b"]


@on_postgresql
@pytest.mark.parametrize("code", ["40P01", "40001", "57014", "55P03"])
async def test_what_the_server_has_undone_when_the_group_writes_is_done_again_by_each_alone(
    database: Database, empty_url: str, code: str
) -> None:
    runs = Runs()
    body = f"IF NEW.id = 'w03' AND {ONLY_THE_GROUP} THEN RAISE 'so it is' USING ERRCODE = '{code}'; END IF"
    async with trigger(empty_url, body):
        results = await at_once(database, *(database.run(mark, name, runs) for name in NAMES))
    assert results == [f"marked {name}" for name in NAMES]


# a commit that fails


async def test_a_commit_that_fails_is_gone_for_all_and_nothing_is_run_again(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = Runs()

    def refuse(_commit: Callable[[], None]) -> None:
        raise lost(database)

    await database.run(mark, "first", [])
    with monkeypatch.context() as patch:
        at_commit(database, patch, refuse)
        works = (database.run(mark, name, runs) for name in NAMES)
        results = await asyncio.gather(*works, return_exceptions=True)
    assert gone(results) == [True] * len(NAMES)
    assert runs == NAMES
    assert await database.read(marks) == {"first"}
    assert await database.run(mark, "next", []) == "marked next"


async def test_a_commit_whose_answer_is_lost_was_done_once(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = Runs()

    def lose(commit: Callable[[], None]) -> None:
        commit()
        raise lost(database)

    with monkeypatch.context() as patch:
        at_commit(database, patch, lose)
        works = (database.run(mark, name, runs) for name in NAMES)
        results = await asyncio.gather(*works, return_exceptions=True)
    assert gone(results) == [True] * len(NAMES)
    assert runs == NAMES
    assert await database.read(marks) == set(NAMES)
    assert await database.run(mark, "next", []) == "marked next"


@on_postgresql
async def test_a_server_that_ends_the_connection_in_the_commit_leaves_all_of_them_in_doubt(
    database: Database, empty_url: str
) -> None:
    runs = Runs()
    halfway = Halfway()
    first = asyncio.create_task(database.run(held, halfway))
    await halfway.reached.wait()
    tasks = [asyncio.create_task(database.run(mark, name, runs)) for name in NAMES]
    await queued(database, len(tasks))
    async with trigger(empty_url, "PERFORM pg_terminate_backend(pg_backend_pid())", deferred=True):
        halfway.go_on.set()
        assert gone(await asyncio.gather(*tasks, return_exceptions=True)) == [True] * len(NAMES)
    await first
    assert runs == NAMES
    assert await database.run(mark, "w00", []) == "marked w00"


@on_postgresql
async def test_a_connection_that_ends_before_the_commit_is_gone_for_all_and_nothing_is_run_again(
    database: Database, empty_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs, halfway = Runs(), Halfway()

    def hold(commit: Callable[[], None]) -> None:
        halfway.stop()
        commit()

    with monkeypatch.context() as patch:
        at_commit(database, patch, hold)
        task = asyncio.create_task(database.run(mark, "a", runs))
        await halfway.reached.wait()
        await end_group(empty_url)
        halfway.go_on.set()
        with pytest.raises(DatabaseGone):
            await task
    assert runs == ["a"]
    assert await database.run(mark, "next", []) == "marked next"


@on_sqlite
async def test_a_file_that_another_process_has_locked_is_waited_for_once(
    database: Database, empty_url: str
) -> None:
    """No work is to blame, so that none would fare better alone; each would wait for ten seconds more."""
    tries: list[object] = []

    def connected(connection: sqlite3.Connection, _: object) -> None:
        connection.execute("PRAGMA busy_timeout = 20")
        tries.append(connection)

    event.listen(database._group._engine, "connect", connected)
    with pytest.raises(KeyError):
        await database.run(fail, KeyError("so that the next one connects anew"))
    other = sqlite3.connect(empty_url.removeprefix("sqlite:///"), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    results = await asyncio.gather(*(database.run(mark, name, []) for name in NAMES), return_exceptions=True)
    other.close()
    assert gone(results) == [True] * len(NAMES)
    assert len(tries) <= 2, "the first one, and all that came while it waited"
    assert await database.run(mark, "next", []) == "marked next"


# who does not wait any more


async def test_a_work_whose_caller_left_before_it_began_is_not_run(database: Database) -> None:
    halfway, runs = Halfway(), Runs()
    first = asyncio.create_task(database.run(held, halfway))
    await halfway.reached.wait()
    tasks = [asyncio.create_task(database.run(mark, name, runs)) for name in NAMES]
    await queued(database, len(tasks))
    for task in tasks[::2]:
        task.cancel()
    await asyncio.wait(tasks[::2])
    halfway.go_on.set()
    await first
    assert await asyncio.gather(*tasks[1::2]) == [f"marked {name}" for name in NAMES[1::2]]
    assert runs == NAMES[1::2]
    assert await database.read(marks) == set(NAMES[1::2])


async def test_a_work_whose_caller_leaves_while_it_runs_is_done_and_the_others_are_told(
    database: Database,
) -> None:
    hold, halfway = Halfway(), Halfway()
    first = asyncio.create_task(database.run(held, hold))
    await hold.reached.wait()
    task = asyncio.create_task(database.run(mark_and_wait, "left", halfway))
    other = asyncio.create_task(database.run(mark, "other", []))
    await queued(database, 2)
    hold.go_on.set()
    await halfway.reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    halfway.go_on.set()
    async with asyncio.timeout(5):
        await first
        assert await other == "marked other"
    assert await database.read(marks) == {"left", "other"}


# works that share with nobody


@on_sqlite
async def test_works_that_are_not_shared_have_their_turn_and_a_transaction_of_their_own(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = Runs()
    seen = commits(database, runs, monkeypatch)
    kinds = {"a": mark, "b": mark, "C": mark_alone, "D": mark_alone, "e": mark, "f": mark, "G": mark_alone}
    await at_once(database, *(database.run(kind, name, runs) for name, kind in kinds.items()))
    assert seen == [[], ["a", "b"], ["C"], ["D"], ["e", "f"], ["G"]]


@on_sqlite
async def test_on_sqlite_one_that_is_not_shared_and_fails_spoils_no_neighbour(database: Database) -> None:
    runs = Runs()

    def spoil_alone(session: Session) -> None:
        spoil(session, "alone", runs)

    works = (database.run(mark, "a", runs), database.run(spoil_alone), database.run(mark, "b", runs))
    before, error, after = await at_once(database, *works)
    assert (before, type(error), after) == ("marked a", ZeroDivisionError, "marked b")
    assert runs == ["a", "alone", "b"], "each once"


@on_postgresql
async def test_long_works_on_postgresql_run_beside_the_group(database: Database) -> None:
    halfways = [Halfway() for _ in range(6)]
    tasks = [asyncio.create_task(database.run(wait_alone, halfway)) for halfway in halfways]
    for halfway in halfways:
        await halfway.reached.wait()
    async with asyncio.timeout(5):
        await asyncio.gather(*(database.run(mark, name, []) for name in NAMES))
    assert await database.read(marks) == set(NAMES)
    for halfway in halfways:
        halfway.go_on.set()
    assert await asyncio.gather(*tasks) == ["waited"] * 6


@on_postgresql
async def test_a_group_on_postgresql_does_not_hold_up_what_is_not_shared(database: Database) -> None:
    halfway = Halfway()
    first = asyncio.create_task(database.run(held, halfway))
    await halfway.reached.wait()
    async with asyncio.timeout(5):
        assert await database.run(mark_alone, "alone", []) == "marked alone"
    halfway.go_on.set()
    await first


# the end


async def test_what_waits_when_the_database_is_closed_is_done_and_what_comes_later_is_gone(
    database: Database, empty_url: str
) -> None:
    halfway, runs = Halfway(), Runs()
    first = asyncio.create_task(database.run(held, halfway))
    await halfway.reached.wait()
    tasks = [asyncio.create_task(database.run(mark, name, runs)) for name in NAMES]
    await queued(database, len(tasks))
    ends = [asyncio.create_task(database.aclose()) for _ in range(2)]
    async with asyncio.timeout(10):
        await queued(database, len(tasks) + 1)
        for late in (database.run(mark, "late", runs), database.run(mark, "later", runs)):
            with pytest.raises(DatabaseGone, match="closed"):
                await late
        assert not any(task.done() for task in (first, *tasks, *ends))
        if database.is_sqlite:
            with pytest.raises(DatabaseFault, match="in use"):
                Database(read_url(empty_url))
        halfway.go_on.set()
        await first
        assert await asyncio.gather(*tasks) == [f"marked {name}" for name in NAMES]
        await asyncio.gather(*ends, database.aclose())
    assert not database._group._thread.is_alive()
    again = Database(read_url(empty_url))
    assert await again.read(marks) == set(NAMES)
    await again.aclose()


async def test_a_closed_database_leaves_no_thread_and_no_connection(database: Database, empty_url: str) -> None:
    await database.run(mark, "a", [])
    log = Path(f"{empty_url.removeprefix('sqlite:///')}-wal")
    assert not database.is_sqlite or await asyncio.to_thread(log.exists)
    await database.aclose()
    pools = (each for each in (database._readers, database._writers, database._heart) if isinstance(each, Pool))
    threads = [database._group._thread, *(thread for pool in pools for thread in pool._threads._threads)]
    assert not [each.name for each in threads if each.is_alive()]
    if database.is_sqlite:  # the last connection copies everything back
        assert not await asyncio.to_thread(log.exists)
        return
    others = (
        "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() "
        "AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
    )
    async with asyncio.timeout(5), await psycopg.AsyncConnection.connect(empty_url, autocommit=True) as eye:
        while await (await eye.execute(others)).fetchone():
            pass


async def test_a_database_that_is_closed_between_a_callers_question_and_its_place_in_the_queue(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else it would wait for ever."""
    running = asyncio.get_running_loop()

    class Closes:
        """Where the other thread has its turn at the worst moment."""

        @staticmethod
        def get_running_loop() -> asyncio.AbstractEventLoop:
            closing = threading.Thread(target=database._group.stop)
            closing.start()
            closing.join(0.3)
            return running

    with monkeypatch.context() as patch:
        patch.setattr("app.ledger.group.asyncio", Closes)
        call = asyncio.create_task(database._group.run(marks))
        done, _ = await asyncio.wait([call], timeout=1)
    call.cancel()
    await asyncio.gather(call, return_exceptions=True)
    assert done == {call}


@on_postgresql
async def test_what_the_group_leaves_to_others_is_done_even_while_the_database_is_closed(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go, no_others = threading.Event(), threading.Event(), threading.Event()
    stop = database._writers.stop

    def wait(_session: Session) -> None:
        begun.set()
        go.wait(10)

    def stop_and_say_so() -> None:
        stop()
        no_others.set()

    monkeypatch.setattr(database._writers, "stop", stop_and_say_so)
    first = asyncio.create_task(database._group.run(wait, About("held")))
    await asyncio.to_thread(begun.wait)
    tasks = [asyncio.create_task(database.run(mark, "a", [])), asyncio.create_task(database.run(spoil, "b", []))]
    await queued(database, len(tasks))
    end = asyncio.create_task(database.aclose())
    await queued(database, len(tasks) + 1)
    go.set()
    no_others.wait(0.2)  # the loop is busy for so long
    await first
    done, failed = await asyncio.gather(*tasks, return_exceptions=True)
    await end
    assert (done, type(failed)) == ("marked a", ZeroDivisionError)


async def test_a_loop_that_is_closed_does_not_keep_the_others_from_being_told(database: Database) -> None:
    halfway, runs = Halfway(), Runs()
    first = asyncio.create_task(database.run(held, halfway))
    await halfway.reached.wait()
    left: list[Any] = []

    def elsewhere() -> None:
        loop = asyncio.new_event_loop()
        left.extend((loop, loop.create_task(database.run(mark, "elsewhere", runs))))
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    here = asyncio.create_task(database.run(mark, "here", runs))
    await queued(database, 2)
    halfway.go_on.set()
    async with asyncio.timeout(5):
        await first
        assert await here == "marked here"
        assert await database.run(mark, "next", runs) == "marked next"
    assert runs == ["elsewhere", "here", "next"]
    left[1].get_coro().close()


async def test_two_loops_are_told_each_in_its_own_thread(database: Database) -> None:
    def elsewhere() -> tuple[str, bool]:
        async def run() -> tuple[str, bool]:
            return await database.run(mark, "elsewhere", []), threading.current_thread().name == "other loop"

        return asyncio.run(run())

    found: list[tuple[str, bool]] = []
    thread = threading.Thread(target=lambda: found.append(elsewhere()), name="other loop")
    thread.start()
    assert await asyncio.gather(*(database.run(mark, name, []) for name in NAMES)) == [
        f"marked {name}" for name in NAMES
    ]
    await asyncio.to_thread(thread.join)
    assert found == [("marked elsewhere", True)]
