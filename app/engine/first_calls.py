"""One read-only call to whatever nobody has called yet, so that wrong keys show before a webhook meets them."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

import structlog

from app.ledger.faults import DatabaseGone
from app.outbound.calls import CallError
from app.outbound.pauses import Paused

if TYPE_CHECKING:
    from app.clock import Clock
    from app.connections import Connection, Connections
    from app.engine.gates import Gates

log = structlog.stdlib.get_logger("engine")

_SOON_SECONDS = 2.0  # what was left to do, or a caller, may come first
_MOST_SECONDS = 60.0


class FirstCalls:
    """Of all that are served, but for the sandbox. What comes of one is the client's `last_failure`."""

    def __init__(self, connections: Connections, gates: Gates, clock: Clock) -> None:
        self._connections = connections
        self._gates = gates
        self._clock = clock

    async def make(self) -> None:
        """After a start, and when connections were read again. Those to Stamped.io count for the throttle."""
        await self._clock.sleep(_SOON_SECONDS)
        try:
            await self._gates.look()
        except DatabaseGone:
            return
        new = [each for each in self._connections if each.settings.sandbox_url is None]
        await asyncio.gather(*(self._bounded(each) for each in new))

    async def _bounded(self, connection: Connection) -> None:
        try:
            async with asyncio.timeout(_MOST_SECONDS):
                await self._stamped(connection)
                await self._ipaas(connection)
        except (LookupError, TimeoutError):  # it left, or nobody knows; whoever calls next will see
            return

    async def _stamped(self, connection: Connection) -> None:
        if connection.stamped.called or self._gates.at(connection.scope).pause() is not None:
            return
        try:
            with suppress(Paused), self._gates.metered(connection.scope):
                await connection.stamped.check()
        except CallError as error:
            log.warning("the first call to Stamped.io failed", connection=connection.id, status=error.status)

    async def _ipaas(self, connection: Connection) -> None:
        if connection.ipaas is None or connection.ipaas.called:
            return
        try:
            await connection.ipaas.check()
        except CallError as error:
            log.warning("the first call to iPaaS.com failed", connection=connection.id, status=error.status)
