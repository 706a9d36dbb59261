"""The flow: upsert, then reconcile the subscription, with fakes at the transport only."""

from __future__ import annotations

from typing import Any

import pytest

from app.attempt import Link
from app.error_catalog import CATALOG, Slug
from tests.support import (
    EMAIL,
    GUID,
    RECORD,
    STAMPED_ID,
    FakeLinks,
    Wire,
    customer,
    reply,
    sent,
    transfer,
    with_consent,
)

LINKED = RECORD | {"external_ids": [{"system_id": 1796, "external_id": "143491"}]}
GONE = reply(404, {"message": "Customer not found."})


async def test_without_a_link_the_customer_is_created_and_the_link_kept() -> None:
    wire = Wire()
    ran = await transfer(wire)
    assert wire.operations == ["add"]
    assert (ran.progress.action, ran.progress.external_id) == ("created", "143491")
    assert (ran.progress.subscription, ran.reason) == ("not_mapped", "")
    assert ran.links.kept == ["143491"]


async def test_a_link_in_the_record_makes_it_an_update_without_any_lookup() -> None:
    wire = Wire()
    ran = await transfer(wire, LINKED, ipaas=True)
    assert wire.operations == ["update"]
    assert wire.requests[0].url.path.endswith("/dashboard/customers/143491")
    assert (ran.progress.action, ran.progress.external_id) == ("updated", "143491")


async def test_a_link_of_an_earlier_transfer_makes_it_an_update() -> None:
    wire = Wire()
    ran = await transfer(wire, links=FakeLinks(Link("143491", written_back=True)), ipaas=True)
    assert wire.operations == ["update"]
    assert ran.progress.action == "updated"


async def test_a_link_that_ipaas_knows_makes_it_an_update() -> None:
    wire = Wire(lookup=reply(body="143491"))
    ran = await transfer(wire, ipaas=True)
    assert wire.operations == ["lookup", "update"]
    assert ran.progress.action == "updated"


@pytest.mark.parametrize(
    "external_ids",
    [
        [{"system_id": "1797", "external_id": "1"}],
        [{"system_id": "1796", "external_id": "DELETED:1"}],
        [{"system_id": "1796", "external_id": ""}],
        [{"external_id": "1"}],
        [],
    ],
    ids=["another system", "deleted", "empty", "no system", "none"],
)
async def test_what_is_no_link_is_looked_up(external_ids: list[dict[str, Any]]) -> None:
    wire = Wire()
    await transfer(wire, RECORD | {"external_ids": external_ids}, ipaas=True)
    assert wire.operations == ["lookup", "add", "write_back"]


async def test_without_a_record_it_is_loaded_from_ipaas() -> None:
    wire = Wire()
    ran = await transfer(wire, None, ipaas=True)
    assert wire.operations == ["load", "lookup", "add", "write_back"]
    assert sent(wire.last("add"))["email"] == EMAIL
    assert ran.failure is None


async def test_a_new_link_is_written_back() -> None:
    wire = Wire()
    ran = await transfer(wire, ipaas=True)
    assert sent(wire.last("write_back")) == {
        "table_name": "customer",
        "system_id": 1796,
        "external_id": "143491",
        "internal_id": "150713",
        "tracking_guid": GUID,
    }
    assert ran.progress.written_back


async def test_a_link_that_could_not_be_written_back_before_is_written_back_now() -> None:
    wire = Wire()
    await transfer(wire, ipaas=True, links=FakeLinks(Link("143491", written_back=False)))
    assert wire.operations == ["update", "write_back"]


async def test_the_write_back_comes_before_the_subscription() -> None:
    wire = Wire(subscribe=reply(500))
    ran = await transfer(wire, with_consent("yes"), ipaas=True, consent="Consent")
    assert wire.operations[:4] == ["lookup", "add", "write_back", "subscribe"]
    assert ran.failed.slug is Slug.SUBSCRIPTION


async def test_a_failed_write_back_is_a_reason_and_no_error() -> None:
    wire = Wire(write_back=reply(401, {"message": "AUTH-1: token expired"}))
    ran = await transfer(wire, with_consent("yes"), ipaas=True, consent="Consent")
    assert ran.failure is None
    assert ran.progress.subscription == "subscribed"
    assert "could not be written back" in ran.reason
    assert "AUTH-1: token expired" in ran.reason
    assert not ran.progress.written_back
    assert ran.links.link == Link("143491", written_back=False)


async def test_a_stale_link_falls_back_to_adding_once_and_links_anew() -> None:
    wire = Wire(update=GONE, add=reply(body=customer(143500)))
    ran = await transfer(wire, LINKED, ipaas=True)
    assert wire.operations == ["update", "add", "write_back"]
    assert (ran.progress.external_id, ran.links.kept) == ("143500", ["143500"])
    assert sent(wire.last("write_back"))["external_id"] == "143500"
    assert "gone" in ran.reason


@pytest.mark.parametrize(("status", "told", "retryable"), [(400, 422, False), (503, 502, True)])
async def test_if_adding_after_a_stale_link_fails_the_last_error_counts(
    status: int, told: int, *, retryable: bool
) -> None:
    wire = Wire(update=GONE, add=reply(status, {"message": "Store is closed."}))
    ran = await transfer(wire, LINKED)
    assert wire.operations[:2] == ["update", "add"]
    failure = ran.failed
    assert (failure.slug, failure.status, failure.retryable) == (Slug.CUSTOMER, told, retryable)
    assert (failure.stamped.operation, failure.stamped.status) == ("create", status)
    assert failure.detail.endswith("Store is closed.")
    assert ran.progress.external_id is None


@pytest.mark.parametrize(
    "answer",
    [
        reply(text=""),
        reply(body=None),
        reply(body=True),
        reply(text="OK"),
        reply(body={}),
        reply(body={"message": "ok"}),
    ],
    ids=["empty", "null", "true", "text", "no id", "message only"],
)
async def test_an_added_customer_without_an_id_is_found_by_email_and_not_added_again(answer: Any) -> None:
    others = [customer(1, f"x{EMAIL}"), customer(2, EMAIL.replace(".", "_", 1)), customer(143499, EMAIL.upper())]
    wire = Wire(add=answer, search=reply(body={"results": others}))
    ran = await transfer(wire)
    assert wire.operations == ["add", "search"]
    assert wire.requests[1].url.params["search"] == EMAIL
    assert (ran.progress.action, ran.progress.external_id) == ("created", "143499")


async def test_a_customer_that_nobody_finds_is_an_error_and_not_added_again() -> None:
    wire = Wire(add=reply(text=""), search=reply(body={"results": [customer(1, "other@example.com")]}))
    ran = await transfer(wire)
    assert wire.operations == ["add", "search"]
    assert (ran.failed.slug, ran.failed.status, ran.failed.retryable) == (Slug.CUSTOMER, 502, True)


async def test_an_update_without_an_id_is_taken_at_its_word() -> None:
    wire = Wire(update=reply(text=""))
    ran = await transfer(wire, LINKED)
    assert wire.operations == ["update"]
    assert ran.progress.external_id == "143491"


@pytest.mark.parametrize("wanted", ["yes", "no"])
@pytest.mark.parametrize("now", [True, False, None, ...], ids=["subscribed", "not", "null", "missing"])
@pytest.mark.parametrize("read", [True, False, None], ids=["read yes", "read no", "read unknown"])
async def test_subscription_is_reconciled_only_if_different(now: Any, *, read: bool | None, wanted: str) -> None:
    saved = {name: value for name, value in customer(isSubscribed=now).items() if value is not ...}
    wire = Wire(add=reply(body=saved), get=reply(body=customer(isSubscribed=read)))
    ran = await transfer(wire, with_consent(wanted), consent="Consent")
    asked = now in {None, ...}
    current = read if asked else now
    changed = current is not (wanted == "yes")
    call = "subscribe" if wanted == "yes" else "unsubscribe"
    assert wire.operations == ["add", *(["get"] if asked else []), *([call] if changed else [])]
    assert ran.progress.subscription == (f"{call}d" if changed else "unchanged")


@pytest.mark.parametrize("answer", [reply(500), reply(404), reply(text="")], ids=["500", "404", "empty"])
async def test_an_unknown_state_is_asked_once_and_then_set(answer: Any) -> None:
    wire = Wire(add=reply(body={"id": STAMPED_ID}), get=answer)
    ran = await transfer(wire, with_consent("no"), consent="Consent")
    assert wire.operations == ["add", "get", "unsubscribe"]
    assert ran.progress.subscription == "unsubscribed"


async def test_unmapped_consent_makes_no_call() -> None:
    wire = Wire()
    ran = await transfer(wire, with_consent("yes"))
    assert wire.operations == ["add"]
    assert ran.progress.subscription == "not_mapped"


async def test_absent_consent_makes_no_call_and_says_so() -> None:
    wire = Wire()
    ran = await transfer(wire, with_consent(...), consent="Consent")
    assert wire.operations == ["add"]
    assert ran.failure is None
    assert "no consent value" in ran.reason


async def test_unreadable_consent_is_a_422_after_the_upsert_and_subscribes_nobody() -> None:
    wire = Wire()
    ran = await transfer(wire, with_consent("perhaps"), consent="Consent", ipaas=True)
    assert wire.operations == ["lookup", "add", "write_back"]
    failure = ran.failed
    assert (failure.slug, failure.status, failure.retryable) == (Slug.SUBSCRIPTION, 422, False)
    assert failure.detail.startswith(f"{CATALOG[Slug.SUBSCRIPTION].sentence} ")
    assert "'perhaps'" in failure.detail
    assert ran.progress.external_id == "143491"
    assert (failure.stamped.operation, failure.stamped.status, failure.stamped.message) == (None, None, None)


async def test_a_failed_subscription_keeps_what_was_saved_and_the_next_run_is_an_update() -> None:
    wire = Wire(subscribe=reply(400, {"message": "No."}))
    ran = await transfer(wire, with_consent("yes"), consent="Consent")
    assert (ran.failed.slug, ran.failed.status) == (Slug.SUBSCRIPTION, 422)
    assert ran.failed.detail == f"{CATALOG[Slug.SUBSCRIPTION].sentence} HTTP status 400 Bad Request: No."
    assert (ran.progress.action, ran.progress.external_id) == ("created", "143491")
    assert ran.progress.subscription is None
    mended = Wire()
    again = await transfer(mended, with_consent("yes"), consent="Consent", links=ran.links)
    assert mended.operations == ["update", "subscribe"]
    assert again.progress.subscription == "subscribed"


@pytest.mark.parametrize(
    "email",
    [None, "", "anna", "anna@example", "anna@@example.com", "a b@example.com", "a\x00@ex.com", "a@ex..com"],
)
async def test_an_invalid_email_is_a_422_without_any_call(email: str | None) -> None:
    wire = Wire()
    ran = await transfer(wire, RECORD | {"email_address": email}, ipaas=True)
    assert wire.operations == []
    assert (ran.failed.slug, ran.failed.status, ran.failed.retryable) == (Slug.CUSTOMER, 422, False)
    assert ran.failed.stamped.operation is None
