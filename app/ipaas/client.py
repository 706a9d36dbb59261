"""Calls to iPaaS.com's Customers API: records and external IDs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import quote
from uuid import uuid4

from pydantic import ValidationError

from app.ipaas.models import is_endless, is_plain, linked, read_record
from app.outbound.calls import CallError
from app.outbound.http_client import NOT_JSON, JsonClient, SystemClient
from app.outbound.noting import NOTING
from app.outbound.status_table import Kind, classify
from app.telemetry.metrics import CallMetrics, Metrics

if TYPE_CHECKING:
    import httpx

    from app.ipaas.models import CustomerRecord
    from app.telemetry.redaction import Redactor

_LOOK_UP, _WRITE_BACK = "look up the external ID", "write back"
_CODE = re.compile(r"\b(AUTH|AUTZ|VALD|BIZL|NFND|INTL)-\w+")
_READ = re.compile(r"\b(VALD|BIZL|NFND)-\w+")  # who says so has let the token in
_KINDS = {"AUTH": Kind.DENIED, "AUTZ": Kind.DENIED, "INTL": Kind.UNAVAILABLE}


@dataclass(frozen=True, slots=True)
class IpaasAccount:
    """Where iPaaS.com's Customers API is, and the token that opens it."""

    url: str
    token: str
    client_id: str | None = None
    timeout_seconds: float = 15
    connections: int = 10


class IpaasClient(SystemClient):
    """Each method makes one call and raises CallError. All are harmless to repeat."""

    def __init__(
        self,
        account: IpaasAccount,
        redactor: Redactor,
        transport: httpx.AsyncBaseTransport | None = None,
        metrics: CallMetrics | None = None,
    ) -> None:
        redactor.learn(account.token)
        headers = {"Authorization": f"Bearer {account.token}"}
        if account.client_id:
            headers["X-Client-Id"] = account.client_id
        self._http = JsonClient(
            account.url,
            redactor,
            headers=headers,
            timeout_seconds=account.timeout_seconds,
            connections=account.connections,
            transport=transport,
            system="ipaas",
            observe=(metrics or Metrics().of("")).call,
            judge=judge,
        )

    async def check(self) -> None:
        """Asks for a customer that is not there: how that is refused shows whether address and token are right."""
        try:
            await self.customer("0", str(uuid4()))
        except CallError as error:
            if error.kind is Kind.REFUSED and _READ.search(error.message):
                NOTING.get().excuse()
                return
            self._http.last_failure = error
            raise

    async def customer(self, customer_id: str, tracking_guid: str) -> CustomerRecord:
        """The record as it is now."""
        answer = await self._http.call(
            "load",
            "GET",
            f"/v2/Customer/{quote(customer_id, safe='')}",
            params={"trackingGuid": tracking_guid},
        )
        try:
            return read_record(answer.body)
        except ValidationError:
            message = "the answer is not a customer record"
            raise CallError("load", Kind.UNAVAILABLE, answer.status, message) from None

    async def external_id(self, customer_id: str, system_id: str) -> str | None:
        """The customer's id in that system; None = not linked, or the link was deleted."""
        path = f"/v2/External/LookupExternal/{quote(customer_id, safe='')}/{quote(system_id, safe='')}/customer"
        try:
            answer = await self._http.call(_LOOK_UP, "GET", path)
        except CallError as error:
            if error.status == HTTPStatus.NOT_FOUND and error.kind is Kind.REFUSED:
                NOTING.get().excuse()
                return None
            raise
        value = answer.text if answer.body is NOT_JSON else answer.body
        if value is None:
            return None
        found = str(value) if isinstance(value, str | int) and not isinstance(value, bool) else None
        if found is not None and is_plain(found) and not is_endless(found) and not answer.is_web_page:
            return linked(found)
        message = "the answer is not an external ID"
        raise CallError(_LOOK_UP, Kind.UNAVAILABLE, answer.status, message)

    async def write_external_id(
        self, customer_id: str, system_id: str, external_id: str, tracking_guid: str
    ) -> None:
        """Tell iPaaS.com the Stamped.io id, so that every later change is an update."""
        body = {
            "table_name": "customer",
            "system_id": int(system_id) if system_id.isascii() and system_id.isdigit() else system_id,
            "external_id": external_id,
            "internal_id": customer_id,
            "tracking_guid": tracking_guid,
        }
        await self._http.call(_WRITE_BACK, "POST", "/v2/External/UpdateExternalId", json=body, pages=False)


def judge(status: int, text: str) -> Kind:
    """The class of a failed answer: iPaaS.com's code says more than the status; only INTL may pass by itself."""
    code = _CODE.search(text)
    if code:
        return _KINDS.get(code[1], Kind.REFUSED)
    return Kind.REFUSED if status == HTTPStatus.NOT_FOUND else classify(status)
