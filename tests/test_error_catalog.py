"""The catalogue says what iPaaS.com's documentation says, word for word."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.error_catalog import CATALOG, Entry, Slug

DOCUMENT = Path(__file__).parent.joinpath("data", "documented_errors.txt").read_text(encoding="utf-8").splitlines()
DOCUMENTED = [Slug.CUSTOMER, Slug.SUBSCRIPTION]
CONTRACT_SLUGS = {
    "customer-create-or-update-failed",
    "subscribe-or-unsubscribe-failed",
    "customer-not-loaded",
    "invalid-request",
    "unauthorized",
    "forbidden",
    "not-found",
    "conflict",
    "payload-too-large",
    "unsupported-media-type",
    "method-not-allowed",
    "service-unavailable",
    "internal-error",
}
TITLES = {
    Slug.CUSTOMER: "Customer create or update failed",
    Slug.SUBSCRIPTION: "Subscribe or unsubscribe failed",
    Slug.NOT_LOADED: "Customer could not be loaded from iPaaS.com",
}
SENTENCES = {
    Slug.CUSTOMER: "An error occurred while sending the customer to Stamped.io.",
    Slug.SUBSCRIPTION: "An error occurred running the call to subscribe/unsubscribe.",
}


def documented(title: str) -> dict[str, str]:
    """The four lines of the seed document about one error."""
    at = DOCUMENT.index(title)
    return {
        "title": DOCUMENT[at],
        "message": DOCUMENT[at + 1],
        "description": DOCUMENT[at + 2].removeprefix("Description: "),
        "resolution": DOCUMENT[at + 3].removeprefix("Resolution: "),
    }


@pytest.mark.parametrize("part", ["title", "message", "description", "resolution"])
@pytest.mark.parametrize("slug", DOCUMENTED)
def test_the_documented_errors_are_quoted_word_for_word(slug: Slug, part: str) -> None:
    assert getattr(CATALOG[slug], part) == documented(TITLES[slug])[part]


def test_the_document_is_the_one_that_was_published() -> None:
    entries = [line for line in DOCUMENT if line.startswith("Description: ")]
    assert len(entries) == len(DOCUMENTED)


@pytest.mark.parametrize("slug", DOCUMENTED)
def test_the_opening_sentence_is_that_of_the_contract(slug: Slug) -> None:
    assert CATALOG[slug].sentence == SENTENCES[slug]


@pytest.mark.parametrize("slug", TITLES)
def test_titles_of_the_contract(slug: Slug) -> None:
    assert CATALOG[slug].title == TITLES[slug]


def test_every_slug_of_the_contract_and_no_other_has_one_entry() -> None:
    assert {slug.value for slug in CATALOG} == CONTRACT_SLUGS
    assert len(Slug) == len(CONTRACT_SLUGS)


def test_entries_stand_under_their_own_slug_and_titles_are_unique() -> None:
    assert all(entry.slug is slug for slug, entry in CATALOG.items())
    assert len({entry.title for entry in CATALOG.values()}) == len(CATALOG)


@pytest.mark.parametrize("entry", CATALOG.values(), ids=lambda entry: entry.slug.value)
def test_an_entry_says_everything_a_user_needs(entry: Entry) -> None:
    texts = [entry.title, entry.sentence, entry.message, entry.description, entry.resolution]
    assert all(text and text == text.strip() for text in texts)
    assert entry.sentence.endswith(".")
    assert entry.statuses
    assert all(400 <= status <= 599 for status in entry.statuses)
    assert entry.slug.type == f"/errors/{entry.slug.value}"
