"""The contract's Result: what became of one notification."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Self, get_args

from pydantic import BaseModel, Field, WithJsonSchema

from app.attempt import Action, Subscription
from app.connections import connection_id
from app.ledger.stored import Stored

TRANSFER_ID = "0b0e7a52-4b3e-4c7f-9c59-6f0f3f1d2a10"
GUID = "3c90c3cc-0d44-4b50-8888-8dd25736052a"
_AS_CALLERS_SEE_IT = {"running": "accepted", "waiting": "accepted", "cancelled": "skipped"}


def one_of(values: Iterable[str]) -> WithJsonSchema:
    """Shown as one of these; what another version has stored is told, too."""
    return WithJsonSchema({"type": "string", "enum": list(values)})


class Shown(BaseModel):
    """What is shown of a transfer: members of the same name, and those that are told apart."""

    @classmethod
    def of(cls, transfer: Stored, **told: Any) -> Self:
        """From the ledger."""
        same = {name: getattr(transfer, name) for name in cls.model_fields if name not in told}
        return cls(**same | told)


class Result(Shown):
    """What became of one notification."""

    transfer_id: str = Field(examples=[TRANSFER_ID])
    tracking_guid: str = Field(examples=[GUID])
    customer_id: str | None = Field(examples=["150713"])
    connection: str = Field(description="iPaaS.com's subscription id", examples=["default", "1796"])
    status: Annotated[str, one_of(("succeeded", "skipped", "accepted", "failed"))]
    action: Annotated[str, one_of(get_args(Action))] | None
    external_id: str | None = Field(description="The customer's id at Stamped.io", examples=["143491"])
    subscription: Annotated[str, one_of(get_args(Subscription))] | None
    reason: str | None

    @classmethod
    def of(cls, transfer: Stored, **told: Any) -> Self:
        """What has not ended yet is accepted, and only says which pause it waits for."""
        status = _AS_CALLERS_SEE_IT.get(transfer.status, transfer.status)
        silent = ("action", "subscription", "reason") if status == "accepted" else ()
        pause = {"reason": transfer.pause.sentence} if transfer.pause else {}
        ids = {"transfer_id": transfer.id, "connection": connection_id(transfer.connection)}
        return super().of(transfer, **ids | {"status": status, **dict.fromkeys(silent), **pause, **told})


class Results(BaseModel):
    """The results, in the order of the notifications."""

    results: list[Result]
