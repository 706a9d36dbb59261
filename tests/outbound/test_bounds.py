"""What a hostile other side can do over a real socket: each of these ends soon, and by the client's will."""

from __future__ import annotations

import asyncio
import gzip
import tracemalloc
import zlib
from collections.abc import AsyncIterator

import httpx
import pytest

from app.outbound.status_table import Kind
from app.outbound.wire import ANSWER_LIMIT, read
from tests.outbound.support import OK, Says, chunked, failure_of, ok, other_side, send, wire

HEAD = b"HTTP/1.1 200 OK\r\n"
EARLY = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
MIB = bytes(ANSWER_LIMIT)
TOO_LONG = "the answer is longer than 1 MiB"
NOT_GZIP = "the answer's coding is not gzip"
BROKEN = "the answer is broken gzip"


def bomb(mebibytes: int) -> bytes:
    packing = zlib.compressobj(9, zlib.DEFLATED, 31)
    return b"".join(packing.compress(MIB) for _ in range(mebibytes)) + packing.flush()


def packed(body: bytes, coding: bytes = b"gzip") -> bytes:
    return ok(body, b"Content-Encoding: " + coding)


@pytest.mark.parametrize(
    ("first", "more", "message"),
    [
        pytest.param(HEAD + b"Content-Length: 1048577\r\n\r\n", MIB, TOO_LONG, id="length"),
        pytest.param(HEAD + b"\r\n", MIB, TOO_LONG, id="no length"),
        pytest.param(chunked(), b"10000\r\n%b\r\n" % bytes(65_536), TOO_LONG, id="chunks"),
        pytest.param(packed(bomb(64)), b"", TOO_LONG, id="gzip bomb"),
        pytest.param(packed(MIB + b"x"), b"", TOO_LONG, id="packed and long"),
        pytest.param(packed(gzip.compress(MIB + b"x")), b"", TOO_LONG, id="one byte more"),
        pytest.param(packed(gzip.compress(bomb(64)), b"gzip, gzip"), b"", NOT_GZIP, id="gzip, gzip"),
        pytest.param(packed(b"x", b"gzip\r\nContent-Encoding: gzip"), b"", NOT_GZIP, id="gzip twice"),
        pytest.param(packed(b"x", b"br"), b"", NOT_GZIP, id="br"),
        pytest.param(packed(zlib.compress(b"{}"), b"deflate"), b"", NOT_GZIP, id="deflate"),
        pytest.param(packed(b"x", b"\xff\xfe"), b"", NOT_GZIP, id="no text"),
        pytest.param(packed(b"{}"), b"", BROKEN, id="no gzip"),
        pytest.param(packed(gzip.compress(b"{}")[:-1]), b"", BROKEN, id="half gzip"),
        pytest.param(packed(gzip.compress(b"{}")[:-8] + bytes(8)), b"", BROKEN, id="wrong checksum"),
    ],
)
async def test_an_answer_that_is_not_read_to_its_end(first: bytes, more: bytes, message: str) -> None:
    async with other_side(Says(first, more=more)) as other:
        error = await failure_of(other.url)
        await other.was_left()
    assert (error.kind, error.status, error.message) == (Kind.UNAVAILABLE, 200, message)
    assert not error.is_unanswered


REFUSED, NO_HTTP = "AnswerRefused", "BadHttpMessage"


@pytest.mark.parametrize(
    ("first", "more", "causes"),
    [
        pytest.param(b"", EARLY, REFUSED, id="1xx for ever"),
        pytest.param(b"", b"HTTP/1.1 100 \r\n\r\n" * 15_000, REFUSED, id="1xx in masses"),
        pytest.param(EARLY * 9 + ok(), b"", REFUSED, id="nine 1xx"),
        pytest.param(HEAD, b"X: y\r\n", NO_HTTP, id="headers for ever"),
        pytest.param(HEAD + b"X: y\r\n" * 101 + b"\r\n", b"", NO_HTTP, id="101 headers"),
        pytest.param(HEAD + b"X: ", b"y" * 9999, "LineTooLong", id="endless header"),
        pytest.param(HEAD, b"y" * 9999, "LineTooLong", id="endless name"),
        pytest.param(b"HTTP/1.1 200 ", b"y" * 9999, "LineTooLong", id="endless reason"),
        pytest.param(HEAD + b"X: %b\r\n" % (b"y" * 8000) * 9, b"", REFUSED, id="72 KB of headers"),
        pytest.param(
            ok(b"{}", *[b"X: %b" % (b"y" * 8000)] * 8, b"X: " + b"y" * 1500), b"", REFUSED, id="64 KB and some"
        ),
        pytest.param(chunked(), b"1;x=" + b"y" * 9999, REFUSED, id="endless extension of a chunk"),
        pytest.param(chunked(), b"1\r\nx\r\n" * 9999, REFUSED, id="chunks of one byte"),
        pytest.param(chunked() + b"0\r\n", b"X: y\r\n", f"{NO_HTTP} ClientPayloadError", id="trailers for ever"),
    ],
)
async def test_more_than_any_answer_is(first: bytes, more: bytes, causes: str) -> None:
    async with other_side(Says(first, more=more)) as other:
        error = await failure_of(other.url)
        await other.was_left()
    assert (error.kind, error.status) == (Kind.UNAVAILABLE, None)
    assert error.message in [f"no connection ({cause})" for cause in causes.split()]
    assert error.is_unanswered
    assert len(other.requests) == 1


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(EARLY * 8 + ok(), id="eight 1xx"),
        pytest.param(ok(b"{}", *[b"X: y"] * 99), id="100 headers"),
        pytest.param(ok(b"{}", *[b"X: %b" % (b"y" * 8000)] * 8), id="64 KB of headers"),
        pytest.param(packed(gzip.compress(b"{}")), id="gzip"),
        pytest.param(packed(gzip.compress(b"{}"), b" X-GZIP "), id="x-gzip"),
        pytest.param(packed(b"{}", b"identity"), id="identity"),
        pytest.param(packed(b"{}", b""), id="no coding"),
        pytest.param(chunked(b"{", b"}") + b"0\r\nX: y\r\n\r\n", id="chunks and trailers"),
    ],
)
async def test_what_is_still_an_answer(answer: bytes) -> None:
    async with other_side(answer) as other, wire() as opened:
        assert await send(opened, "POST", other.url) == OK
        assert await send(opened, "POST", other.url) == OK
    assert other.opened == 1


async def test_an_answer_of_1_mib_is_one_however_it_comes() -> None:
    answers = ok(MIB), chunked(MIB) + b"0\r\n\r\n", packed(gzip.compress(MIB))
    async with other_side(*answers) as other, wire() as opened:
        for _ in answers:
            assert await send(opened, "GET", other.url) == (200, MIB)


async def test_a_coding_of_nothing_is_nothing() -> None:
    async with other_side(packed(b"")) as other, wire() as opened:
        assert await send(opened, "GET", other.url) == (200, b"")


@pytest.mark.parametrize(
    "answer",
    [packed(gzip.compress(bomb(1000)), b"gzip, gzip"), packed(bomb(200)), ok(MIB + MIB), EARLY * 50_000],
    ids=["gzip, gzip", "gzip bomb", "2 MiB", "1xx"],
)
async def test_a_few_mebibytes_are_all_that_is_kept(answer: bytes) -> None:
    async with other_side(answer) as other:
        tracemalloc.start()
        try:
            await failure_of(other.url)
            assert tracemalloc.get_traced_memory()[1] < 6 * ANSWER_LIMIT
        finally:
            tracemalloc.stop()


SECOND = ok(b'{"id": 7}')


@pytest.mark.parametrize(
    "says",
    [
        pytest.param(Says(ok() + SECOND), id="at once"),
        pytest.param(Says(ok()[:-2], later=ok()[-2:] + SECOND), id="with the body"),
        pytest.param(Says(ok(), later=SECOND), id="later"),
        pytest.param(Says(ok(), later=EARLY), id="an early hint"),
        pytest.param(Says(ok(), later=SECOND[:20]), id="half"),
        pytest.param(Says(HEAD.replace(b"200", b"204") + b"\r\n", later=SECOND), id="after no body"),
    ],
)
async def test_an_answer_to_nothing_is_not_taken_for_the_next(says: Says) -> None:
    async with other_side(says, ok()) as other, wire() as opened:
        response = await opened.handle_async_request(httpx.Request("GET", other.url))
        other.go.set()
        await read(response)
        await other.was_left()
        assert await send(opened, "POST", other.url) == OK
    assert other.opened == 2


async def test_an_answer_that_is_there_stays_one_whatever_follows() -> None:
    async with other_side(Says(ok(), later=SECOND)) as other, wire() as opened:
        response = await opened.handle_async_request(httpx.Request("GET", other.url))
        other.go.set()
        await other.was_left()
        assert await read(response) == b"{}"


async def test_others_have_their_turn_while_much_comes() -> None:
    turns = 0

    class Parts(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            for _ in range(100):
                yield b"x"

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    assert await read(httpx.Response(200, stream=Parts())) == b"x" * 100
    counting.cancel()
    assert turns > 90


async def test_another_protocol_is_not_switched_to() -> None:
    switching = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"
    async with other_side(Says(switching, more=MIB)) as other:
        error = await failure_of(other.url)
        await other.was_left()
    assert (error.kind, error.status) == (Kind.UNAVAILABLE, 101)


@pytest.mark.parametrize(
    "says",
    [
        pytest.param(Says(), id="never answers"),
        pytest.param(Says(HEAD), id="half a head"),
        pytest.param(Says(chunked(), more=b"1\r\nx\r\n"), id="drips a body"),
        pytest.param(Says(HEAD + b"Content-Length: 9\r\n\r\nx"), id="half a body"),
    ],
)
async def test_the_deadline_is_around_all_of_it(says: Says) -> None:
    async with other_side(says) as other:
        error = await failure_of(other.url, seconds=0.05)
        await other.was_left()
    assert (error.kind, error.status, error.message) == (Kind.TIMEOUT, None, "timed out after 0.05 s")
    assert len(other.requests) == 1
