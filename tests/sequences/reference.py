"""What is wanted of a customer, in a few lines that know nothing of how the product gets there."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Consent = Literal["yes", "no", "maybe"] | None


@dataclass
class Change:
    """A record in hand; `place` in the order of receipt, which it keeps where it comes again."""

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
    """What is known of each customer, and what follows from it: `changes`, as they came, or came again.

    Where dates are missing the order is no line (4 < none < 3 by receipt, 3 < 4): then it counts which came last.
    """

    changes: list[Change] = field(default_factory=list)
    taken_back: set[str | None] = field(default_factory=set)
    places: int = 0

    def add(self, who: str, minute: int | None, consent: Consent, version: str) -> None:
        self.places += 1
        self.changes.append(Change(who, minute, consent, self.places, version))

    def again(self, version: str) -> None:
        """It is repeated or re-run; if it had been taken back, it comes only now."""
        (change, *_) = (each for each in self.changes if each.version == version)
        if version in self.taken_back:
            self.changes = [each for each in self.changes if each is not change]
            self.taken_back.remove(version)
        self.changes.append(change)

    def not_again(self, version: str, *, is_kept: bool) -> None:
        """Its re-run is taken back: it came when it came first; if it is not kept, it came for that only."""
        if not is_kept:
            self.taken_back.add(version)
        mine = [place for place, each in enumerate(self.changes) if each.version == version]
        for place in reversed(mine[1:]):
            del self.changes[place]

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
