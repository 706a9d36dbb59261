"""The rules of order and consent: what is wanted of one customer, whoever asked. Pure; nothing here is stored.

Notifications, syncs and re-runs are triggers. They change what is wanted, or ask for it to be applied; an attempt
applies what is wanted when it begins. `customers` keeps it, `triggers` and `attempts` act on it (docs/adr/0013).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True)
class Moment:
    """When something was said: `at` by the record's own date, `place` in the order of receipt."""

    at: float | None
    place: int

    def precedes(self, other: Moment | None) -> bool:
        """Rule 2: by date; on a tie, or where one has none, the one received later is the newer."""
        if other is None:
            return False
        if self.at is not None and other.at is not None and self.at != other.at:
            return self.at < other.at
        return self.place < other.place


@dataclass(frozen=True, slots=True)
class Change:
    """A record in hand: who brought it, when, and its consent (None = absent or unreadable)."""

    id: str
    moment: Moment
    consent: bool | None


@dataclass(frozen=True, slots=True)
class Wanted:
    """What Stamped.io is to hold: the newest record, and the newest consent that anybody could read.

    `id` is the transfer that brought the record.
    """

    id: str | None = None
    moment: Moment | None = None
    consent: bool | None = None
    consented: Moment | None = None

    def after(self, change: Change) -> Wanted:
        """Rule 2: what is wanted once this is known, too. An older record may have the newest consent.

        Where dates are missing a newest record may say what is older than the consent that is known: then its "no"
        counts, and its "yes" does not. It keeps the later date, which a next "yes" must not precede either.
        """
        older = change.moment.precedes(self.moment)
        wanted = self if older else replace(self, id=change.id, moment=change.moment)
        consented, said = self.consented, change.moment
        if consented is not None and said.precedes(consented):
            said = Moment(consented.at, max(consented.place, said.place))
            if older or change.consent:
                return wanted
        return wanted if change.consent is None else replace(wanted, consent=change.consent, consented=said)

    def was_said_by(self, change: Change | None) -> bool:
        """Whether this is who brought the consent."""
        return change is not None and self.consented is not None and self.consented.place == change.moment.place

    def owes_no(self, told: bool | None) -> bool:  # noqa: FBT001 - three-valued
        """Rule 3: a "no" is never lost: it is due beside the record until Stamped.io was `told` it last.

        A "yes" is only ever taken from the newest record itself: one that says nothing may mean that it is not so
        any more.
        """
        return self.consent is False and told is not False

    def dump(self) -> str:
        """As JSON."""
        moments = {"moment": self.moment, "consented": self.consented}
        said = {name: {"at": each.at, "place": each.place} if each else None for name, each in moments.items()}
        return json.dumps({"id": self.id, "consent": self.consent, **said})

    @classmethod
    def load(cls, text: str | None) -> Wanted:
        """The inverse of `dump`; nothing is wanted of a customer who was never heard of."""
        if text is None:
            return cls()
        fields = json.loads(text)
        for name in ("moment", "consented"):
            fields[name] = Moment(**fields[name]) if fields[name] else None
        return cls(**fields)


def without(settled: Wanted, rest: Iterable[Change]) -> Wanted:
    """Rule 5: what is wanted where a trigger is taken back: the others, as they came, after what is settled."""
    wanted = settled
    for change in rest:
        wanted = wanted.after(change)
    return wanted
