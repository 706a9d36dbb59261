"""Failures that differ only in what varies are alike; those that differ in what is said are not."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.attempt import Failure, StampedAnswer
from app.error_catalog import CATALOG, Slug
from app.ledger.grouping import alike, group_of, normalised
from app.outbound.calls import MESSAGE_LIMIT
from app.telemetry.redaction import Redactor, mask_email

WORDS = st.sampled_from(
    ("Customer", "e-mail", "is", "not valid", "for", "isn't allowed:", "may", "(id)", "at", ";")
)
NUMBERS = st.one_of(
    st.integers(0).map(str), st.integers().map(str), st.floats(-1e9, 1e9).map(lambda n: f"{n:,.2f}")
)
MOMENTS = st.datetimes(datetime(1990, 1, 1), datetime(2090, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - bounds
TIMES = st.one_of(
    MOMENTS.map(lambda moment: moment.isoformat()),
    MOMENTS.map(lambda moment: moment.strftime("%Y-%m-%d %H:%M:%SZ")),
    MOMENTS.map(lambda moment: format_datetime(moment, usegmt=True)),
    MOMENTS.map(lambda moment: moment.strftime("%B %d, %Y %I:%M %p")),
    MOMENTS.map(lambda moment: moment.strftime("%a %b %d %H:%M:%S %Y")),
    MOMENTS.map(lambda moment: moment.strftime("%m/%d/%Y")),
)
EMAILS = st.emails(domains=st.sampled_from(("example.com", "mail.example.org"))).filter(
    lambda text: not set(text) & set("\"'`")  # quotes that open and never close
)
MARKS = ('""', "''", "“”", "«»", "\u2018\u2019", "``")
INSIDE = st.text(
    st.characters(exclude_characters="".join(MARKS), exclude_categories=("Cc", "Cs", "Zl", "Zp")), max_size=20
)


def quoted(text: str, pair: str) -> str:
    return f"{pair[0]}{text}{pair[1]}"


QUOTES = st.one_of(st.builds(quoted, INSIDE, st.sampled_from(MARKS)), st.just("'the customer's name'"))
IDS = st.one_of(st.uuids().map(str), st.uuids().map(lambda guid: guid.hex), st.integers(1).map("C-{}".format))
URLS = st.sampled_from(("https://stamped.io/api/v2/270392?x=a,b", "http://a.example/(b)", "ftp://x/y;z"))
VARYING = st.one_of(
    NUMBERS, IDS, TIMES, EMAILS, EMAILS.map(mask_email), QUOTES, URLS, st.sampled_from(("…", "… …", "***"))
)
PARTS = st.lists(st.one_of(WORDS, st.none()), max_size=8)  # None: something that varies
SPACES = st.sampled_from((" ", "  ", "\t", "\n "))


@given(PARTS, st.data())
def test_what_varies_makes_no_difference(parts: list[str | None], data: st.DataObject) -> None:
    def message() -> str:
        drawn = [data.draw(VARYING) if part is None else part for part in parts]
        return "".join(word + data.draw(SPACES) for word in drawn)

    assert normalised(message()) == normalised(message())


@given(VARYING)
def test_nothing_of_it_is_left(varying: str) -> None:
    assert normalised(f"Customer {varying} is not valid.") == "Customer … is not valid."
    assert normalised(f"Not valid: {varying}") == "Not valid: …"


ODD = st.sampled_from("aMy 1é…'\"“”\u2018\u2019`@.:/-+#%*(,)\t") | st.text(min_size=1, max_size=1)
MESSY = st.lists(ODD, max_size=60).map("".join)


@given(st.one_of(MESSY, st.lists(st.one_of(WORDS, VARYING), max_size=9).map(" ".join)))
@example("'a' 5'a'")
@example('"john doe"@example.com')
@example("…' …' x'")
def test_what_is_normalised_stays_so(message: str) -> None:
    once = normalised(message)
    assert normalised(once) == once
    assert not any(map(str.isdecimal, once))


UNITS = (
    *(
        "'",
        '"',
        "“",
        "\u2018",
        "\u2018a",
        "`",
        " '",
        "a'",
        "'a ",
        "'a'b",
        "@",
        "a@",
        "%40",
        "://",
        "a-",
        "-",
        "#",
        "+",
    ),
    *("1", "1.", "a", "<", "… ", "…", "*", "***", "Mon, ", "May ", "1 Jan ", "\u2003"),
)


@pytest.mark.parametrize("unit", UNITS)
def test_hostile_messages_take_a_time_that_only_grows_with_their_length(unit: str) -> None:
    def cost(size: int) -> float:
        text = (unit * size)[:size]
        took = []
        for _ in range(3):
            began = time.thread_time()
            normalised(text)
            took.append(time.thread_time() - began)
        return min(took)

    assert cost(50_000) < 0.5, "what grows with the square of it takes many seconds"


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("Email a…@example.com is not valid.", "Email … is not valid."),
        ("The API key you supplied is not valid.", "The API key you supplied is not valid."),
        (
            "Customer 150713 isn't at 'Acme's shop' since 2026-11-24T10:00:00+02:00!",
            "Customer … isn't at … since …!",
        ),
        ("Another customer has “anna@example.com”.", "Another customer has …."),
        ("email: Ada Example, Ada: taken; id: 7, 8 and 9", "email: Ada Example, Ada: taken; id: … and …"),
        ("See https://stamped.io/help/401. Then try again.", "See …. Then try again."),
        ("No answer: timed out after 15 s.", "No answer: timed out after … s."),
        ("You May try in May, at most 7 May be", "You May try in May, at most … May be"),
        ("Closed on Tue, 24 Nov 2026 10:00:00 GMT.", "Closed on …."),
        ('Value "anna is cut off …', "Value …"),
    ],
)
def test_what_is_taken_out(message: str, expected: str) -> None:
    assert normalised(message) == expected


def failure(status: int | None = 400, message: str = "Email is not valid.", slug: Slug = Slug.CUSTOMER) -> Failure:
    reason = f"HTTP status {status}: {message}" if status else f"No answer: {message}"
    stamped = StampedAnswer("create", status, message)
    return Failure.of(slug, 422 if status else 504, reason, retryable=False, stamped=stamped)


def test_error_status_and_message_tell_groups_apart() -> None:
    groups = [
        group_of(each)
        for each in (
            failure(),
            failure(401),
            failure(None),
            failure(message="Name is not valid."),
            failure(slug=Slug.SUBSCRIPTION),
            Failure.of(Slug.NOT_LOADED, 502, "HTTP status 401 Unauthorized.", retryable=False),
            Failure.of(Slug.NOT_LOADED, 502, "HTTP status 403 Forbidden.", retryable=False),
            Failure(Slug.INTERNAL_ERROR, 500, "The attempt was interrupted 50 times.", retryable=True),
        )
    ]
    assert len(set(groups)) == len(groups)
    assert all(len(group) == 12 and int(group, 16) >= 0 for group in groups)
    assert groups[0] == "088c64560262", "stored groups must stay what they are"


def test_names_and_ids_do_not_tell_groups_apart() -> None:
    redactor = Redactor()
    texts = [
        redactor.text(f"{name} <{email}> (id {number}) exists.", names=name.split())
        for name, email, number in (("Ada", "ada@example.com", 7), ("Ben Muster", "b.m@mail.example.org", 150713))
    ]
    assert texts[0] != texts[1]
    assert group_of(failure(message=texts[0])) == group_of(failure(message=texts[1]))


@pytest.mark.parametrize("slug", [*Slug, None, "of-a-newer-version"])
def test_what_is_alike_is_told_without_the_documented_sentence(slug: str | None) -> None:
    sentence = CATALOG[Slug(slug)].sentence if slug in set(Slug) else ""
    assert alike(slug, f"{sentence} HTTP status 404 Not Found: No. 7.") == "HTTP status 404 Not Found: No. …."
    assert alike(slug, sentence) == normalised(sentence)
    assert alike(slug, None) == normalised(sentence)
    assert len(alike(slug, "x 1" * MESSAGE_LIMIT)) < 3 * MESSAGE_LIMIT
