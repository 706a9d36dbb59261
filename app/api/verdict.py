"""The verdict of the running service, and a test of where alerts go."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from app.api import refusals
from app.api.body import operator_router
from app.api.openapi import refused
from app.api.problems import ProblemError
from app.api.results import one_of
from app.api.security import Door
from app.connections import Connections
from app.filters import Narrowed
from app.times import Moment
from app.verdict import ACTIONS, CODES

if TYPE_CHECKING:
    from app.alerts import Alerts
    from app.alerts import Sent as Tried
    from app.verdict import Cause as Found
    from app.verdict import Judge
    from app.verdict import Verdict as Judged


class Cause(BaseModel):
    """One thing that is wrong; it names no person and no key."""

    code: Annotated[str, one_of(CODES)]
    connection: str | None = Field(description="Null: it concerns all", examples=["default", "1796"])
    text: str = Field(description="A sentence with the facts, and what helps")
    since: Moment | None
    count: int | None = Field(description="Of transfers or webhooks, by its code")
    action: Annotated[str, one_of(ACTIONS)] | None = Field(
        description="test-keys: one read-only call with the keys; resume: `POST /connections/{id}/resume`; "
        "re-run: `POST /transfers/retry` with `connection` and `since`; show: look at them"
    )

    @classmethod
    def of(cls, found: Found) -> Self:
        """As it was judged."""
        told: dict[str, Any] = {name: getattr(found, name) for name in cls.model_fields}
        return cls(**told)


class Verdict(BaseModel):
    """Whether it is well, in one sentence; the worst cause comes first and gives the headline."""

    state: Literal["ok", "warn", "fail"]
    headline: str = Field(examples=["Stamped.io refuses our keys since 14:02 UTC: 163 transfers failed"])
    causes: list[Cause]
    at: Moment = Field(description="When it was judged; it is judged anew after 4 s at the earliest")

    @classmethod
    def of(cls, judged: Judged) -> Self:
        """For everybody."""
        at: Any = judged.at
        causes = [Cause.of(each) for each in judged.causes]
        return cls(state=judged.state, headline=judged.headline, causes=causes, at=at)


class Sent(BaseModel):
    """What became of a message at one target, whose URL is not shown."""

    target: int = Field(description="Its place in ALERT_URLS, from 1")
    service: str = Field(examples=["Slack"])
    sent: bool
    why: str | None = Field(description="Why not")

    @classmethod
    def of(cls, tried: Tried) -> Self:
        """As it was tried."""
        return cls(target=tried.target, service=tried.service, sent=tried.sent, why=tried.why)


class SentAll(BaseModel):
    """By target, in the order of ALERT_URLS."""

    items: list[Sent]


def verdict_routes(judge: Judge, alerts: Alerts, connections: Connections, door: Door) -> APIRouter:
    """All need the operator's key; a viewer's reads."""
    router = operator_router("health", door)

    @router.get("/verdict", summary="Is it well, and if not, why", responses=refused(refusals.NO_CONNECTION))
    async def verdict(asked: Annotated[Narrowed, Query()]) -> Verdict:
        """What the Monitoring page says. Answered also while the service takes nothing."""
        if asked.connection is not None and connections.get(asked.connection) is None:
            raise ProblemError(refusals.NO_CONNECTION)
        return Verdict.of(await judge.verdict(asked.connection))

    @router.post("/alerts/test", summary="Send a test alert", responses=refused(refusals.NO_TARGET))
    async def test() -> SentAll:
        """To every target; the answer comes when each has taken it or not, after 20 s at the latest."""
        if not alerts.are_set:
            raise ProblemError(refusals.NO_TARGET)
        return SentAll(items=[Sent.of(each) for each in await alerts.test()])

    return router
