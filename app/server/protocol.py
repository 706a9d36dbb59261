"""HTTP/1.1 as uvicorn speaks it, with bounds on what a caller may send, hold and wait for."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any, Final

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from app.server.places import NEVER, Places
from app.server.refusals import FULL, HOLLOW, LARGE_HEAD, LONG_URL, NO_HOST, NO_HTTP, SLOW, STOPPING, Turned

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

PLACES: Final = "places"  # in the state that the application's lifespan gives to its server
HEALTH: Final = frozenset({b"/livez", b"/readyz", b"/startupz", b"/metrics"})
_OF_UPGRADES: Final = frozenset({b"upgrade", b"connection", b"http2-settings"})
_HOST: Final = re.compile(rb"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~!$&'()*+,;=%-]*)(?::\d*)?")


class _TurnedAway(Exception):
    """The parser is to go no further."""


class GuardedProtocol(HttpToolsProtocol):
    """One caller. Who sends too much, or too slowly, is told so once; what else it sends is dropped."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self._places: Places = self.app_state[PLACES]
        self._limits = self._places.limits
        self._has_place = True
        self._why: Turned = NO_HTTP  # the parser went no further
        self._deadline = NEVER
        self._reading_deadline = NEVER  # in which it takes something of its answer
        self._dropped: int | None = None  # bytes since it was turned away
        self._hosts = 0
        self._begun = False  # a request of which some bytes are here
        self._in_head = True
        self._fed = 0  # bytes since the request's last milestone
        self._head = 0  # bytes of the head's whole lines
        self._body = 0
        self._held = 0  # bytes of bodies, while they are not answered
        self._running: RequestResponseCycle | None = None

    def is_due(self, now: float) -> bool:
        """Whether one of its deadlines has passed."""
        return now >= self._deadline or now >= self._reading_deadline

    @property
    def _is_waiting(self) -> bool:
        """It waits for an answer."""
        return self.cycle is not None and not self.cycle.response_complete

    # What the transport tells

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        """A caller that gets no place hears nothing."""
        super().connection_made(transport)
        has_place = self._places.take(self)
        if has_place is None:
            self._dropped = 0
            transport.abort()
            return
        self._has_place = has_place
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Its place is free."""
        self._places.give_back(self)
        self._let_go()
        for cycle in (self._running, *(queued for queued, _ in self.pipeline)):  # uvicorn tells the newest alone
            if cycle is not None and not cycle.response_complete:
                cycle.disconnected = True
                cycle.message_event.set()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """The parser keeps a line until it ends, so what is fed to it is bounded, too."""
        if self._dropped is not None:
            self._dropped += len(data)
            if self._dropped > self._limits.dropped_bytes:
                self.transport.abort()
            return
        self._unset_keepalive_if_required()
        self._fed += len(data)
        try:
            self._feed(data)
        except HttpParserError:
            self._turn_away(self._why)
        if self._dropped is None and self._fed > self._limits.head_bytes + self._body * self._limits.framing:
            self._turn_away(HOLLOW if not self._in_head else LARGE_HEAD if self._begun else NO_HTTP)

    def _feed(self, data: bytes) -> None:
        """Who asks for an upgrade gets an ordinary answer (RFC 9110, 7.8), but the parser knows no such thing."""
        try:
            self.parser.feed_data(data)
        except HttpParserUpgrade as upgrade:
            lines = [b"%s: %s" % pair for pair in self.headers if pair[0] not in _OF_UPGRADES]
            asked = b",".join(value for name, value in self.headers if name == b"connection").lower()
            lines += [b"connection: close"] if b"close" in asked else []
            version = self.parser.get_http_version().encode()
            plain = [
                b"%s %s HTTP/%s" % (self.parser.get_method(), self.url, version),
                *lines,
                b"",
                data[upgrade.args[0] :],
            ]
            self.parser = HttpRequestParser(self)
            self._feed(b"\r\n".join(plain))

    def pause_writing(self) -> None:
        """The caller takes less than it gets."""
        super().pause_writing()
        self._reading_deadline = self.loop.time() + self._limits.reading_seconds

    def resume_writing(self) -> None:
        """It goes on."""
        super().resume_writing()
        self._reading_deadline = NEVER

    # What the parser tells

    def on_message_begin(self) -> None:
        """So many may stand behind each other."""
        super().on_message_begin()
        self._begun, self._hosts, self._head = True, 0, 0
        self._expect_head()
        if len(self.pipeline) >= self._limits.pipelined:
            self._stop_parsing(LARGE_HEAD)

    def on_url(self, url: bytes) -> None:
        """Comes in pieces."""
        super().on_url(url)
        self._head = len(self.url)
        if self._head > self._limits.url_bytes:
            self._stop_parsing(LONG_URL)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A whole line, of a trailer, too."""
        super().on_header(name, value)
        self._head += len(name) + len(value) + len(b": \r\n")
        if self._head > self._limits.head_bytes or len(self.headers) > self._limits.headers:
            self._stop_parsing(LARGE_HEAD)
        if name.lower() == b"host":
            self._hosts += 1
            if self._hosts > 1 or _HOST.fullmatch(value.strip()) is None:
                self._stop_parsing(NO_HOST)

    def on_headers_complete(self) -> None:
        """Now it is a request; who has no place gets its answer all the same, where it asks for health."""
        if self.parser.should_upgrade():
            if self.parser.get_method() == b"CONNECT":
                self._stop_parsing(NO_HTTP)
            return
        is_full = not self._has_place and self.url.partition(b"?")[0] not in HEALTH
        if is_full:
            self.app = _full
            self._places.refused(FULL.status)
        super().on_headers_complete()
        self._in_head, self._fed = False, 0
        if not self._has_place:
            self.cycle.keep_alive = False
        self._places.busy(self)
        self._deadline = self.loop.time() + self._limits.body_seconds

    def on_body(self, body: bytes) -> None:
        """Some of it."""
        self._body += len(body)
        if self._body <= self._limits.body_bytes and not self.cycle.response_complete:
            self._held += len(body)
            self._places.held += len(body)
            if self._places.held > self._limits.bodies_bytes:
                self._stop_parsing(FULL)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """From here on it is the application's turn."""
        if self.parser.should_upgrade():
            return
        super().on_message_complete()
        self._begun, self._in_head, self._fed, self._body = False, True, 0, 0
        self._deadline = NEVER
        if not self._is_waiting:
            self._rest()

    # What ends a wait

    def on_response_complete(self) -> None:
        """The caller waits for nothing now, unless it has not yet sent all of its request."""
        super().on_response_complete()
        if self._is_waiting:
            return
        self.cycle.body = bytearray()  # that nobody has read
        self._let_go()
        if self.transport.is_closing():
            self._deadline = self.loop.time() + self._limits.closing_seconds
        else:
            self._rest()  # also where it has not sent all of what was answered

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    def shutdown(self) -> None:
        """What is whole is answered, in a moment; the rest is sent away."""
        if not self._is_waiting:
            self.transport.close()
        elif self.cycle.more_body:
            self._turn_away(STOPPING)
        else:
            self.cycle.keep_alive = False
        self._dropped = self._dropped or 0
        self._deadline = self.loop.time() + self._limits.stopping_seconds

    def leave(self) -> None:
        """Its place is needed."""
        self._dropped = 0
        self.transport.abort()

    def expire(self) -> None:
        """Its time is over."""
        if self._dropped is not None or self._reading_deadline != NEVER or self.transport.is_closing():
            self.transport.abort()
        elif self._is_waiting and (self._in_head or self.pipeline):
            self._expect_head()  # it cannot go on before it has its answer
        elif self._begun:
            self._turn_away(SLOW)
        else:
            self._close()

    def _expect_head(self) -> None:
        limits = self._limits
        self._deadline = self.loop.time() + (limits.head_seconds if self._has_place else limits.closing_seconds)

    def _rest(self) -> None:
        self._places.idle(self)
        self._expect_head()

    def _let_go(self) -> None:
        self._places.held -= self._held
        self._held = 0

    def _stop_parsing(self, why: Turned) -> None:
        self._why = why
        raise _TurnedAway

    def _turn_away(self, why: Turned) -> None:
        """Answers what is not answered yet, where that is possible."""
        self._places.refused(why.status)
        self._places.said("callers are turned away", status=why.status, address=self.client and self.client[0])
        self._dropped = 0
        self._let_go()
        if self._is_waiting and (self._in_head or self.pipeline):
            self.cycle.keep_alive = False  # those before it get their answers
            return
        if self._is_waiting:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if self._in_head or not self.cycle.response_started:
            self.transport.write(why.answer(self.server_state.default_headers))
        self._close()

    def _close(self) -> None:
        """The rest of what comes is still read for a moment, else the caller loses the answer (RFC 9112, 9.6)."""
        self._dropped = 0
        self._deadline = self.loop.time() + self._limits.closing_seconds
        self._places.idle(self)
        if self.transport.can_write_eof():
            self.transport.write_eof()
        else:
            self.transport.close()


async def _full(_scope: Scope, _receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": FULL.status, "headers": list(FULL.headers)})
    await send({"type": "http.response.body", "body": FULL.body})
