"""The control API under `/_sandbox`, without keys: it looks into the stand-in and sets it up."""

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, Field

from app.sandbox.faults import Fault, Faults
from app.sandbox.store import Call, Email, SeedFields, Store, Style, Throttle


class Seed(SeedFields):
    """A customer to begin with; fields that are left out are those of a new customer."""

    email: Email


class StyleChoice(BaseModel):
    """The style of every answer from now on."""

    style: Style


class ThrottleChoice(BaseModel):
    """So many calls in any window of so many seconds, from now on."""

    limit: int = Field(ge=1)
    seconds: float = Field(gt=0, le=3600, allow_inf_nan=False)


def control_router(store: Store, faults: Faults) -> APIRouter:
    """Build the routes; a body that is not valid is answered with FastAPI's 422."""
    router = APIRouter(prefix="/_sandbox")

    @router.get("/customers")
    async def list_customers() -> list[dict[str, Any]]:
        return [customer.answer() for customer in store.customers()]

    @router.post("/customers", status_code=201)
    async def seed_customer(seed: Seed) -> dict[str, Any]:
        return store.add(seed).answer()

    @router.get("/calls")
    async def list_calls() -> list[Call]:
        return list(store.calls)

    @router.delete("/calls", status_code=204)
    async def forget_calls() -> None:
        store.calls.clear()

    @router.get("/faults")
    async def list_faults() -> list[Fault]:
        return faults.active

    @router.post("/faults", status_code=201)
    async def add_fault(fault: Fault) -> Fault:
        faults.add(fault)
        return fault

    @router.delete("/faults", status_code=204)
    async def remove_faults() -> None:
        faults.clear()

    @router.put("/style")
    async def choose_style(choice: StyleChoice) -> StyleChoice:
        store.style = choice.style
        return choice

    @router.post("/reset", status_code=204)
    async def reset() -> None:
        store.reset()
        faults.clear()

    _throttle_routes(router, store)
    return router


def _throttle_routes(router: APIRouter, store: Store) -> None:
    @router.get("/throttle")
    async def show_throttle() -> Throttle:
        return store.throttle

    @router.put("/throttle")
    async def set_throttle(asked: ThrottleChoice) -> Throttle:
        store.throttle = Throttle(limit=asked.limit, seconds=asked.seconds)
        return store.throttle
