"""Whatever the order in which things happen to one customer's changes, these rules hold: never two at once, the
newest is what Stamped.io ends with, at most one runs and one waits, and the customer is created once.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from app.engine import Operations, Outcome
from app.ledger import moves
from app.ledger.database import Database, read_url
from app.ledger.stored import Stored
from tests.engine.support import Room, change, room

Dates = Literal["all", "none", "some"]


@dataclass(frozen=True)
class Send:
    """A new change; `patient`: its caller waits, else it is promised at once."""

    minute: int
    dated: bool
    patient: bool
    mail: int = 0


@dataclass(frozen=True)
class On:
    """Something that happens to an earlier change."""

    what: Literal["repeat", "repeat_promised", "retry", "cancel", "promise"]
    which: int


@dataclass(frozen=True)
class Sync:
    """An operator's Manual Sync, which sends the newest record again; or the re-run of an earlier one."""

    patient: bool
    retry: bool


@dataclass(frozen=True)
class Answer:
    """Stamped.io answers the call that is open."""

    outcome: Literal["ok", "away", "lost", "refused"]


@dataclass(frozen=True)
class Pass:
    """Time passes."""

    minutes: int


Step = Send | On | Sync | Answer | Pass
steps: st.SearchStrategy[list[Step]] = st.lists(
    st.one_of(
        st.builds(Send, st.integers(0, 5), st.booleans(), st.booleans(), st.integers(0, 2)),
        st.builds(Answer, st.sampled_from(("ok", "away", "away", "lost", "refused"))),
        st.builds(
            On,
            st.sampled_from(("repeat", "repeat_promised", "retry", "cancel", "promise")),
            st.integers(0, 20),
        ),
        st.builds(Sync, st.booleans(), st.booleans()),
        st.builds(Pass, st.sampled_from((1, 23, 70, 400))),
    ),
    min_size=3,
    max_size=25,
)


class World:
    """One customer's changes as they are sent, and what must hold after each step."""

    def __init__(self, here: Room, dates: Dates) -> None:
        self._room = here
        self._dates = dates
        self._news: list[moves.NewTransfer] = []
        self._minutes: list[int | None] = []
        self._by_hand = False
        self._operations = Operations(here.engine, here.database, here.clock, "default", fetch=False)

    async def take(self, step: Step) -> None:
        match step:
            case Send(minute, dated, patient, mail):
                dated = {"all": True, "none": False, "some": dated}[self._dates]
                self._minutes.append(minute if dated else None)
                moment = f"2026-11-24T10:{minute:02}:00Z" if dated else None
                self._news.append(change(len(self._news), moment, email=f"address{mail}@example.com"))
                self._room.send(self._news[-1], wait=None if patient else 0)
            case On(what, which) if self._news:
                self._by_hand = True
                await self._do(what, which % len(self._news))
            case Sync(patient, retry) if self._news:
                self._by_hand = True
                await self._sync(patient=patient, retry=retry)
            case Answer(outcome) if self._room.stamped.open:
                call = self._room.stamped.open[0]
                if (call.customer, call.version) in self._room.stamped.sent and outcome == "refused":
                    outcome = "away"  # what it took once, it does not refuse
                await self._room.release(outcome, again=False)
            case Pass(minutes):
                await self._room.advance(minutes * 60)
        await self._room.still()
        await self.check()

    async def _do(self, what: str, which: int) -> None:
        new = self._news[which]
        if what.startswith("repeat"):
            self._room.send(new, wait=0 if what == "repeat_promised" else None)
            return
        transfer = next(row for row in await self._room.rows() if row.repeat_key == new.repeat_key)
        match what:
            case "retry":
                self._room.callers.append(asyncio.create_task(self._room.engine.rerun(transfer.seq)))
            case "cancel":
                await self._operations.cancel(transfer)
            case "promise":  # what happens when a caller's patience ends
                await self._room.database.run(moves.promise, transfer.seq)

    async def _sync(self, *, patient: bool, retry: bool) -> None:
        if not retry:
            sync = self._operations.sync_customer("1", None, None if patient else 0)
            self._room.callers.append(asyncio.create_task(sync))
            return
        for row in await self._room.rows():
            if row.trigger == "manual" and row.status in {"failed", "cancelled"}:
                self._room.callers.append(asyncio.create_task(self._room.engine.rerun(row.seq)))
                return

    async def check(self) -> None:
        """Holds at any moment."""
        rows = await self._room.rows()
        running = [row for row in rows if row.status == "running"]
        waiting = [row for row in rows if row.status in {"accepted", "waiting"}]
        assert self._room.stamped.most_at_once <= 1
        assert len(running) <= 1
        assert len(waiting) <= 1
        assert self._room.engine.running == len(running) == len(self._room.stamped.open), "something is stuck"
        now = self._room.clock.now().timestamp()
        due = [row for row in waiting if (row.next_attempt_at or 0) <= now]
        assert running or not due, "what is due and could run, runs"
        for caller in self._room.callers:
            if caller.done():
                self._check_answer(caller.result())

    @staticmethod
    def _check_answer(answer: list[Outcome] | Outcome | None) -> None:
        for outcome in answer if isinstance(answer, list) else [answer] if answer else []:
            assert outcome.transfer.is_final or outcome.transfer.promised, "neither a last word nor a promise"

    async def end(self) -> None:
        """Stamped.io answers everything from now on, and all the time passes that anything waits for."""
        for _ in range(100):
            while self._room.stamped.open:
                await self._room.release("ok", again=False)
                await self.check()
            if all(row.is_final for row in await self._room.rows()):
                break
            await self._room.advance(7 * 3600)
        rows = await self._room.rows()
        assert all(row.is_final for row in rows), "a state without an exit"
        assert all(caller.done() for caller in self._room.callers), "a caller waits for nothing"
        assert self._room.engine._watchers._events == {}
        assert len(self._room.stamped.emails) <= 1, "created twice"
        self._check_superseded(rows)
        if self._dates != "some" and rows:
            self._check_newest(rows)

    def _age(self, version: int) -> tuple[int, int]:
        """The order that the contract asks for.

        Of changes of the same minute the one that came later is the newer, unless somebody asked for the earlier
        one again.
        """
        minute = self._minutes[version]
        return (0, version) if minute is None else (minute, 0 if self._by_hand else version)

    def _check_superseded(self, rows: list[Stored]) -> None:
        """Who follows `superseded_by` comes to a change that had its turn."""
        by_id = {row.id: row for row in rows}
        for row in rows:
            last = row
            for _ in rows:
                if last.status == "skipped":
                    last = by_id[last.superseded_by or ""]
            assert last.status in {"succeeded", "failed", "cancelled"}, "superseded by nothing"
            if self._dates != "some":
                assert self._age(_version(last)) >= self._age(_version(row)), "superseded by an older one"

    def _check_newest(self, rows: list[Stored]) -> None:
        ages = [self._age(_version(row)) for row in rows]
        newest = [row for row, age in zip(rows, ages, strict=True) if age == max(ages)]
        assert any(row.status != "skipped" for row in newest), "the newest change was superseded"
        succeeded = [age for row, age in zip(rows, ages, strict=True) if row.status == "succeeded"]
        if succeeded:
            held = self._room.stamped.held["C-1"]
            assert self._age(held) >= max(succeeded), "Stamped.io holds an older change"


def _version(row: Stored) -> int:
    record = row.customer_record()
    assert record is not None
    return int(record.first_name or "")


@pytest.fixture(scope="module")
def empty_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated database, to copy."""
    path = tmp_path_factory.mktemp("interleavings") / "empty.db"

    async def make() -> None:
        database = Database(read_url(f"sqlite:///{path}"))
        await database.migrate()
        await database.aclose()

    asyncio.run(make())
    return path


@settings(max_examples=120, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(("all", "none", "some")), steps)
@example(  # two changes of one minute: a failing one must not end the one that came later
    "all",
    [Send(1, dated=True, patient=False), Send(1, dated=True, patient=False), *[Answer("away")] * 3],
)
@example(  # the newest was sent already when an older one arrives
    "all",
    [Send(5, dated=True, patient=True), Answer("ok"), Send(1, dated=True, patient=True), Answer("ok")],
)
@example(  # it was created, nobody heard of it, and then its e-mail changed
    "none",
    [
        *(Send(0, dated=False, patient=False, mail=1), Answer("lost"), Answer("away"), Answer("away")),
        *(Send(0, dated=False, patient=True, mail=2), Answer("ok")),
    ],
)
@example(  # a re-run of an old Manual Sync must not bring back what has been changed since
    "all",
    [
        *(Send(1, dated=True, patient=True), Answer("ok"), Sync(patient=True, retry=False), Answer("refused")),
        *(Answer("away"), Answer("away"), Answer("away"), Send(2, dated=True, patient=True), Answer("ok")),
        *(Sync(patient=True, retry=True), Answer("ok")),
    ],
)
@example(  # an older one runs while the newer waits for its next try
    "all",
    [
        *(Send(5, dated=True, patient=False), Answer("lost"), Answer("away"), Answer("away")),
        *(Send(1, dated=True, patient=True), On("retry", 0), Pass(23), Answer("ok")),
    ],
)
def test_the_rules_hold(empty_file: Path, dates: Dates, taken: list[Step]) -> None:
    async def run(directory: str) -> None:
        path = Path(directory) / "bridge.db"
        shutil.copy(empty_file, path)
        async with room(path) as here:
            world = World(here, dates)
            for step in taken:
                await world.take(step)
            await world.end()

    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(run(directory))
