"""What is hidden is hidden however it is spelled, and nothing else is touched."""

from __future__ import annotations

import base64
import string
import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.telemetry.redaction import Redactor, basic_credentials
from app.telemetry.spelling import MOST_LAYERS, plainly
from tests.telemetry.spellings import SPELLINGS, spelled

KEY = "key-Wm8rX2/+aVq"
PASSWORD = "p@ss+w/rd 100%"
NAMES = ["O'Brien", "Müller", "Anna Maria", "Griffith", "Ng"]
redactor = Redactor([KEY, PASSWORD])


NESTED = st.lists(st.sampled_from([*SPELLINGS]), max_size=3)
AROUND = st.sampled_from(["", " ", "refused: ", "<p>", '{"a": "', "=", "\n", "&lt;", "%20"])
LOCAL = st.text(string.ascii_letters + string.digits + ".+_-", min_size=3, max_size=12).map(
    lambda text: f"q{text}z"
)
EMAIL = st.builds(lambda local: f"{local}@mail.example", LOCAL)


@given(EMAIL, NESTED, AROUND, AROUND)
def test_no_email_is_left(email: str, ways: list[str], before: str, after: str) -> None:
    clean = redactor.text(f"{before}{spelled(email, ways)}{after}")
    local = plainly(email.partition("@")[0])
    assert f"{local}@" not in plainly(clean)
    assert local not in plainly(clean)
    assert redactor.text(clean) == clean


@given(st.sampled_from([KEY, PASSWORD]), NESTED, AROUND, AROUND)
def test_no_key_is_left(key: str, ways: list[str], before: str, after: str) -> None:
    clean = redactor.text(f"{before}{spelled(key, ways)}{after}")
    assert key.lower() not in clean.lower()
    assert plainly(key) not in plainly(clean)
    assert redactor.text(clean) == clean


@given(
    st.sampled_from(NAMES), NESTED, st.sampled_from(["", " ", "no ", "(", '"', "=", "\n", "&lt;", "%20", "\\n"])
)
def test_no_name_is_left(name: str, ways: list[str], before: str) -> None:
    clean = redactor.text(f"{before}{spelled(name, ways)}, sorry", names=NAMES)
    assert plainly(name) not in plainly(clean).replace("+", " ")
    assert redactor.text(clean, names=NAMES) == clean


@given(st.binary(max_size=7), st.binary(max_size=7), st.sampled_from([base64.b64encode, base64.urlsafe_b64encode]))
def test_no_key_is_left_in_base64(before: bytes, after: bytes, encode: Callable[[bytes], bytes]) -> None:
    encoded = encode(before + KEY.encode() + after).decode()
    for way in ("percent", "reference"):
        assert redactor.text(f"sent {spelled(encoded, [way])} to") == "sent *** to"
    assert redactor.text(f"Proxy: {basic_credentials('user', KEY)}.") == "Proxy: ***."


@given(st.text(string.ascii_letters + string.digits + " .,:;!?'()[]{}<>|/\\%&#=+-_*\n\téß漢…\u200b"))
def test_what_has_nothing_to_hide_is_left_as_it_is(text: str) -> None:
    assert redactor.text(text) == text or "key-" in plainly(text)


@given(st.text(string.printable + "@@@%%%&&\\\\éß…"), st.sampled_from(NAMES))
def test_twice_is_as_once(text: str, name: str) -> None:
    once = redactor.text(text, names=[name])
    assert redactor.text(once, names=[name]) == once


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        pytest.param("no anna%2540example.com here", "no a…@example.com here", id="percent twice"),
        pytest.param("&lt;anna&#64;example.com&gt;", "a…@example.com&gt;", id="html"),
        pytest.param(r"{\"e\":\"anna\u0040example.com\"}", r"{\"e\":\"a…@example.com\"}", id="json in json"),
        pytest.param("anna\uff20example.com", "a…@example.com", id="fullwidth"),
        pytest.param('to "anna quisling"@example.com', 'to "…@example.com', id="quoted local part"),
        pytest.param("a%20b%40example.com", "a…@example.com", id="a blank that may belong to it"),
        pytest.param("Basic%20dXNlcjpwYXNz", "Basic ***", id="credentials"),
        pytest.param(f"{KEY.upper()} of Mu\u0308ller", "*** of …", id="upper case, accent apart"),
        pytest.param(r"C:\nora\new anna+maria", r"C:\…\new …", id="what only looks spelled"),
        pytest.param("İİİ anna@example.com, of", "İİİ a…@example.com, of", id="capitals of two small letters"),
        pytest.param("O’Brien, griﬃth", "…, …", id="typography"),  # noqa: RUF001 - that is the point
    ],
)
def test_what_is_left(text: str, clean: str) -> None:
    assert redactor.text(text, names=[*NAMES, "nora"]) == clean
    assert redactor.text(clean, names=[*NAMES, "nora"]) == clean


def test_what_is_spelled_too_often_is_hidden_whole() -> None:
    text = "anna@example.com"
    for _ in range(MOST_LAYERS + 2):
        text = text.replace("&", "%26").replace("@", "&#64;").replace("%", "&#37;")
    assert redactor.text(f"no {text}!") == "no ***"


@pytest.mark.parametrize(
    "piece",
    [
        "%25",
        "%2540",
        "%",
        "&amp;",
        "&#64;",
        "&",
        "\\",
        "\\u0040",
        "a@b ",
        "ü@",
        "\u200b",
        "ﬃ",
        "%26#37;",
        KEY,
        "Ng ",
    ],
)
def test_a_hostile_text_is_cleaned_in_linear_time(piece: str) -> None:
    text = (piece * 262_144)[:262_144]
    began = time.process_time()
    redactor.text(text, names=NAMES)
    assert time.process_time() - began < 1.5  # a quadratic one takes ten seconds


def test_a_letter_that_stands_for_two_is_hidden_with_its_first() -> None:
    assert Redactor(["secret-of-stef"]).text("secret-of-steﬀen") == "***en"
