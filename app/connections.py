"""One iPaaS.com connection (there called a subscription): the clients and the mapping that serve it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from app.ipaas.client import IpaasClient
    from app.mapping import Mapping
    from app.stamped.client import StampedClient
    from app.telemetry.redaction import Redactor


@dataclass(frozen=True, slots=True)
class Connection:
    """`ipaas` None: records come with the notification, and external IDs are not written back."""

    stamped: StampedClient
    ipaas: IpaasClient | None
    mapping: Mapping
    redactor: Redactor

    async def aclose(self) -> None:
        """Close both clients. Idempotent."""
        await self.stamped.aclose()
        if self.ipaas is not None:
            await self.ipaas.aclose()
