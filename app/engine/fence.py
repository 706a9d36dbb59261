"""Before each call: a replica that stood still may have been taken over, and must not send what is old."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

import structlog

from app.outbound.tries import Tries

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from app.clock import Clock
    from app.engine.pulse import Pulse
    from app.outbound.noting import Call, Meter

log = structlog.stdlib.get_logger("transfer")

T = TypeVar("T")


class FencedTries(Tries):
    """Asks before each try whether what was claimed under this name is still `owner`'s."""

    def __init__(  # noqa: PLR0913 - those of Tries, and whom it asks
        self,
        deadline: float,
        clock: Clock,
        calls: list[Call],
        meter: Meter | None,
        pulse: Pulse,
        owner: str | None,
    ) -> None:
        super().__init__(deadline, clock, calls, meter)
        self._pulse = pulse
        self._owner = owner

    async def __call__(self, call: Callable[[], Awaitable[T]]) -> T:
        """Raises the last CallError, or Paused."""

        async def fenced() -> T:
            await self._may_go_on()
            return await call()

        return await super().__call__(fenced)

    async def _may_go_on(self) -> None:
        if not self._pulse.may_be_lost(self._owner):
            return
        log.warning("this replica stood still, and may have been taken over")
        task = asyncio.current_task()
        if task is not None:
            task.cancel()
        await asyncio.sleep(0)  # where the cancellation arrives
