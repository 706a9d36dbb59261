"""What a key opens: whose it is, and the stores behind it. Who has none learns nothing."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter
from pydantic import BaseModel, Field
from starlette.requests import Request

from app.api import refusals
from app.api.body import PrivateRoute
from app.api.openapi import ANY_PROBLEM, either, refused
from app.api.results import one_of
from app.api.security import Door
from app.connections import Connection, Connections
from app.keys import Role

_ROLES: Final[tuple[Role, ...]] = ("webhook", "operator", "viewer")
_ANY_KEY: Final[dict[str, Any]] = {"security": [{"webhookKey": []}, {"operatorKey": []}]}
_REFUSED: Final = either(refused(refusals.NO_KEY), ANY_PROBLEM)


class Reached(BaseModel):
    """A connection, and the store that it sends to."""

    id: str = Field(examples=["default", "1796"])
    name: str = Field(examples=["US store"])
    stamped_api_url: str = Field(examples=["https://stamped.io"])
    stamped_api_store_hash: str = Field(examples=["270392"])

    @classmethod
    def of(cls, connection: Connection) -> Reached:
        """As it is served now."""
        settings = connection.settings
        return cls(
            id=connection.id,
            name=connection.name,
            stamped_api_url=settings.stamped_api_url,
            stamped_api_store_hash=settings.stamped_api_store_hash,
        )


class Access(BaseModel):
    """What the key is for; `name`: whose it is, of a webhook's key the connection."""

    role: Annotated[str, one_of(_ROLES)]
    name: str = Field(examples=["ada", "default"])
    connections: list[Reached]


def access_routes(door: Door, connections: Connections) -> APIRouter:
    """For whoever sets a key, to see that it is the right one at the right service."""
    router = APIRouter(tags=["connections"], route_class=PrivateRoute, responses=_REFUSED)

    @router.get("/access", summary="What a key opens", openapi_extra=_ANY_KEY)
    async def access(request: Request) -> Access:
        """A webhook's key opens its own connection, any other sees all that are served."""
        who = await door.known(request)
        found = [each for each in connections if who.role != "webhook" or each.id == who.name]
        return Access(role=who.role, name=who.name, connections=[Reached.of(each) for each in found])

    return router
