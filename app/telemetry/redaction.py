"""The one redaction: whatever leaves the product as a log line or an error text passes here first."""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_APART = r"\s@<>\"(),;"  # what no address has outside of quotes; all else may be part of one (RFC 5322)
# The lookbehind lets a match begin at the begin of a run only, which keeps a long text without an `@` linear.
_EMAIL = re.compile(rf"(?<![^{_APART}])([^{_APART}]+)(?:@|%40)(?=[^{_APART}])")
_CREDENTIAL = re.compile(r"\b(Basic|Bearer)\s+[\w.~+/=-]{6,}|\b(?:pub)?key-[\w-]{6,}", re.IGNORECASE)
_HIDDEN = "***"


def mask_email(email: str) -> str:
    """`anna@example.com` → `a…@example.com`; text without an `@` is hidden whole."""
    local, at, domain = email.rpartition("@")
    return f"{local[:1]}…@{domain}" if at else _HIDDEN


class Redactor:
    """Masks e-mail addresses, credentials and the known secrets of this process in text."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets: tuple[str, ...] = ()
        self.learn(*secrets)

    def learn(self, *secrets: str) -> None:
        """Hide these from now on, too, longest first, so that a secret within another leaves no rest."""
        known = {*self._secrets, *(secret for secret in secrets if secret)}
        self._secrets = tuple(sorted(known, key=lambda secret: (-len(secret), secret)))

    def text(self, text: str, *, names: Iterable[str] = ()) -> str:
        """`text` without secrets and clear e-mails; `names` (of the person it is about) become `…`."""
        for secret in self._secrets:
            text = text.replace(secret, _HIDDEN)
        plain = text.lower()
        if "key-" in plain or "basic" in plain or "bearer" in plain:  # most have none, and looking is cheap
            text = _CREDENTIAL.sub(lambda match: f"{match[1]} {_HIDDEN}" if match[1] else _HIDDEN, text)
        if "@" in text or "%40" in text:
            text = _EMAIL.sub(lambda match: mask_email(match[0].replace("%40", "@")), text)
        for name in names:
            if len(name) > 1:
                text = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", "…", text, flags=re.IGNORECASE)
        return text


def basic_credentials(user: str, password: str) -> str:
    """What HTTP Basic makes of a key pair (RFC 7617): a secret, too."""
    return base64.b64encode(f"{user}:{password}".encode()).decode()
