"""What the pages show and act on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from app.alerts import Alerts
    from app.clock import Clock
    from app.connections import Connections
    from app.engine import Engine, Operations
    from app.health import Health
    from app.ledger.database import Database
    from app.monitoring.rendering import Pages
    from app.settings import Settings
    from app.verdict import Judge


@dataclass(frozen=True, slots=True)
class Site:
    """One product instance behind the pages."""

    settings: Settings
    engine: Engine
    operations: Operations
    connections: Connections
    database: Database
    clock: Clock
    pages: Pages
    health: Health
    judge: Judge
    alerts: Alerts

    @property
    def fetches(self) -> bool:
        """Whether records come from iPaaS.com, for any connection."""
        return any(each.ipaas is not None for each in self.connections)

    def now(self) -> float:
        """Seconds since 1970."""
        return self.clock.now().timestamp()
