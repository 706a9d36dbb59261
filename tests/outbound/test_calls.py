"""Classes and texts of failed calls."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.outbound.calls import MESSAGE_LIMIT, CallError, cut, message_of, parse_retry_after
from app.outbound.status_table import Kind, classify

NOW = datetime(2026, 11, 24, 10, tzinfo=UTC)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("status", "answer", "retryable"),
    [
        pytest.param(401, 502, False, id="401 keys"),
        pytest.param(403, 502, False, id="403 keys"),
        pytest.param(404, 502, False, id="404 store"),
        pytest.param(400, 422, False, id="400 data"),
        pytest.param(405, 422, False, id="405 other 4xx"),
        pytest.param(408, 422, False, id="408 other 4xx"),
        pytest.param(409, 422, False, id="409 data"),
        pytest.param(410, 422, False, id="410 other 4xx"),
        pytest.param(422, 422, False, id="422 data"),
        pytest.param(499, 422, False, id="499 last 4xx"),
        pytest.param(429, 503, True, id="429 throttled"),
        pytest.param(500, 502, True, id="500"),
        pytest.param(502, 502, True, id="502"),
        pytest.param(503, 502, True, id="503"),
        pytest.param(504, 502, True, id="504"),
        pytest.param(599, 502, True, id="599"),
        pytest.param(302, 502, True, id="302 nonsense"),
        pytest.param(999, 502, True, id="999 nonsense"),
    ],
)
def test_a_status_decides_the_answer_and_whether_to_repeat(status: int, answer: int, *, retryable: bool) -> None:
    kind = classify(status)
    assert (kind.status, kind.retryable) == (answer, retryable)


def test_no_answer_in_time_is_504_and_retryable() -> None:
    assert (Kind.TIMEOUT.status, Kind.TIMEOUT.retryable) == (504, True)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        pytest.param("120", 120, id="seconds"),
        pytest.param("0", 0, id="zero"),
        pytest.param(" 7 ", 7, id="blanks around"),
        pytest.param("1.5", 1.5, id="fraction"),
        pytest.param("Tue, 24 Nov 2026 10:00:30 GMT", 30, id="http date"),
        pytest.param("Tuesday, 24-Nov-26 10:00:30 GMT", 30, id="obsolete rfc 850 date"),
        pytest.param("Tue Nov 24 10:00:30 2026", 30, id="obsolete asctime date"),
        pytest.param("Tue, 24 Nov 2026 11:00:30 +0100", 30, id="other zone"),
        pytest.param("Tue, 24 Nov 2026 09:59:00 GMT", 0, id="date that has passed"),
        pytest.param(None, 60, id="missing"),
        pytest.param("", 60, id="empty"),
        pytest.param("soon", 60, id="garbage"),
        pytest.param("-5", 60, id="negative"),
        pytest.param("٣", 60, id="other digits"),
        pytest.param("1e3", 60, id="exponent"),
        pytest.param("999999999", 86_400, id="capped at a day"),
        pytest.param("Fri, 24 Nov 2096 10:00:00 GMT", 86_400, id="date capped at a day"),
        pytest.param("Mon, 01 Jan 99999999999999999999 00:00:00 GMT", 60, id="impossible year"),
        pytest.param("Mon, 01 Jan 2026 00:00:00 +99999999999999999", 60, id="impossible zone"),
    ],
)
def test_retry_after(value: str | None, seconds: float) -> None:
    assert parse_retry_after(value, NOW) == seconds


@given(st.text() | st.from_regex(r"\w{3}, \d{1,25} (Jan|Feb) \d{1,25} \d+:\d+:\d+ (GMT|[+-]\d{1,20})"))
def test_no_retry_after_breaks_the_reading(value: str) -> None:
    assert 0 <= parse_retry_after(value, NOW) <= 86_400


@pytest.mark.parametrize(
    ("body", "text", "message"),
    [
        pytest.param({"errors": "c", "error": "b", "message": "a"}, "", "a", id="message first"),
        pytest.param({"errors": "c", "error": "b"}, "", "b", id="then error"),
        pytest.param({"errors": "c", "detail": "d"}, "", "c", id="then errors"),
        pytest.param({"message": "", "error": None, "errors": ["c"]}, "", "c", id="empty ones are passed over"),
        pytest.param({"detail": "d"}, '{"detail": "d"}', '{"detail": "d"}', id="then the text"),
        pytest.param({"Message": "a"}, "", "a", id="any case"),
        pytest.param({"message": " a \n b "}, "", "a b", id="one line"),
        pytest.param({"error": {"message": "a", "code": 7}}, "", "a", id="message inside error"),
        pytest.param({"errors": [{"message": "a"}, {"message": "b"}]}, "", "a; b", id="list of objects"),
        pytest.param({"errors": ["a", "b"]}, "", "a; b", id="list of texts"),
        pytest.param(
            {"errors": {"email": ["is taken", "is odd"]}}, "", "email: is taken; email: is odd", id="by field"
        ),
        pytest.param("a", '"a"', "a", id="bare string"),
        pytest.param(None, "", "", id="nothing"),
        pytest.param(None, "plain", "plain", id="plain text"),
        pytest.param(None, "<h1>Be right</h1><p>back &amp; soon</p>", "Be right back & soon", id="html stripped"),
        pytest.param(None, "<style>p{}</style>a<script>b()</script>", "a", id="style and script stripped"),
        pytest.param(None, "<STYLE type='x'>p{}</STYLE>a", "a", id="upper case style stripped"),
        pytest.param([1, 2], "[1, 2]", "[1, 2]", id="list body"),
    ],
)
def test_message_of_an_error_body(body: Any, text: str, message: str) -> None:
    assert message_of(body, text) == message


@pytest.mark.parametrize(
    "text",
    ["<script>" * 2500, "<" * 20_000, "&" * 20_000, " " * 20_000],
    ids=["script", "angles", "ampersands", "blanks"],
)
def test_hostile_text_is_stripped_quickly(text: str) -> None:
    began = time.perf_counter()
    message_of(None, text)
    assert time.perf_counter() - began < 2


@given(JSON, st.text())
def test_no_body_breaks_the_message(body: Any, text: str) -> None:
    message = cut(message_of(body, text))
    assert len(message) <= MESSAGE_LIMIT


@pytest.mark.parametrize(("length", "shown"), [(499, 499), (500, 500), (501, 500), (9000, 500)])
def test_a_message_is_cut_at_500_characters(length: int, shown: int) -> None:
    message = cut("x" * length)
    assert len(message) == shown
    assert message.endswith("…") is (length > 500)


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        pytest.param(f"{'x' * 495} Quisling and more", f"{'x' * 495} …", id="at the blank before"),
        pytest.param(f"{'x' * 20} {'y' * 900}", f"{'x' * 20} …", id="a long last word"),
        pytest.param("y" * 900, f"{'y' * 498} …", id="one word only"),
        pytest.param(f"{'x' * 490}/{'Quisling' * 9}", f"{'x' * 490}/ …", id="words without blanks"),
    ],
)
def test_a_message_is_cut_between_words(message: str, shown: str) -> None:
    assert cut(message) == shown


@given(
    st.lists(st.text("abäö-@.", min_size=1, max_size=80), min_size=1, max_size=9).map(
        lambda words: " ".join(words * 30)
    )
)
def test_no_part_of_a_word_is_shown(message: str) -> None:
    shown = cut(message)
    assert len(shown) <= MESSAGE_LIMIT
    assert shown == message or f"{message} ".startswith(f"{shown.removesuffix(' …')} ")


@pytest.mark.parametrize(
    ("status", "message", "text"),
    [
        pytest.param(401, "Not valid.", "HTTP status 401 Unauthorized: Not valid.", id="with message"),
        pytest.param(500, "", "HTTP status 500 Internal Server Error.", id="without message"),
        pytest.param(599, "", "HTTP status 599.", id="unknown status"),
        pytest.param(None, "timed out after 15 s", "No answer: timed out after 15 s.", id="no answer"),
    ],
)
def test_the_text_after_the_documented_sentence(status: int | None, message: str, text: str) -> None:
    assert str(CallError("create", Kind.UNAVAILABLE, status, message)) == text
