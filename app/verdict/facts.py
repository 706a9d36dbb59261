"""What is known at one moment, without what it means. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from app.ledger.facts import Counted, Rejected
from app.outbound.calls import CallError
from app.outbound.pauses import Pause
from app.verdict.usual import Usual


@dataclass(frozen=True, slots=True)
class Throttled:
    """What waits for the throttle of `limit` calls in `seconds`: when the last of it would be through.

    `asked_until`: Stamped.io itself asked to wait.
    """

    limit: int
    seconds: float
    through_at: float
    asked_until: float | None = None


@dataclass(frozen=True, slots=True)
class Store:
    """Of one connection. `stamped`, `ipaas`: how the last call to each failed; None = it did not.

    `waiting`: what has not begun, but for retries. `oldest`, where that is long ago: since when the oldest open
    one waits, and how many do. `consent_field`: the custom field that consent is mapped from.
    """

    id: str
    name: str
    counted: Counted
    usual: Usual | None = None
    stamped: CallError | None = None
    ipaas: CallError | None = None
    pause: Pause | None = None
    waiting: int = 0
    throttled: Throttled | None = None
    oldest: tuple[float, int] | None = None
    consent_field: str | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """`told`: what `/readyz` says is wrong with the service itself, by the code of its cause.

    `let_in`: when a webhook came last, also of a store that is not served any more; None = it is not known.
    """

    at: float
    told: Mapping[str, str] = field(default_factory=dict)
    stores: tuple[Store, ...] = ()
    rejections: tuple[Rejected, ...] = ()
    let_in: float | None = None
