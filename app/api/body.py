"""Request bodies: plain JSON up to 1 MiB of real bytes."""

from __future__ import annotations

from http import HTTPStatus
from math import isinf
from typing import TYPE_CHECKING, Any, Final

from pydantic_core import from_json

from app.api.problems import ProblemError
from app.catalog import Slug

if TYPE_CHECKING:
    from starlette.requests import Request

BODY_LIMIT: Final = 1024 * 1024
_MOST_DRAINED = 32 * BODY_LIMIT  # many clients see no answer before they have sent everything
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


async def read_json(request: Request, *, or_nothing: bool = False) -> Any:
    """The body as JSON. Raises ProblemError 415, 413 or 400; a missing media type is taken for JSON.

    With `or_nothing` an empty body is None, whatever its media type.
    """
    if "content-encoding" in request.headers:
        raise ProblemError(Slug.UNSUPPORTED_MEDIA_TYPE, HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
    if not or_nothing:
        _require_json(request)
    raw = await _read(request)
    if or_nothing:
        if not raw.strip():
            return None
        _require_json(request)
    try:
        body = from_json(raw.removeprefix(_BYTE_ORDER_MARK), allow_inf_nan=False)
    except ValueError:
        raise _not_json() from None
    if _has_infinity(body):
        raise _not_json()
    return body


def _not_json() -> ProblemError:
    return ProblemError(Slug.INVALID_REQUEST, HTTPStatus.BAD_REQUEST, "The body is not JSON.")


def _has_infinity(value: Any) -> bool:
    """`1e999` is a number in JSON, but none that can be sent on."""
    if isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, list):
        return isinstance(value, float) and isinf(value)
    return any(_has_infinity(item) for item in value if isinstance(item, float | dict | list))


def _require_json(request: Request) -> None:
    media_type = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    kind, _, subtype = media_type.partition("/")
    if kind != "application" or not (subtype == "json" or subtype.endswith("+json")):
        raise ProblemError(Slug.UNSUPPORTED_MEDIA_TYPE, HTTPStatus.UNSUPPORTED_MEDIA_TYPE)


async def _read(request: Request) -> bytes:
    """Counts what arrives, whatever `Content-Length` says; keeps no more than the limit."""
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size <= BODY_LIMIT:
            chunks.append(chunk)
        elif size > _MOST_DRAINED:
            break
    if size > BODY_LIMIT:
        chunks.clear()
        headers = {"Connection": "close"}
        raise ProblemError(Slug.PAYLOAD_TOO_LARGE, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, headers=headers)
    return b"".join(chunks)
