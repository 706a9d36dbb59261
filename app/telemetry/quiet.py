"""What would be said again and again is said once a minute."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

_SECONDS: Final = 60.0


class Quiet:
    """Lets pass what is new, and the same again after a minute; `monotonic` in seconds."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._said: dict[str, float] = {}
        self._withheld: Counter[str] = Counter()

    def passes(self, text: str) -> bool:
        """Whether it is to be said now."""
        now = self._monotonic()
        if now - self._said.get(text, float("-inf")) < _SECONDS:
            self._withheld[text] += 1
            return False
        self._said[text] = now
        return True

    def withheld(self, text: str) -> int:
        """How often it did not pass since it was asked for this."""
        return self._withheld.pop(text, 0)

    def forget(self) -> None:
        """What was is over; when it comes again it is new."""
        self._said.clear()
        self._withheld.clear()
