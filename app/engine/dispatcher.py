"""Runs what became due by itself: retries, bulk work, verifications, and what no caller waits for."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from app.engine.tasks import wait_at_most
from app.ledger.faults import DatabaseGone

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from app.engine.tasks import Tasks
    from app.ledger.claims import Claim
    from app.ledger.stored import Stored

log = structlog.stdlib.get_logger("dispatcher")

_LOOK_SECONDS = 1.0  # how often it looks for what became due by itself
Work = tuple["list[Claim]", "list[Stored]"]


class Dispatcher:
    """`work` claims up to that many at once; `begin` and `load` run one each, `at_once` of them.

    What is being claimed is kept in `entering`, so that a drain lets it begin.
    """

    def __init__(
        self,
        work: Callable[[int], Awaitable[Work]],
        begin: Callable[[Claim], asyncio.Task[None]],
        load: Callable[[Stored], asyncio.Task[None]],
        at_once: int,
        entering: Tasks,
    ) -> None:
        self._work = work
        self._begin = begin
        self._load = load
        self._free = at_once
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
            found = 0
            if self._free:
                found = await asyncio.shield(self._entering.start(self._fill()))
            if not found:
                await wait_at_most(self._wake, _LOOK_SECONDS)

    async def _fill(self) -> int:
        """Claim as much as there is room for, and let it run; how much that was."""
        try:
            claims, loads = await self._work(self._free)
        except DatabaseGone:
            return 0
        except Exception:
            log.exception("dispatcher broke")
            return 0
        tasks = [self._begin(claim) for claim in claims] + [self._load(claimed) for claimed in loads]
        self._free -= len(tasks)
        for task in tasks:
            task.add_done_callback(self._ended)
        return len(tasks)

    def _ended(self, _task: asyncio.Task[None]) -> None:
        self._free += 1
        self._wake.set()
