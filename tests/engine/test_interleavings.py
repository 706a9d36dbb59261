"""Whatever the order in which things happen while calls are under way, the rules of order and consent hold.

One customer, a Stamped.io whose every call waits to be answered, and the reference of `tests.sequences`.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from app.engine import NotTaking, Outcome
from app.engine.operations import NoRecord
from app.ledger import triggers
from app.ledger.stored import Stored
from tests.engine.support import Call, Room, change, room
from tests.sequences.reference import Consent, Reference
from tests.support import BY, SCOPE

ME = "1"


@dataclass(frozen=True)
class Send:
    """A new change; `patient`: its caller waits, else it is promised at once."""

    minute: int | None
    patient: bool
    consent: Consent = None
    mail: int = 0


@dataclass(frozen=True)
class On:
    """Something that happens to an earlier change."""

    what: Literal["repeat", "repeat_promised", "retry", "cancel", "promise"]
    which: int


@dataclass(frozen=True)
class Sync:
    """An operator's Manual Sync, which asks for what is wanted; or the re-run of an earlier one, or its end."""

    patient: bool
    what: Literal["new", "retry", "cancel"]


@dataclass(frozen=True)
class Answer:
    """Stamped.io answers the call that is open. `late`: not at all, and it takes effect when time passes."""

    outcome: Literal["ok", "away", "lost", "late", "refused"]


@dataclass(frozen=True)
class Pass:
    """Time passes."""

    minutes: float


Step = Send | On | Sync | Answer | Pass
_consents: st.SearchStrategy[Consent] = st.sampled_from(("yes", "no", None, "maybe"))
steps: st.SearchStrategy[list[Step]] = st.lists(
    st.one_of(
        st.builds(Send, st.none() | st.integers(0, 5), st.booleans(), _consents, st.integers(0, 2)),
        st.builds(Answer, st.sampled_from(("ok", "ok", "away", "away", "lost", "late", "refused"))),
        st.builds(Answer, st.just("ok")),
        st.builds(
            On,
            st.sampled_from(("repeat", "repeat_promised", "retry", "cancel", "cancel", "promise")),
            st.integers(0, 20),
        ),
        st.builds(Sync, st.booleans(), st.sampled_from(("new", "new", "retry", "cancel"))),
        st.builds(Pass, st.sampled_from((0.7, 23, 70, 400))),
    ),
    min_size=3,
    max_size=25,
)


class World:
    """One customer's changes as they are sent, and what must hold after each step."""

    def __init__(self, here: Room) -> None:
        self._room = here
        self._reference = Reference()
        self._news: list[triggers.NewTransfer] = []
        self._late: list[Call] = []
        self._may_double = False

    async def take(self, step: Step) -> None:
        match step:
            case Send(minute, patient, consent, mail):
                self._send(minute, consent, mail, patient=patient)
            case On(what, which) if self._news:
                await self._do(what, which % len(self._news))
            case Sync(patient, what):
                await self._sync(what, patient=patient)
            case Answer(outcome) if self._room.stamped.open:
                self._answer(outcome)
            case Pass(minutes):
                self._let_it_happen()
                await self._room.advance(minutes * 60)
        await self._room.still()
        await self._note_cancelled()
        await self.check()

    def _send(self, minute: int | None, consent: Consent, mail: int, *, patient: bool) -> None:
        version = len(self._news)
        self._reference.add(ME, minute, consent, str(version))
        moment = None if minute is None else f"2026-11-24T10:{minute:02}:00Z"
        email = f"address{mail}@example.com"
        self._news.append(change(version, moment, email=email, consent=consent))
        self._room.send(self._news[-1], wait=None if patient else 0)

    async def _do(self, what: str, which: int) -> None:
        new = self._news[which]
        if what.startswith("repeat"):
            self._room.send(new, wait=0 if what == "repeat_promised" else None)
            return
        transfer = next(row for row in await self._room.rows() if row.repeat_key == new.repeat_key)
        match what:
            case "retry":
                self._room.callers.append(asyncio.create_task(self._room.engine.rerun(transfer)))
            case "cancel":
                await self._room.operations.cancel(transfer, BY)
            case "promise":  # what happens when a caller's patience ends
                await self._room.database.run(triggers.promise, transfer.seq)

    async def _sync(self, what: str, *, patient: bool) -> None:
        if what == "new":
            sync = self._room.operations.sync_customer(self._room.connection, ME, None, None if patient else 0, BY)
            self._room.callers.append(asyncio.create_task(sync))
            return
        for row in await self._room.rows():
            if row.trigger == "manual" and what == "cancel":
                await self._room.operations.cancel(row, BY)
            elif row.trigger == "manual" and row.status in {"failed", "cancelled"}:
                self._room.callers.append(asyncio.create_task(self._room.engine.rerun(row)))
                return

    def _answer(self, outcome: str) -> None:
        call = self._room.stamped.open[0]
        if outcome == "refused" and call.kind not in {"add", "update"}:
            outcome = "away"
        if outcome == "late":
            self._may_double = True
            self._late.append(call)
        self._room.stamped.release(call, outcome)

    def _let_it_happen(self) -> None:
        while self._late:
            self._late.pop().happen()

    async def _note_cancelled(self) -> None:
        """What is taken back, and what is not any more."""
        cancelled = {row.repeat_key for row in await self._room.rows() if row.status == "cancelled"}
        versions = {str(number) for number, new in enumerate(self._news) if new.repeat_key in cancelled}
        self._reference.taken_back = set(versions)

    async def check(self) -> None:
        """Holds at any moment."""
        rows = await self._room.rows()
        running = [row for row in rows if row.status == "running"]
        waiting = [row for row in rows if row.status in {"accepted", "waiting"}]
        assert self._room.stamped.most_at_once <= 1
        assert self._room.engine.running == bool(running) == len(self._room.stamped.open), "something is stuck"
        now = self._room.clock.now().timestamp()
        due = [row for row in waiting if (row.next_attempt_at or 0) <= now]
        assert running or not due or self._waits_for_stamped(), "what is due and could run, runs"
        for caller in self._room.callers:
            if caller.done():
                self._check_answer(caller)

    def _waits_for_stamped(self) -> bool:
        """It does not answer, and it is not yet time to look again."""
        pauses = self._room.engine.gates.at(SCOPE).gate.pauses
        return pauses.at(self._room.now) is not None and not pauses.is_to_probe(self._room.now)

    @staticmethod
    def _check_answer(caller: asyncio.Task[list[Outcome] | Outcome | None]) -> None:
        if isinstance(caller.exception(), NoRecord | NotTaking):
            return
        answer = caller.result()
        for outcome in answer if isinstance(answer, list) else [answer] if answer else []:
            assert outcome.transfer.is_final or outcome.transfer.promised, "neither a last word nor a promise"

    async def end(self) -> None:
        """Stamped.io answers everything from now on, and all the time passes that anything waits for."""
        self._let_it_happen()
        for _ in range(100):
            while self._room.stamped.open:
                await self._room.release("ok", again=False)
                await self.check()
            if all(row.is_final for row in await self._room.rows()):
                break
            await self._room.advance(7 * 3600)
        for _ in range(3):  # what is in doubt is looked at
            await self._room.advance(60)
            await self._room.release_all()
        rows = await self._room.rows()
        assert all(row.is_final for row in rows), "a state without an exit"
        assert all(caller.done() for caller in self._room.callers), "a caller waits for nothing"
        assert self._room.engine._watchers._watches == {}
        assert len(self._room.stamped.people) <= 1 or self._may_double, "created twice"
        self._check_superseded(rows)
        self._check_customer(rows)

    def _check_superseded(self, rows: list[Stored]) -> None:
        """Who follows `superseded_by` comes to a change that had its turn."""
        by_id = {row.id: row for row in rows}
        for row in rows:
            last = row
            for _ in rows:
                if last.status == "skipped":
                    last = by_id[last.superseded_by or ""]
            assert last is row or last.status in {"succeeded", "failed"}, "superseded by nothing"

    def _check_customer(self, rows: list[Stored]) -> None:
        newest, said = self._reference.newest(ME), self._reference.consent(ME)
        people = self._room.stamped.people
        if newest is None or not people:
            return
        by_version = {str(self._version(row)): row for row in rows if row.repeat_key}
        ended = by_version[newest.version]
        assert ended.status in {"succeeded", "failed"}, "the newest was superseded"
        held = people.get(ended.external_id or "") or next(iter(people.values()))
        if ended.status == "succeeded":
            assert str(held.version) == newest.version, "what is held is not the newest"
        if said is None:
            return
        told = by_version[said.version]
        later = any((row.finished_at or 0) > (told.finished_at or 0) for row in rows if row.status == "succeeded")
        if said.consent == "no" and (told.status != "failed" or later):
            assert not held.subscribed, "a no was lost"
        if said is newest and said.consent == "yes" and ended.status == "succeeded":
            assert held.subscribed, "a yes was lost"

    def _version(self, row: Stored) -> int:
        return next(number for number, new in enumerate(self._news) if new.repeat_key == row.repeat_key)


@settings(max_examples=50, suppress_health_check=[HealthCheck.too_slow])
@given(steps)
@example(  # two changes of one minute: a failing one must not end the one that came later
    [Send(1, patient=False), Send(1, patient=False), *[Answer("away")] * 3],
)
@example(  # the newest was sent already when an older one arrives
    [Send(5, patient=True), Answer("ok"), Send(1, patient=True), Answer("ok")],
)
@example(  # it was created, nobody heard of it, and then its e-mail changed
    [
        *(Send(None, patient=False, mail=1), Answer("lost"), Answer("away"), Answer("away")),
        *(Send(None, patient=True, mail=2), Answer("ok")),
    ],
)
@example(  # a re-run of an old Manual Sync must not bring back what has been changed since
    [
        *(Send(1, patient=True), Answer("ok"), Sync(patient=True, what="new"), Answer("refused")),
        *(Answer("away"), Answer("away"), Answer("away"), Send(2, patient=True), Answer("ok")),
        *(Sync(patient=True, what="retry"), Answer("ok")),
    ],
)
@example(  # an older one runs while the newer waits for its next try
    [
        *(Send(5, patient=False), Answer("lost"), Answer("away"), Answer("away")),
        *(Send(1, patient=True), On("retry", 0), Pass(23), Answer("ok")),
    ],
)
@example(  # Stamped.io stops answering, does not at its probe either, and then does
    [
        *(Send(1, patient=True), Answer("ok"), Send(2, patient=True, consent="no"), *[Answer("late")] * 3),
        *(Send(3, patient=False), Answer("away"), Answer("lost"), Send(4, patient=True), Pass(0.7)),
        *(Answer("away"), Send(None, patient=True), Pass(0.7), Answer("ok")),
    ],
)
@example(  # a no arrives while the yes is being sent, and is late by its own date
    [
        *(Send(3, patient=True, consent=None), Answer("ok"), Send(2, patient=True, consent="no"), Answer("ok")),
    ],
)
def test_the_rules_hold(empty_file: Path, taken: list[Step]) -> None:
    async def run(directory: str) -> None:
        path = Path(directory) / "bridge.db"
        shutil.copy(empty_file, path)
        async with room(path, consent=True) as here:
            world = World(here)
            for step in taken:
                await world.take(step)
            await world.end()

    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(run(directory))
