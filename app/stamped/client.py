"""The six calls of iPaaS.com's article "Stamped.io API Endpoints", and nothing else of Stamped.io."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote

from app.outbound.calls import CallError
from app.outbound.http_client import JsonClient, SystemClient
from app.stamped.models import StampedCustomer, customer_in, customers_in
from app.telemetry.metrics import CallMetrics, Metrics
from app.telemetry.redaction import basic_credentials

if TYPE_CHECKING:
    import httpx

    from app.telemetry.redaction import Redactor

EmailPlace = Literal["body", "query"]
StampedFields = dict[str, Any]
_NOBODY = "nobody@connection-test.invalid"  # .invalid is never anybody's (RFC 2606)


@dataclass(frozen=True, slots=True)
class StampedAccount:
    """One store: where it is, its keys, and how it may be called."""

    url: str
    public_key: str
    private_key: str
    store_hash: str
    timeout_seconds: float = 15
    connections: int = 10
    subscribe_email_in: EmailPlace = "body"


class StampedClient(SystemClient):
    """Each method makes one call of `timeout_seconds` at most and raises CallError. All are harmless to repeat."""

    def __init__(
        self,
        account: StampedAccount,
        redactor: Redactor,
        transport: httpx.AsyncBaseTransport | None = None,
        metrics: CallMetrics | None = None,
    ) -> None:
        keys = (account.public_key, account.private_key)
        redactor.learn(*keys, basic_credentials(*keys))
        self._email_in = account.subscribe_email_in
        self.timeout_seconds = account.timeout_seconds
        self._http = JsonClient(
            f"{account.url.rstrip('/')}/api/v2/{quote(account.store_hash, safe='')}",
            redactor,
            auth=keys,
            timeout_seconds=account.timeout_seconds,
            connections=account.connections,
            transport=transport,
            system="stamped",
            observe=(metrics or Metrics().of("")).call,
        )

    def failed(self, error: CallError) -> CallError:
        """This came of calls that each seemed to succeed: the last failure, until a next call succeeds."""
        self._http.last_failure = error
        return error

    async def add(self, fields: StampedFields) -> StampedCustomer | None:
        """Create the customer, or update the one with this e-mail. None: saved, but the answer names no id."""
        answer = await self._http.call("create", "POST", "/dashboard/customers/add", json=fields)
        return customer_in(answer.body)

    async def update(self, customer_id: str, fields: StampedFields) -> StampedCustomer:
        """Update the customer with this id. Raises CallError with status 404 when the id is gone.

        An answer without an id is taken at its word, unless it is a web page: no API answers an update so.
        """
        path = f"/dashboard/customers/{quote(customer_id, safe='')}"
        answer = await self._http.call("update", "POST", path, json=fields, pages=False)
        found = customer_in(answer.body)
        if found is None:
            return StampedCustomer(customer_id, email=None, is_subscribed=None)
        return replace(found, id=customer_id)

    async def get(self, customer_id: str) -> StampedCustomer | None:
        """One customer; None when the answer is none."""
        path = f"/dashboard/customers/{quote(customer_id, safe='')}"
        answer = await self._http.call("read", "GET", path)
        return customer_in(answer.body)

    async def find(self, email: str) -> StampedCustomer | None:
        """The customer with exactly this e-mail, ignoring case."""
        answer = await self._http.call("find", "GET", "/dashboard/customers", params={"search": email})
        wanted = email.casefold()
        return next((each for each in customers_in(answer.body) if (each.email or "").casefold() == wanted), None)

    async def check(self) -> None:
        """A read-only call that shows whether address, keys and store hash are right. A web page is no success."""
        await self._http.call("check", "GET", "/dashboard/customers", params={"search": _NOBODY}, pages=False)

    async def set_subscription(self, email: str, *, subscribed: bool) -> bool:
        """Subscribe or unsubscribe this e-mail from survey and review e-mails.

        False: in doubt, for the answer was a web page or `false`.
        """
        operation = "subscribe" if subscribed else "unsubscribe"
        who = {"email": email}
        answer = await self._http.call(
            operation,
            "POST",
            f"/survey/{operation}",
            json=who if self._email_in == "body" else None,
            params=who if self._email_in == "query" else None,
        )
        return answer.body is not False and not answer.is_web_page
