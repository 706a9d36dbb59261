"""The six V2 calls of iPaaS.com's article "Stamped.io API Endpoints"."""

import asyncio
import json
import math
import secrets
import time
from base64 import b64encode
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from app.sandbox.answers import many_customers, one_customer
from app.sandbox.faults import CutConnection, Faults
from app.sandbox.store import Call, CustomerFields, Operation, RefusalError, Store

_CALLS: list[tuple[Operation, str, str]] = [
    ("add", "POST", "dashboard/customers/add"),
    ("search", "GET", "dashboard/customers"),
    ("get", "GET", "dashboard/customers/{customer_id}"),
    ("update", "POST", "dashboard/customers/{customer_id}"),
    ("subscribe", "POST", "survey/subscribe"),
    ("unsubscribe", "POST", "survey/unsubscribe"),
]

_ID_DIGITS = 18  # int() refuses thousands of digits


@dataclass
class Account:
    """The one store of the stand-in and the keys that open it."""

    public_key: str
    private_key: str
    store_hash: str

    def check(self, request: Request) -> None:
        """Refuse wrong keys with 401 and another store with 404."""
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        expected = b64encode(f"{self.public_key}:{self.private_key}".encode())
        if scheme.lower() != "basic" or not secrets.compare_digest(given.strip().encode(), expected):
            raise RefusalError(401, "The API key you supplied is not valid.")
        if request.path_params["store_hash"] != self.store_hash:
            raise RefusalError(404, "Store not found.")


class V2:
    """Answers the calls, each through the log and the faults."""

    def __init__(self, account: Account, store: Store, faults: Faults) -> None:
        self._account = account
        self._store = store
        self._faults = faults

    def routes(self) -> list[Route]:
        """Return the six routes; `customers/add` comes before `customers/{id}`, which would match it."""
        return [
            Route(f"/api/v2/{{store_hash}}/{path}", self._endpoint(operation), methods=[method])
            for operation, method, path in _CALLS
        ]

    def _endpoint(self, operation: Operation) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            return await self._answer(request, operation, await request.body())

        return endpoint

    async def _answer(self, request: Request, operation: Operation, body: bytes) -> Response:
        root_path = request.scope.get("root_path", "")
        email = self._email(request, operation, body)
        call = Call(
            method=request.method,
            path=request.scope["path"].removeprefix(root_path),
            operation=operation,
            email=email,
        )
        self._store.calls.append(call)
        wait = self._store.throttle.begins(time.monotonic())
        fault = self._faults.take(operation, email) if wait is None else None
        if wait is not None:
            sends = {"Retry-After": str(math.ceil(wait))}
            response: Response = JSONResponse({"message": "Too many calls."}, HTTPStatus.TOO_MANY_REQUESTS, sends)
        elif fault is None:
            response = self._perform(request, operation, body)
        elif fault.after:
            response = self._perform(request, operation, body)
            await asyncio.sleep(fault.delay_seconds)
            response = fault.answer(root_path) or response
        else:
            await asyncio.sleep(fault.delay_seconds)
            response = fault.answer(root_path) or self._perform(request, operation, body)
        call.status = None if isinstance(response, CutConnection) else response.status_code
        return response

    def _perform(self, request: Request, operation: Operation, body: bytes) -> Response:
        store = self._store
        try:
            self._account.check(request)
            match operation:
                case "search":
                    return many_customers(store.search(request.query_params.get("search", "")), store.style)
                case "get":
                    customer = store.get(_customer_id(request))
                case "add":
                    customer = store.add(_fields(_json_object(body)))
                case "update":
                    customer = store.update(_customer_id(request), _fields(_json_object(body)))
                case "subscribe" | "unsubscribe":
                    sent = _json_object(body) if body else {}
                    fields = _fields({"email": sent.get("email", request.query_params.get("email"))})
                    customer = store.set_subscribed(fields.email, subscribed=operation == "subscribe")
        except RefusalError as refusal:
            headers = (
                {"WWW-Authenticate": 'Basic realm="Stamped.io sandbox"'}
                if refusal.status == HTTPStatus.UNAUTHORIZED
                else None
            )
            return JSONResponse({"message": refusal.message}, refusal.status, headers)
        return one_customer(customer, store.style, operation)

    def _email(self, request: Request, operation: Operation, body: bytes) -> str | None:
        """Return whom the call is about, for the log and the faults; never fails."""
        if operation == "search":
            return request.query_params.get("search")
        try:
            sent = _json_object(body).get("email") if body else None
        except RefusalError:
            sent = None
        if isinstance(sent, str) and sent.isprintable():
            return sent
        try:
            return request.query_params.get("email") or self._store.get(_customer_id(request)).email
        except RefusalError:
            return None


def _customer_id(request: Request) -> int | None:
    text = request.path_params.get("customer_id", "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= _ID_DIGITS else None


def _json_object(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise RefusalError(400, "The body is not a JSON object.")
    return value


def _fields(sent: dict[str, Any]) -> CustomerFields:
    try:
        return CustomerFields.model_validate(sent)
    except ValidationError as error:
        field = str(error.errors()[0]["loc"][0])
        raise RefusalError(400, f"{field[:1].upper()}{field[1:]} is not valid.") from None
