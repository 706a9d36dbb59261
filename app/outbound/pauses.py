"""Why nothing is sent to a connection's Stamped.io at the moment (contract, "Pauses"). Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal

from app.outbound.status_table import Kind
from app.times import in_sentence

if TYPE_CHECKING:
    from app.outbound.calls import CallError

State = Literal["flowing", "throttled", "down", "paused"]
FAILURES: Final = 5  # calls in a row without an answer, or with 5xx
_FIRST_PROBE, _LAST_PROBE = 5.0, 300.0
_SHORTEST, _USUAL, _LONGEST = 1.0, 60.0, 3600.0  # of what Retry-After asks for, and without it


class Paused(Exception):
    """An attempt ends here, and waits for its connection; `error`: the call that it ended with, if any."""

    def __init__(self, error: CallError | None = None) -> None:
        super().__init__()
        self.error = error


@dataclass(frozen=True, slots=True)
class Pause:
    """One; times are seconds since 1970, `until` None = nobody knows."""

    state: State
    since: float
    until: float | None = None
    reason: str | None = None

    @property
    def sentence(self) -> str:
        """For people who may know why."""
        why = f": {self.reason.rstrip('.')}" if self.reason else ""
        return f"{self.headline[:-1]}{why}."

    @property
    def headline(self) -> str:
        """For everybody."""
        until = f" until {in_sentence(self.until)}" if self.until is not None else ""
        if self.state == "throttled":
            return f"Waits for the throttle of Stamped.io's calls{until}."
        if self.state == "down":
            probe = f"; it is tried again at {in_sentence(self.until)}" if self.until is not None else ""
            return f"Waits for Stamped.io, which has not answered since {in_sentence(self.since)}{probe}."
        return f"Waits, for the connection is paused by hand since {in_sentence(self.since)}."


@dataclass(frozen=True, slots=True)
class Pauses:
    """All that a connection may be paused by; times are seconds since 1970."""

    throttled_at: float | None = None
    throttled_until: float | None = None
    down_at: float | None = None
    probe_at: float | None = None
    probes: int = 0
    paused_at: float | None = None
    reason: str | None = None

    def is_throttled(self, now: float) -> bool:
        """Whether Stamped.io asked to wait until later than this."""
        return self.throttled_until is not None and self.throttled_until > now

    def at(self, now: float) -> Pause | None:
        """The one that counts: by hand, down, throttled. None = none."""
        if self.paused_at is not None:
            return Pause("paused", self.paused_at, None, self.reason)
        if self.down_at is not None:
            return Pause("down", self.down_at, self.probe_at)
        if self.throttled_at is not None and self.is_throttled(now):
            return Pause("throttled", self.throttled_at, self.throttled_until)
        return None

    def is_to_probe(self, now: float) -> bool:
        """Whether it is time to look if it answers again."""
        if self.paused_at is not None or self.down_at is None or self.probe_at is None:
            return False
        return self.probe_at <= now and not self.is_throttled(now)

    def throttled(self, now: float, seconds: float | None) -> Pauses:
        """Stamped.io answered 429, with this `Retry-After`: an hour at most at a time, and no moment at least."""
        until = now + min(max(_USUAL if seconds is None else seconds, _SHORTEST), _LONGEST)
        still = self.is_throttled(now)
        return replace(
            self,
            throttled_at=self.throttled_at if still else now,
            throttled_until=max(until, self.throttled_until or 0.0),
        )

    def down(self, now: float) -> Pauses:
        """It does not answer. Idempotent."""
        return self if self.down_at is not None else replace(self, down_at=now, probe_at=now + _FIRST_PROBE)

    def probing(self, now: float) -> Pauses:
        """A probe begins: the next one comes after 5, 10, 20 … 300 s."""
        seconds = min(_FIRST_PROBE * 2.0 ** min(self.probes + 1, 10), _LAST_PROBE)
        return replace(self, probes=self.probes + 1, probe_at=now + seconds)

    def up(self) -> Pauses:
        """It answers. Idempotent."""
        return replace(self, down_at=None, probe_at=None, probes=0)

    def paused(self, now: float, reason: str | None) -> Pauses:
        """By hand; again, with another reason."""
        return replace(self, paused_at=self.paused_at or now, reason=reason)

    def resumed(self, now: float) -> Pauses:
        """What was by hand is over, and what is down is probed at once. Idempotent."""
        probe_at = None if self.down_at is None else now
        return replace(self, paused_at=None, reason=None, probe_at=probe_at)


def is_outage(error: CallError) -> bool:
    """Whether this counts as "without an answer or with 5xx"."""
    return error.kind is Kind.TIMEOUT or (
        error.kind is Kind.UNAVAILABLE and (error.status is None or error.status >= 500)  # noqa: PLR2004 - the class
    )
