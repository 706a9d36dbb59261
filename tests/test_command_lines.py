"""Lines that are pasted into a shell mean there what they meant before."""

from __future__ import annotations

import shlex

from app.command_lines import as_curl, as_options

WORDS = 'it\'s $HOME; `date` "x" --status'


def test_options_are_named_and_quoted() -> None:
    line = as_options(
        {"status": "failed", "customer_id": "a b", "email_hash": "0", "sync_id": "s", "words": WORDS}
    )
    expected = ["--status", "failed", "--customer", "a b", "--email", "0", "--sync", "s", "--words", WORDS]
    assert shlex.split(line) == expected


def test_a_call_leaves_the_key_to_the_environment() -> None:
    line = as_curl("https://bridge.test/transfers", {"words": WORDS})
    key = "Authorization: Bearer $OPERATOR_API_KEY"
    assert shlex.split(line) == [
        *("curl", "-G", "https://bridge.test/transfers", "-H", key, "--data-urlencode", f"words={WORDS}")
    ]
    assert f'"{key}"' in line, "which the shell fills in"
    assert "-G" not in as_curl("https://bridge.test/transfers", {})
