"""How a request is refused before the application sees it: a problem, as bytes, that closes the connection."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final, NamedTuple, Self

from app.api.problems import MEDIA_TYPE, Refusal
from app.error_catalog import Slug

_SOON: Final = {"Retry-After": "5"}


class Turned(NamedTuple):
    """One way to be turned away."""

    status: int
    first_line: bytes
    rest: bytes
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes

    @classmethod
    def of(cls, refusal: Refusal) -> Self:
        """With all that never changes."""
        body = refusal.problem().model_dump_json(exclude_unset=True).encode()
        headers = {
            "content-type": MEDIA_TYPE,
            "content-length": str(len(body)),
            "cache-control": "no-store",
            "connection": "close",
            **refusal.sends,
        }
        pairs = tuple((name.lower().encode(), value.encode()) for name, value in headers.items())
        first_line = f"HTTP/1.1 {refusal.status} {HTTPStatus(refusal.status).phrase}\r\n".encode()
        rest = b"".join(b"%s: %s\r\n" % pair for pair in pairs) + b"\r\n" + body
        return cls(refusal.status, first_line, rest, pairs, body)

    def answer(self, default_headers: list[tuple[bytes, bytes]]) -> bytes:
        """The whole answer; the server's own headers have the date."""
        return self.first_line + b"".join(b"%s: %s\r\n" % pair for pair in default_headers) + self.rest


def _turned(status: int, hint: str, slug: Slug = Slug.INVALID_REQUEST, **sends: str) -> Turned:
    return Turned.of(
        Refusal("", slug, status, hint, {name.replace("_", "-"): each for name, each in sends.items()})
    )


NO_HTTP: Final = _turned(400, "It is no HTTP/1.1.")
NO_HOST: Final = _turned(400, "Its Host header names no host.")
HOLLOW: Final = _turned(400, "Its chunks are all but empty.")
SLOW: Final = _turned(408, "It did not arrive in time.")
LONG_URL: Final = _turned(414, "Its address is longer than 8 KiB.")
LARGE_HEAD: Final = _turned(431, "Its head has more than 100 lines, or 16 KiB.")
FULL: Final = _turned(
    503, "Too many callers are connected, or send at once.", Slug.SERVICE_UNAVAILABLE, Retry_After="5"
)
STOPPING: Final = _turned(503, "It is stopping.", Slug.SERVICE_UNAVAILABLE, Retry_After="5")
