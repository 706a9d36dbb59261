"""Whether this replica lives, as the others see it; and what time it is, by the database's clock."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

from app.ledger import replicas
from app.ledger.faults import DatabaseGone

if TYPE_CHECKING:
    from app.clock import Clock
    from app.ledger.database import Database

_LATE = 0.6  # of the time after which it stops its own work: two heartbeats that were not written, and a little


class Pulse:
    """`replica` is the name under which this one works; it changes when others may have taken over."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._told_at = clock.monotonic()
        self._failed = False
        self._database_time: float | None = None
        self.replica = str(uuid4())

    def now(self) -> float:
        """Seconds since 1970, UTC: the database's last word and what has passed since. SQLite has the host's.

        So clocks of replicas may differ, and jump (rule 10).
        """
        if self._database_time is None:
            return self._clock.now().timestamp()
        return self._database_time + self._clock.monotonic() - self._told_at

    async def beat(self) -> None:
        """Say that this replica lives. Raises DatabaseGone."""
        at = self._clock.now().timestamp() if self._database.is_sqlite else None
        began = self._clock.monotonic()
        try:
            told = await self._database.beat(replicas.beat, self.replica, at)
        except DatabaseGone:
            self._failed = True
            raise
        self._told_at = began  # what was written is as old as its writing at least
        if not self._database.is_sqlite:
            self._database_time = told
        self._failed = False

    @property
    def age(self) -> float:
        """Seconds since the last heartbeat that was written."""
        return self._clock.monotonic() - self._told_at

    @property
    def is_well(self) -> bool:
        """Whether the database took the last heartbeats: new transfers would be kept."""
        if self._database.is_sqlite:  # it answers at once, or not at all
            return not self._failed
        return self.age < _LATE * replicas.FENCE_SECONDS

    @property
    def is_cut_off(self) -> bool:
        """Whether others may have taken over what runs here. SQLite has no others."""
        return not self._database.is_sqlite and self.age > replicas.FENCE_SECONDS

    def may_be_lost(self, owner: str | None) -> bool:
        """Whether what was claimed under this name may be somebody else's by now."""
        return owner != self.replica or self.is_cut_off
