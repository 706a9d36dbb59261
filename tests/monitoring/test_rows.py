"""What became of a transfer, in a few words."""

from __future__ import annotations

from typing import Any

import pytest

from app.error_catalog import CATALOG, Slug
from app.ledger import rows
from app.ledger.stored import Stored
from app.monitoring.rows import became, in_full
from app.outbound.pauses import Pause

SENTENCE = CATALOG[Slug.CUSTOMER].sentence
SAVED: dict[str, Any] = {"action": "created", "external_id": "7"}
FAILED: dict[str, Any] = {"error": Slug.CUSTOMER.value, "reason": f"{SENTENCE} HTTP status 401: No."}


def transfer(status: str, **values: Any) -> Stored:
    return Stored.of(rows.EMPTY | {"seq": 1, "status": status} | values)


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (transfer("accepted"), "has not begun yet"),
        (transfer("running"), "under way"),
        (transfer("running", **FAILED), "under way"),
        (transfer("accepted", **FAILED), "has not begun yet"),
        (transfer("succeeded", **SAVED), "created as 7"),
        (
            transfer("succeeded", action="updated", external_id="7", subscription="unchanged"),
            "updated as 7, subscription unchanged",
        ),
        (transfer("succeeded"), "done"),
        (transfer("failed", **FAILED), "HTTP status 401: No."),
        (transfer("failed", external_id="7", **FAILED), "HTTP status 401: No."),
        (
            transfer("failed", **SAVED, **FAILED),
            "created as 7, but HTTP status 401: No.",
        ),
        (transfer("failed", error=Slug.CUSTOMER.value, reason=SENTENCE), SENTENCE),
        (transfer("waiting", **FAILED), "HTTP status 401: No."),
        (transfer("waiting"), "waits for its next try"),
        (transfer("skipped", reason="superseded by transfer 7"), "superseded by transfer 7"),
        (transfer("cancelled", reason="Cancelled by hand."), "Cancelled by hand."),
    ],
)
def test_what_became_of_it(found: Stored, words: str) -> None:
    assert became(found) == words
    assert in_full(found) == (found.reason if found.error and found.status in {"failed", "waiting"} else words)


def test_a_pause_goes_before() -> None:
    pause = Pause("paused", 0.0, None, "closed")
    waiting = transfer("waiting", pause=pause, **FAILED)
    assert became(waiting) == in_full(waiting) == pause.sentence
