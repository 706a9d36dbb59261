"""What orchestrators ask: is the process alive, has it started, may it have traffic."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import APIRouter, Response

from app.api.answers import Phase
from app.api.body import PrivateRoute
from app.api.openapi import ANY_PROBLEM, Responses, answered
from app.health import Readiness

if TYPE_CHECKING:
    from app.engine import Engine
    from app.gauges import Gauges
    from app.health import Health
    from app.telemetry.metrics import Metrics

_NOT_READY = answered("Starting, stopping, or cut off from the database.", status=503, model=Readiness)
_AS_TEXT: Responses = {200: {"content": {"text/plain": {"schema": {"type": "string"}}}}}


def health_routes(engine: Engine, health: Health, gauges: Gauges, metrics: Metrics) -> APIRouter:
    """Open to all; they show no key, no address and no customer."""
    router = APIRouter(tags=["health"], route_class=PrivateRoute, responses=ANY_PROBLEM)

    @router.head("/livez", include_in_schema=False)
    @router.get("/livez", summary="The process answers")
    async def livez() -> Phase:
        return Phase(status="ok")

    @router.head("/startupz", include_in_schema=False)
    @router.get("/startupz", summary="The start is over", responses=answered("Not yet.", status=503, model=Phase))
    async def startupz(response: Response) -> Phase:
        response.status_code = 200 if engine.started else 503
        return Phase(status="ok" if engine.started else "starting")

    @router.head("/readyz", include_in_schema=False, response_model_exclude_none=True)
    @router.get(
        "/readyz", summary="New transfers are taken", response_model_exclude_none=True, responses=_NOT_READY
    )
    async def readyz(response: Response) -> Readiness:
        """A warning is no reason to restart: it says what a person should look at."""
        found = await health.look()
        response.status_code = 503 if found.status == "fail" else 200
        return found

    @router.get("/metrics", summary="Prometheus metrics", response_class=Response, responses=_AS_TEXT)
    async def exposition() -> Response:
        await gauges.look()
        return Response(metrics.exposition(), media_type=metrics.content_type)

    return router
