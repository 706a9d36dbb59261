"""What can be wrong, the worst first, and what a verdict looks like. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from app.health import State

Action = Literal["test-keys", "resume", "re-run", "show"]
ACTIONS: Final[tuple[Action, ...]] = ("test-keys", "resume", "re-run", "show")


@dataclass(frozen=True, slots=True)
class Kind:
    """Of causes: `title` for people. `alert_after`: seconds that it lasts before it alerts; None = it does not."""

    title: str
    action: Action | None
    alert_after: float | None


# of two that are equally bad the first one makes the headline
KINDS: Final = {
    "service": Kind("The service takes no transfers", None, 60.0),
    "database": Kind("The database is away", None, 60.0),
    "webhook-key": Kind("iPaaS.com's key is refused", "show", 0.0),
    "stamped-keys": Kind("Stamped.io refuses our keys", "test-keys", 0.0),
    "stamped-store": Kind("Stamped.io does not know the store", "test-keys", 0.0),
    "stamped-down": Kind("Stamped.io does not answer", "show", 30.0),
    "ipaas-token": Kind("iPaaS.com refuses our token", "test-keys", 0.0),
    "paused": Kind("Paused by hand", "resume", 0.0),
    "failures": Kind("Transfers failed", "re-run", 0.0),
    "throttled": Kind("Transfers wait for the throttle", "show", 600.0),
    "no-webhook": Kind("No webhook comes", "show", 0.0),
    "waiting": Kind("A transfer has waited for over 30 minutes", "show", 0.0),
    "webhooks-refused": Kind("Webhooks are refused", "show", None),
    "stamped-failing": Kind("The last call to Stamped.io failed", "test-keys", None),
    "ipaas-failing": Kind("The last call to iPaaS.com failed", "test-keys", None),
    "connections-file": Kind("The file of connections was not taken over", "show", None),
    "schema": Kind("The database's schema", None, None),
}
CODES: Final = tuple(KINDS)


@dataclass(frozen=True, slots=True)
class Cause:
    """One; times are seconds since 1970. `connection` None = of none alone. It names no person and no key.

    `headline`: a sentence with the facts; `remedy`: what to do, if anything; `alerts`: bad enough for an alert.
    `helps`: what acts on it, where that is not what acts on its kind. `own`: the headline without what Stamped.io
    said, which may name somebody; None = the headline is all ours.
    """

    code: str
    state: State
    headline: str
    remedy: str = ""
    connection: str | None = None
    since: float | None = None
    count: int | None = None
    alerts: bool = True
    helps: Action | None = None
    own: str | None = None

    @property
    def text(self) -> str:
        """Both."""
        return f"{self.headline}. {self.remedy}".rstrip()

    @property
    def alert(self) -> str:
        """The same in our own words, for whoever is told outside."""
        return f"{self.own or self.headline}. {self.remedy}".rstrip()

    @property
    def action(self) -> Action | None:
        """What acts on it."""
        return self.helps or KINDS[self.code].action


@dataclass(frozen=True, slots=True)
class Verdict:
    """At a moment; the first cause is the worst, and gives state and headline; without any it is well."""

    state: State
    headline: str
    causes: tuple[Cause, ...]
    at: float

    @property
    def own(self) -> str:
        """The headline in our own words."""
        return (self.causes[0].own if self.causes else None) or self.headline
