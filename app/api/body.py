"""Request bodies: plain JSON up to 1 MiB of real bytes, read after the key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from fastapi import APIRouter, Security
from fastapi.routing import APIRoute
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from app.api import refusals
from app.api.problems import NOT_JSON, ProblemError
from app.api.security import Door
from app.intake import parse_json

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

BODY_LIMIT: Final = 1024 * 1024
_MOST_DRAINED = 32 * BODY_LIMIT  # many clients see no answer before they have sent everything


def operator_router(tag: str, door: Door) -> APIRouter:
    """Its calls need the operator's key."""
    return APIRouter(
        tags=[tag], route_class=PrivateRoute, dependencies=[Security(door)], responses=refusals.OF_OPERATORS
    )


class PrivateRoute(APIRoute):
    """The key before the body, the body within its bounds, and an answer that no cache keeps."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Around FastAPI's own, which reads the body, without any limit, before it asks for the key."""
        handle = super().get_route_handler()
        optional = self.body_field is not None and not self.body_field.field_info.is_required()
        doors = [each.dependency for each in self.dependencies if isinstance(each.dependency, Door)]

        async def keyed(request: Request) -> Response:
            for door in doors:
                await door.require(request)
            response = await handle(_Bounded(request, optional=optional))
            response.headers.setdefault("Cache-Control", "no-store")
            return response

        return keyed


class _Bounded(Request):
    """Gives FastAPI what `read_json` reads."""

    def __init__(self, request: Request, *, optional: bool) -> None:
        super().__init__(request.scope, request.receive)
        self._optional = optional
        self._raw = b""

    async def body(self) -> bytes:
        """Raises ProblemError 415 or 413."""
        self._raw = await _read_body(self, optional=self._optional)
        return self._raw

    async def json(self) -> Any:
        """Raises ProblemError 400."""
        return _parsed(self._raw)


async def read_json(request: Request) -> Any:
    """The body as JSON. Raises ProblemError 415, 413 or 400; a missing media type is taken for JSON."""
    return _parsed(await _read_body(request))


async def _read_body(request: Request, *, optional: bool = False) -> bytes:
    media_type = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    kind, _, subtype = media_type.partition("/")
    is_json = kind == "application" and (subtype == "json" or subtype.endswith("+json")) and "/" not in subtype
    if "content-encoding" in request.headers or not (is_json or optional):
        raise ProblemError(refusals.OTHER_MEDIA_TYPE)
    raw = await _read(request)
    if optional and not raw.strip():
        return b""
    if not is_json:
        raise ProblemError(refusals.OTHER_MEDIA_TYPE)
    return raw


def _parsed(raw: bytes) -> Any:
    try:
        return parse_json(raw)
    except ValueError:
        raise ProblemError(NOT_JSON) from None


async def _read(request: Request) -> bytes:
    """Counts what arrives, whatever `Content-Length` says; keeps no more than the limit."""
    chunks: list[bytes] = []
    size = 0
    try:
        async for chunk in request.stream():
            size += len(chunk)
            if size <= BODY_LIMIT:
                chunks.append(chunk)
            elif size > _MOST_DRAINED:
                break
    except ClientDisconnect:
        raise ProblemError(NOT_JSON, "Its sender left before it was complete.") from None
    if size > BODY_LIMIT:
        chunks.clear()
        raise ProblemError(refusals.TOO_LARGE)
    return b"".join(chunks)
