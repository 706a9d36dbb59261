"""Failures on request: what Stamped.io, or the network before it, does on a bad day."""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.types import Receive, Scope, Send

from app.sandbox.store import Operation, Text

Kind = Literal["status", "drop", "nonsense", "in_body", "truncated", "redirect", "huge"]

HUGE_BYTES = 1024 * 1024


class Fault(BaseModel):
    """One failure and the calls it meets.

    A null `operation` or `email` meets every call, a null `times` lasts until it is removed.
    With `after` the call takes effect first, then its answer is lost. A delay without a status
    only slows the call down; a caller who gives up meanwhile doesn't stop it.
    """

    model_config = ConfigDict(extra="forbid", coerce_numbers_to_str=True)

    operation: Operation | None = None
    email: Text | None = None
    status: int | None = Field(default=None, ge=400, le=599)
    message: Text = "The sandbox was told to fail."
    retry_after: str | None = Field(default=None, pattern=r"^[ -~]+$")
    delay_seconds: float = Field(default=0.0, ge=0, le=600, allow_inf_nan=False)
    kind: Kind = "status"
    times: int | None = Field(default=1, ge=1)
    after: bool = False

    @model_validator(mode="after")
    def _does_something(self) -> Self:
        if self.kind == "status" and self.status is None and self.delay_seconds == 0:
            msg = "a fault of kind 'status' needs a status or a delay"
            raise ValueError(msg)
        return self

    def meets(self, operation: Operation, email: str | None) -> bool:
        """Return whether this call is spoiled; e-mails are compared ignoring case."""
        if self.operation not in (None, operation):
            return False
        return self.email is None or self.email.casefold() == (email or "").casefold()

    def answer(self, root_path: str) -> Response | None:
        """Return the spoiled answer, or None if the call is only slow."""
        response: Response
        match self.kind:
            case "status":
                if self.status is None:
                    return None
                response = JSONResponse({"message": self.message}, self.status)
            case "drop":
                response = CutConnection()
            case "nonsense":
                response = HTMLResponse("<!doctype html><title>Stamped.io</title><h1>We'll be right back</h1>")
            case "in_body":
                response = JSONResponse({"httpStatusCode": self.status or 500, "message": self.message})
            case "truncated":
                response = Response('{"id": 143491, "email": "ada@exam', media_type="application/json")
            case "redirect":
                response = RedirectResponse(f"{root_path}/", status_code=302)
            case "huge":
                response = JSONResponse({"notes": "x" * HUGE_BYTES})
        if self.retry_after is not None:
            response.headers["Retry-After"] = self.retry_after
        return response


class Faults:
    """The active faults; of several that meet a call the oldest is used."""

    def __init__(self) -> None:
        self.active: list[Fault] = []

    def add(self, fault: Fault) -> None:
        """Keep a copy, which counts its own times."""
        self.active.append(fault.model_copy())

    def clear(self) -> None:
        """Remove all; a call that a fault already met still gets it."""
        self.active.clear()

    def take(self, operation: Operation, email: str | None) -> Fault | None:
        """Return the fault that meets this call and use up one of its times."""
        fault = next((fault for fault in self.active if fault.meets(operation, email)), None)
        if fault is not None and fault.times is not None:
            fault.times -= 1
            if fault.times == 0:
                self.active.remove(fault)
        return fault


class CutConnection(Response):
    """Cuts the connection before a single byte of an answer.

    ASGI has no message for this. A server refuses a header with a line break in it, after it noted
    that the response began and before it wrote any: both of uvicorn's protocols then can't send an
    error page any more and close the connection. A server that let the header pass would see an
    exception inside a response that began, which ends the connection too; httpx's ASGITransport
    hands that exception to its caller.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI
        """Raise ConnectionResetError where no server refused the header."""
        headers = [(b"content-length", b"1"), (b"x-cut", b"\r\n")]
        try:
            await send({"type": "http.response.start", "status": 502, "headers": headers})
        except Exception:  # noqa: BLE001 - each server has its own class for a refused header
            return
        msg = "The sandbox cut the connection."
        raise ConnectionResetError(msg)
