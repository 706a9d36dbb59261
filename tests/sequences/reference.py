"""What is wanted of a customer, in a few lines that know nothing of how the product gets there."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Consent = Literal["yes", "no", "maybe"] | None


@dataclass
class Change:
    """A record in hand; `place` in the order of receipt."""

    who: str
    minute: int | None
    consent: Consent
    place: int
    version: str

    def precedes(self, other: Change) -> bool:
        if self.minute is not None and other.minute is not None and self.minute != other.minute:
            return self.minute < other.minute
        return self.place < other.place


@dataclass
class Reference:
    """What is known of each customer, and what follows from it."""

    changes: list[Change] = field(default_factory=list)
    taken_back: set[str | None] = field(default_factory=set)

    def add(self, who: str, minute: int | None, consent: Consent, version: str) -> None:
        self.changes.append(Change(who, minute, consent, len(self.changes), version))

    def known(self, who: str) -> list[Change]:
        return [each for each in self.changes if each.who == who and each.version not in self.taken_back]

    def newest(self, who: str) -> Change | None:
        found: Change | None = None
        for each in self.known(who):
            found = each if found is None or not each.precedes(found) else found
        return found

    def consent(self, who: str) -> Change | None:
        """The newest that could be read."""
        found: Change | None = None
        for each in self.known(who):
            if each.consent in {"yes", "no"}:
                found = each if found is None or not each.precedes(found) else found
        return found
