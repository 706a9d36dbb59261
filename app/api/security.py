"""Bearer keys at the doors of the API."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends
from fastapi.security import HTTPBearer
from starlette.requests import Request

from app.api.problems import ProblemError
from app.api.refusals import NO_KEY, OTHER_KEY
from app.keys import Keyring, Role, Who
from app.ledger.trail import By


class Door(HTTPBearer):
    """For `Security`: documents which key is wanted, and wants it. A viewer's opens operators' GETs, too."""

    def __init__(self, keyring: Keyring, opens: Role, what: str) -> None:
        super().__init__(scheme_name=f"{opens}Key", description=what)
        self._keyring = keyring
        self._opens = opens

    async def __call__(self, request: Request) -> None:  # type: ignore[override]  # nobody wants the key itself
        """As a dependency."""
        who = self.require(request)
        request.state.by = By(who.name, address_of(request), "api", who.acts)

    def require(self, request: Request) -> Who:
        """Whose key it is. Raises ProblemError 401 for no or an unknown one, 403 for that of another door."""
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        who = self._keyring.opened_by(key.strip().encode("latin-1")) if scheme.lower() == "bearer" else None
        if who is None:
            raise ProblemError(NO_KEY)
        reads = who.role == "viewer" and self._opens == "operator" and request.method == "GET"
        if who.role != self._opens and not reads:
            raise ProblemError(OTHER_KEY)
        return who


def address_of(request: Request) -> str | None:
    """The caller's."""
    return request.client.host if request.client else None


async def _by(request: Request) -> By:
    by: By = request.state.by
    return by


Caller = Annotated[By, Depends(_by)]
