"""Bearer keys at the doors of the API."""

from __future__ import annotations

from typing import Literal

from fastapi.security import HTTPBearer
from starlette.requests import Request

from app.api.problems import ProblemError
from app.api.refusals import NO_KEY, OTHER_KEY
from app.keys import Keyring


class Door(HTTPBearer):
    """For `Security`: documents which key is wanted, and wants it. `opens` names the keys of the keyring."""

    def __init__(self, keyring: Keyring, opens: Literal["webhook", "operator"], what: str) -> None:
        super().__init__(scheme_name=f"{opens}Key", description=what)
        self._keyring = keyring
        self._opens = opens

    async def __call__(self, request: Request) -> None:  # type: ignore[override]  # nobody wants the key itself
        """As a dependency."""
        self.require(request)

    def require(self, request: Request) -> None:
        """Raises ProblemError 401 for no or an unknown key, 403 for that of another door."""
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        whose = self._keyring.opened_by(key.strip().encode("latin-1")) if scheme.lower() == "bearer" else None
        if whose != self._opens:
            raise ProblemError(NO_KEY if whose is None else OTHER_KEY)
