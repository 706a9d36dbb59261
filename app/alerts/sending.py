"""One message to all targets at once, each in a thread of its own that nobody waits for at the end."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from app.alert_urls import Target

SECONDS: Final = 20.0  # for one message to one target


@dataclass(frozen=True, slots=True)
class Sent:
    """Whether a target took a message; `why` not, without its URL."""

    target: int
    service: str
    sent: bool
    why: str | None = None


class Sender:
    """A target that still has an older message gets no other one."""

    def __init__(self, targets: Sequence[Target], seconds: float = SECONDS) -> None:
        self.targets = targets
        self._seconds = seconds
        self._busy: set[int] = set()

    async def send(self, title: str, text: str) -> list[Sent]:
        """What became of it at each target, in their order."""
        return list(await asyncio.gather(*(self._to(each, title, text) for each in self.targets)))

    async def _to(self, target: Target, title: str, text: str) -> Sent:
        why = "it still has the last message" if target.number in self._busy else None
        if why is None:
            try:
                async with asyncio.timeout(self._seconds):
                    why = None if await self._in_thread(target, title, text) else "it did not take the message"
            except TimeoutError:
                why = f"no answer within {self._seconds:g} s"
            except Exception as error:  # noqa: BLE001 - whatever a plugin raises, whose text may quote its URL
                why = f"it broke ({type(error).__name__})"
        return Sent(target.number, target.service, why is None, why)

    def _in_thread(self, target: Target, title: str, text: str) -> asyncio.Future[bool]:
        """Not by `to_thread`: the end of the process would wait for that."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[bool] = loop.create_future()
        self._busy.add(target.number)

        def tell(taken: bool | Exception) -> None:  # noqa: FBT001 - what came of it
            self._busy.discard(target.number)
            if done.done():
                return
            if isinstance(taken, Exception):
                done.set_exception(taken)
            else:
                done.set_result(taken)

        def run() -> None:
            try:
                taken: bool | Exception = target.send(title, text)
            except Exception as error:  # noqa: BLE001 - the caller gets it
                taken = error
            with suppress(RuntimeError):  # the loop has been closed
                loop.call_soon_threadsafe(tell, taken)

        threading.Thread(target=run, name=f"alert-{target.number}", daemon=True).start()
        return done
