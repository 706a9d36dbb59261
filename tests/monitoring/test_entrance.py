"""Signing in and out, and who is let in."""

from __future__ import annotations

import asyncio

import pytest
from structlog.testing import capture_logs

from app.keys import Keyring, Who, read_key
from app.monitoring.sessions import SESSION_SECONDS, Sessions
from tests.conftest import BridgeFactory
from tests.monitoring.support import HTML, PAGES, open_pages, signed_in
from tests.support import OPERATOR_KEY, VIEWER_KEY, WEBHOOK_KEY, FakeClock, keyring

COOKIE = "ipaas_stamped_session"


async def test_the_root_sends_browsers_to_sign_in_and_then_to_the_pages(bridge: BridgeFactory) -> None:
    async with open_pages(bridge) as pages:
        answer = await pages.get("/")
        assert (answer.status_code, answer.headers["Location"]) == (303, "/login")
        await pages.sign_in()
        answer = await pages.get("/")
        assert (answer.status_code, answer.headers["Location"]) == (303, "/monitoring")


@pytest.mark.parametrize(("key", "status"), [(None, 401), ("wrong", 401), (WEBHOOK_KEY, 403), (OPERATOR_KEY, 200)])
async def test_the_root_is_a_call_like_others_for_programs(
    bridge: BridgeFactory, key: str | None, status: int
) -> None:
    async with open_pages(bridge) as pages:
        headers = {"Accept": "application/json", "Authorization": f"Bearer {key}" if key else ""}
        answer = await pages.client.get("/", headers=headers)
    assert answer.status_code == status
    if status == 401:
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert answer.headers["WWW-Authenticate"] == "Bearer"


async def test_the_cookie_is_for_our_own_pages_only(bridge: BridgeFactory) -> None:
    async with open_pages(bridge) as pages:
        answer = await pages.sign_in()
        assert (answer.status_code, answer.headers["Location"]) == (303, "/monitoring")
        cookie = answer.headers["Set-Cookie"]
        parts = {part.strip().lower() for part in cookie.split(";")[1:]}
        assert parts == {"httponly", "samesite=strict", "path=/", f"max-age={SESSION_SECONDS}"}
        assert OPERATOR_KEY not in cookie
        await pages.client.post("/logout")
        data = {"key": OPERATOR_KEY}
        answer = await pages.client.post("/login", data=data, headers={"X-Forwarded-Proto": "https"})
        assert "secure" in answer.headers["Set-Cookie"].lower()


@pytest.mark.parametrize(
    ("wanted", "target"),
    [
        ("/monitoring/errors?last=24h", "/monitoring/errors?last=24h"),
        ("/monitoring", "/monitoring"),
        ("https://example.com/", "/monitoring"),
        ("//example.com", "/monitoring"),
        ("/monitoring\\@example.com", "/monitoring"),
        ("/monitoring/\r\nSet-Cookie: a=b", "/monitoring"),
        ("/monitoringexample", "/monitoring"),
        ("/docs", "/monitoring"),
    ],
)
async def test_signing_in_leads_to_our_own_pages_only(bridge: BridgeFactory, wanted: str, target: str) -> None:
    async with open_pages(bridge) as pages:
        answer = await pages.sign_in(next=wanted)
        assert answer.headers["Location"] == target


async def test_a_wrong_key_opens_nothing_and_is_not_logged(bridge: BridgeFactory) -> None:
    async with open_pages(bridge) as pages:
        with capture_logs() as lines:
            answer = await pages.sign_in("not-the-key")
        assert answer.status_code == 403
        assert "Set-Cookie" not in answer.headers
        assert "no key for these pages" in answer.text
        assert (await pages.sign_in(WEBHOOK_KEY)).status_code == 403
        assert (await pages.get("/monitoring")).status_code == 303
    assert any(line["event"] == "sign-in refused" for line in lines)
    assert "not-the-key" not in str(lines) + answer.text


async def test_wrong_keys_slow_down_the_wrong_and_never_the_right(bridge: BridgeFactory) -> None:
    clock = FakeClock()
    async with open_pages(bridge, clock=clock) as pages:
        for _ in range(10):
            assert (await pages.sign_in("wrong")).status_code == 403
        wrong = asyncio.create_task(pages.sign_in("wrong"))
        assert (await pages.sign_in()).status_code == 303
        assert not wrong.done()
        while not wrong.done():
            clock.advance(0.25)
            await asyncio.sleep(0)
        assert (await wrong).status_code == 403


async def test_who_is_not_signed_in_sends_no_large_form(bridge: BridgeFactory) -> None:
    async with open_pages(bridge) as pages:
        assert (await pages.sign_in("x" * 16_000)).status_code == 403
        assert (await pages.sign_in("x" * 1024 * (1024 + 16))).status_code == 413
        assert (await pages.sign_in(**{f"kept.{number}": "" for number in range(200)})).status_code == 400


async def test_a_session_ends_after_twelve_hours(bridge: BridgeFactory) -> None:
    clock = FakeClock()
    async with signed_in(bridge, clock=clock) as pages:
        clock.advance(SESSION_SECONDS - 1)
        assert (await pages.get("/monitoring/settings")).status_code == 200
        clock.advance(1)
        assert (await pages.get("/monitoring/settings")).status_code == 303


async def test_signing_out_ends_the_session_itself(bridge: BridgeFactory) -> None:
    async with signed_in(bridge) as pages:
        cookie = pages.client.cookies[COOKIE]
        answer = await pages.post("/logout")
        assert (answer.status_code, answer.headers["Location"]) == (303, "/login")
        assert COOKIE not in pages.client.cookies
        pages.client.cookies.set(COOKIE, cookie)
        assert (await pages.get("/monitoring/settings")).status_code == 303


@pytest.mark.parametrize(
    ("key", "who"), [("first", Who("operator", "ada")), (VIEWER_KEY, Who("viewer", "viewer"))]
)
def test_a_session_ends_with_the_key_that_signed_it(key: str, who: Who) -> None:
    clock = FakeClock()
    cookie = Sessions(keyring("ada:first"), clock).sign_in(key)
    assert cookie is not None
    session = Sessions(keyring("ada:first"), clock).read(cookie)
    assert session is not None
    assert session.who == who
    for changed in (keyring("ada:second"), keyring("ada:first", "view-other")):
        other = Sessions(changed, clock).read(cookie)
        still = changed.opened_by(key.encode()) is not None
        assert (other is not None) is still


def test_of_two_keys_with_one_name_each_has_sessions_of_its_own() -> None:
    clock = FakeClock()
    both, new = (
        Keyring([read_key("operator", each) for each in some], list) for some in (["a:1", "a:2"], ["a:2"])
    )
    old_cookie, new_cookie = (Sessions(both, clock).sign_in(key) or "" for key in "12")
    assert Sessions(both, clock).read(old_cookie)
    assert Sessions(new, clock).read(old_cookie) is None
    assert Sessions(new, clock).read(new_cookie)


def test_a_session_is_the_same_persons_whatever_is_asked_of_it() -> None:
    """The key of a cookie tells whose it is, so a viewer cannot make it an operator's."""
    clock = FakeClock()
    sessions = Sessions(keyring("first"), clock)
    operators, viewers = (sessions.read(sessions.sign_in(key) or "") for key in ("first", VIEWER_KEY))
    assert operators is not None
    assert viewers is not None
    assert (operators.who.acts, viewers.who.acts) == (True, False)
    assert sessions.is_form_of(operators, operators.form_token)
    assert not sessions.is_form_of(operators, viewers.form_token)


@pytest.mark.parametrize("cookie", ["", "x", "WyJhIiwxXQ.x", "WyJhIiw5OTk5OTk5OTk5XQ", "ä.ö", "." * 5000])
def test_a_made_up_cookie_is_no_session(cookie: str) -> None:
    assert Sessions(keyring("key"), FakeClock()).read(cookie) is None


@pytest.mark.parametrize("path", [*PAGES, "/monitoring/transfers/x", "/monitoring/syncs/x", "/monitoring/nothing"])
async def test_every_page_needs_a_session(bridge: BridgeFactory, path: str) -> None:
    async with open_pages(bridge) as pages:
        answer = await pages.get(f"{path}?status=failed")
        assert answer.status_code == 303
        assert answer.headers["Location"] == f"/login?next={path}%3Fstatus%3Dfailed"
        answer = await pages.get(path, HX_Request="true")
        assert answer.status_code == 200
        assert answer.headers["HX-Redirect"] == f"/login?next={path}"
        assert answer.text == ""


async def test_bearer_keys_open_no_page_and_sessions_no_call(bridge: BridgeFactory) -> None:
    async with open_pages(bridge) as pages:
        answer = await pages.get("/monitoring", Authorization=f"Bearer {OPERATOR_KEY}")
        assert answer.status_code == 303
        await pages.sign_in()
        answer = await pages.client.get("/transfers", headers={"Authorization": ""} | HTML)
        assert answer.status_code == 401
