"""How much one caller may send, and how long it may take."""

from __future__ import annotations

import resource
from dataclasses import dataclass
from typing import Final

RESERVED: Final = 32  # places for health calls, and for saying that there is no other place
_OTHERS: Final = 256  # descriptors for the database, Stamped.io, iPaaS.com and files
_MOST: Final = 1000
_DESCRIPTORS: Final = 4096


@dataclass(frozen=True, slots=True)
class Limits:
    """Bytes, counts and seconds. `places`: how many callers may be connected at once, without `RESERVED`."""

    places: int = _MOST
    reserved: int = RESERVED
    url_bytes: int = 8 * 1024
    head_bytes: int = 16 * 1024
    headers: int = 100
    pipelined: int = 8
    body_bytes: int = 1024 * 1024  # that are kept of one body
    bodies_bytes: int = 32 * 1024 * 1024  # of all bodies that are not answered
    framing: int = 16  # bytes of chunk sizes and trailers for each byte of a body
    dropped_bytes: int = 1024 * 1024  # of who was refused and does not stop
    head_seconds: float = 10.0  # from the connection, or the first byte, to the end of the head
    body_seconds: float = 30.0
    reading_seconds: float = 30.0  # in which the caller takes something of its answer
    closing_seconds: float = 2.0
    stopping_seconds: float = 2.0  # what still runs when the server stops
    look_seconds: float = 0.5

    @classmethod
    def of_this_process(cls) -> Limits:
        """As many places as there are descriptors for; asks the system for more of them, where it may."""
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        most = _DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, _DESCRIPTORS)
        if soft != resource.RLIM_INFINITY and soft < most:
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
            soft = most
        free = _MOST if soft == resource.RLIM_INFINITY else soft - RESERVED - _OTHERS
        return cls(places=max(1, min(_MOST, free)))
