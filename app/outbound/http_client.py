"""The one way out: JSON over HTTP with one deadline around each whole call, a size limit and no redirects."""

from __future__ import annotations

import asyncio
import re
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from http import HTTPStatus
from json import JSONEncoder
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

import httpx
from pydantic_core import from_json

from app.outbound.calls import ENVELOPES, CallError, begin_of, cut, message_of, parse_retry_after
from app.outbound.noting import CANCELLED, NOTING
from app.outbound.status_table import Kind, classify
from app.outbound.wire import Unreadable, Wire, read
from app.telemetry import traces
from app.telemetry.redaction import basic_credentials

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from app.telemetry.redaction import Redactor

NOT_JSON: Final = object()
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_MAX_BODY_STATUS = 599
_DEPTH = 3
_encode = JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


@dataclass(frozen=True, slots=True)
class Answer:
    """A received answer; `body` is NOT_JSON where it is none."""

    status: int
    body: Any
    raw: bytes
    headers: Mapping[str, str]

    @property
    def text(self) -> str:
        """All of it, as it came."""
        return self.raw.decode("utf-8", errors="replace")

    @property
    def is_web_page(self) -> bool:
        """Something in front of the API may have answered, such as "We'll be right back" with a 200."""
        return self.body is NOT_JSON and self.text.lstrip().startswith("<")


class JsonClient:
    """Calls one foreign system. Every failure is a `CallError`; nothing else is raised."""

    def __init__(  # noqa: PLR0913 - each is a setting of the connection
        self,
        base_url: str,
        redactor: Redactor,
        *,
        headers: Mapping[str, str] | None = None,
        auth: tuple[str, str] | None = None,
        timeout_seconds: float,
        connections: int,
        transport: httpx.AsyncBaseTransport | None = None,
        system: str = "",
        observe: Callable[[str, str, str, float], None] = lambda _system, _operation, _outcome, _seconds: None,
        judge: Callable[[int, str], Kind] = lambda status, _text: classify(status),
    ) -> None:
        self.last_failure: CallError | None = None
        self.called = False
        self.answered_at: float | None = None
        self._judge = judge
        self._system = system
        self._observe = observe
        self._base_url = base_url.rstrip("/")
        self._redactor = redactor
        self._timeout = timeout_seconds
        self._slots = asyncio.Semaphore(connections)
        given = {"Accept": "application/json", "Accept-Encoding": "gzip", "User-Agent": "ipaas-stamped"}
        given |= headers or {}
        if auth is not None:
            given["Authorization"] = f"Basic {basic_credentials(*auth)}"
        self._headers = httpx.Headers(given).raw
        # Reading a URL is the dearest part of a request; those of most calls are always the same.
        self._url = lru_cache(maxsize=64)(lambda path: httpx.URL(self._base_url + path))
        self._transport = transport or Wire()

    async def aclose(self) -> None:
        """Close pooled connections. Idempotent."""
        await self._transport.aclose()

    async def call(  # noqa: PLR0913 - what a request is made of
        self,
        operation: str,
        method: str,
        path: str,
        *,
        json: Any = None,
        params: Mapping[str, str] | None = None,
        pages: bool = True,
    ) -> Answer:
        """One call within the time-out. `pages` False: no API answers it with a web page.

        Raises CallError for no answer, no success, and a success whose body reports a failure; Paused where the
        connection is paused before it could be made.
        """
        noting = NOTING.get()
        noted = await noting.begin(self._system, operation)
        self.called = True
        began, outcome, failed = time.perf_counter(), CANCELLED, None
        with traces.calling(self._system, operation, noted.number) as span:
            try:
                answer = await self._bounded(operation, method, path, json, params)
                noted.status = answer.status
                self._raise_for_failure(operation, answer, pages=pages)
                outcome = "ok"
            except CallError as error:
                self.last_failure = error if error.kind is not Kind.REFUSED else None
                failed = error
                outcome, noted.status, noted.message = error.kind.value, error.status, error.message
                raise
            finally:
                noting.end(noted, outcome, failed)
                if outcome != CANCELLED:
                    self.answered_at = noting.clock.monotonic()
                self._observe(self._system, operation, outcome, time.perf_counter() - began)
                traces.called(span, method, noted.status, outcome)
        self.last_failure = None
        return answer

    async def _bounded(
        self,
        operation: str,
        method: str,
        path: str,
        json: Any,
        params: Mapping[str, str] | None,
    ) -> Answer:
        try:
            async with self._slots, asyncio.timeout(self._timeout):  # waiting for a slot is not Stamped.io's time
                return await self._exchange(operation, method, path, json, params)
        except (TimeoutError, httpx.ReadTimeout):
            message = f"timed out after {self._timeout:g} s"
            raise CallError(operation, Kind.TIMEOUT, None, message) from None
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            message = f"no connection ({_cause(error)})"
            raise CallError(operation, Kind.UNAVAILABLE, None, message, sent=_has_left(error)) from None

    async def _exchange(
        self, operation: str, method: str, path: str, json: Any, params: Mapping[str, str] | None
    ) -> Answer:
        url = self._url(f"{path}?{urlencode(params)}" if params else path)
        content = b"" if json is None else _encode(json).encode()
        headers = [(b"Host", url.netloc), *self._headers]
        if json is not None:
            headers.append((b"Content-Type", b"application/json"))
        traceparent = traces.here().traceparent
        if traceparent is not None:
            headers.append((b"traceparent", traceparent.encode()))
        if method != "GET":
            headers.append((b"Content-Length", b"%d" % len(content)))
        request = httpx.Request(method, url, headers=headers, stream=httpx.ByteStream(content))
        request.read()  # so that whoever stands in for the network finds its content
        response = await self._transport.handle_async_request(request)
        try:
            raw = (await read(response)).removeprefix(_BYTE_ORDER_MARK)
        except Unreadable as error:
            raise CallError(operation, Kind.UNAVAILABLE, response.status_code, str(error)) from None
        try:
            body = from_json(raw, allow_inf_nan=False)
        except ValueError:
            body = NOT_JSON
        return Answer(response.status_code, body, raw, response.headers)

    def _raise_for_failure(self, operation: str, answer: Answer, *, pages: bool) -> None:
        status = answer.status
        body = None if answer.body is NOT_JSON else answer.body
        refused = False
        if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
            failed = next((part for part in _parts(body) if _status_in_body(part) or _reports_failure(part)), None)
            if failed is None and answer.is_web_page and not pages:
                raise CallError(operation, Kind.UNAVAILABLE, status, "the answer is a web page")
            if failed is None:
                return
            told = _status_in_body(failed)
            status, refused = told or status, told is None
            body = failed if message_of(failed, "") else body
        text = answer.text
        kind = Kind.REFUSED if refused else self._judge(status, text)
        message = cut(self._redactor.text(begin_of(message_of(body, text))))
        retry_after, after = None, answer.headers.get("Retry-After")
        if kind is Kind.THROTTLED or (kind.retryable and after is not None):
            retry_after = parse_retry_after(after, datetime.now(UTC))
        raise CallError(operation, kind, status, message, retry_after)


def _parts(body: Any, depth: int = _DEPTH) -> Iterator[dict[str, Any]]:
    """An object that was answered, and those that it, or a list, only wraps."""
    if isinstance(body, list):
        body = body[0] if body else None
    if isinstance(body, dict):
        yield body
        for name in ENVELOPES if depth else ():
            yield from _parts(body.get(name), depth - 1)


def _status_in_body(body: dict[str, Any]) -> int | None:
    """The failure that some 2xx answers carry as `httpStatusCode` (seen)."""
    code = body.get("httpStatusCode")
    if isinstance(code, str) and re.fullmatch(r"\d{3}", code, re.ASCII):
        code = int(code)
    if isinstance(code, int) and not isinstance(code, bool) and HTTPStatus.BAD_REQUEST <= code <= _MAX_BODY_STATUS:
        return code
    return None


def _reports_failure(body: dict[str, Any]) -> bool:
    """`success: false`, or an `error` or `errors` that says something, inside a 2xx (guessed)."""
    success = body.get("success")
    denied = success is False or (isinstance(success, str) and success.lower() == "false")
    return denied or bool(body.get("error") or body.get("errors"))


def _has_left(error: Exception) -> bool:
    """Whether the request may have been received: not where there was never a connection to send it on."""
    never = httpx.ConnectError | httpx.ConnectTimeout | httpx.UnsupportedProtocol | httpx.InvalidURL
    return not isinstance(error, never)


def _cause(error: Exception) -> str:
    """The class of what went wrong below, which names no address and no key."""
    return type(error.__cause__ or error).__name__


class SystemClient:
    """What the clients of Stamped.io and of iPaaS.com have in common."""

    _http: JsonClient

    async def aclose(self) -> None:
        """Close pooled connections. Idempotent."""
        await self._http.aclose()

    @property
    def last_failure(self) -> CallError | None:
        """Why the last call failed; None when it did not, or only refused the data."""
        return self._http.last_failure

    @property
    def called(self) -> bool:
        """Whether any call was made."""
        return self._http.called

    @property
    def answered_at(self) -> float | None:
        """When the last call came to something, in monotonic seconds; None = none has."""
        return self._http.answered_at
