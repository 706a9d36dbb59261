"""What a failed transfer says, and what it keeps to itself."""

from __future__ import annotations

from typing import Any

import pytest

from app.attempt import Link
from app.error_catalog import CATALOG, Slug
from tests.support import (
    EMAIL,
    FakeLinks,
    Wire,
    customer,
    raising,
    reply,
    transfer,
    with_consent,
)


@pytest.mark.parametrize(
    ("answers", "operation"),
    [
        ({"add": reply(400, {"message": f"{EMAIL}: Annabell QUISLING is odd"})}, "create"),
        ({"subscribe": reply(400, {"errors": {EMAIL: ["annabell quisling"]}})}, "subscribe"),
        ({"add": reply(400, text=f"<p>Annabell Quisling &lt;{EMAIL}&gt;</p>")}, "create"),
    ],
    ids=["upsert", "subscription", "web page"],
)
async def test_names_and_emails_are_masked_in_details(answers: dict[str, Any], operation: str) -> None:
    ran = await transfer(Wire(**answers), with_consent("yes"), consent="Consent")
    assert ran.failed.stamped.operation == operation
    for text in (ran.failed.detail, ran.failed.stamped.message or ""):
        assert "…" in text
        assert "annabell" not in text.lower()
        assert "quisling" not in text.lower()


@pytest.mark.parametrize(
    ("operation", "told", "slug"),
    [
        ("add", "create", Slug.CUSTOMER),
        ("update", "update", Slug.CUSTOMER),
        ("subscribe",) * 2 + (Slug.SUBSCRIPTION,),
    ],
)
@pytest.mark.parametrize(
    ("failure", "status"),
    [({"errors": {"email": ["is odd"]}}, 422), ({"httpStatusCode": 401, "message": "email: is odd"}, 502)],
    ids=["errors", "401"],
)
async def test_a_failure_inside_an_envelope_is_told_in_its_own_words(
    operation: str, told: str, slug: Slug, failure: dict[str, Any], status: int
) -> None:
    link = Link("143491", written_back=True) if operation == "update" else None
    wire = Wire(**{operation: reply(body={"data": [failure]})})
    ran = await transfer(wire, with_consent("yes"), consent="Consent", links=FakeLinks(link))
    assert (ran.failed.slug, ran.failed.status, ran.failed.stamped.operation) == (slug, status, told)
    assert ran.failed.stamped.message == "email: is odd"
    assert wire.operations[-1] == operation


async def test_names_are_masked_in_the_consent_value() -> None:
    ran = await transfer(Wire(), with_consent(f"ask Quisling, {EMAIL}"), consent="Consent")
    assert "uisling" not in ran.failed.detail


async def test_names_are_masked_in_what_ipaas_says_to_the_write_back() -> None:
    wire = Wire(write_back=reply(400, {"message": f"VALD-1: Annabell Quisling {EMAIL}"}))
    ran = await transfer(wire, ipaas=True)
    assert "VALD-1" in ran.reason
    assert "Annabell" not in ran.reason
    assert "uisling" not in ran.reason


async def test_names_are_masked_in_what_ipaas_says_to_the_lookup() -> None:
    wire = Wire(lookup=reply(400, {"message": f"VALD-1: Annabell Quisling {EMAIL}"}))
    ran = await transfer(wire, ipaas=True)
    assert "VALD-1" in ran.failed.detail
    assert "Annabell" not in ran.failed.detail
    assert "uisling" not in ran.failed.detail


@pytest.mark.parametrize(
    ("answers", "status", "retryable"),
    [
        pytest.param({"load": reply(404, {"message": "NFND-1"})}, 422, False, id="no such customer"),
        pytest.param({"load": reply(401, {"message": "AUTH-1"})}, 502, False, id="token"),
        pytest.param({"load": reply(500, {"message": "INTL-1"})}, 502, True, id="ipaas fails"),
        pytest.param({"load": raising(OSError("no"))}, 502, True, id="no connection"),
        pytest.param({"load": reply(text="<html>")}, 502, True, id="no record"),
        pytest.param({"lookup": reply(500, {"message": "INTL-1"})}, 502, True, id="lookup fails"),
    ],
)
async def test_a_record_that_cannot_be_loaded(answers: dict[str, Any], status: int, *, retryable: bool) -> None:
    wire = Wire(**answers)
    ran = await transfer(wire, None, ipaas=True)
    failure = ran.failed
    assert (failure.slug, failure.status, failure.retryable) == (Slug.NOT_LOADED, status, retryable)
    assert failure.detail.startswith(CATALOG[Slug.NOT_LOADED].sentence)
    assert not {"add", "update"} & set(wire.operations)
    assert failure.stamped.operation is None


async def test_no_record_and_no_ipaas_says_what_is_missing() -> None:
    wire = Wire()
    ran = await transfer(wire, None)
    assert (ran.failed.slug, ran.failed.status, wire.operations) == (Slug.NOT_LOADED, 422, [])
    assert "IPAAS_API_URL" in ran.failed.detail


@pytest.mark.parametrize(("state", "slug"), [(True, None), (False, Slug.SUBSCRIPTION), (None, Slug.SUBSCRIPTION)])
async def test_a_web_page_for_an_answer_counts_by_the_state_it_left(state: Any, slug: Slug | None) -> None:
    """A 200 "We'll be right back" must not pass for a done subscription."""
    wire = Wire(subscribe=reply(text="<h1>Hello</h1>"), get=reply(body=customer(isSubscribed=state)))
    ran = await transfer(wire, with_consent("yes"), consent="Consent")
    assert (ran.failure.slug if ran.failure else None) == slug
    assert ran.progress.subscription == (None if slug else "subscribed")
    tries = 3 if slug else 1
    assert wire.operations == ["add", *["subscribe", "get"] * tries]
