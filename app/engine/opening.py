"""The start at the database: opens it, however long it takes to come, and says once what it lacks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from app.ledger import gates, replicas
from app.ledger.faults import DatabaseGone, SchemaFault
from app.ledger.hints import hint_of
from app.telemetry.quiet import Quiet

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from app.clock import Clock
    from app.engine.pulse import Pulse
    from app.ledger.database import Database

log = structlog.stdlib.get_logger("engine")

_SECONDS = 1.0  # between tries


class Opening:
    """`fault` is what is waited for, for people; None = nothing yet."""

    def __init__(
        self, database: Database, clock: Clock, pulse: Pulse, take_over: Callable[[], Awaitable[None]]
    ) -> None:
        self._database = database
        self._clock = clock
        self._pulse = pulse
        self._take_over = take_over
        self._quiet = Quiet(clock.monotonic)
        self.fault: str | None = None

    async def done(self) -> None:
        """The database is open, has the present schema, and took the first heartbeat."""
        while not await self._try():
            await self._clock.sleep(_SECONDS)
        self.fault = None
        if self._database.schema_note is not None:
            log.warning("the database's schema is newer", error=self._database.schema_note)

    async def _try(self) -> bool:
        try:
            await self._database.migrate()
            if self._database.is_sqlite:
                await self._database.run(replicas.leave)
            await self._pulse.beat()
            await self._take_over()
            await self._database.run(gates.hasten, self._pulse.now())
        except DatabaseGone as gone:
            self.fault = hint_of(str(gone))
            if self._quiet.passes(self.fault):
                log.warning("waiting for the database", hint=self.fault, error=str(gone), **self._database.place)
            return False
        except SchemaFault as fault:
            self.fault = str(fault)
            if self._quiet.passes(self.fault):
                log.error("the database cannot be used", error=self.fault)  # noqa: TRY400 - its words say all
            return False
        except Exception as error:
            if self._quiet.passes(type(error).__name__):
                log.exception("the database cannot be prepared")
            return False
        return True
