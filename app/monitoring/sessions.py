"""Who is signed in: a signed cookie, and a token that ties each form to it. Knows nothing of HTTP."""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from itsdangerous import BadData, Signer, URLSafeSerializer

if TYPE_CHECKING:
    from app.clock import Clock
    from app.keys import Keyring, Who

COOKIE: Final = "ipaas_stamped_session"
SESSION_SECONDS: Final = 12 * 3600
_SIGNING: Final[dict[str, Any]] = {"key_derivation": "hmac", "digest_method": sha256}


@dataclass(frozen=True, slots=True)
class Session:
    """One sign-in. `form_token` goes into each of its forms; `expires_at` in seconds since 1970."""

    who: Who
    id: str
    expires_at: float
    form_token: str


@dataclass(frozen=True, slots=True)
class _Seal:
    """What one key signs."""

    who: Who
    cookies: URLSafeSerializer
    tokens: Signer

    @classmethod
    def of(cls, digest: bytes, who: Who) -> _Seal:
        cookies = URLSafeSerializer(digest, salt="monitoring session", signer_kwargs=_SIGNING)
        return cls(who, cookies, Signer(digest, salt="monitoring form", **_SIGNING))

    def session(self, cookie: str) -> Session | None:
        """None = this key has not signed it."""
        try:
            session_id, expires_at = self.cookies.loads(cookie)
        except (BadData, ValueError, TypeError):
            return None
        return Session(self.who, session_id, expires_at, self.tokens.get_signature(session_id).decode())


class Sessions:
    """Signs with what is derived from the key that signed in: whose it is tells whose session it is.

    So a key that is changed or removed ends its sessions. Sign-outs are remembered in this process only.
    """

    def __init__(self, keyring: Keyring, clock: Clock) -> None:
        self._keyring = keyring
        self._clock = clock
        self._seals = {digest: _Seal.of(digest, who) for digest, who in keyring.of_people()}
        self._signed_out: dict[str, float] = {}

    def sign_in(self, key: str) -> str | None:
        """The cookie of a new session; None for a wrong key."""
        who = self._keyring.opened_by(key.encode())
        if who is None or who.role == "webhook":
            return None
        cookies = self._seals[sha256(key.encode()).digest()].cookies
        return str(cookies.dumps([secrets.token_urlsafe(16), int(self._now() + SESSION_SECONDS)]))

    def read(self, cookie: str) -> Session | None:
        """The session of a cookie; None when it is none, has expired, or was signed out."""
        found = next(filter(None, (seal.session(cookie) for seal in self._seals.values())), None)
        if found is None or found.expires_at <= self._now() or found.id in self._signed_out:
            return None
        return found

    def is_form_of(self, session: Session, token: str) -> bool:
        """Whether a form with this token was made for this session; in constant time."""
        return hmac.compare_digest(session.form_token.encode(), token.encode())

    def sign_out(self, session: Session) -> None:
        """The cookie opens nothing any more. Idempotent."""
        now = self._now()
        self._signed_out = {each: until for each, until in self._signed_out.items() if until > now}
        self._signed_out[session.id] = session.expires_at

    def _now(self) -> float:
        return self._clock.now().timestamp()
