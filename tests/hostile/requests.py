"""Requests that nobody means well with, each drawn anew: bytes to send, piece by piece, and how long to linger."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from tests.support import OPERATOR_KEY, WEBHOOK_KEY

CANARY: Final = "Zebrafink"  # in every name, e-mail and key that is made up here
EMAIL: Final = f"{CANARY.lower()}.mail@example.com"
WRONG_KEY: Final = f"wrong-key-{CANARY}-0123456789"
WEBHOOK: Final = "/webhooks/customers"
_PATHS: Final = (
    "/",
    WEBHOOK,
    "/transfers",
    "/transfers?limit=201",
    "/transfers?since=x&status=y&error=z",
    "/transfers/not-a-guid",
    "/customers/1/sync",
    "/syncs",
    "/syncs/x/cancel",
    "/transfers/retry",
    "/errors/groups?since=-1",
    "/rejections",
    "/connections",
    "/connections/nobody/pause",
    "/login",
    "/logout",
    "/monitoring",
    "/monitoring/transfers?cursor=1e9",
    "/docs",
    "/openapi.json",
    "/errors/nope",
    "/metrics",
    "/readyz",
    "/%00",
    "/%2e%2e/%2e%2e/etc/passwd",
    "/a" * 200,
)
_METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "QUERY")
_ODD: Final[tuple[Any, ...]] = (
    None,
    True,
    0,
    -1,
    1e308,
    10**400,
    "",
    "\0",
    "\ud800",
    "x" * 5000,
    [],
    {},
    [[]],
)
_KEYS: Final = (WEBHOOK_KEY, OPERATOR_KEY, WRONG_KEY, "", "\xff")


@dataclass(frozen=True)
class Hostile:
    """`pieces` are sent one after the other, with a pause in seconds; who does not stay waits for no answer."""

    kind: str
    pieces: list[bytes]
    pause: float = 0.0
    stays: bool = True


def head(method: str, path: str, *lines: str, key: str | None = None) -> bytes:
    """With a Host, and without an end."""
    bearer = [] if key is None else [f"Authorization: Bearer {key}"]
    text = "\r\n".join((f"{method} {path} HTTP/1.1", "Host: bridge.test", "Connection: close", *bearer, *lines))
    return text.encode("latin-1", "replace") + b"\r\n"


def with_body(path: str, body: bytes, *lines: str, key: str = WEBHOOK_KEY, method: str = "POST") -> bytes:
    """A whole request."""
    kind = (
        ()
        if any(line.lower().startswith("content-type") for line in lines)
        else ("Content-Type: application/json",)
    )
    return head(method, path, f"Content-Length: {len(body)}", *kind, *lines, key=key) + b"\r\n" + body


def _record(chance: random.Random) -> dict[str, Any]:
    record = {
        "id": chance.choice((1, "2", *_ODD)),
        "customer_number": chance.choice(("C-1", *_ODD)),
        "first_name": chance.choice((CANARY, *_ODD)),
        "last_name": chance.choice((f"O'{CANARY}", *_ODD)),
        "email_address": chance.choice((EMAIL, EMAIL.replace("@", "%40"), EMAIL.replace("@", "&#64;"), *_ODD)),
        "updated_datetime": chance.choice(("2026-11-26T10:00:00", "9999-99-99", *_ODD)),
        "custom_fields": chance.choice(
            ([{"custom_field_name": "SubscribeProfile", "value": chance.choice((EMAIL, "yes", *_ODD))}], *_ODD)
        ),
        EMAIL: CANARY,
    }
    return dict(chance.sample(list(record.items()), chance.randint(1, len(record))))


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


def _odd_body(chance: random.Random) -> Hostile:
    notification = {
        "scope": chance.choice(("customer/updated", "customer/deleted", EMAIL, *_ODD)),
        "id": chance.choice((1, *_ODD)),
        "tracking_guid": chance.choice((EMAIL, *_ODD)),
        "customer": _record(chance),
    }
    bodies = (_record(chance), {"notifications": [notification] * chance.randint(0, 3)}, chance.choice(_ODD))
    lines = (f"X-Correlation-Id: {EMAIL}", f"Idempotency-Key: {EMAIL}", "Prefer: wait=0")
    sent = with_body(WEBHOOK, _json(chance.choice(bodies)), *lines)
    return Hostile("odd body", [sent])


def _amplified(chance: random.Random) -> Hostile:
    unit = chance.choice((b"0", b"[]", b"{}", b'""', b"[[]]", b"1e1"))
    many = b",".join([unit] * (chance.choice((1000, 50_000, 200_000)) // len(unit)))
    name = chance.choice((b"custom_fields", b"external_ids", b"notifications", b"x"))
    body = b'{"id":1,"%s":[%s]}' % (name, many)
    return Hostile("amplified", [with_body(WEBHOOK, body)])


def _no_json(chance: random.Random) -> Hostile:
    body = chance.choice(
        (b"", b"{", b"\xff\xfe", b"[" * 100_000, b'{"a":' * 5000, b"NaN", b"1" * 5000, chance.randbytes(3000))
    )
    return Hostile("no JSON", [with_body(WEBHOOK, body)])


def _large(chance: random.Random) -> Hostile:
    size = chance.choice((1024 * 1024 + 1, 3 * 1024 * 1024))
    if chance.random() < 0.5:
        chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
        begin = head(
            "POST", WEBHOOK, "Transfer-Encoding: chunked", "Content-Type: application/json", key=WEBHOOK_KEY
        )
        return Hostile("large chunked", [begin + b"\r\n", *[chunk] * (size // 0x10000 + 1), b"0\r\n\r\n"])
    return Hostile("large", [with_body(chance.choice((WEBHOOK, "/syncs", "/login")), b" " * size)])


def _other(chance: random.Random) -> Hostile:
    method, path, key = chance.choice(_METHODS), chance.choice(_PATHS), chance.choice(_KEYS)
    lines = chance.sample(
        (
            "Accept: text/html",
            "Origin: http://[",
            "Cookie: ipaas_stamped_session=x.y.z; a=\x01",
            "Content-Encoding: gzip",
            "Content-Type: application/x-www-form-urlencoded",
            "Content-Type: text/plain; charset=\xff",
            "X-Forwarded-For: " + "9" * 3000,
            f"X-Forwarded-For: {EMAIL}",
            "X-Forwarded-Proto: gopher",
            "Prefer: wait=999999999999999999999, respond-async; x",
            "Range: bytes=0-",
            "Upgrade: websocket",
            "Connection: Upgrade",
            "HX-Request: true",
            "Expect: 100-continue",
        ),
        3,
    )
    return Hostile("other", [with_body(path, _json({"customer_ids": [1, "\0"]}), *lines, key=key, method=method)])


def _login(chance: random.Random) -> Hostile:
    form = chance.choice((f"key={WRONG_KEY}", f"key={EMAIL}&next=//evil.test", "key=%00", "x" * 20_000, ""))
    lines = ("Content-Type: application/x-www-form-urlencoded", "Origin: null")
    return Hostile("login", [with_body("/login", form.encode(), *lines, key="")])


def _bad_head(chance: random.Random) -> Hostile:
    begin = head("GET", "/livez")
    pieces = chance.choice(
        (
            [b"GET /" + b"a" * chance.choice((8000, 9000, 100_000)) + b" HTTP/1.1\r\n\r\n"],
            [begin, *[b"a: b\r\n"] * 200, b"\r\n"],
            [begin, b"a: ", *[b"b" * 4000] * 6],
            [begin + b"Host: [\r\n\r\n"],
            [begin + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef"],
            [begin + b"Content-Length: -1\r\n\r\n"],
            [begin + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"],
            [begin + b"a\x00b: c\r\n\r\n"],
            [begin + b" folded: c\r\n\r\n"],
            [b"GET http://[ HTTP/1.1\r\n\r\n"],
            [b"GET * HTTP/1.1\r\n\r\n"],
            [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"],
            [b"\x16\x03\x01\x00\xa5\x01\x00"],
            [chance.randbytes(2000)],
            [b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n" * 100],
        )
    )
    return Hostile("bad head", pieces)


def _leaving(chance: random.Random) -> Hostile:
    path = chance.choice((WEBHOOK, "/syncs", "/login", "/customers/1/sync"))
    key = OPERATOR_KEY if path != WEBHOOK else WEBHOOK_KEY
    lines = ("Content-Type: application/json",) if path != "/login" else (_login(chance).kind,)
    begin = head("POST", path, "Content-Length: 5000", *[line for line in lines if ":" in line], key=key)
    return Hostile("leaving", [begin + b"\r\n", b'{"id": 1, "first_name": "' + CANARY.encode()], stays=False)


def _slow(chance: random.Random) -> Hostile:
    begin = (
        head("POST", WEBHOOK, "Content-Length: 12", "Content-Type: application/json", key=WEBHOOK_KEY) + b"\r\n"
    )
    return Hostile("slow", [begin, *[b" "] * 8, chance.choice((b'{"a"', b"    "))], pause=0.05)


KINDS: Final[dict[Callable[[random.Random], Hostile], int]] = {
    _odd_body: 30,
    _other: 30,
    _bad_head: 15,
    _no_json: 8,
    _leaving: 6,
    _amplified: 4,
    _login: 3,
    _slow: 3,
    _large: 1,
}


def draw(chance: random.Random) -> Hostile:
    """The next one."""
    (make,) = chance.choices(list(KINDS), list(KINDS.values()))
    return make(chance)
