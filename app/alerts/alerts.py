"""Looks at the verdict now and then, and tells what is new of it; which replica does is settled in the ledger."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

import structlog

from app.alerts.sending import Sender, Sent
from app.ledger import alerts
from app.ledger.faults import DatabaseGone
from app.telemetry.quiet import Quiet
from app.verdict import KINDS
from app.verdict.words import span

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from app.alert_urls import Target
    from app.clock import Clock
    from app.connections import Connections
    from app.engine import Engine
    from app.ledger.alerts import Key, Trouble, What
    from app.ledger.database import Database
    from app.verdict import Cause, Judge

log = structlog.stdlib.get_logger("alerts")

_LOOK_SECONDS: Final = 15.0
_TITLE: Final = "iPaaS.com to Stamped.io"
_OWN: Final = {"service", "database"}
_STATES: Final = {"ok": "works", "warn": "needs a look", "fail": "needs help"}
TEST: Final = "This is a test of ALERT_URLS: alerts arrive here."


class Alerts:
    """`page`: the address of the Monitoring page, as somebody last opened it; None = unknown."""

    def __init__(  # noqa: PLR0913 - what they stand on
        self,
        targets: Sequence[Target],
        judge: Judge,
        engine: Engine,
        connections: Connections,
        database: Database,
        clock: Clock,
    ) -> None:
        self._sender = Sender(targets)
        self._judge = judge
        self._engine = engine
        self._connections = connections
        self._database = database
        self._clock = clock
        self._quiet = Quiet(clock.monotonic)
        self._alone: dict[Key, Trouble] = {}
        """This replica's own trouble, which no database can keep."""
        self.page: str | None = None

    @property
    def are_set(self) -> bool:
        """Whether there is any target."""
        return bool(self._sender.targets)

    async def live(self) -> None:
        """Until cancelled. Without targets nothing is done."""
        while self.are_set:
            await self._clock.sleep(_LOOK_SECONDS)
            try:
                await self.look()
            except Exception:
                log.exception("alerts broke")

    async def look(self) -> None:
        """Tell what is new. Nothing while the service stops."""
        if self._engine.draining:
            return
        verdict = await self._judge.verdict()
        causes = {_key(each): each for each in verdict.causes if _alerts(each)}
        for key, (what, trouble) in (await self._claimed(causes)).items():
            if what == "begun":
                sent = await self._send(_STATES[causes[key].state], causes[key].alert)
            else:
                lasted = span(trouble.seen_at - trouble.begun_at)
                text = f"Over after {lasted}: {self._named(key)}. Now: {verdict.own}."
                sent = await self._send("over", text)
            if what == "begun" and not any(each.sent for each in sent):
                await self._take_back(key)

    async def test(self) -> list[Sent]:
        """A message that asks for nothing; what became of it at each target."""
        return await self._send("test", TEST)

    async def _claimed(self, causes: Mapping[Key, Cause]) -> dict[Key, tuple[What, Trouble]]:
        """What this replica is to tell: of all, as the ledger has it; of its own trouble, by itself."""
        now = self._engine.pulse.now()
        present = {key: KINDS[cause.code].alert_after or 0.0 for key, cause in causes.items()}
        own = {key: patience for key, patience in present.items() if key[1] in _OWN}
        kept, told = alerts.news(self._alone, own, now)
        self._alone |= kept
        found = {key: (what, kept[key]) for key, what in told.items()}
        others = {key: patience for key, patience in present.items() if key not in own}
        with suppress(DatabaseGone):
            if self._engine.started and (others or not await self._database.read(alerts.is_quiet)):
                found |= await self._database.run(alerts.claim, others, now)
        return found

    async def _take_back(self, key: Key) -> None:
        """Nobody was told: it is tried again in some minutes."""
        if key in self._alone:
            self._alone[key] = alerts.unsent(self._alone[key], self._engine.pulse.now())
            return
        with suppress(DatabaseGone):
            await self._database.run(alerts.take_back, key, self._engine.pulse.now())

    async def _send(self, title: str, text: str) -> list[Sent]:
        """With nothing in it that the redaction knows; what fails is logged once a minute."""
        hide = self._connections.redactor.text
        where = f"\n{self.page}" if self.page else ""
        sent = await self._sender.send(hide(f"{_TITLE}: {title}"), hide(text) + where)
        for each in sent:
            if not each.sent and self._quiet.passes(f"{each.target} {each.why}"):
                log.warning("an alert was not sent", target=each.target, service=each.service, why=each.why)
        return sent

    def _named(self, key: Key) -> str:
        connection, code = key
        several = connection and len(self._connections) > 1
        found = self._connections.get(connection) if several else None
        return f"{found.name if found else connection}: {KINDS[code].title}" if several else KINDS[code].title


def _key(cause: Cause) -> Key:
    return cause.connection or "", cause.code


def _alerts(cause: Cause) -> bool:
    return cause.alerts and KINDS[cause.code].alert_after is not None
