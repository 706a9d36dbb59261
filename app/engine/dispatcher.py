"""Runs what became due by itself: retries, bulk work, verifications, and whoever waits for a turn."""

from __future__ import annotations

import asyncio
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING

import structlog

from app.engine.tasks import wait_at_most
from app.ledger.faults import DatabaseGone

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from app.engine.tasks import Tasks

    Begun = list[tuple[str, asyncio.Task[None]]]  # each with its connection's scope

log = structlog.stdlib.get_logger("dispatcher")

_LOOK_SECONDS = 1.0  # how often it looks for what became due by itself
_LEAST_SECONDS = 0.02  # between two looks that find nothing


class Dispatcher:
    """`begin` claims what is due and lets it run, given how many run of each connection.

    What is being claimed is kept in `entering`, so that a drain lets it begin. `opens_in`: seconds until something
    that waits for a throttle can begin.
    """

    def __init__(
        self,
        begin: Callable[[Counter[str]], Awaitable[Begun]],
        opens_in: Callable[[], float | None],
        entering: Tasks,
    ) -> None:
        self._begin = begin
        self._opens_in = opens_in
        self._running: Counter[str] = Counter()
        self._entering = entering
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
            if not await asyncio.shield(self._entering.start(self._fill())):
                soon = self._opens_in()
                await wait_at_most(self._wake, _LOOK_SECONDS if soon is None else self._between(soon))

    def _between(self, soon: float) -> float:
        return min(max(soon, _LEAST_SECONDS), _LOOK_SECONDS)

    async def _fill(self) -> int:
        """Claim as much as there is room for, and let it run; how much that was."""
        try:
            begun = await self._begin(self._running)
        except DatabaseGone:
            return 0
        except Exception:
            log.exception("dispatcher broke")
            return 0
        for scope, task in begun:
            self._running[scope] += 1
            task.add_done_callback(partial(self._ended, scope))
        return len(begun)

    def _ended(self, scope: str, _task: asyncio.Task[None]) -> None:
        self._running[scope] -= 1
        if not self._running[scope]:
            del self._running[scope]
        self._wake.set()
