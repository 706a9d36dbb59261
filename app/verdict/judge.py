"""Takes the facts: the database's, for all replicas, and what only this one knows; once in 4 s at most."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from app.ledger import facts as ledger
from app.ledger import statistics
from app.ledger.facts import HOUR, WEEK
from app.ledger.faults import DatabaseGone
from app.ledger.ranks import Rank
from app.outbound.calls import CallError
from app.outbound.status_table import Kind, classify
from app.verdict.facts import Facts, Store, Throttled
from app.verdict.judging import LATELY, judge
from app.verdict.usual import Usual

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from app.clock import Clock
    from app.connections import Connection, Connections
    from app.engine import Engine
    from app.health import Check, Health
    from app.ledger.database import Database
    from app.ledger.facts import Counted, Rejected, Word
    from app.ledger.session import Session
    from app.outbound.http_client import SystemClient
    from app.verdict.causes import Verdict

_KEPT_SECONDS: Final = 4.0
_OLD_SECONDS: Final = 1800.0
_SOON_SECONDS: Final = 5.0  # what waits for the throttle for less is nothing to speak of
_CODES: Final = {"engine": "service", "database": "database", "connections": "connections-file"}
_AWAY: Final = "The database does not answer; the service goes on by itself when it does"


class Judge:
    """Of one replica. Shows no key and no person."""

    def __init__(
        self, engine: Engine, connections: Connections, database: Database, health: Health, clock: Clock
    ) -> None:
        self._engine = engine
        self._connections = connections
        self._database = database
        self._health = health
        self._clock = clock
        self._looking = asyncio.Lock()
        self._kept: Facts | None = None
        self._usual: dict[str, tuple[float, Usual]] = {}

    async def verdict(self, only: str | None = None) -> Verdict:
        """Of all connections, or of one that is served."""
        async with self._looking:
            kept, now = self._kept, self._engine.pulse.now()
            if kept is None or not 0 <= now - kept.at < _KEPT_SECONDS:
                kept = self._kept = await self._look(now)
        return judge(kept, only)

    async def _look(self, now: float) -> Facts:
        ready = await self._health.look()
        told = {code: check.hint or "" for check in ready.checks if (code := _code_of(check)) is not None}
        if "database" in told:
            return Facts(now, told)
        try:
            waiting = await self._engine.gates.look()
            with suppress(DatabaseGone):
                await self._engine.upkeep.flush()
            scopes = [each.scope for each in self._connections]
            counted, oldest, rejections, let_in = await self._database.read(_read, scopes, now)
            stores = [
                await self._store(each, counted[each.scope], waiting.get(each.scope, {}), oldest.get(each.scope))
                for each in self._connections
                if each.scope in counted
            ]
        except DatabaseGone:
            return Facts(now, told | {"database": _AWAY})
        return Facts(now, told, tuple(stores), tuple(rejections), let_in)

    async def _store(
        self,
        connection: Connection,
        counted: Counted,
        ranks: Mapping[Rank, int],
        oldest: tuple[float, int] | None,
    ) -> Store:
        waiting = sum(number for rank, number in ranks.items() if rank != Rank.RETRY)
        subscribed = connection.mapping.subscribed
        return Store(
            id=connection.id,
            name=connection.name,
            counted=counted,
            usual=await self._usually(connection.scope, counted),
            stamped=self._failing(counted.stamped, connection.stamped),
            ipaas=self._failing(counted.ipaas, connection.ipaas) if connection.ipaas else None,
            pause=self._engine.gates.at(connection.scope).pause(),
            waiting=waiting,
            throttled=self._throttled(connection.scope, waiting),
            oldest=oldest,
            consent_field=subscribed.name if subscribed else None,
        )

    async def _usually(self, scope: str, counted: Counted) -> Usual | None:
        """Counted anew once in an hour of webhooks. Raises DatabaseGone."""
        first, last = counted.first_webhook, counted.last_webhook
        if first is None or last is None:
            return None
        kept = self._usual.get(scope)
        if kept is None or last // HOUR != kept[0] // HOUR:
            counts = await self._database.read(ledger.slots, scope, last)
            kept = self._usual[scope] = last, Usual.of(counts, first, last)
        return kept[1]

    def _failing(self, word: Word | None, client: SystemClient) -> CallError | None:
        """As the last that any replica heard says it."""
        here = client.last_failure
        ended = client.answered_at
        if ended is not None and (here is None or here.kind is not Kind.THROTTLED):
            at = self._engine.pulse.now() - (self._clock.monotonic() - ended)
            if word is None or at >= word.at:
                return here
        if word is None or not word.failed:
            return None
        kind = Kind.UNAVAILABLE if word.status is None else classify(word.status)
        return CallError("", kind, word.status, "") if kind is not Kind.THROTTLED else None

    def _throttled(self, scope: str, waiting: int) -> Throttled | None:
        """Only where something waits for it."""
        here = self._engine.gates.at(scope)
        now, gate, limits = self._engine.pulse.now(), here.gate, here.throttle
        asked = gate.pauses.throttled_until if gate.pauses.is_throttled(now) else None
        through_at = max(gate.window.opens_at(waiting * here.need, now), asked or now)
        if not waiting or (asked is None and through_at - now <= _SOON_SECONDS):
            return None
        return Throttled(limits.limit, limits.seconds, through_at, asked)


def _code_of(check: Check) -> str | None:
    """Of the cause that it is; what concerns a connection is looked at more closely."""
    if check.status == "ok":
        return None
    if check.name == "database" and check.status == "warn":
        return "schema"
    return _CODES.get(check.name)


def _read(
    session: Session, scopes: Sequence[str], now: float
) -> tuple[dict[str, Counted], dict[str, tuple[float, int]], list[Rejected], float | None]:
    counted = {scope: ledger.counted(session, scope, now) for scope in scopes}
    let_in = statistics.last_webhook(session)
    last = max(let_in or 0.0, *(each.last_webhook or 0.0 for each in counted.values()), 0.0)
    since = max(min(last, now - LATELY), now - WEEK)
    oldest = ledger.waiting_since(session, now - _OLD_SECONDS)
    return counted, oldest, ledger.rejected(session, since), let_in
