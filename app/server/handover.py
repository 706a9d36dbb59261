"""However uvicorn is started, an application that has places is served by the guarded protocol."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app.server.protocol import PLACES, GuardedProtocol

if TYPE_CHECKING:
    from collections.abc import Callable


def guard_uvicorn() -> None:
    """Whoever starts uvicorn, and however: an application that has places is served by this protocol. Idempotent.

    `uvicorn app.main:app` chooses its protocol before it looks at the application, so the protocol that was chosen
    hands its first caller over, and the server makes the next ones by itself.
    """
    for protocol in (H11Protocol, HttpToolsProtocol):
        connection_made = protocol.connection_made
        if getattr(connection_made, "hands_over", False):
            continue
        instead = _handing_over(connection_made)
        instead.hands_over = True  # type: ignore[attr-defined]  # functions take any
        protocol.connection_made = instead  # type: ignore[assignment, method-assign]


def _handing_over(connection_made: Callable[..., None]) -> Callable[[Any, asyncio.Transport], None]:
    def instead(self: HttpToolsProtocol, transport: asyncio.Transport) -> None:
        if isinstance(self, GuardedProtocol) or PLACES not in self.app_state:
            connection_made(self, transport)
            return
        config = self.config
        config.http_protocol_class = GuardedProtocol
        if config.timeout_graceful_shutdown is None:
            config.timeout_graceful_shutdown = math.ceil(self.app_state[PLACES].limits.stopping_seconds) + 1
        guarded = GuardedProtocol(config, self.server_state, self.app_state, self.loop)
        transport.set_protocol(guarded)
        guarded.connection_made(transport)

    return instead
