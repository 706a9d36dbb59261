"""`POST /webhooks/customers`: iPaaS.com's notifications, answered with what became of each."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from fastapi.routing import APIRoute

from app.api import documentation as docs
from app.api.answers import answer
from app.api.body import read_json
from app.api.intake import read_intake
from app.api.preferences import read_preference
from app.api.security import Keyring
from app.engine import Engine


class _Direct(APIRoute):
    """Its endpoint takes the request and makes the response: FastAPI has nothing to solve, and documents it."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The endpoint itself."""
        return self.endpoint


def webhook_routes(engine: Engine, keyring: Keyring, connection: str) -> APIRouter:
    """The webhook of one connection."""
    router = APIRouter(tags=["webhook"], route_class=_Direct)

    @router.post(
        "/webhooks/customers",
        summary="Customers created or changed in iPaaS.com",
        response_model=docs.Results,
        responses=docs.WEBHOOK_RESPONSES,
        openapi_extra=docs.WEBHOOK_REQUEST,
    )
    async def receive(request: Request) -> Response:
        """Upserts each customer at Stamped.io, then reconciles its subscription if consent is mapped.

        A 200 or a problem is the final word, and a repeat is the caller's. A 202 is a promise: that transfer
        survives any crash and is retried by the service itself.
        """
        keyring.require_webhook(request)
        preference = read_preference(request.headers.getlist("prefer"))
        news = read_intake(await read_json(request), request.headers, connection)
        return answer(await engine.run(news, preference.wait_seconds), preference)

    return router
