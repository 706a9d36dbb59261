"""Around the application: how long each request took, and its place in a trace."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from app.telemetry import traces

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from app.telemetry.metrics import Metrics
    from app.telemetry.traces import Span

OTHER: Final = "other"
_BROKEN = 500
_METHODS: Final = {each: each for each in ("GET", "POST", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS")}
_UNTRACED: Final = frozenset({"/livez", "/readyz", "/startupz", "/metrics"})  # asked every few seconds


class Observed:
    """Measures from the head of a request to the end of its answer. Of an address only its route is kept."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ASGI has it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), 0
        method, root = _METHODS.get(scope["method"], OTHER), scope.get("root_path", "")

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        with _span(method, scope) as span:
            try:
                await self._app(scope, receive, noting)
            except Exception:
                status = status or _BROKEN  # what stands in front of this answers so
                raise
            finally:
                route = route_of(scope, root)
                self._metrics.answered(method, route, status, time.perf_counter() - began)
                if span is not traces.NOTHING:
                    _tell(span, method, route, status)


def route_of(scope: Scope, root: str) -> str:
    """The pattern of its path, or where another application is mounted: as many as there are in the code.

    `root`: of this application.
    """
    mounted: str = scope.get("root_path", "")[len(root) :]
    return mounted or getattr(scope.get("route"), "path", OTHER)


def _span(method: str, scope: Scope) -> Span:
    if not traces.are_on() or scope["path"] in _UNTRACED:
        return traces.NOTHING
    brought = [value for name, value in scope["headers"] if name == b"traceparent"]
    return traces.serving(method, brought[0].decode("latin-1") if len(brought) == 1 else None)


def _tell(span: Span, method: str, route: str, status: int) -> None:
    about: dict[str, Any] = {"http.route": route, "http.response.status_code": status or None}
    span.tell(about, name=f"{method} {route}", failed=str(status) if status >= _BROKEN else None)
