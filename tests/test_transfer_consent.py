"""What is due beside the record, what is in doubt, and what a verification looks at and leaves alone."""

from __future__ import annotations

import httpx
import pytest

from app.attempt import Consent, Link
from app.error_catalog import Slug
from tests.support import EMAIL, FakeLinks, Wire, customer, raising, reply, sent, transfer, with_consent

NO_DUE = Consent(no=True, said_no=True)
IN_DOUBT = Consent(in_doubt=True)
REFUSED = reply(422, {"message": "Another customer has this email."})
KNOWN = reply(body=customer(email="old@example.com", isSubscribed=True))


def linked() -> FakeLinks:
    return FakeLinks(Link("143491", written_back=True))


@pytest.mark.parametrize("said", [..., "", "yes", "no"])
async def test_a_no_that_is_due_comes_before_what_the_record_says(said: object) -> None:
    wire = Wire(update=KNOWN)
    ran = await transfer(wire, with_consent(said), consent="Consent", links=linked(), due=NO_DUE)
    assert wire.operations == ["update", "unsubscribe"]
    assert (ran.failure, ran.progress.subscription) == (None, "unsubscribed")


async def test_a_no_that_is_due_needs_a_mapping() -> None:
    wire = Wire(update=KNOWN)
    ran = await transfer(wire, with_consent(...), links=linked(), due=NO_DUE)
    assert wire.operations == ["update"]
    assert ran.progress.subscription == "not_mapped"


async def test_an_unreadable_value_does_not_keep_a_no_that_is_due_from_being_applied() -> None:
    wire = Wire(update=KNOWN)
    ran = await transfer(wire, with_consent("maybe"), consent="Consent", links=linked(), due=NO_DUE)
    assert wire.operations == ["update", "unsubscribe"]
    assert (ran.failed.slug, ran.progress.subscription) == (Slug.SUBSCRIPTION, "unsubscribed")


@pytest.mark.parametrize(("said", "call"), [("no", "unsubscribe"), ("yes", "subscribe")])
@pytest.mark.parametrize("told", [True, False])
async def test_in_doubt_no_state_is_trusted(said: str, call: str, *, told: bool) -> None:
    wire = Wire(update=reply(body=customer(isSubscribed=told)))
    ran = await transfer(wire, with_consent(said), consent="Consent", links=linked(), due=IN_DOUBT)
    assert wire.operations == ["update", call]
    assert ran.failure is None


@pytest.mark.parametrize("error", [httpx.ReadTimeout("late"), httpx.ReadError("lost")])
async def test_a_call_without_an_answer_leaves_doubt_at_once(error: Exception) -> None:
    """Also where it was repeated with success: the first one may still take effect."""
    wire = Wire(update=[raising(error), reply(body=customer(isSubscribed=True))])
    await transfer(wire, with_consent("yes"), consent="Consent", links=linked())
    assert wire.operations == ["update", "update", "subscribe"]


@pytest.mark.parametrize("error", [httpx.ConnectError("refused"), httpx.ConnectTimeout("nobody")])
async def test_a_call_that_never_left_leaves_none(error: Exception) -> None:
    wire = Wire(update=[raising(error), reply(body=customer(isSubscribed=True))])
    ran = await transfer(wire, with_consent("yes"), consent="Consent", links=linked())
    assert wire.operations == ["update", "update"]
    assert ran.progress.subscription == "unchanged"


async def test_a_no_is_applied_to_the_email_that_stamped_has_although_the_record_is_refused() -> None:
    wire = Wire(update=REFUSED, get=KNOWN)
    ran = await transfer(wire, with_consent("no"), consent="Consent", links=linked())
    assert wire.operations == ["update", "get", "unsubscribe"]
    assert sent(wire.last("unsubscribe")) == {"email": "old@example.com"}
    assert (ran.failed.slug, ran.failed.status) == (Slug.CUSTOMER, 422)
    assert (ran.progress.subscription, ran.progress.external_id) == ("unsubscribed", "143491")


async def test_also_a_record_without_an_email_says_no() -> None:
    wire = Wire(get=KNOWN)
    ran = await transfer(wire, with_consent("no", email_address=None), consent="Consent", links=linked())
    assert wire.operations == ["get", "unsubscribe"]
    assert (ran.failed.status, ran.progress.subscription) == (422, "unsubscribed")


@pytest.mark.parametrize(
    ("wire", "said", "links"),
    [
        (Wire(update=REFUSED), "yes", linked()),
        (Wire(update=REFUSED), ..., linked()),
        (Wire(add=REFUSED), "no", FakeLinks()),
        (Wire(update=reply(401)), "no", linked()),
        (Wire(update=reply(503)), "no", linked()),
    ],
    ids=["a yes", "no value", "nobody is known", "wrong keys", "it may pass"],
)
async def test_nothing_else_is_applied_beside_an_upsert_that_failed(
    wire: Wire, said: object, links: FakeLinks
) -> None:
    ran = await transfer(wire, with_consent(said), consent="Consent", links=links)
    assert set(wire.operations) <= {"update", "add"}
    assert ran.failed.slug is Slug.CUSTOMER


@pytest.mark.parametrize(("status", "slug"), [(503, Slug.SUBSCRIPTION), (422, Slug.CUSTOMER)])
async def test_a_no_beside_a_refused_record_is_tried_again_if_it_may_pass(status: int, slug: Slug) -> None:
    wire = Wire(update=REFUSED, get=KNOWN, unsubscribe=reply(status))
    ran = await transfer(wire, with_consent("no"), consent="Consent", links=linked())
    assert (ran.failed.slug, ran.failed.retryable) == (slug, status == 503)


@pytest.mark.parametrize(
    ("there", "operations"),
    [
        ({"isSubscribed": True}, ["get"]),
        ({"isSubscribed": False}, ["get", "subscribe"]),
        ({"firstName": "Old", "isSubscribed": True}, ["get", "update", "subscribe"]),
        ({"externalId": None, "isSubscribed": True}, ["get", "update", "subscribe"]),
    ],
    ids=["nothing differs", "the subscription", "a name", "what was never answered"],
)
async def test_a_verification_sets_what_differs(there: dict[str, object], operations: list[str]) -> None:
    held = customer(firstName="Annabell", lastName="Quisling", externalId="C-1001") | there
    wire = Wire(get=reply(body=held))
    ran = await transfer(wire, with_consent("yes"), consent="Consent", links=linked(), due=IN_DOUBT, verifies=True)
    assert wire.operations == operations
    assert ran.failure is None
    assert ran.progress.action == ("updated" if "update" in operations else None)


async def test_a_verification_finds_what_an_add_without_an_answer_left() -> None:
    links = FakeLinks(left="143491")
    wire = Wire(get=reply(body=customer(firstName="Annabell", lastName="Quisling", externalId="C-1001")))
    ran = await transfer(wire, links=links, verifies=True)
    assert wire.operations == ["get"]
    assert ran.progress.external_id == "143491"


async def test_a_verification_creates_nobody() -> None:
    wire = Wire()
    ran = await transfer(wire, verifies=True)
    assert (wire.operations, ran.failure, ran.progress.external_id) == ([], None, None)


async def test_a_verification_of_somebody_who_is_gone_adds_them_anew() -> None:
    wire = Wire(get=reply(404), update=reply(404))
    ran = await transfer(wire, links=linked(), verifies=True)
    assert wire.operations == ["get", "update", "add"]
    assert ran.progress.action == "created"


async def test_a_link_that_is_another_customers_is_none() -> None:
    wire = Wire()
    links = FakeLinks(others=frozenset({"7"}))
    record = with_consent(..., external_ids=[{"system_id": "1796", "external_id": "7"}])
    ran = await transfer(wire, record, links=links)
    assert wire.operations == ["add"]
    assert sent(wire.last("add"))["email"] == EMAIL
    assert ran.progress.external_id == "143491"


async def test_whom_nobody_told_the_newest_no_is_told_it() -> None:
    """The customer that was told is gone, and somebody who is subscribed has the e-mail now."""
    told = Consent(said_no=True, told_to="143491")
    wire = Wire(update=reply(404), add=reply(body=customer(143492, isSubscribed=True)))
    ran = await transfer(wire, with_consent(...), consent="Consent", links=linked(), due=told)
    assert wire.operations == ["update", "add", "unsubscribe"]
    assert (ran.progress.subscription, ran.progress.told) == ("unsubscribed", False)


async def test_who_was_told_the_newest_no_is_left_alone_by_a_record_that_says_nothing() -> None:
    told = Consent(said_no=True, told_to="143491")
    wire = Wire(update=reply(body=customer(isSubscribed=True)))
    ran = await transfer(wire, with_consent(...), consent="Consent", links=linked(), due=told)
    assert wire.operations == ["update"]
    assert (ran.progress.subscription, ran.progress.told) == ("not_mapped", None)


async def test_no_yes_of_an_older_record_comes_before_a_newer_no() -> None:
    told = Consent(said_no=True, told_to="143491")
    wire = Wire()
    ran = await transfer(wire, with_consent("yes"), consent="Consent", links=linked(), due=told)
    assert "subscribe" not in wire.operations
    assert ran.progress.subscription == "unchanged"


async def test_a_verification_does_not_complain_of_a_value_that_nobody_can_read() -> None:
    held = customer(firstName="Annabell", lastName="Quisling", externalId="C-1001")
    ran = await transfer(
        Wire(get=reply(body=held)), with_consent("maybe"), consent="Consent", links=linked(), verifies=True
    )
    assert ran.failure is None
