"""What a caller may send, hold and wait for, over real sockets."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace

import pytest

from tests.server.conftest import LARGE, PATIENT, QUICK, Shop, read, serving

GET = b"GET / HTTP/1.1\r\nHost: x\r\n"
POST = b"POST / HTTP/1.1\r\nHost: x\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
LAST = b"Connection: close\r\n\r\n"
WAIT = b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n"
HEALTH = b"GET /livez HTTP/1.1\r\nHost: x\r\n"


@pytest.fixture(scope="module")
def shop() -> Iterator[Shop]:
    with serving(PATIENT) as each:
        yield each


@pytest.fixture(scope="module")
def hasty() -> Iterator[Shop]:
    with serving(QUICK) as each:
        yield each


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


@pytest.mark.parametrize(
    ("status", "parts"),
    [
        (200, [GET + LAST]),
        (200, [GET + b"a: b\r\n" * 98 + LAST]),
        (200, [b"GET /" + b"a" * 8000 + b" HTTP/1.1\r\nHost: x\r\n" + LAST]),
        (414, [b"GET /" + b"a" * 8192 + b" HTTP/1.1\r\nHost: x\r\n" + LAST]),
        (414, [b"GET /", *[b"a" * 3000] * 5]),
        (431, [GET + b"a: b\r\n" * 99 + LAST]),
        (431, [GET + (b"a: " + b"b" * 4000 + b"\r\n") * 5 + LAST]),
        (431, [GET + b"a: ", *[b"b" * 3000] * 8]),
        (431, [GET, *[b"a" * 3000] * 8]),
        (431, [GET + b"a:", *[b" " * 3000] * 8]),
        (400, [b"\r\n" * 1500] * 8),
        (400, [b"\x16\x03\x01\x02\x00\x01"]),
        (400, [b"GET / HTTP/1.1\r\nHost: [\r\n" + LAST]),
        (400, [b"GET / HTTP/1.1\r\nHost: a b\r\n" + LAST]),
        (400, [b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n" + LAST]),
        (200, [b"GET / HTTP/1.1\r\nHost: [::1]:80\r\n" + LAST]),
        (200, [b"GET / HTTP/1.0\r\n\r\n"]),
        (400, [b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n"]),
        (400, [CHUNKED, *[b"1;" + b"a" * 90_000] * 5]),
        (400, [CHUNKED + b"1\r\na\r\n0\r\nx: ", *[b"a" * 90_000] * 5]),
        (431, [CHUNKED + b"1\r\na\r\n0\r\n" + b"x: y\r\n" * 100]),
        (200, [CHUNKED + b"1\r\na\r\n" * 20_000 + b"0\r\n\r\n" + GET + LAST]),
    ],
)
def test_what_is_too_large_or_none(shop: Shop, status: int, parts: list[bytes]) -> None:
    answer = shop.ask(*parts)
    assert status_of(answer) == status
    if status != 200:
        head, _, body = answer.partition(b"\r\n\r\n")
        assert b"application/problem+json" in head
        assert b"connection: close" in head
        assert b'"type":"/errors/invalid-request"' in body


def test_nobody_waits_behind_a_line_that_never_ends(shop: Shop) -> None:
    with shop.call() as endless:
        endless.sendall(GET + b"a: " + b"b" * 12_000)
        assert status_of(shop.ask(HEALTH + LAST)) == 200


def test_who_is_turned_away_and_goes_on_is_cut_off(shop: Shop) -> None:
    with shop.call() as caller:
        caller.sendall(b"\0")
        with pytest.raises(ConnectionError):
            caller.sendall(b"x" * 64 * 1024 * 1024)


@pytest.mark.parametrize("body", [[b"abc"], [b"a", b"bc"]])
@pytest.mark.parametrize("upgrade", [b"h2c", b"websocket"])
def test_who_asks_for_an_upgrade_gets_an_ordinary_answer(shop: Shop, upgrade: bytes, body: list[bytes]) -> None:
    head = POST + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: " + upgrade + b"\r\nContent-Length: 3\r\n\r\n"
    answer = shop.ask(head, *body, GET + LAST)  # as Java's client does for each first request
    assert answer.count(b"HTTP/1.1 200") == 2
    assert b"\r\n\r\n3HTTP" in answer


def test_requests_behind_each_other_are_bounded(shop: Shop) -> None:
    answers = shop.ask((GET + b"\r\n") * 200)
    assert answers.count(b"HTTP/1.1 200") == PATIENT.pipelined + 1  # one is answered, the others wait behind it
    assert answers.count(b"connection: close") == 1


@pytest.mark.parametrize(
    ("parts", "status"),
    [
        ([], None),
        ([b"\r\n"], None),
        ([b"GET / HT"], 408),
        ([GET + b"a: b"], 408),
        ([POST + b"Content-Length: 5\r\n\r\n", b"a"], 408),
        ([CHUNKED, b"5\r\na"], 408),
        ([GET + b"\r\n"], 200),
        ([GET + b"\r\n" + GET], 200),
    ],
)
def test_who_is_too_slow(hasty: Shop, parts: list[bytes], status: int | None) -> None:
    answer = hasty.ask(*parts)
    assert (status_of(answer) if answer else None) == status
    if len(parts) == 1 and parts[0].endswith(GET):
        assert b"HTTP/1.1 408" in answer


def test_the_application_learns_that_a_body_never_came(hasty: Shop) -> None:
    hasty.left.clear()
    hasty.ask(POST + b"Content-Length: 5\r\n\r\n", b"a")
    assert hasty.left.wait(5)


def test_who_takes_nothing_of_its_answer(hasty: Shop) -> None:
    with hasty.call() as caller:
        caller.sendall(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
        hasty.until(lambda: hasty.count("ipaas_stamped_callers") == 1)
        hasty.until(lambda: hasty.count("ipaas_stamped_callers") == 0)
        assert len(read(caller)) < LARGE


def test_who_waits_for_an_answer_is_not_held_to_its_next_head(hasty: Shop) -> None:
    with hasty.call() as caller, hasty.call() as clock:
        caller.sendall(WAIT + b"GET /liv")
        assert read(clock) == b""  # so long that a head would have been too slow
        hasty.open()
        caller.sendall(b"ez HTTP/1.1\r\nHost: x\r\n" + LAST)
        assert read(caller).count(b"HTTP/1.1 200") == 2


def test_an_idle_caller_gives_its_place_to_one_who_comes() -> None:
    with serving(replace(PATIENT, places=2, reserved=1)) as shop, shop.call() as first, shop.call() as second:
        second.sendall(GET + b"\r\n")
        assert status_of(second.recv(65536)) == 200
        assert status_of(shop.ask(GET + LAST)) == 200
        assert read(first) == b""
        second.sendall(GET + LAST)
        assert status_of(read(second)) == 200


def test_where_all_are_busy_health_is_told() -> None:
    with serving(replace(PATIENT, places=2, reserved=2)) as shop, ExitStack() as stack:
        busy = [stack.enter_context(shop.call()) for _ in range(2)]
        for each in busy:
            each.sendall(POST + b"Content-Length: 2\r\n\r\na")
        shop.until(lambda: shop.count("ipaas_stamped_callers") >= 2)
        full = shop.ask(GET + b"\r\n")
        assert status_of(full) == 503
        assert b"retry-after: 5" in full
        assert b"/errors/service-unavailable" in full
        assert status_of(shop.ask(HEALTH + b"\r\n")) == 200
        for each in busy:
            each.sendall(b"b")
            assert status_of(each.recv(65536)) == 200
        assert status_of(shop.ask(GET + LAST)) == 200
        assert shop.count('ipaas_stamped_turned_away_total{status="503"}') == 1


def test_where_even_those_are_taken_nobody_is_kept() -> None:
    with serving(replace(PATIENT, places=1, reserved=1, closing_seconds=60)) as shop, ExitStack() as stack:
        for _ in range(2):
            busy = stack.enter_context(shop.call())
            busy.sendall(b"POST /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\na")
        shop.until(lambda: shop.count("ipaas_stamped_callers") >= 2)
        assert shop.ask(HEALTH + LAST) == b""
        assert shop.count('ipaas_stamped_turned_away_total{status="0"}') == 1


def test_bodies_that_are_not_whole_are_bounded_together() -> None:
    with serving(replace(PATIENT, bodies_bytes=120_000, body_bytes=60_000)) as shop, ExitStack() as stack:
        first, second, third = (stack.enter_context(shop.call()) for _ in range(3))
        begin = POST + b"Content-Length: 60000\r\n\r\n"
        for each in (first, second):
            each.sendall(begin + b"x" * 45_000)
        shop.until(lambda: shop.places.held >= 90_000)
        third.sendall(begin + b"x" * 45_000)
        assert status_of(read(third)) == 503
        assert shop.places.held == 90_000
        first.sendall(b"x" * 15_000)
        assert status_of(first.recv(65536)) == 200
        second.close()
        assert length(shop.ask(POST + b"Content-Length: 600000\r\n" + LAST, b"x" * 600_000)) == 600_000
        shop.until(lambda: shop.places.held == 0)


def test_who_has_its_answer_and_never_sends_the_rest_gives_way() -> None:
    with serving(replace(PATIENT, places=1, reserved=1)) as shop, shop.call() as caller:
        caller.sendall(b"POST /early HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\na")
        assert status_of(caller.recv(65536)) == 200
        assert status_of(shop.ask(GET + LAST)) == 200
        assert read(caller) == b""


def test_a_body_that_came_at_once_counts_until_it_is_answered() -> None:
    with serving(replace(PATIENT, bodies_bytes=100_000)) as shop, shop.call() as first:
        first.sendall(b"POST /wait HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n" + b"x" * 60_000)
        shop.until(lambda: shop.places.held >= 60_000)
        assert status_of(shop.ask(POST + b"Content-Length: 60000\r\n" + LAST + b"x" * 60_000)) == 503
        shop.open()
        assert status_of(first.recv(65536)) == 200
        assert shop.places.held == 0


def test_whoever_leaves_is_seen_to_leave_behind_others_too(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    with shop.call() as caller:
        caller.sendall(WAIT + HEALTH + b"\r\n")
        shop.until(lambda: shop.count("ipaas_stamped_callers") >= 1)
    shop.until(lambda: shop.count("ipaas_stamped_callers") <= 0)
    shop.open()
    assert status_of(shop.ask(HEALTH + LAST)) == 200
    assert [each for each in caplog.records if each.levelname == "ERROR"] == []


@pytest.mark.parametrize(
    "lines", [b"HTTP/1.1\r\nHost: x\r\nConnection: close, upgrade\r\n", b"HTTP/1.0\r\nConnection: upgrade\r\n"]
)
def test_who_asks_for_an_upgrade_and_to_close_is_closed(shop: Shop, lines: bytes) -> None:
    with shop.call() as caller:
        caller.settimeout(2)
        caller.sendall(b"GET / " + lines + b"Upgrade: x\r\n\r\n")
        assert status_of(read(caller)) == 200


def length(answer: bytes) -> int:
    """What the shop tells of a body."""
    return int(answer.rpartition(b"\r\n")[2])


def test_it_stops_whatever_is_open() -> None:
    callers: list[socket.socket] = []
    with serving(PATIENT) as shop:
        for sent in (
            b"",
            b"GET / HT",
            POST + b"Content-Length: 5\r\n\r\na",
            WAIT,
            b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n",
            GET + b"\r\n",
            WAIT + GET,
        ):
            callers.append(shop.call())
            callers[-1].sendall(sent)
        shop.until(lambda: shop.count("ipaas_stamped_callers") >= len(callers))
    answers = [read(each) for each in callers]
    assert status_of(answers[2]) == 503
    assert status_of(answers[5]) == 200
    for each in callers:
        each.close()


def test_it_stands_before_h11_too() -> None:
    with serving(QUICK, http="h11") as shop:
        for _ in range(2):
            assert status_of(shop.ask(b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n")) == 414
