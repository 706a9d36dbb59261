"""Any sequence of what may happen to two customers, through the real service: what the rules promise holds.

A reference of a few lines says what is wanted; it knows nothing of how the product gets there.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from app.engine import dispatcher
from app.ledger.tables import RERUNNABLE
from tests.sequences.reference import Consent, Reference
from tests.sequences.world import TIMEOUT, Customer, World, open_world, record
from tests.support import FakeClock, make_settings


@dataclass(frozen=True)
class Tell:
    """A notification with its record; its caller waits, or does not."""

    who: str
    minute: int | None
    consent: Consent
    patient: bool
    mail: int


@dataclass(frozen=True)
class Hook:
    """A notification without its record, which iPaaS.com may have, late, or may refuse to hand out."""

    who: str
    minute: int
    consent: Consent
    status: int
    patient: bool


@dataclass(frozen=True)
class On:
    """Something that is done to an earlier transfer."""

    what: Literal["repeat", "retry", "cancel"]
    which: int


@dataclass(frozen=True)
class ByHand:
    """Manual Sync, with the record as its body or without; or a sync of many, cancelled at once or not."""

    who: str
    what: Literal["body", "none", "sync", "cancelled sync"]
    minute: int | None
    consent: Consent


@dataclass(frozen=True)
class Stamped:
    """How it answers from now on, or the next calls."""

    what: Literal["down", "up", "lost", "late", "timeout", "refuse", "gone"]


@dataclass(frozen=True)
class Pass:
    """Time passes; what had no answer takes effect before."""

    seconds: float


Step = Tell | Hook | On | ByHand | Stamped | Pass
_who = st.sampled_from(("A", "B"))
_minutes = st.none() | st.integers(1, 6)
_consents: st.SearchStrategy[Consent] = st.sampled_from(("yes", "no", "no", None, "maybe"))
steps: st.SearchStrategy[list[Step]] = st.lists(
    st.one_of(
        st.builds(Tell, _who, _minutes, _consents, st.booleans(), st.sampled_from((0, 0, 0, 1, 2))),
        st.builds(Tell, st.just("A"), _minutes, _consents, st.booleans(), st.just(0)),
        st.builds(Hook, _who, st.integers(1, 6), _consents, st.sampled_from((200, 200, 503, 401)), st.booleans()),
        st.builds(On, st.sampled_from(("repeat", "retry", "cancel", "cancel")), st.integers(0, 30)),
        st.builds(ByHand, _who, st.sampled_from(("body", "none", "sync", "cancelled sync")), _minutes, _consents),
        st.builds(Stamped, st.sampled_from(("down", "down", "up", "lost", "late", "timeout", "refuse", "gone"))),
        st.builds(Pass, st.sampled_from((6.0, 40.0, 70.0))),
    ),
    min_size=3,
    max_size=14,
)


class Story:
    """Takes the steps, each to its rest, and keeps the reference beside them."""

    def __init__(self, here: World) -> None:
        self._here = here
        self.reference = Reference()
        self._sent: list[tuple[str, dict[str, Any] | None]] = []
        """Where each transfer is, and the record that was sent along."""
        self._number = 0
        self.wrong: list[str] = []
        self._may_double = False
        here.stamped.witness = self._subscribing
        here.ipaas.handing_out = self._hand_out

    async def take(self, step: Step) -> None:
        here = self._here
        match step:
            case Tell(who, minute, consent, patient, mail):
                await self._send(self._record(who, minute, consent, mail), patient=patient)
            case Hook(who, minute, consent, status, patient):
                here.ipaas.status = status
                here.ipaas.records[who] = self._record(who, minute, consent, 0, is_sent=False)
                asked = here.ipaas.asked
                answer = await here.tell(None, customer=who, promised=not patient)
                self._note(answer, None)
                await here.until(lambda: here.ipaas.was_asked_since(asked))  # a pause is shown, and is no rest
                await here.until(here.at_rest)
                here.ipaas.status = 200
            case On(what, which) if self._sent:
                await self._do(what, *self._sent[which % len(self._sent)])
            case ByHand(who, what, minute, consent):
                await self._by_hand(who, what, minute, consent)
            case Stamped(what):
                self._stamped(what)
            case Pass(seconds):
                here.stamped.happen()
                await here.pass_time(seconds)
        await here.until(here.at_rest)

    async def end(self) -> None:
        """Everything answers from now on, and all the time passes that anything waits for."""
        here = self._here
        here.stamped.script.clear()
        here.stamped.happen()
        await here.up()
        assert self.wrong == [], "subscribed without consent"
        for who in ("A", "B"):
            await self._check(who)

    async def _check(self, who: str) -> None:
        """Of one customer, when all is at rest."""
        items = await self._here.transfers(customer_id=who)
        transfers = [await self._here.show(f"/transfers/{each['transfer_id']}") for each in items]
        by_id = {each["transfer_id"]: each for each in transfers}
        for each in transfers:
            if each["status"] == "skipped" and each["superseded_by"]:
                assert by_id[each["superseded_by"]]["status"] != "cancelled", "superseded by what was taken back"
        by_version = {each["record"]["first_name"]: each for each in transfers if each["record"]}
        newest, said = self.reference.newest(who), self.reference.consent(who)
        stamped = self._here.stamped
        mine = [each for each in stamped.customers if each.fields.get("externalId") == f"C-{who}"]
        there = [each for each in mine if each.id not in stamped.gone]
        assert len(there) <= 1 or self._may_double, "created twice"
        if newest is None or not there:
            return
        ended, linked = (by_version[newest.version][name] for name in ("status", "external_id"))
        assert ended in {"succeeded", "failed"}, "the newest was superseded"
        held = next((each for each in there if str(each.id) == linked), there[-1])
        unverified = any(each["trigger"] == "verify" and each["status"] == "failed" for each in transfers)
        if ended == "succeeded" and not unverified:  # a refused verification leaves what a late call has done
            assert held.version == newest.version, "what is held is not the newest"
        if said is None:
            assert not held.subscribed or self._took_back_a_yes(who), "subscribed without consent"
            return
        told = by_version[said.version]
        later = [each for each in transfers if each["status"] == "succeeded"]
        if said.consent == "no" and (told["status"] != "failed" or _after(told, later)):
            assert not held.subscribed, "a no was lost"
        if said.consent == "yes" and said is newest and ended == "succeeded":
            assert held.subscribed, "a yes was lost"

    def _took_back_a_yes(self, who: str) -> bool:
        """It may have been applied before it was taken back."""
        taken_back = (each for each in self.reference.changes if each.version in self.reference.taken_back)
        return any(each.who == who and each.consent == "yes" for each in taken_back)

    async def _send(self, sends: dict[str, Any], *, patient: bool) -> None:
        answer = await self._here.tell(sends, promised=not patient)
        self._note(answer, sends)

    def _note(self, answer: Any, sends: dict[str, Any] | None) -> None:
        body = answer.json()
        where = body.get("instance") or f"/transfers/{body['results'][0]['transfer_id']}"
        self._sent.append((where, sends))

    def _record(
        self, who: str, minute: int | None, consent: Consent, mail: int, *, is_sent: bool = True
    ) -> dict[str, Any]:
        self._number += 1
        version = f"{who}{self._number} {consent} {'-' if minute is None else minute}"
        email = f"person{who}@example.com" if mail == 0 else f"traded{mail}@example.com"
        if is_sent:
            self.reference.add(who, minute, consent, version)
        return record(minute, consent, customer=who, email=email, version=version)

    async def _do(self, what: str, where: str, sends: dict[str, Any] | None) -> None:
        here, reference = self._here, self.reference
        before = await here.show(where)
        version = _version(before)
        if what == "repeat" and before["trigger"] != "webhook":
            return
        keeps_its_own = sends is not None or before["status"] == "waiting"  # else one is fetched, and handed out
        if what != "cancel" and version and before["status"] in RERUNNABLE and keeps_its_own:
            reference.again(version)
        if what == "repeat":
            await here.tell(sends, guid=before["tracking_guid"], customer=before["customer_id"])
        else:
            answer = await here.operate("POST", f"{where}/{what}")
            if answer.status_code == HTTPStatus.CONFLICT:
                return
        await here.until(here.at_rest)
        after = await here.show(where)
        if what == "cancel" and version and after["status"] == "failed":  # its re-run only
            reference.not_again(version, is_kept=version == _version(after))
        self._note_cancelled(after)

    def _note_cancelled(self, shown: dict[str, Any]) -> None:
        """What its record says is taken back, or is not any more."""
        taken_back = self.reference.taken_back
        (taken_back.add if shown["status"] == "cancelled" else taken_back.discard)(_version(shown))

    async def _by_hand(self, who: str, what: str, minute: int | None, consent: Consent) -> None:
        here = self._here
        here.ipaas.records.setdefault(who, self._record(who, 1, None, 0, is_sent=False))
        if what == "body":
            latest = self.reference.newest(who)
            sends = self._record(who, minute, consent, 0)
            if latest is not None and latest.minute is not None:  # it counts as the newest
                self.reference.changes[-1].minute = max(minute or latest.minute, latest.minute)
            answer = await here.operate("POST", f"/customers/{who}/sync", json=sends)
            self._note(answer, sends)
        elif what == "none":
            answer = await here.operate("POST", f"/customers/{who}/sync")
            self._note(answer, None)
        else:
            where = await here.sync(who)
            if what == "cancelled sync":
                await here.until(here.at_rest)
                await here.cancel(where)
                for each in await here.transfers(sync_id=where.rsplit("/", 1)[-1]):
                    self._note_cancelled(await here.show(f"/transfers/{each['transfer_id']}"))

    def _stamped(self, what: str) -> None:
        stamped = self._here.stamped
        if what in {"down", "up"}:
            stamped.down = what == "down"
        elif what == "refuse":
            stamped.on("add", "422")
            stamped.on("update", "422")
        elif what == "gone":
            self._may_double = True
            stamped.gone |= {each.id for each in stamped.customers[:1]}
        else:
            self._may_double |= what != "lost"  # one that is created after everybody looked for it
            for operation in ("add", "update", "subscribe", "unsubscribe"):
                stamped.on(operation, what)

    def _subscribing(self, customer: Customer) -> None:
        who = str(customer.fields.get("externalId", "")).removeprefix("C-")
        said = self.reference.consent(who)
        if said is None or said.consent != "yes":
            self.wrong.append(f"{who}: {said}")

    def _hand_out(self, kept: dict[str, Any]) -> dict[str, Any]:
        """A record that is fetched is in hand from now on; each time it is another version, to tell them apart."""
        self._number += 1
        handed = kept | {"first_name": f"{kept['first_name']} #{self._number}"}
        fields = handed["custom_fields"]
        moment = handed.get("updated_datetime")
        minute = int(moment[14:16]) if moment else None
        self.reference.add(handed["id"], minute, fields[0]["value"] if fields else None, handed["first_name"])
        return handed


def _version(shown: dict[str, Any]) -> str | None:
    version: str | None = shown["record"]["first_name"] if shown["record"] else None
    return version


def _after(one: dict[str, Any], others: list[dict[str, Any]]) -> bool:
    return any(each["finished_at"] > one["finished_at"] for each in others)


@settings(max_examples=12, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(steps)
@example([Tell("A", 1, "yes", patient=True, mail=0), Pass(2 * TIMEOUT)])
@example(
    [
        Hook("A", 2, "no", 200, patient=False),
        Tell("A", None, None, patient=False, mail=0),  # the newest, by its receipt
        Tell("A", 1, "no", patient=False, mail=0),
        Tell("A", 1, "yes", patient=False, mail=0),
    ]
)
@example(
    [
        Tell("A", 4, "maybe", patient=True, mail=0),  # fails
        Tell("A", None, None, patient=False, mail=0),  # newer, by its receipt
        Hook("A", 3, "no", 200, patient=False),  # newer than that
        On("repeat", 0),  # newer than that, by its date
    ]
)
@example(
    [
        Tell("A", 4, "maybe", patient=True, mail=0),
        Stamped("down"),
        Tell("A", None, None, patient=False, mail=0),
        Tell("A", 3, None, patient=False, mail=0),
        On("retry", 0),
        On("cancel", 0),  # what it replaced is wanted again
    ]
)
def test_whatever_happens_the_rules_hold(
    empty_file: Path, monkeypatch: pytest.MonkeyPatch, taken: list[Step]
) -> None:
    monkeypatch.setattr(dispatcher, "_LOOK_SECONDS", 0.003)

    async def run(directory: str) -> None:
        shutil.copy(empty_file, Path(directory) / "bridge.db")
        async with open_world(partial(make_settings, Path(directory)), FakeClock(), ipaas=True) as here:
            story = Story(here)
            for step in taken:
                await story.take(step)
            await story.end()

    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(run(directory))
