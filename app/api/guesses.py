"""Who tries wrong keys waits ever longer for the answer; who has a right one never waits."""

from __future__ import annotations

from collections import OrderedDict
from ipaddress import IPv6Address, ip_address
from typing import TYPE_CHECKING, Final, NamedTuple

import structlog

if TYPE_CHECKING:
    from app.clock import Clock
    from app.telemetry.metrics import Metrics

log = structlog.stdlib.get_logger("api")

_FREE: Final = 10  # mistakes
_FORGIVEN_SECONDS: Final = 6.0  # after each of which one mistake is forgotten
_STEP_SECONDS: Final = 0.1
_MOST_SECONDS: Final = 2.0
_MOST_WAITING: Final = 200  # of all callers together; they hold connections that others need
_MOST_KNOWN: Final = 1000
_NETWORK: Final = 64  # bits: what one caller has of IPv6


class _Count(NamedTuple):
    mistakes: float
    at: float


class Guesses:
    """Wrong keys by caller, in this process only. The caller is an address, or a network of IPv6."""

    def __init__(self, clock: Clock, metrics: Metrics) -> None:
        self._clock = clock
        self._metrics = metrics
        self._counts: OrderedDict[str, _Count] = OrderedDict()
        self._waiting = 0

    async def wrong(self, address: str | None, door: str) -> None:
        """Count one more, then return when its caller may be told so."""
        self._metrics.wrong_key(door)
        seconds = self._count(_caller(address))
        if seconds <= 0 or self._waiting >= _MOST_WAITING:
            return
        self._waiting += 1
        try:
            await self._clock.sleep(seconds)
        finally:
            self._waiting -= 1

    def _count(self, caller: str) -> float:
        """The seconds that this one is held back."""
        now = self._clock.monotonic()
        old = self._counts.pop(caller, _Count(0, now))
        left = max(0.0, old.mistakes - (now - old.at) / _FORGIVEN_SECONDS)
        self._counts[caller] = _Count(left + 1, now)
        if len(self._counts) > _MOST_KNOWN:
            self._counts.popitem(last=False)
        if left < _FREE <= left + 1:
            log.warning("wrong keys are answered slowly", address=caller)
        return min((left + 1 - _FREE) * _STEP_SECONDS, _MOST_SECONDS)


def _caller(address: str | None) -> str:
    try:
        parsed = ip_address(address or "")
    except ValueError:
        return ""
    if not isinstance(parsed, IPv6Address) or parsed.ipv4_mapped is not None:
        return str(parsed)
    return f"{IPv6Address(int(parsed) >> _NETWORK << _NETWORK)}/{_NETWORK}"
