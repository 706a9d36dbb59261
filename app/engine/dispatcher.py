"""Runs what became due by itself: retries, bulk work, and what no caller waits for."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING

import structlog

from app.engine.tasks import wait_at_most
from app.ledger import reports
from app.ledger.database import DatabaseGone

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from app.clock import Clock
    from app.engine.tasks import Tasks
    from app.ledger.database import Database

log = structlog.stdlib.get_logger("dispatcher")

_LOOK_SECONDS = 1.0  # how often it looks for what became due by itself
_DUE_BATCH = 100


class Dispatcher:
    """`claim` runs a due transfer to its end, `at_once` of them; its tasks are kept in `entering`.

    `sandbox`: it runs those that are meant for a sandbox, else those that are meant for a store.
    """

    def __init__(  # noqa: PLR0913 - what it dispatches by
        self,
        database: Database,
        clock: Clock,
        at_once: int,
        claim: Callable[[int], Awaitable[None]],
        entering: Tasks,
        *,
        sandbox: bool,
    ) -> None:
        self._sandbox = sandbox
        self._database = database
        self._clock = clock
        self._slots = asyncio.Semaphore(at_once)
        self._claim = claim
        self._entering = entering
        self._due: deque[int] = deque()
        self._in_hand: set[int] = set()
        self._wake = asyncio.Event()
        self._stopped = False

    def wake(self) -> None:
        """Look now."""
        self._wake.set()

    def stop(self) -> None:
        """Begin nothing more."""
        self._stopped = True
        self._wake.set()

    async def live(self) -> None:
        """Until `stop`."""
        while not self._stopped:
            self._wake.clear()
            await self._slots.acquire()
            try:
                seq = await self._next_due()
            except Exception:
                log.exception("dispatcher broke")
                seq = None
            if seq is not None and not self._stopped:
                self._entering.start(self._run_due(seq))
                continue
            self._slots.release()
            await wait_at_most(self._wake, _LOOK_SECONDS)

    async def _next_due(self) -> int | None:
        if not self._due:
            with suppress(DatabaseGone):
                now = self._clock.now().timestamp()
                found = await self._database.read(reports.due, now, _DUE_BATCH, sandbox=self._sandbox)
                self._due.extend(seq for seq in found if seq not in self._in_hand)
        return self._due.popleft() if self._due else None

    async def _run_due(self, seq: int) -> None:
        self._in_hand.add(seq)
        try:
            await self._claim(seq)
        except Exception:
            log.exception("claiming broke")
            await self._clock.sleep(_LOOK_SECONDS)  # it is due still: not again at once
        finally:
            self._in_hand.discard(seq)
            self._slots.release()
