"""Who is signed in: a signed cookie, and a token that ties each form to it. Knows nothing of HTTP."""

from __future__ import annotations

import secrets
from collections import deque
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from itsdangerous import BadData, Signer, URLSafeSerializer

if TYPE_CHECKING:
    from app.clock import Clock
    from app.keys import Keyring

COOKIE: Final = "ipaas_stamped_session"
SESSION_SECONDS: Final = 12 * 3600
_WRONG_KEYS, _WRONG_KEYS_SECONDS = 10, 60.0
_SIGNING: Final[dict[str, Any]] = {"key_derivation": "hmac", "digest_method": sha256}


class TooManyAttempts(Exception):
    """Too many wrong keys were tried in this process; `seconds` until the next try."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds


@dataclass(frozen=True, slots=True)
class Session:
    """One sign-in. `form_token` goes into each of its forms; `expires_at` in seconds since 1970."""

    id: str
    expires_at: float
    form_token: str


class Sessions:
    """Signs with what is derived from the operator key, so that another key ends every session.

    Sign-outs and wrong keys are remembered in this process only.
    """

    def __init__(self, keyring: Keyring, clock: Clock) -> None:
        keys = list(keyring.operator)
        self._keyring = keyring
        self._clock = clock
        self._cookies = URLSafeSerializer(keys, salt="monitoring session", signer_kwargs=_SIGNING)
        self._tokens = Signer(keys, salt="monitoring form", **_SIGNING)
        self._signed_out: dict[str, float] = {}
        self._wrong: deque[float] = deque(maxlen=_WRONG_KEYS)

    def sign_in(self, key: str) -> str | None:
        """The cookie of a new session; None for a wrong key. Raises TooManyAttempts."""
        now = self._clock.monotonic()
        if len(self._wrong) == _WRONG_KEYS and now - self._wrong[0] < _WRONG_KEYS_SECONDS:
            raise TooManyAttempts(_WRONG_KEYS_SECONDS - (now - self._wrong[0]))
        if self._keyring.opened_by(key.encode()) != "operator":
            self._wrong.append(now)
            return None
        return str(self._cookies.dumps([secrets.token_urlsafe(16), int(self._now() + SESSION_SECONDS)]))

    def read(self, cookie: str) -> Session | None:
        """The session of a cookie; None when it is none, has expired, or was signed out."""
        try:
            session_id, expires_at = self._cookies.loads(cookie)
        except (BadData, ValueError, TypeError):
            return None
        if expires_at <= self._now() or session_id in self._signed_out:
            return None
        return Session(session_id, expires_at, self._tokens.get_signature(session_id).decode())

    def is_form_of(self, session: Session, token: str) -> bool:
        """Whether a form with this token was made for this session; in constant time."""
        return self._tokens.verify_signature(session.id.encode(), token)

    def sign_out(self, session: Session) -> None:
        """The cookie opens nothing any more. Idempotent."""
        now = self._now()
        self._signed_out = {each: until for each, until in self._signed_out.items() if until > now}
        self._signed_out[session.id] = session.expires_at

    def _now(self) -> float:
        return self._clock.now().timestamp()
