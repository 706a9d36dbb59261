"""Request bodies: plain JSON up to 1 MiB of real bytes."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from pydantic_core import from_json

from app.api.problems import ProblemError
from app.catalog import Slug

if TYPE_CHECKING:
    from starlette.requests import Request

BODY_LIMIT: Final = 1024 * 1024
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


async def read_json(request: Request) -> Any:
    """The body as JSON. Raises ProblemError 415, 413 or 400; a missing media type is taken for JSON."""
    media_type = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    is_json = media_type == "application/json" or (
        media_type.startswith("application/") and media_type.endswith("+json")
    )
    if not is_json or "content-encoding" in request.headers:
        raise ProblemError(Slug.UNSUPPORTED_MEDIA_TYPE, HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
    raw = await _read(request)
    try:
        return from_json(raw.removeprefix(_BYTE_ORDER_MARK), allow_inf_nan=False)
    except ValueError:
        raise ProblemError(Slug.INVALID_REQUEST, HTTPStatus.BAD_REQUEST, "The body is not JSON.") from None


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
