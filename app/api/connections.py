"""Connections: whether each flows or is paused, and pausing it by hand."""

from __future__ import annotations

from typing import Annotated, Any, Final, Self, get_args

from fastapi import APIRouter, Path
from pydantic import BaseModel, ConfigDict, Field

from app.api import refusals
from app.api.body import operator_router
from app.api.openapi import either, refused
from app.api.problems import ProblemError
from app.api.results import one_of
from app.api.security import Caller, Door
from app.engine import Flow, Operations
from app.outbound.pauses import State
from app.times import Moment

LONGEST_REASON: Final = 200
_ConnectionId = Annotated[str, Path(description="iPaaS.com's subscription id, or `default`")]
_NO_CONNECTION = refused(refusals.NO_CONNECTION)
_WRONG_REASON = refusals.wrong_shape("/reason", "Input should be a valid string.")
_PAUSED = either(_NO_CONNECTION, refusals.OF_BODIES, _WRONG_REASON)


class PauseRequest(BaseModel):
    """Why, for whoever wonders."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"reason": "The store moves."}]})

    reason: Annotated[str, Field(max_length=LONGEST_REASON)] | None = None


class Waiting(BaseModel):
    """Transfers that have not begun, by whose turn comes first."""

    callers: int
    promised: int
    retries: int
    bulk: int


class ConnectionItem(BaseModel):
    """One connection, as all replicas see it."""

    id: str = Field(examples=["default", "1796"])
    name: str = Field(examples=["US store"])
    state: Annotated[str, one_of(get_args(State))]
    since: Moment | None = Field(description="null while it flows")
    until: Moment | None = Field(description="throttled: when it flows again; down: when it is probed; else null")
    reason: str | None = Field(description="In words; of a pause by hand as it was given")
    calls_left: int = Field(description="So many may begin now, in this window")
    waiting: Waiting

    @classmethod
    def of(cls, flow: Flow) -> Self:
        """From the engine."""
        waiting = Waiting(**dict(zip(Waiting.model_fields, flow.waiting, strict=True)))
        told: dict[str, Any] = {"state": "flowing", "since": None, "until": None, "reason": None}
        if flow.pause is not None:
            told = {name: getattr(flow.pause, name) for name in told}
            told["reason"] = flow.pause.reason if flow.pause.state == "paused" else flow.pause.sentence
        return cls(id=flow.id, name=flow.name, calls_left=flow.calls_left, waiting=waiting, **told)


class ConnectionList(BaseModel):
    """All that are served."""

    items: list[ConnectionItem]


def connection_routes(operations: Operations, door: Door) -> APIRouter:
    """All need the operator's key."""
    router = operator_router("connections", door)

    async def told(connection: str) -> ConnectionItem:
        flow = next((each for each in await operations.flows() if each.id == connection), None)
        if flow is None:
            raise ProblemError(refusals.NO_CONNECTION)
        return ConnectionItem.of(flow)

    @router.get("/connections", summary="Connections, and what each is paused by")
    async def connections() -> ConnectionList:
        return ConnectionList(items=[ConnectionItem.of(flow) for flow in await operations.flows()])

    @router.post("/connections/{connection_id}/pause", summary="Pause a connection", responses=_PAUSED)
    async def pause(connection_id: _ConnectionId, by: Caller, asked: PauseRequest | None = None) -> ConnectionItem:
        """New transfers are accepted and wait; what has begun ends."""
        if not await operations.pause(connection_id, asked.reason if asked else None, by):
            raise ProblemError(refusals.NO_CONNECTION)
        return await told(connection_id)

    @router.post("/connections/{connection_id}/resume", summary="End that pause", responses=_NO_CONNECTION)
    async def resume(connection_id: _ConnectionId, by: Caller) -> ConnectionItem:
        """What waits begins within seconds, at the throttle's pace. Other pauses stay as they are."""
        if not await operations.resume(connection_id, by):
            raise ProblemError(refusals.NO_CONNECTION)
        return await told(connection_id)

    return router
