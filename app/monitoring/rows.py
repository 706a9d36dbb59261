"""A transfer as one line of a list: what became of it, in a few words. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from app.error_catalog import said
from app.sentence import subscription_left, without_no_consent

if TYPE_CHECKING:
    from app.ledger.stored import Stored

_FAILED: Final = frozenset({"failed", "waiting"})
_PLAIN: Final = {
    "accepted": "has not begun yet",
    "running": "under way",
    "waiting": "waits for its next try",
    "succeeded": "done",
}


def became(transfer: Stored) -> str:
    """`updated as 143491, subscribed`, or why not, without what all of that error begin with; never empty."""
    if transfer.pause is not None:
        return transfer.pause.sentence
    parts = []
    if transfer.action:
        parts.append(f"{transfer.action} as {transfer.external_id}")
    if transfer.subscription and transfer.status == "succeeded":
        unsaid = {"unchanged": "subscription unchanged", "not_mapped": subscription_left(transfer)}
        parts.append(unsaid.get(transfer.subscription, transfer.subscription))
    if transfer.error and transfer.status in _FAILED:
        parts.append(f"{'but ' if parts else ''}{said(transfer.error, transfer.reason)}")
    elif transfer.is_final and (notes := without_no_consent(transfer)):
        parts.append(notes)
    return ", ".join(parts) or _PLAIN.get(transfer.status, transfer.status)


def in_full(transfer: Stored) -> str:
    """The same with all of the message, for who points at it."""
    failed = transfer.status in _FAILED and transfer.pause is None
    return (transfer.reason if failed else None) or became(transfer)
