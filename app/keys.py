"""The keys that open this service, each with the name of whose it is, compared in constant time."""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final, Literal

Role = Literal["webhook", "operator", "viewer"]
_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,40}")
LEAST_CHARACTERS: Final = 16
SANDBOX_WEBHOOK_KEY: Final = "sandbox-webhook-key"
SANDBOX_OPERATOR_KEY: Final = "sandbox-operator-key"
# What this project shows anywhere, for trials: it opens no service that has a real store behind it.
EXAMPLES: Final = frozenset(
    {
        SANDBOX_WEBHOOK_KEY,
        SANDBOX_OPERATOR_KEY,
        "sandbox-viewer-key",
        "bench-webhook-key",
        "bench-operator-key",
    }
)


class KeyFault(ValueError):
    """A key that is written in a wrong way; its text has nothing of it."""


@dataclass(frozen=True, slots=True)
class Who:
    """Whose key it is: what it is for, and the name that people see; of a webhook's key the connection."""

    role: Role
    name: str

    @property
    def acts(self) -> bool:
        """It does what operators do; a viewer's only looks."""
        return self.role == "operator"


@dataclass(frozen=True, slots=True)
class Key:
    """A key in clear."""

    who: Who
    secret: str = field(repr=False)


def split_keys(text: str) -> list[str]:
    """The parts of a setting, without blanks around them; none is empty."""
    return [part.strip() for part in text.split(",") if part.strip()]


def read_key(role: Role, text: str) -> Key:
    """`key` or `name:key`: the first colon ends a name. Raises KeyFault."""
    name, colon, secret = (part.strip() for part in text.partition(":"))
    if not colon:
        return Key(Who(role, role), name)
    if not _NAME.fullmatch(name):
        message = "has a colon without a name before it (1 to 40 letters, digits, dots, dashes and _)"
        raise KeyFault(message)
    if not secret:
        message = "has a name without a key behind it"
        raise KeyFault(message)
    return Key(Who(role, name), secret)


Digests = Iterable[tuple[bytes, Who]]


def digests_of(keys: Iterable[Key]) -> tuple[tuple[bytes, Who], ...]:
    """What a keyring keeps of keys."""
    return tuple((sha256(key.secret.encode()).digest(), key.who) for key in keys)


class Keyring:
    """Who has which key; keys are kept as digests. `webhooks`: those of connections, as they are at the time."""

    def __init__(self, people: Iterable[Key], webhooks: Callable[[], Digests]) -> None:
        self._people = digests_of(people)
        self._webhooks = webhooks

    def opened_by(self, key: bytes) -> Who | None:
        """Whose key this is; None = nobody's. Looks at every key, so that the time tells nothing."""
        offered = sha256(key).digest()
        known = (*self._webhooks(), *self._people)
        found = [who for digest, who in known if hmac.compare_digest(offered, digest)]
        return found[0] if found else None

    def of_people(self) -> list[tuple[bytes, Who]]:
        """The digests that sign people's sessions, so that a session ends with its key."""
        return list(self._people)
