"""Memory and descriptors of a process over time, and whether it leaks."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from bench.processes import rss_mib

_EVERY_SECONDS = 1.0
_FEWEST = 60  # samples; a shorter life says nothing
_MORE_MIB = 10.0
_MORE_SHARE = 0.15
_MORE_DESCRIPTORS = 20
_WARM_SHARE = 0.1


@dataclass(frozen=True, slots=True)
class Change:
    """What the median was in the first quarter of a life, and in the last."""

    first: float
    last: float

    @property
    def more(self) -> float:
        """By how much it grew."""
        return self.last - self.first


@dataclass
class Vitals:
    """Samples of one process, one per second."""

    pid: int
    memory: list[float] = field(default_factory=list)
    descriptors: list[int] = field(default_factory=list)

    async def watch(self) -> None:
        """Until cancelled, or the process is gone."""
        while True:
            try:
                self._look()
            except OSError:
                return
            await asyncio.sleep(_EVERY_SECONDS)

    def _look(self) -> None:
        self.memory.append(rss_mib(self.pid))
        self.descriptors.append(len(list(Path(f"/proc/{self.pid}/fd").iterdir())))

    @property
    def enough(self) -> bool:
        """Whether it lived long enough to tell."""
        return len(self.memory) >= _FEWEST

    @property
    def mib(self) -> Change:
        """Resident memory."""
        return _change(self.memory)

    @property
    def open(self) -> Change:
        """Descriptors."""
        return _change(self.descriptors)

    @property
    def leaks(self) -> list[str]:
        """What grew by more than a warm-up explains; nothing is said of a short life."""
        if not self.enough:
            return []
        found = []
        if self.mib.more > max(_MORE_MIB, self.mib.first * _MORE_SHARE):
            found.append(f"memory: {self.mib.first:.0f} MiB, then {self.mib.last:.0f}")
        if self.open.more > _MORE_DESCRIPTORS:
            found.append(f"descriptors: {self.open.first:.0f}, then {self.open.last:.0f}")
        return found


def _change(samples: list[float] | list[int]) -> Change:
    """The first tenth is left out: caches fill, connections are opened."""
    lived = samples[int(len(samples) * _WARM_SHARE) :]
    quarter = max(1, len(lived) // 4)
    return Change(median(lived[:quarter]), median(lived[-quarter:]))
