"""Bearer keys at the doors of the API."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING, Annotated

from fastapi import Depends
from fastapi.security import HTTPBearer
from starlette.requests import Request

from app.api.problems import ProblemError
from app.api.refusals import NO_KEY, OTHER_KEY
from app.keys import Keyring, Role, Who
from app.ledger.trail import By

if TYPE_CHECKING:
    from app.api.guesses import Guesses


class Door(HTTPBearer):
    """For `Security`: documents which key is wanted, and wants it. A viewer's opens operators' GETs, too."""

    def __init__(self, keyring: Keyring, guesses: Guesses, opens: Role, what: str) -> None:
        super().__init__(scheme_name=f"{opens}Key", description=what)
        self._keyring = keyring
        self._guesses = guesses
        self._opens = opens

    async def __call__(self, request: Request) -> None:  # type: ignore[override]  # nobody wants the key itself
        """As a dependency."""
        who = await self.require(request)
        request.state.by = By(who.name, address_of(request), "api", who.acts)

    async def known(self, request: Request) -> Who:
        """Whose key it is, whatever that opens. Raises ProblemError 401 for no or an unknown one."""
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        key = key.strip()
        if scheme.lower() != "bearer" or not key:
            raise ProblemError(NO_KEY)
        who = self._keyring.opened_by(key.encode("latin-1"))
        if who is None:
            await self._guesses.wrong(address_of(request), self._opens)
            raise ProblemError(NO_KEY)
        return who

    async def require(self, request: Request) -> Who:
        """The same. Raises ProblemError 403, too: for that of another door."""
        who = await self.known(request)
        reads = who.role == "viewer" and self._opens == "operator" and request.method == "GET"
        if who.role != self._opens and not reads:
            raise ProblemError(OTHER_KEY)
        return who


def address_of(request: Request) -> str | None:
    """The caller's; None where it is none, for a proxy may say what it likes."""
    try:
        return str(ip_address(request.client.host)) if request.client else None
    except ValueError:
        return None


async def _by(request: Request) -> By:
    by: By = request.state.by
    return by


Caller = Annotated[By, Depends(_by)]
