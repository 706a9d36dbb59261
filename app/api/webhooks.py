"""`POST /webhooks/customers`: iPaaS.com's notifications, answered with what became of each."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, Header, Request, Response, Security
from fastapi.routing import APIRoute

from app.api import examples, refusals
from app.api.answers import answer
from app.api.body import read_json
from app.api.openapi import ANY_PROBLEM, either
from app.api.preferences import Wait, read_preference
from app.api.problems import ProblemError
from app.api.results import GUID, Results
from app.api.security import Door
from app.connections import Connections
from app.engine import Engine
from app.intake import read_intake
from app.ipaas.models import BareRecord, Envelope


class _Direct(APIRoute):
    """Its endpoint takes the request and makes the response: FastAPI has nothing to solve, and documents it."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The endpoint itself."""
        return self.endpoint


async def _what_is_read(
    preference: Wait,
    body: Annotated[Envelope | BareRecord, Body(openapi_examples=examples.BODIES)],
    x_correlation_id: Annotated[str, Header(description="For a missing tracking GUID", examples=[GUID])] = "",
    idempotency_key: Annotated[str, Header(description="For a bare record and its repeats", examples=[GUID])] = "",
) -> None:
    """What the webhook reads by hand, for the documentation alone."""


_WRONG = refusals.wrong_shape("/notifications/0/scope", "Field required.")


def webhook_routes(engine: Engine, door: Door, connections: Connections) -> APIRouter:
    """Each key opens the webhook of its connection."""
    router = APIRouter(tags=["webhook"], route_class=_Direct)

    @router.post(
        "/webhooks/customers",
        summary="Customers created or changed in iPaaS.com",
        response_model=Results,
        responses=either(examples.TRANSFERRED, refusals.OF_BODIES, _WRONG, refusals.OF_HOOKS, ANY_PROBLEM),
        dependencies=[Security(door), Depends(_what_is_read)],
    )
    async def receive(request: Request) -> Response:
        """Upserts each customer at Stamped.io, then reconciles its subscription if consent is mapped.

        A 200 or a problem is the final word, and a repeat is the caller's. A 202 is a promise: that transfer
        survives any crash and is retried by the service itself.
        """
        connection = connections.mine((await door.require(request)).name)
        preference = read_preference(request.headers.getlist("prefer"))
        news = read_intake(await read_json(request), request.headers, connection.scope, connection.redactor.text)
        if not all(connection.serves(new.destination) for new in news):
            raise ProblemError(refusals.OTHER_DESTINATION)
        return answer(await engine.run(news, preference.wait_seconds), preference)

    return router
