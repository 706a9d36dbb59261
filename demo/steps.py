"""What the demo shows, one function per step; `STEPS` at the end is their order."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from rich.table import Table

from demo.bridge import OPERATOR_KEY, Unexpected, expect, require

if TYPE_CHECKING:
    from collections.abc import Callable

    from demo.bridge import Bridge

DESTINATION = "1796"  # iPaaS.com's id of the Stamped.io subscription
ADA, BEN = 150713, 150714  # iPaaS.com's customer ids
ADA_AT_STAMPED, BEN_AT_STAMPED = "143491", "143492"


@dataclass(frozen=True, slots=True)
class Step:
    """`run` raises Unexpected, or httpx.HTTPError, when something is not as it should be."""

    title: str
    sentence: str
    run: Callable[[Bridge], None]


def notification(scope: str, guid: str, record: dict[str, Any]) -> dict[str, Any]:
    """One notification of iPaaS.com's envelope that carries its record."""
    return {
        "id": record["id"],
        "destination": DESTINATION,
        "scope": scope,
        "tracking_guid": guid,
        "customer": record,
    }


def ada(first_name: str, email: str, consent: str) -> dict[str, Any]:
    """Ada's record."""
    return _record(ADA, "C-1001", first_name, email, consent)


def ben(first_name: str) -> dict[str, Any]:
    """Ben's record, who consents."""
    return _record(BEN, "C-1002", first_name, "ben@example.com", "yes")


def _record(customer_id: int, number: str, first_name: str, email: str, consent: str) -> dict[str, Any]:
    return {
        "id": customer_id,
        "customer_number": number,
        "first_name": first_name,
        "last_name": "Example",
        "email_address": email,
        "custom_fields": [{"custom_field_name": "SubscribeProfile", "value": consent}],
    }


def _create(bridge: Bridge) -> None:
    guid = "3c90c3cc-0d44-4b50-8888-8dd25736052a"
    answer = bridge.webhook(notification("customer/created", guid, ada("Ada", "ada@example.com", "yes")))
    expect(
        answer,
        HTTPStatus.OK,
        {
            "results[0].status": "succeeded",
            "results[0].action": "created",
            "results[0].external_id": ADA_AT_STAMPED,
            "results[0].subscription": "subscribed",
            "results[0].tracking_guid": guid,
        },
    )


def _update(bridge: Bridge) -> None:
    record = ada("Augusta", "augusta@example.com", "yes")
    guid = "a4f1d6a2-6c0b-4a6e-8d55-0c8f4a0f7e10"
    answer = bridge.webhook(notification("customer/updated", guid, record))
    expect(
        answer,
        HTTPStatus.OK,
        {
            "results[0].status": "succeeded",
            "results[0].action": "updated",
            "results[0].external_id": ADA_AT_STAMPED,
            "results[0].subscription": "unchanged",
        },
    )


def _unsubscribe(bridge: Bridge) -> None:
    record = ada("Augusta", "augusta@example.com", "no")
    guid = "d2b3a9f0-1f4c-4d57-9f0e-77f2b6c1e933"
    answer = bridge.webhook(notification("customer/updated", guid, record))
    expect(
        answer,
        HTTPStatus.OK,
        {
            "results[0].action": "updated",
            "results[0].external_id": ADA_AT_STAMPED,
            "results[0].subscription": "unsubscribed",
        },
    )


def _fail(bridge: Bridge) -> None:
    guid = "5b0c0d7e-53a8-4f0c-9a5e-2f7e9d1c4b22"
    message = "The API key you supplied is not valid."
    bridge.break_stamped({"operation": "subscribe", "status": 401, "message": message, "times": None})
    answer = bridge.webhook(notification("customer/created", guid, ben("Ben")))
    expect(
        answer,
        HTTPStatus.BAD_GATEWAY,
        {
            "type": "/errors/subscribe-or-unsubscribe-failed",
            "title": "Subscribe or unsubscribe failed",
            "retryable": False,
            "external_id": BEN_AT_STAMPED,
            "stamped.status": 401,
            "stamped.message": message,
        },
    )
    problem = answer.json()
    bridge.failed_transfer = problem["instance"]
    bridge.console.print()
    bridge.console.print(f"What to do: {problem['resolution']}", style="yellow", markup=False)
    bridge.console.print(f"Already saved at Stamped.io: customer {problem['external_id']}.", style="yellow")


def _run_again(bridge: Bridge) -> None:
    bridge.mend_stamped()
    answer = bridge.call("POST", f"{bridge.failed_transfer}/retry", key=OPERATOR_KEY)
    expect(
        answer,
        HTTPStatus.OK,
        {
            "results[0].status": "succeeded",
            "results[0].action": "updated",
            "results[0].external_id": BEN_AT_STAMPED,
            "results[0].subscription": "subscribed",
        },
    )


def _accept(bridge: Bridge) -> None:
    bridge.break_stamped({"operation": "update", "delay_seconds": 0.5})
    guid = "e9a7c1f4-8a0d-4b7c-b0a1-6f3d2c5b8e44"
    news = notification("customer/updated", guid, ben("Benjamin"))
    answer = bridge.webhook(news, headers={"Prefer": "respond-async"})
    expect(answer, HTTPStatus.ACCEPTED, {"results[0].status": "accepted", "results[0].customer_id": str(BEN)})
    where = answer.headers["Location"]
    bridge.wait_until_final(where)
    bridge.console.print("A moment later:")
    expect(
        bridge.call("GET", where, key=OPERATOR_KEY),
        HTTPStatus.OK,
        {
            "status": "succeeded",
            "action": "updated",
            "external_id": BEN_AT_STAMPED,
            "attempts[0].outcome": "succeeded",
        },
    )


def _health(bridge: Bridge) -> None:
    expect(bridge.call("GET", "/readyz"), HTTPStatus.OK, {"status": "ok"})


def _customers(bridge: Bridge) -> None:
    found = bridge.stamped_customers()
    columns = {"id": "id", "email": "email", "name": "name", "externalId": "number", "isSubscribed": "subscribed"}
    table = Table("Stamped.io id", "e-mail", "name", "number", "subscribed")
    for customer in found:
        table.add_row(*(_cell(customer[field]) for field in columns))
    bridge.console.print(table)
    state = {customer["email"]: (str(customer["id"]), customer["isSubscribed"]) for customer in found}
    wanted = {"augusta@example.com": (ADA_AT_STAMPED, False), "ben@example.com": (BEN_AT_STAMPED, True)}
    if len(found) != len(wanted):
        message = f"Stamped.io should have {len(wanted)} customers, but has {len(found)}."
        raise Unexpected(message)
    require("what Stamped.io has", wanted, state)


def _cell(value: object) -> str:
    return {True: "yes", False: "no", None: ""}[value] if isinstance(value, bool | None) else str(value)


STEPS = (
    Step(
        "A customer is created",
        "A new customer who consents: created and subscribed at Stamped.io.",
        _create,
    ),
    Step(
        "A customer is updated",
        "Name and e-mail changed: the remembered link finds the same customer.",
        _update,
    ),
    Step(
        "A customer is unsubscribed",
        "Consent was withdrawn: the state differs from Stamped.io's, so it is set there.",
        _unsubscribe,
    ),
    Step(
        "A documented error",
        "Stamped.io saves the next customer, but is told to refuse the subscribe call.",
        _fail,
    ),
    Step(
        "The failed transfer again, after the cause is mended",
        "What was saved is updated, not created twice, and the subscription is set.",
        _run_again,
    ),
    Step(
        "Accepted now, done later",
        "The caller does not wait: a 202 is a promise, kept through any crash.",
        _accept,
    ),
    Step("Health", "What a load balancer or an orchestrator asks.", _health),
    Step("What Stamped.io has now", "A look into the sandbox.", _customers),
)
