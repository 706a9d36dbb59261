"""The keys that open this service, compared in constant time."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable

Door = Literal["webhook", "operator"]


def _digests(keys: Iterable[str]) -> tuple[bytes, ...]:
    return tuple(sha256(key.encode()).digest() for key in keys)


@dataclass(frozen=True, slots=True)
class Keyring:
    """The keys of each door, kept as digests; during a rotation a door has several."""

    webhook: tuple[bytes, ...]
    operator: tuple[bytes, ...]

    @classmethod
    def of(cls, webhook_keys: Iterable[str], operator_keys: Iterable[str]) -> Keyring:
        """A keyring from clear keys."""
        return cls(_digests(webhook_keys), _digests(operator_keys))

    def opened_by(self, key: bytes) -> Door | None:
        """The door that this key opens; None = none. Looks at every key, so that the time tells nothing."""
        offered = sha256(key).digest()
        webhook, operator = (
            any([hmac.compare_digest(offered, each) for each in keys])  # noqa: C419 - no short cut wanted
            for keys in (self.webhook, self.operator)
        )
        return "webhook" if webhook else "operator" if operator else None
