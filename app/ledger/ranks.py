"""Whose turn comes first where calls are scarce (contract, "Pauses"). Pure."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from app.ledger.stored import Stored


class Rank(IntEnum):
    """Callers who wait come before what was promised, this before retries, these before bulk."""

    CALLER = 0
    PROMISED = 1
    RETRY = 2
    BULK = 3

    @classmethod
    def of(cls, *, promised: bool) -> Rank:
        """Of a single one: with or without a caller who waits."""
        return cls.PROMISED if promised else cls.CALLER


def after_failure(rank: int) -> int:
    """Of what waits for its next try."""
    return max(rank, Rank.RETRY)


def without_caller(rank: int) -> int:
    """Of what nobody waits for any more."""
    return max(rank, Rank.PROMISED)


def first_of(waiting: Iterable[Stored]) -> int:
    """Of a customer that these wait for."""
    return min((each.rank for each in waiting), default=Rank.PROMISED)
