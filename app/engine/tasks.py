"""Background tasks that are not forgotten, and callers that wait for a transfer."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator

T = TypeVar("T")
_CANCEL_AGAIN_SECONDS = 1.0


class Tasks:
    """Keeps tasks until they end."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def start(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run `work` on its own; it goes on if nobody awaits it any more."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def settle(self) -> None:
        """Until all of them have ended."""
        while self._tasks:
            await asyncio.wait(list(self._tasks))

    async def cancel(self) -> None:
        """End all of them."""
        while self._tasks:
            for task in list(self._tasks):
                task.cancel()
            await asyncio.wait(list(self._tasks), timeout=_CANCEL_AGAIN_SECONDS)


async def wait_at_most(event: asyncio.Event, seconds: float) -> None:
    """Until the event is set, or the time is over. Not by `wait_for`: Python 3.11's may lose a cancellation."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()


class Watchers:
    """Who waits for which transfer to end, in this process."""

    def __init__(self) -> None:
        self._events: dict[int, set[asyncio.Event]] = {}

    def __contains__(self, seq: int) -> bool:
        return seq in self._events

    @contextmanager
    def watching(self, seq: int) -> Iterator[asyncio.Event]:
        """An event that `tell` sets."""
        event = asyncio.Event()
        self._events.setdefault(seq, set()).add(event)
        try:
            yield event
        finally:
            waiting = self._events[seq]
            waiting.discard(event)
            if not waiting:
                del self._events[seq]

    def tell(self, *seqs: int) -> None:
        """These transfers changed."""
        for seq in seqs:
            for event in self._events.get(seq, ()):
                event.set()
