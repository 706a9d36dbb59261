"""What the webhook answers, to be recorded."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx

from tests.api.operating import SYNC, Gate
from tests.api.telling import Teller, change, guid, own_id, person, scene
from tests.support import (
    EMAIL,
    IPAAS,
    RECORD,
    ZEROS,
    Answer,
    customer,
    envelope,
    never,
    notification,
    raising,
    reply,
    sent,
    with_consent,
)

CONSENT: dict[str, Any] = {"subscription_field": "Consent"}
LINK = {"external_ids": [{"system_id": 1796, "external_id": "143491"}]}


@scene()
async def what_becomes_of_a_notification(at: Teller) -> None:
    await at.hook(envelope())
    await at.hook(envelope())
    await at.hook(change(1))
    await at.hook(change(2, scope="Customer/Created/debug", id=150713, destination=...))
    await at.hook(change(3, scope="customer/deleted"))
    await at.hook(change(4, scope="Ordér/<x>", id=..., customer=...))
    await at.hook(envelope(person(5), person(6), person(7, scope="customer/poll")))
    await at.hook(envelope(person(5), person(8)))
    await at.hook(envelope(person(9, tracking_guid=ZEROS)), X_Correlation_Id=guid(99))
    await at.hook(envelope(person(10, tracking_guid="order 66")))
    await at.hook(envelope(person(11, tracking_guid=None)))
    await at.hook({"notifications": []})
    await at.hook({"notifications": [], "id": None, "attempt": "x"}, Prefer="respond-async")
    await at.hook(envelope(person(12)), Prefer="wait=500, handling=lenient")
    await at.hook(envelope(person(13)), Prefer="return=minimal; wait=x")
    await at.hook(envelope(person(14, customer=...)))


@scene()
async def a_bare_record(at: Teller) -> None:
    await at.hook(RECORD)
    await at.hook(RECORD | {"id": "7", "tracking_guid": guid(1), "extra": [1.5, None]})
    for _ in range(2):
        await at.hook(RECORD | {"id": 8}, Idempotency_Key="change 1")
    await at.hook(RECORD | {"id": 9}, X_Correlation_Id=guid(2), Content_Type="application/vnd.api+json")


@scene(**CONSENT)
async def consent(at: Teller) -> None:
    known = [reply(body=customer(isSubscribed=state)) for state in (False, True, True, True)]
    at.wire.script(update=known)
    for number, word in enumerate(("no", "yes", "yes", "no", "", "maybe")):
        await at.hook(change(number, customer=with_consent(word)))
    await at.hook(change(10, id="1", customer=with_consent("yes", id=1, email_address=None)))
    await at.hook(change(11, id="2", customer=with_consent("yes", id=2) | LINK))
    await at.get("/transfers?status=failed")


@scene(**CONSENT)
async def the_second_step_fails(at: Teller) -> None:
    answers = [reply(500, {"message": "Later."})] * 3 + [reply(400, {"message": f"{EMAIL} is odd"})]
    at.wire.script(subscribe=[*answers, reply(text="<h1>Soon back</h1>")])
    for number in (1, 2, 3):
        record = with_consent("yes", id=number, email_address=f"person{number}@example.com")
        await at.hook(envelope(person(number, customer=record)))
    await at.ready()


@scene()
async def stamped_fails(at: Teller) -> None:
    answers: list[Answer] = [
        *(reply(status, {"message": f"{EMAIL}: no {status}."}) for status in (400, 401, 403, 404, 409, 422, 500)),
        reply(302, text="", headers={"Location": "/"}),
        reply(503, text="<b>Down</b>"),
        reply(text="<h1>We'll be right back</h1>"),
        raising(httpx.ConnectError("x")),
        reply(body={"httpStatusCode": 401}),
        raising(httpx.ReadTimeout("x")),
        reply(body={"success": False, "errors": {"email": ["is odd"]}}),
    ]
    for number, answer in enumerate(answers):
        at.wire.script(add=answer)
        failed = await at.hook(envelope(person(number)))
        if number in {3, 4, 7, 10}:
            await at.ready()
            await at.get(failed.json()["instance"])
    await at.hook(envelope(person(50, customer=RECORD | {"id": 50, "email_address": None})))


@scene(stamped_timeout_seconds=0.02)
async def stamped_does_not_answer(at: Teller) -> None:
    at.wire.script(add=never)
    await at.hook(envelope(), Prefer="wait=20")
    await at.ready()


@scene()
async def one_of_several_fails(at: Teller) -> None:
    def some(request: httpx.Request) -> httpx.Response:
        status = {"person2@example.com": 400, "person3@example.com": 401}.get(sent(request)["email"])
        return httpx.Response(status, json={"message": f"No {status}."}) if status else own_id(request)

    at.wire.script(add=some)
    await at.hook(envelope(person(1), person(2), person(3), person(4, scope="customer/deleted")))


@scene(**IPAAS)
async def records_of_ipaas(at: Teller) -> None:
    await at.hook(envelope(notification(customer=...)))
    await at.post(SYNC)
    at.wire.script(write_back=reply(400, {"message": "VALD-1: no"}))
    await at.hook(envelope(person(1)))
    for number, status in enumerate((401, 404, 500), 2):
        at.wire.script(load=reply(status, {"message": f"CODE-1: no {status}"}))
        await at.hook(envelope(person(number, customer=...)))
    at.wire.script(load=reply(text="<html>"), lookup=reply(500, {"message": "INTL-1"}))
    await at.hook(envelope(person(8, customer=...)))
    failed = await at.hook(envelope(person(9)))
    await at.get(failed.json()["instance"])


@scene()
async def promises(at: Teller) -> None:
    at.wire.script(add=(gate := Gate()))
    paths = [
        (await at.hook(envelope(person(number)), Prefer=prefer)).headers["Location"]
        for number, prefer in enumerate(("respond-async", "wait=0", 'respond-async, WAIT="0"'), 1)
    ]
    await gate.reached.wait()
    for path in paths:
        await at.until(path, status="running")
    await at.get(paths[1])
    await at.get("/transfers?limit=1")
    for what in ("retry", "cancel"):
        await at.post(f"{paths[1]}/{what}")
    second = await at.hook(envelope(person(1, tracking_guid=guid(11))), Prefer="respond-async")
    await at.get(second.headers["Location"])
    await at.post(f"{second.headers['Location']}/cancel")
    await at.get("/readyz")
    gate.opened.set()
    for path in paths:
        await at.until(path, status="succeeded")
    await at.get(paths[1])
    for what in ("retry", "cancel"):
        await at.post(f"{paths[1]}/{what}")
    await at.hook(envelope(person(2)), Prefer="respond-async")


@scene()
async def patience_ends(at: Teller) -> None:
    at.wire.script(add=(gate := Gate()))
    asked = asyncio.create_task(at.hook(envelope(), Prefer="wait=1"))
    await gate.reached.wait()
    at.clock.advance(1)
    path = (await asked).headers["Location"]
    await at.get(path)
    gate.opened.set()
    await at.until(path, status="succeeded")


@scene()
async def bodies_of_a_wrong_shape(at: Teller) -> None:
    wrong: tuple[Any, ...] = (
        [],
        [envelope()],
        "x",
        7,
        {},
        *({"id": each} for each in (None, "", True, "x" * 101)),
    )
    for body in wrong:
        await at.hook(body)
    wrong = ({"first_name": 7}, {"email_address": [EMAIL]}, {"custom_fields": {}}, {"id": 1.5}, {"id": ".."})
    for fields in wrong:
        await at.hook(RECORD | fields)
    await at.hook(RECORD | {"custom_fields": [{"custom_field_name": 1}, 2], "external_ids": [{"system_id": []}]})
    wrong = (None, {}, "x", [None], [[]], [{}], [person(1), {"scope": 7}], [person(1)] * 101)
    for notifications in wrong:
        await at.hook({"notifications": notifications})
    wrong = (
        {"scope": ...},
        {"scope": None},
        {"id": {}},
        {"id": "a\u0001b"},
        {"id": ..., "customer": ...},
        {"id": ..., "customer": {"id": None}},
        {"destination": 1.5},
        {"customer": []},
        {"customer": RECORD | {"a/b~c": 1, "last_name": {}, "external_ids": [{"external_id": [1]}]}},
    )
    for fields in wrong:
        await at.hook(envelope(person(1), notification(**fields)))
