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
        return any(_has_infinity(item) for item in value.values())
    if isinstance(value, list):
        return any(_has_infinity(item) for item in value)
    return isinstance(value, float) and isinf(value)


def _require_json(request: Request) -> None:
    media_type = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    kind, _, subtype = media_type.partition("/")
    if kind != "application" or not (subtype == "json" or subtype.endswith("+json")):
        raise ProblemError(Slug.UNSUPPORTED_MEDIA_TYPE, HTTPStatus.UNSUPPORTED_MEDIA_TYPE)


async def _read(request: Request) -> bytes:
    """Counts what arrives; a `Content-Length` is only believed when it is too large."""
    announced = request.headers.get("content-length", "")
    chunks: list[bytes] = []
    size = int(announced) if announced.isascii() and announced.isdigit() and int(announced) > BODY_LIMIT else 0
    if not size:
        async for chunk in request.stream():
            size += len(chunk)
            chunks.append(chunk)
            if size > BODY_LIMIT:
                break
    if size > BODY_LIMIT:
        # the rest stays unread, so the connection cannot be used again
        headers = {"Connection": "close"}
        raise ProblemError(Slug.PAYLOAD_TOO_LARGE, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, headers=headers)
    return b"".join(chunks)
