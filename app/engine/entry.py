"""Enters the items of bulk syncs, a few per transaction, so that webhooks get their turn in between."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

import structlog

from app.engine.tasks import wait_at_most
from app.ledger import bulk
from app.ledger.faults import DatabaseGone

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from app.connections import Connections
    from app.engine.pulse import Pulse
    from app.ledger.database import Database
    from app.ledger.stored import Stored

log = structlog.stdlib.get_logger("entry")

_LOOK_SECONDS = 5.0  # how often a replica looks for what another one left


class Entry:
    """`on_entered` learns what entering others ended."""

    def __init__(
        self, database: Database, pulse: Pulse, on_entered: Callable[..., None], connections: Connections
    ) -> None:
        self._database = database
        self._pulse = pulse
        self._on_entered = on_entered
        self._connections = connections
        self._wake = asyncio.Event()
        self._pilots: set[int] = set()  # whose end the rest of a sync waits for

    def wake(self) -> None:
        """There is a new sync."""
        self._wake.set()

    def tell(self, changed: Iterable[Stored]) -> None:
        """These changed; if a sync waits for the end of one, it goes on."""
        if self._pilots and any(each.seq in self._pilots and each.is_final for each in changed):
            self.wake()

    async def live(self) -> None:
        """Until cancelled; what was not entered is entered after the next start."""
        while True:
            self._wake.clear()
            ended = await self._enter_some()
            if ended is not None:
                self._on_entered(*ended)
                continue
            await self._look_for_pilots()
            await wait_at_most(self._wake, _LOOK_SECONDS)

    async def _enter_some(self) -> list[Stored] | None:
        now = self._pulse.now()
        try:
            return await self._database.run(bulk.enter_some, now, self._connections.fetches())
        except DatabaseGone:
            return None
        except Exception:
            log.exception("entering a sync broke")
            return None

    async def _look_for_pilots(self) -> None:
        with suppress(DatabaseGone):
            self._pilots = await self._database.read(bulk.pilots)
