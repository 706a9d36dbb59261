"""Bearer keys, compared in constant time."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

from app.api.problems import ProblemError
from app.catalog import Slug

if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.requests import Request


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

    def require_webhook(self, request: Request) -> None:
        """Raises ProblemError 401 for no or an unknown key, 403 for an operator's."""
        _require(request, self.webhook, self.operator)

    def require_operator(self, request: Request) -> None:
        """Raises ProblemError 401 for no or an unknown key, 403 for a webhook's."""
        _require(request, self.operator, self.webhook)

    def opens_operator(self, key: str) -> bool:
        """Whether this is an operator's key."""
        return _any_equal(sha256(key.encode()).digest(), self.operator)


def _require(request: Request, wanted: tuple[bytes, ...], others: tuple[bytes, ...]) -> None:
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    offered = sha256(key.strip().encode("latin-1")).digest() if scheme.lower() == "bearer" else b""
    opens, known = (_any_equal(offered, keys) for keys in (wanted, others))
    if not opens:
        if known:
            raise ProblemError(Slug.FORBIDDEN, 403)
        raise ProblemError(Slug.UNAUTHORIZED, 401, headers={"WWW-Authenticate": "Bearer"})


def _any_equal(offered: bytes, keys: tuple[bytes, ...]) -> bool:
    """Looks at every key, so that the time tells nothing."""
    return any([hmac.compare_digest(offered, key) for key in keys])  # noqa: C419 - no short cut wanted
