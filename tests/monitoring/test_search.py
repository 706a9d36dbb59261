"""What the one search box understands."""

from __future__ import annotations

import pytest

from app.monitoring.search import Search, read_search

GUID = "3c90c3cc-0d44-4b50-8888-8dd25736052a"


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("", "nothing", ""),
        ("  \t ", "nothing", ""),
        ("150713", "customer", "150713"),
        (" C-1001 ", "customer", "C-1001"),
        (GUID, "guid", GUID),
        (GUID.upper(), "guid", GUID),
        (GUID.replace("-", ""), "guid", GUID),
        (f"({GUID}),", "guid", GUID),
        (f"https://bridge.test/monitoring/transfers/{GUID}?live=off", "guid", GUID),
        (f"/transfers/{GUID}/", "guid", GUID),
        ("anna@example.com", "email", "anna@example.com"),
        ("<Anna@Example.com>", "email", "Anna@Example.com"),
        ("mailto:anna@example.com", "email", "anna@example.com"),
        ("what became of anna@example.com, please", "email", "anna@example.com"),
        ("words: anna@example.com", "email", "anna@example.com"),
        ("customer: anna@example.com", "email", "anna@example.com"),
        ("valid", "words", "valid"),
        ("key  you supplied", "words", "key you supplied"),
        ("HTTP status 401", "words", "HTTP status 401"),
        ('"401"', "words", "401"),
        ("words: 401", "words", "401"),
        ("Customer: name", "customer", "name"),
        ("customer id: 7 a", "customer", "7 a"),
        ("guid: 3c90", "words", "3c90"),
        ("transfer:" + GUID, "guid", GUID),
        ("@", "words", "@"),
        (f"https://bridge.example/monitoring/transfers/{GUID}/?back=/a/b#c/d", "guid", GUID),
    ],
)
def test_what_is_looked_for(text: str, kind: str, value: str) -> None:
    assert read_search(text) == Search(kind, value)  # type: ignore[arg-type]  # a kind


def test_whatever_is_looked_for_is_read_at_once() -> None:
    """Looked at again from each slash, this would take hours."""
    text = "a/b?" * 250_000 + " x"
    assert read_search(text) == Search("words", text)
