"""A webhook's body → what is transferred, over HTTP."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import pytest

from tests.conftest import Shared
from tests.support import GUID, RECORD, ZEROS, envelope, notification

pytestmark = pytest.mark.asyncio(loop_scope="module")

OTHER = "9b2e4b52-4b3e-4c7f-9c59-6f0f3f1d2a10"


async def results(shared: Shared, body: Any, **headers: str) -> list[dict[str, Any]]:
    answer = await shared.post(body, **headers)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["results"]
    return found


@pytest.mark.parametrize(
    "scope",
    [
        "customer/created",
        "customer/updated",
        "Customer/Created",
        "CUSTOMER/UPDATED",
        "customer/updated/debug",
        "Customer/Updated/Debug",
    ],
)
async def test_scopes_that_are_transferred(shared: Shared, scope: str) -> None:
    (result,) = await results(shared, envelope(notification(scope=scope)))
    assert (result["status"], result["external_id"]) == ("succeeded", "143491")


@pytest.mark.parametrize(
    ("scope", "shown"),
    [
        ("customer/deleted", "customer/deleted"),
        ("Customer/Deleted/debug", "customer/deleted"),
        ("customer/initialize", "customer/initialize"),
        ("customer/poll", "customer/poll"),
        ("product/updated", "product/updated"),
        ("customer/updated/more", "customer/updated/more"),
        ("", ""),
    ],
)
async def test_scopes_that_are_skipped_with_the_reason(shared: Shared, scope: str, shown: str) -> None:
    before = len(shared.wire.requests)
    (result,) = await results(shared, envelope(notification(scope=scope, tracking_guid=OTHER)))
    assert (result["status"], result["action"], result["external_id"]) == ("skipped", None, None)
    assert result["subscription"] is None
    assert shown in result["reason"]
    assert len(shared.wire.requests) == before


async def test_what_is_skipped_needs_no_id(shared: Shared) -> None:
    (result,) = await results(shared, envelope({"scope": "customer/deleted"}))
    assert (result["status"], result["customer_id"]) == ("skipped", None)


@pytest.mark.parametrize("body", [RECORD, RECORD | {"id": "150713"}], ids=["number", "text"])
async def test_a_bare_record(shared: Shared, body: dict[str, Any]) -> None:
    (result,) = await results(shared, body)
    assert (result["status"], result["customer_id"]) == ("succeeded", "150713")


@pytest.mark.parametrize(
    "fields",
    [{"id": 150713, "destination": 1796}, {"id": "150713", "destination": "1796"}],
    ids=["numbers", "texts"],
)
async def test_ids_are_answered_as_text(shared: Shared, fields: dict[str, Any]) -> None:
    (result,) = await results(shared, envelope(notification(**fields)))
    assert (result["customer_id"], result["external_id"]) == ("150713", "143491")


async def test_the_id_of_the_record_stands_in(shared: Shared) -> None:
    (result,) = await results(shared, envelope(notification(id=...)))
    assert result["customer_id"] == "150713"


@pytest.mark.parametrize(
    "fields",
    [{"extra": {"a": [1]}}, {"action": None, "type": 7}, {"external_id": None}, {"destination": ...}],
    ids=str,
)
async def test_the_envelope_is_read_leniently(shared: Shared, fields: dict[str, Any]) -> None:
    (result,) = await results(shared, envelope(notification(**fields)) | {"id": None, "attempt": "x", "more": 1})
    assert result["status"] == "succeeded"


async def test_a_tracking_guid_is_kept(shared: Shared) -> None:
    (result,) = await results(shared, envelope(notification(tracking_guid=GUID.upper())), X_Correlation_Id=OTHER)
    assert result["tracking_guid"] == GUID


@pytest.mark.parametrize(
    "guid", [..., None, ZEROS, "", "abc", 7], ids=["missing", "null", "zeros", "empty", "no guid", "number"]
)
@pytest.mark.parametrize(
    ("correlation", "stands_in"),
    [(None, False), ("", False), ("abc", False), (ZEROS, False), (OTHER, True), (OTHER.upper(), True)],
    ids=["none", "empty", "no guid", "zeros", "guid", "upper case"],
)
async def test_a_tracking_guid_is_made_up(
    shared: Shared, guid: Any, correlation: str | None, *, stands_in: bool
) -> None:
    headers = {} if correlation is None else {"X_Correlation_Id": correlation}
    (result,) = await results(shared, envelope(notification(tracking_guid=guid)), **headers)
    assert UUID(result["tracking_guid"]).int
    assert (result["tracking_guid"] == OTHER) is stands_in


async def test_two_changes_of_one_customer_do_not_share_a_stand_in(shared: Shared) -> None:
    unnamed = notification(tracking_guid=ZEROS)
    found = await results(shared, envelope(unnamed, unnamed), X_Correlation_Id=OTHER)
    assert found[0]["tracking_guid"] == OTHER
    assert UUID(found[1]["tracking_guid"]).int
    assert found[1]["tracking_guid"] != OTHER


@pytest.mark.parametrize("turned", [False, True], ids=["named first", "unnamed first"])
async def test_a_stand_in_does_not_swallow_a_change_beside_the_one_it_names(
    shared: Shared, *, turned: bool
) -> None:
    """iPaaS.com sends the first tracking GUID as `X-Correlation-Id`."""
    guid = str(uuid4())
    pair = [notification(tracking_guid=guid), notification(tracking_guid=None)]
    found = await results(shared, envelope(*(reversed(pair) if turned else pair)), X_Correlation_Id=guid)
    assert found[0]["transfer_id"] != found[1]["transfer_id"]
    assert [each["tracking_guid"] == guid for each in found] == ([False, True] if turned else [True, False])


async def test_a_tracking_guid_that_is_none_still_names_its_change(shared: Shared) -> None:
    once, again = [await results(shared, envelope(notification(tracking_guid="change 7"))) for _ in range(2)]
    assert once == again


@pytest.mark.parametrize(
    ("sources", "winner"),
    [
        (["key"], "key"),
        (["correlation"], "correlation"),
        (["key", "correlation"], "key"),
        (["key", "correlation", "record"], "record"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
@pytest.mark.parametrize("otherwise", [..., ZEROS, "abc"], ids=["missing", "zeros", "no guid"])
async def test_the_guid_of_a_bare_record(shared: Shared, sources: list[str], winner: str, otherwise: Any) -> None:
    guids = {source: str(uuid4()) for source in ("key", "correlation", "record")}
    names = {"key": "Idempotency_Key", "correlation": "X_Correlation_Id"}
    headers = {name: guids[source] for source, name in names.items() if source in sources}
    own = guids["record"] if "record" in sources else otherwise
    (result,) = await results(shared, RECORD if own is ... else RECORD | {"tracking_guid": own}, **headers)
    assert result["tracking_guid"] == guids[winner]


async def test_an_idempotency_key_need_not_be_a_guid(shared: Shared) -> None:
    guids = [
        (await results(shared, RECORD, Idempotency_Key=key))[0]["tracking_guid"] for key in ("a-1", "a-1", "a-2")
    ]
    assert guids[0] == guids[1] != guids[2]
    assert all(UUID(guid).int for guid in guids)


async def test_a_guid_is_made_up_for_a_bare_record(shared: Shared) -> None:
    first, second = [(await results(shared, RECORD))[0]["tracking_guid"] for _ in range(2)]
    assert UUID(first).int
    assert first != second


CANARY = "Vq7Canary"
WRONG_SHAPES: dict[str, tuple[Any, list[str]]] = {
    "list": ([], [""]),
    "text": (CANARY, [""]),
    "number": (7, [""]),
    "empty object": ({}, ["/id"]),
    "record without id": ({"email_address": CANARY}, ["/id"]),
    "record with a null id": (RECORD | {"id": None}, ["/id"]),
    "record with an object as id": (RECORD | {"id": {CANARY: 1}}, ["/id"]),
    "record with a wrong e-mail type": (RECORD | {"email_address": [CANARY]}, ["/email_address"]),
    "record with two faults": (RECORD | {"first_name": 7, "last_name": [CANARY]}, ["/first_name", "/last_name"]),
    "record with a wrong custom field": (
        RECORD | {"custom_fields": [{}, {"custom_field_name": [CANARY]}]},
        ["/custom_fields/1/custom_field_name"],
    ),
    "null notifications": ({"notifications": None}, ["/notifications"]),
    "text as notifications": ({"notifications": CANARY}, ["/notifications"]),
    "object as notifications": ({"notifications": {CANARY: 1}}, ["/notifications"]),
    "text as a notification": (
        envelope(notification()) | {"notifications": [notification(), CANARY]},
        ["/notifications/1"],
    ),
    "no scope": (envelope(notification(scope=...)), ["/notifications/0/scope"]),
    "number as scope": (envelope(notification(scope=7)), ["/notifications/0/scope"]),
    "object as id": (envelope(notification(id={CANARY: 1})), ["/notifications/0/id"]),
    "endless id": (envelope(notification(id=CANARY * 50)), ["/notifications/0/id"]),
    "unprintable id": (envelope(notification(id=f"{CANARY}\n{CANARY}")), ["/notifications/0/id"]),
    "list as destination": (envelope(notification(destination=[CANARY])), ["/notifications/0/destination"]),
    "no id at all": (envelope(notification(), notification(id=..., customer=...)), ["/notifications/1/id"]),
    "null id": (envelope(notification(id=None, customer=...)), ["/notifications/0/id"]),
    "list as customer": (envelope(notification(customer=[CANARY])), ["/notifications/0/customer"]),
    "wrong customer": (
        envelope(notification(customer=RECORD | {"first_name": [CANARY]})),
        ["/notifications/0/customer/first_name"],
    ),
}


@pytest.mark.parametrize("shape", WRONG_SHAPES)
async def test_a_wrong_shape_is_pointed_at_and_never_shown(shared: Shared, shape: str) -> None:
    body, pointers = WRONG_SHAPES[shape]
    before = len(shared.wire.requests)
    answer = await shared.post(body)
    assert answer.status_code == 422
    assert answer.headers["Content-Type"] == "application/problem+json"
    problem = answer.json()
    assert problem["type"] == "/errors/invalid-request"
    assert [fault["pointer"] for fault in problem["errors"]] == pointers
    assert all(fault["detail"].endswith(".") for fault in problem["errors"])
    assert CANARY not in answer.text
    assert len(shared.wire.requests) == before


async def test_up_to_100_notifications(shared: Shared) -> None:
    found = await results(shared, envelope(*[notification(id=n, scope="customer/deleted") for n in range(100)]))
    assert [result["customer_id"] for result in found] == [str(n) for n in range(100)]


async def test_101_notifications_are_too_many(shared: Shared) -> None:
    answer = await shared.post(envelope(*[notification(scope="customer/deleted")] * 101))
    assert answer.status_code == 422
    (fault,) = answer.json()["errors"]
    assert fault["pointer"] == "/notifications"
    assert "100" in fault["detail"]
