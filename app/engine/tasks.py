"""Background tasks that are not forgotten, and callers that wait for a transfer."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Iterator

    from app.ledger.stored import Stored

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

    @property
    def is_idle(self) -> bool:
        """Whether all of them have ended."""
        return not self._tasks

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


class Watch:
    """One caller's look at one transfer: `changed` is set when there is news of it."""

    def __init__(self, transfer: Stored) -> None:
        self.transfer = transfer
        self.changed = asyncio.Event()
        self._news: Stored | None = None

    def tell(self, transfer: Stored | None) -> None:
        """The transfer as it is now; None = look for yourself."""
        self._news = transfer
        self.changed.set()

    def take(self) -> Stored | None:
        """The news, once; None = there are none, or they are unknown."""
        self.changed.clear()
        news, self._news = self._news, None
        return news


class Watchers:
    """Who waits for which transfer, in this process."""

    def __init__(self) -> None:
        self._watches: dict[tuple[str, str | None], set[Watch]] = {}

    @contextmanager
    def watching(self) -> Iterator[Callable[[Stored], Watch]]:
        """What begins to watch a transfer; all of it ends with the caller, also if that goes before its time."""
        begun: list[Watch] | None = []

        def watch(transfer: Stored) -> Watch:
            watch = Watch(transfer)
            if begun is not None:
                begun.append(watch)
                self._watches.setdefault((transfer.connection, transfer.customer_id), set()).add(watch)
            return watch

        try:
            yield watch
        finally:
            over, begun = begun or [], None
            for each in over:
                self._leave(each)

    def _leave(self, watch: Watch) -> None:
        key = (watch.transfer.connection, watch.transfer.customer_id)
        self._watches[key].discard(watch)
        if not self._watches[key]:
            del self._watches[key]

    def wait_for(self, one: Stored) -> bool:
        """Whether anybody waits for this transfer's customer."""
        return (one.connection, one.customer_id) in self._watches

    def tell(self, transfers: Iterable[Stored]) -> None:
        """These are so now."""
        for transfer in transfers:
            for watch in self._watches.get((transfer.connection, transfer.customer_id), ()):
                if watch.transfer.seq == transfer.seq:
                    watch.tell(transfer)

    def look_again(self, one: Stored | None = None) -> None:
        """Whatever was known of this transfer's customer, or of all, may not be so any more."""
        only = None if one is None else (one.connection, one.customer_id)
        for key, waiting in self._watches.items():
            for watch in waiting if only in {None, key} else ():
                watch.tell(None)

    def look_again_in(self, scope: str) -> None:
        """The same of all of a connection's."""
        for (connection, _), waiting in self._watches.items():
            for watch in waiting if connection == scope else ():
                watch.tell(None)
