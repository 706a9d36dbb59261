"""What happens at iPaaS.com while replicas die, and what must stand at Stamped.io in the end.

Callers insist on an answer. The reference is a few lines (`Person.wanted`): it knows nothing of how the product
gets there. So that they are enough, one person's changes are told one after the other, and nothing follows a
change that is cancelled.
"""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any, Literal
from uuid import UUID

import httpx
import psycopg

from tests.durable.nursery import DESTINATION
from tests.durable.support import ASYNC, Bridge, StandIn, until

BEGIN = datetime(2026, 11, 24, 10, tzinfo=UTC)
STORY: dict[str, Any] = {
    "SUBSCRIPTION_FIELD": "Consent",
    "STAMPED_TIMEOUT_SECONDS": "1",
    "RETRY_UNIT_SECONDS": "0.05",
}
_LATEST_CANCEL_SECONDS = 0.5
_REST = """
    SELECT (SELECT count(*) FROM customers WHERE owner IS NOT NULL OR due_at IS NOT NULL OR doubt IS NOT NULL)
        + (SELECT count(*) FROM transfers WHERE status IN ('accepted', 'running', 'waiting'))
        + (SELECT count(*) FROM sync_blocks)
"""
Call = Callable[[Bridge], Awaitable[httpx.Response]]
Consents = tuple[bool | None, ...]
Way = Literal["record", "fetched", "body"]


def look(database_url: str, statement: str) -> list[tuple[Any, ...]]:
    """Into a database that a replica is at work on."""
    if database_url.startswith("sqlite"):
        with closing(sqlite3.connect(database_url.removeprefix("sqlite:///"), timeout=20)) as opened:
            return opened.execute(statement).fetchall()
    with psycopg.connect(database_url, autocommit=True) as connection:
        return connection.execute(statement.encode()).fetchall()


@dataclass(frozen=True)
class Version:
    """A change of a person; `came` = its record came along, else a newer one may have been fetched instead."""

    number: int
    email: str
    consent: bool | None
    came: bool

    @property
    def name(self) -> str:
        return f"version {self.number}"


@dataclass
class Person:
    """A customer of iPaaS.com. Half of them say when they were changed; only those can be fetched at any time."""

    number: int
    versions: list[Version] = field(default_factory=list)
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    cancelled: str | None = None
    """The transfer of the last version, if that was to be cancelled."""
    is_at_ipaas: bool = False
    """Their record can be fetched there."""

    @property
    def is_dated(self) -> bool:
        return bool(self.number % 2)

    @property
    def key(self) -> str:
        return f"C-{self.number}"

    def change(
        self, rng: random.Random, consents: Consents = (True, False, None), *, came: bool = True
    ) -> Version:
        """Their next version, which often has another e-mail; with one of these consents."""
        number = len(self.versions) + 1
        email = f"person{self.number}.{number}@example.com"
        if self.versions and rng.random() < 0.6:
            email = self.versions[-1].email
        self.versions.append(Version(number, email, rng.choice(consents), came))
        return self.versions[-1]

    def record(self, version: Version) -> dict[str, Any]:
        said = [] if version.consent is None else [{"custom_field_name": "Consent", "value": version.consent}]
        record: dict[str, Any] = {
            "id": self.number,
            "customer_number": self.key,
            "first_name": version.name,
            "email_address": version.email,
            "custom_fields": said,
        }
        if self.is_dated:
            record["updated_datetime"] = (BEGIN + timedelta(seconds=version.number)).isoformat()
        return record

    def wanted(self, *, without_last: bool) -> tuple[Version, set[bool]]:
        """The newest version, and the subscriptions that are right."""
        known = self.versions[:-1] if without_last else self.versions
        newest = known[-1]
        if newest.consent is not None:
            return newest, {newest.consent}
        said: set[bool] = set()  # by the newest that could be read; and what may have been, since
        for version in reversed(known):
            if version.consent is not None:
                said.add(version.consent)
                if version.came:
                    break
        may_be_applied = not said and without_last and self.versions[-1].consent is True
        return newest, {True, False} if True in said or may_be_applied else {False}


@dataclass
class Findings:
    """What is wrong in the end; empty lists are right."""

    transfers: int
    verified: int
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    stale: list[str] = field(default_factory=list)
    consent: list[str] = field(default_factory=list)

    @property
    def found(self) -> dict[str, list[str]]:
        return {
            "lost": self.lost,
            "doubled": self.doubled,
            "stale": self.stale,
            "wrong in consent": self.consent,
        }

    @property
    def wrong(self) -> dict[str, list[str]]:
        return {kind: found for kind, found in self.found.items() if found}


class Story:
    """Callers and operators of some replicas on one database."""

    def __init__(
        self, bridges: Sequence[Bridge], stand_in: StandIn, rng: random.Random, *, patience: float = 0
    ) -> None:
        self._bridges = bridges
        self._stand_in = stand_in
        self._rng = rng
        self._patience = patience
        self.people: list[Person] = []
        self.promised: dict[str, str] = {}
        """Each transfer, and what its caller was told last."""
        self.syncs: dict[str, bool] = {}
        """Each sync, and whether it was to be cancelled."""
        self.answers: Counter[int] = Counter()
        self.without_retry_after: list[str] = []

    def add_person(self) -> Person:
        self.people.append(Person(len(self.people) + 1))
        return self.people[-1]

    async def tell(self, person: Person) -> None:
        """One change, whose record comes along or is fetched; or two at once, also in the wrong order."""
        async with person.turn:
            if person.cancelled:
                return
            chance = self._rng.random()
            if chance < 0.2:
                await self._tell_two(person)
                return
            fetched = person.is_dated and chance < 0.45
            version = person.change(self._rng, came=not fetched)
            if person.is_dated:
                await self._at_ipaas(person)
            by_hand = not fetched and chance > 0.95
            await self._send(person, version, "fetched" if fetched else "body" if by_hand else "record")

    async def _tell_two(self, person: Person) -> None:
        """The first of them is mostly superseded before it is sent: a "no" in it must be heard all the same."""
        changes = [person.change(self._rng, (True, False, False)), person.change(self._rng, (True, None, None))]
        if person.is_dated:
            await self._at_ipaas(person)
            self._rng.shuffle(changes)
        for version in changes:
            await self._send(person, version, "record", patience=0)

    async def cancel(self, person: Person) -> None:
        """Their last change, which is cancelled if it has not begun; before it they have one that stays."""
        async with person.turn:
            if person.cancelled or not person.versions:
                return
            person.cancelled = await self._send(person, person.change(self._rng), "record", patience=0)
            await asyncio.sleep(
                self._rng.choice((0, self._rng.uniform(0, _LATEST_CANCEL_SECONDS)))
            )  # a random point
            path = f"/transfers/{person.cancelled}/cancel"
            answer = await self._insist(lambda bridge: bridge.operate("POST", path))
            assert answer.status_code in {200, 409}, answer.text

    async def sync_one(self, person: Person) -> None:
        """Manual Sync, of what iPaaS.com has."""
        if not person.is_at_ipaas or person.cancelled:
            return
        path = f"/customers/{person.number}/sync"
        answer = await self._insist(lambda bridge: bridge.operate("POST", path, headers=ASYNC))
        self._note(answer)

    async def sync_many(self, people: Sequence[Person], *, cancelled: bool) -> None:
        ids = [str(each.number) for each in people if each.is_at_ipaas]
        if not ids:
            return
        started = await self._insist(lambda bridge: bridge.operate("POST", "/syncs", json={"customer_ids": ids}))
        assert started.status_code == HTTPStatus.ACCEPTED, started.text
        sync_id = started.json()["sync_id"]
        self.syncs[sync_id] = cancelled
        if cancelled:
            await self._insist(lambda bridge: bridge.operate("POST", f"/syncs/{sync_id}/cancel"))

    async def act(self) -> None:
        """Something that somebody does at random."""
        person = self._rng.choice(self.people)
        if person.cancelled:
            person = self.add_person()
        chance = self._rng.random()
        if chance < 0.9:
            await self.tell(person)
        elif chance < 0.94:
            await self.cancel(person)
        elif chance < 0.97:
            await self.sync_one(person)
        else:
            people = self._rng.sample(self.people, min(len(self.people), 5))
            await self.sync_many(people, cancelled=chance > 0.985)

    async def rest(self, seconds: float = 20) -> None:
        """Until nothing is open, and nobody in doubt."""
        url = self._bridges[0].environment["DATABASE_URL"]

        async def at_rest() -> bool:
            return (await asyncio.to_thread(look, url, _REST)) == [(0,)]

        await until(at_rest, "every transfer ended, and nobody is in doubt", seconds)

    async def compare(self) -> Findings:
        """What is at Stamped.io and in the ledger with what is wanted."""
        bridge = self._bridges[0]
        transfers = {each["transfer_id"]: each async for each in bridge.transfers()}
        verified = sum(each["trigger"] == "verify" for each in transfers.values())
        findings = Findings(len(transfers), verified)
        self._compare_transfers(transfers, findings)
        for sync_id, cancelled in self.syncs.items():
            counts = (await bridge.operate("GET", f"/syncs/{sync_id}")).json()
            if counts["remaining"] or counts["failed"] or (counts["cancelled"] and not cancelled):
                findings.lost.append(f"{counts}")
        held: dict[str, list[dict[str, Any]]] = {}
        for each in await self._stand_in.customers():
            held.setdefault(each["externalId"], []).append(each)
        for person in self.people:
            self._compare_person(person, transfers, held.pop(person.key, []), findings)
        findings.doubled += [f"{key} is nobody" for key in held]
        return findings

    def _compare_transfers(self, transfers: dict[str, dict[str, Any]], findings: Findings) -> None:
        findings.lost += [f"{each} was promised and is gone" for each in set(self.promised) - set(transfers)]
        may_be_cancelled = {each.cancelled for each in self.people}
        for transfer_id, each in transfers.items():
            ended = each
            seen = {transfer_id}
            while ended["status"] == "skipped" and ended["superseded_by"] not in {None, *seen}:
                ended = transfers[ended["superseded_by"]]
                seen.add(ended["transfer_id"])
            cancelled = each["status"] == "cancelled" and (
                transfer_id in may_be_cancelled or each["trigger"] == "sync"
            )
            if each["status"] == "failed" and each["trigger"] == "manual" and transfer_id not in self.promised:
                continue  # its caller had the error, and began another one
            if not cancelled and (ended["status"], ended["customer_id"]) != ("succeeded", each["customer_id"]):
                findings.lost.append(f"{each}, in the end {ended}")
            if self.promised.get(transfer_id) == "succeeded" != each["status"]:
                findings.lost.append(f"{each} had succeeded, as its caller was told")

    def _compare_person(
        self, person: Person, transfers: dict[str, Any], held: list[dict[str, Any]], findings: Findings
    ) -> None:
        if not person.versions:
            return
        last = transfers.get(person.cancelled or "", {}).get("status")
        newest, subscribed = person.wanted(without_last=last == "cancelled")
        story = f"{person.key}, last {last}: {person.versions[-4:]}; held: {held}"
        if not held:
            findings.lost.append(story)
        elif len(held) > 1:
            findings.doubled.append(story)
        elif (held[0]["firstName"], held[0]["email"]) != (newest.name, newest.email):
            findings.stale.append(story)
        elif held[0]["isSubscribed"] not in subscribed:
            findings.consent.append(f"{story}; right: {subscribed}")

    async def _at_ipaas(self, person: Person) -> None:
        await self._stand_in.holds_record(str(person.number), person.record(person.versions[-1]))
        person.is_at_ipaas = True

    async def _send(self, person: Person, version: Version, way: Way, patience: float | None = None) -> str:
        """Until it is taken; its transfer."""
        patience = self._rng.choice((0, self._patience)) if patience is None else patience
        prefer = {"Prefer": f"wait={patience:g}"} if patience else ASYNC
        record = person.record(version)
        notification: dict[str, Any] = {
            "id": person.number,
            "scope": "customer/updated",
            "destination": DESTINATION,
            "tracking_guid": str(UUID(int=self._rng.getrandbits(128))),
        }
        if way == "record":
            notification["customer"] = record

        async def call(bridge: Bridge) -> httpx.Response:
            if way == "body":
                path = f"/customers/{person.number}/sync"
                return await bridge.operate("POST", path, headers=prefer, json=record)
            return await bridge.post(notification, **prefer)

        return self._note(await self._insist(call))

    def _note(self, answer: httpx.Response) -> str:
        assert answer.status_code in {200, 202}, answer.text
        (result,) = answer.json()["results"]
        self.promised[result["transfer_id"]] = result["status"]
        return str(result["transfer_id"])

    async def _insist(self, call: Call) -> httpx.Response:
        """Any replica, again and again until one answers what is no error of a server's."""
        while True:
            ready = [each for each in self._bridges if each.ready.is_set()]
            bridge = self._rng.choice(ready or self._bridges)
            await bridge.ready.wait()
            try:
                answer = await call(bridge)
            except httpx.TransportError:
                await asyncio.sleep(0)
                continue
            self.answers[answer.status_code] += 1
            if answer.status_code < HTTPStatus.INTERNAL_SERVER_ERROR:
                return answer
            if answer.status_code == HTTPStatus.SERVICE_UNAVAILABLE and "Retry-After" not in answer.headers:
                self.without_retry_after.append(answer.text)
            await asyncio.sleep(0.02)  # a caller that honours Retry-After, in small
