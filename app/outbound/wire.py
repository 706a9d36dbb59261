"""The network under the clients: httpx's transport over aiohttp's session, and what an answer may come to.

What the other side can make this process do is bounded here (docs/adr/0003).
"""

from __future__ import annotations

import asyncio
import zlib
from functools import cache, partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, Self, cast

import aiohttp
import httpx
from aiohttp.client_proto import ResponseHandler
from yarl import URL

if TYPE_CHECKING:
    import ssl

    from aiohttp import StreamReader
    from aiohttp.http import RawResponseMessage

ANSWER_LIMIT: Final = 1024 * 1024
_HEADERS, _LINE = 100, 8 * 1024
_HEAD_LIMIT = 64 * 1024  # status, headers and every 1xx answer before them
_BODY_LIMIT = ANSWER_LIMIT + ANSWER_LIMIT // 4  # as it comes, in chunks however small
_INTERIMS = 8  # 1xx answers
_AT_ONCE = 4 * 1024  # of what may be 1xx answers only
_BUFFER = 64 * 1024
_GZIP = 16 + zlib.MAX_WBITS


class Unreadable(Exception):
    """An answer came that is not read to its end; the text says why."""


@cache
def _usual_context() -> ssl.SSLContext:
    """Made once: each reads all certificates of the machine."""
    return httpx.create_ssl_context()


class Wire(httpx.AsyncBaseTransport):
    """Sends a request as it is. No cookies, no redirects, no proxy, no time-out: the caller bounds the call.

    Raises httpx.ConnectError where nothing can have been sent. aiohttp repeats a GET by itself, once, when the
    connection is lost before the answer; a POST never.
    """

    def __init__(self, ssl_context: ssl.SSLContext | None = None) -> None:
        self._ssl_context = ssl_context or _usual_context()
        self._session: aiohttp.ClientSession | None = None
        self._closed = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """The answer's head; its body is read from `stream`, as it comes."""
        if self._closed:
            message = "closed"
            raise httpx.ConnectError(message)
        session = self._session = self._session or self._open()
        try:
            response = await session.request(
                request.method,
                URL(str(request.url), encoded=True),
                headers=[(name.decode(), value.decode()) for name, value in request.headers.raw],
                data=await request.aread() or None,
                allow_redirects=False,
            )
        except aiohttp.ClientError as error:
            raise _translated(error) from _reason(error)
        return httpx.Response(response.status, headers=response.raw_headers, stream=_Body(response))

    async def aclose(self) -> None:
        """Close all connections; no call begins any more. Idempotent."""
        self._closed = True
        if self._session is not None:
            await self._session.close()

    def _open(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=_Connector(limit=0, ssl=self._ssl_context, keepalive_timeout=30),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(),
            auto_decompress=False,
            skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),
            read_bufsize=_BUFFER,
            max_line_size=_LINE,
            max_field_size=_LINE,
            max_headers=_HEADERS,
        )


async def read(response: httpx.Response) -> bytes:
    """The body, unpacked, at most 1 MiB; then the answer is closed. Raises Unreadable and httpx's errors."""
    stream = cast("httpx.AsyncByteStream", response.stream)
    parts: list[bytes] = []
    size = 0
    try:
        async for part in stream:
            size += len(part)
            if size > ANSWER_LIMIT:
                raise _too_long()
            parts.append(part)
            if len(parts) > 1:
                await asyncio.sleep(0)  # others have their turn, however much comes, and however small
    finally:
        await stream.aclose()
    body = parts[0] if len(parts) == 1 else b"".join(parts)
    codings = [value for name, value in response.headers.raw if name.lower() == b"content-encoding"]
    return _unpacked(body, b",".join(codings)) if codings and body else body


def _unpacked(body: bytes, coding: bytes) -> bytes:
    """Nothing beyond the limit is unpacked, whatever it would come to."""
    coding = coding.strip().lower()
    if coding in {b"", b"identity"}:
        return body
    if coding not in {b"gzip", b"x-gzip"}:  # several at once are none of these
        message = "the answer's coding is not gzip"
        raise Unreadable(message)
    unpacking = zlib.decompressobj(_GZIP)
    try:
        unpacked = unpacking.decompress(body, ANSWER_LIMIT + 1)
    except zlib.error:
        unpacked = b""
    if len(unpacked) > ANSWER_LIMIT:
        raise _too_long()
    if not unpacking.eof:
        message = "the answer is broken gzip"
        raise Unreadable(message)
    return unpacked


def _too_long() -> Unreadable:
    return Unreadable("the answer is longer than 1 MiB")


class _Body(httpx.AsyncByteStream):
    """Closing it before its end closes the connection."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        try:
            part = await self._response.content.readany()
        except aiohttp.ClientError as error:
            raise _translated(error) from _reason(error)
        if not part:
            raise StopAsyncIteration
        return part

    async def aclose(self) -> None:
        self._response.close()


class AnswerRefused(aiohttp.ClientError):
    """More came than any answer is, or an answer to no request."""


class _Connection(ResponseHandler):
    """Counts what comes for one request; takes no answer but the one to it."""

    _asked = False  # a request is under way, and the head of its answer has not come
    _left = 0
    _interims = 0

    def set_response_params(self, **given: Any) -> None:
        """A request is made on this connection."""
        self._asked, self._left, self._interims = True, _HEAD_LIMIT, 0
        super().set_response_params(**given)

    def data_received(self, data: bytes) -> None:
        """In small parts until the head has come: few 1xx answers are read before they are counted."""
        while self._asked and len(data) > _AT_ONCE:
            self._take(data[:_AT_ONCE])
            data = data[_AT_ONCE:]
        self._take(data)

    def feed_data(self, data: tuple[RawResponseMessage, StreamReader], size: int = 0) -> None:
        """The head of an answer has come."""
        status = data[0].code
        if not self._asked:  # it would be taken for the answer to the next request
            self._refuse("an answer to no request")
        elif status >= HTTPStatus.OK or status == HTTPStatus.SWITCHING_PROTOCOLS:
            self._asked = False
            self._left += _BODY_LIMIT
            super().feed_data(data, size)
        else:
            self._interims += 1
            if self._interims > _INTERIMS:
                self._refuse("too many 1xx answers")

    def close(self) -> None:
        """Whoever waits for the rest of an answer waits no longer."""
        if self._payload is not None and not self._payload.is_eof():
            self._payload.set_exception(aiohttp.ClientConnectionError("closed"))
        super().close()

    def _take(self, data: bytes) -> None:
        self._left -= len(data)
        if self._left < 0:
            self._refuse("more came than any answer is")
        elif data and not self._asked and self._payload is not None and self._payload.is_eof():
            self._refuse("an answer to no request")
        if self.exception() is None:
            super().data_received(data)

    def _refuse(self, why: str) -> None:
        error = AnswerRefused(why)
        if self._payload is not None and not self._payload.is_eof():
            self._payload.set_exception(error)
        self.set_exception(error)
        if self.transport is not None:
            self.transport.abort()


class _Connector(aiohttp.TCPConnector):
    """aiohttp's pool, of our connections."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        ours: type[ResponseHandler] = _Connection
        self._factory = partial(ours, loop=self._loop)


def _translated(error: aiohttp.ClientError) -> httpx.TransportError:
    """In httpx's terms; what matters is whether the request may have been received."""
    kind: type[httpx.TransportError] = httpx.ReadError
    if isinstance(error, aiohttp.ClientConnectorError):
        kind = httpx.ConnectError
    elif isinstance(error, aiohttp.InvalidURL | aiohttp.NonHttpUrlClientError):
        kind = httpx.UnsupportedProtocol
    elif isinstance(error, aiohttp.ClientResponseError | aiohttp.ServerDisconnectedError | AnswerRefused):
        kind = httpx.RemoteProtocolError
    return kind("")


def _reason(error: aiohttp.ClientError) -> BaseException:
    """What says most by its name: for an answer that is no HTTP, what is wrong with it."""
    if isinstance(error, aiohttp.ClientResponseError) and error.__cause__ is not None:
        return error.__cause__.__cause__ or error.__cause__
    return error
