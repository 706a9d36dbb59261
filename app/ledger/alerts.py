"""Which troubles were told, over all replicas together: at most once an hour each, and their end once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal

from sqlalchemy import exists, select, update
from sqlalchemy.dialects import postgresql, sqlite

from app.ledger.tables import DAY, alerts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from app.ledger.session import Session

Key = tuple[str, str]  # the connection, empty = none's own, and the code of the cause
What = Literal["begun", "over"]
AGAIN_SECONDS: Final = 3600.0
_STILL_SECONDS: Final = DAY  # what goes on is told anew after that
OVER_SECONDS: Final = 300.0  # nobody has seen it for so long; what flickers goes on
UNSENT_SECONDS: Final = 300.0  # what no target took is tried again after that


@dataclass(frozen=True, slots=True)
class Trouble:
    """One, as it was last seen; times are seconds since 1970. `is_open`: told, and its end is not told yet."""

    begun_at: float
    seen_at: float
    told_at: float | None = None
    is_open: bool = False

    def seen(self, now: float, patience: float) -> tuple[Trouble, bool]:
        """It is there, and whether that is to be told: it has been for `patience` seconds, and not lately."""
        is_new = now - self.seen_at > OVER_SECONDS and not self.is_open
        trouble = replace(self, seen_at=now, begun_at=now if is_new else self.begun_at)
        since = float("inf") if self.told_at is None else now - self.told_at
        is_due = since >= (_STILL_SECONDS if self.is_open else AGAIN_SECONDS)
        if not is_due or now - trouble.begun_at < patience:
            return trouble, False
        return replace(trouble, told_at=now, is_open=True), True

    def is_over(self, now: float) -> bool:
        """Whether its end is to be told."""
        return self.is_open and now - self.seen_at > OVER_SECONDS


def news(
    known: Mapping[Key, Trouble], present: Mapping[Key, float], now: float
) -> tuple[dict[Key, Trouble], dict[Key, What]]:
    """What is to be kept of those that changed, and what is to be told. `present`: the patience of each. Pure."""
    kept: dict[Key, Trouble] = {}
    told: dict[Key, What] = {}
    for key, patience in present.items():
        kept[key], is_told = known.get(key, Trouble(now, now)).seen(now, patience)
        if is_told:
            told[key] = "begun"
    for key in known.keys() - present.keys():
        if known[key].is_over(now):
            kept[key], told[key] = replace(known[key], is_open=False), "over"
    return kept, told


def is_quiet(session: Session) -> bool:
    """Whether no end is still to be told."""
    return not session.execute(select(exists().where(alerts.c.is_open))).scalar_one()


def claim(session: Session, present: Mapping[Key, float], now: float) -> dict[Key, tuple[What, Trouble]]:
    """What this replica is to tell; no other one is told the same."""
    if present:
        add = sqlite.insert(alerts) if session.is_sqlite else postgresql.insert(alerts)
        new = [_row(key, Trouble(now, now)) for key in sorted(present)]
        session.execute(add.on_conflict_do_nothing(), new)
    ordered = select(alerts).order_by(alerts.c.connection, alerts.c.code).with_for_update()
    rows = session.execute(ordered).mappings()
    known = {
        (row["connection"], row["code"]): Trouble(
            row["begun_at"], row["seen_at"], row["told_at"], bool(row["is_open"])
        )
        for row in rows
    }
    kept, told = news(known, present, now)
    for key, trouble in kept.items():
        session.update(alerts, dict(zip(("connection", "code"), key, strict=True)), _values(trouble))
    return {key: (what, kept[key]) for key, what in told.items()}


def unsent(trouble: Trouble, now: float) -> Trouble:
    """No target took it: it is told anew, but not at once. Pure."""
    return replace(trouble, told_at=now - AGAIN_SECONDS + UNSENT_SECONDS, is_open=False)


def take_back(session: Session, key: Key, now: float) -> None:
    """The same of one that is kept."""
    mine = (alerts.c.connection == key[0], alerts.c.code == key[1])
    values = {"told_at": now - AGAIN_SECONDS + UNSENT_SECONDS, "is_open": False}
    session.execute(update(alerts).where(*mine).values(**values))


def _row(key: Key, trouble: Trouble) -> dict[str, object]:
    return {"connection": key[0], "code": key[1], **_values(trouble)}


def _values(trouble: Trouble) -> dict[str, object]:
    return {name: getattr(trouble, name) for name in ("begun_at", "seen_at", "told_at", "is_open")}
