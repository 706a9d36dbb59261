"""Headers of every page, and forms that only our own pages can send."""

from __future__ import annotations

import html
import re

import pytest

from tests.conftest import BridgeFactory
from tests.monitoring.support import PAGES, REFUSED, Pages, open_pages, signed_in, text_of
from tests.support import VIEWER_KEY, Wire

CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
INLINE = re.compile(r"<script(?![^>]*\ssrc=)|<style|\sstyle=|\son\w+=|javascript:", re.IGNORECASE)


@pytest.mark.parametrize("path", ["/login", *PAGES, "/monitoring/transfers/none", "/monitoring/nothing"])
async def test_every_page_is_strict(bridge: BridgeFactory, path: str) -> None:
    async with signed_in(bridge) as pages:
        await pages.webhook()
        if path == "/login":
            await pages.post("/logout")
        answer = await pages.get(path)
    assert answer.headers["Content-Security-Policy"] == CSP
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert not INLINE.search(answer.text)
    assert answer.status_code == (404 if path.endswith(("none", "nothing")) else 200)


async def test_files_may_be_kept_and_need_no_session(bridge: BridgeFactory) -> None:
    async with open_pages(bridge) as pages:
        shown = (await pages.get("/login")).text
        files = re.findall(r'(?:href|src)="(/monitoring/static/[^"]+)"', shown)
        assert files
        for path in [*files, "/monitoring/static/htmx.min.js"]:
            answer = await pages.get(path)
            assert answer.status_code == 200
            assert "immutable" in answer.headers["Cache-Control"]
        assert (await pages.get("/monitoring/static/..%2Fsessions.py")).status_code in {303, 404}
        assert (await pages.get("/monitoring/static/htmx.LICENSE.txt")).status_code == 404


async def failed(pages: Pages) -> str:
    pages.wire.script(add=REFUSED)
    return await pages.webhook()


@pytest.mark.parametrize(
    ("fields", "headers"),
    [
        ({"form_token": ""}, {}),
        ({"form_token": "made-up"}, {}),
        ({"form_token": "ä"}, {}),
        ({}, {"Sec-Fetch-Site": "cross-site"}),
        ({}, {"Sec-Fetch-Site": "same-site"}),
        ({}, {"Origin": "https://example.com"}),
        ({}, {"Origin": "http://bridge.test:81"}),
    ],
)
async def test_a_form_from_elsewhere_does_nothing(
    bridge: BridgeFactory, fields: dict[str, str], headers: dict[str, str]
) -> None:
    async with signed_in(bridge, Wire()) as pages:
        path = await failed(pages)
        calls = len(pages.wire.requests)
        answer = await pages.post(f"{path}/retry", headers, **fields)
        assert answer.status_code == 403
        assert "Nothing was done." in answer.text
        assert len(pages.wire.requests) == calls


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Origin": "https://example.com"},
        {"Origin": "http://["},
        {"Origin": "http://[::1"},
        {"Origin": "//"},
        {"Origin": ""},
        {"Origin": "http://bridge.test/"},
    ],
)
async def test_nobody_is_signed_in_from_elsewhere(bridge: BridgeFactory, headers: dict[str, str]) -> None:
    async with open_pages(bridge) as pages:
        answer = await pages.client.post("/login", data={"key": "x"}, headers=headers)
        assert answer.status_code == 403
        assert "comes from elsewhere" in answer.text


@pytest.mark.parametrize(
    "headers", [{}, {"Origin": "null"}, {"Origin": "http://bridge.test"}, {"Sec-Fetch-Site": "same-origin"}]
)
async def test_a_form_of_our_own_works(bridge: BridgeFactory, headers: dict[str, str]) -> None:
    async with signed_in(bridge) as pages:
        assert (await pages.post("/monitoring/syncs", headers, customer_ids="1")).status_code == 303


async def test_the_token_of_another_session_does_nothing(bridge: BridgeFactory) -> None:
    async with signed_in(bridge) as pages:
        token = await pages.token()
        await pages.post("/logout")
        await pages.sign_in()
        answer = await pages.post("/monitoring/syncs", form_token=token, customer_ids="1")
        assert answer.status_code == 403


async def test_what_is_no_form_is_refused(bridge: BridgeFactory) -> None:
    async with signed_in(bridge) as pages:
        answer = await pages.client.post("/monitoring/syncs", json={"customer_ids": "1"})
        assert answer.status_code == 415
        answer = await pages.post("/monitoring/syncs", customer_ids="1" * (1024 * 1024))
        assert answer.status_code == 413


async def test_nul_is_no_text(bridge: BridgeFactory) -> None:
    """PostgreSQL would refuse it, late and loudly."""
    async with signed_in(bridge) as pages:
        for path in ("/monitoring/transfers?customer_id=%00", "/monitoring/transfers/%00", "/login?next=%00"):
            assert (await pages.get(path)).status_code == 400
        assert (await pages.post("/monitoring/transfers", customer_id="a\0")).status_code == 400


@pytest.mark.parametrize("field", ["since", "until", "stamped_status", "group", "error", "email_hash"])
@pytest.mark.parametrize("value", ["nan", "inf", "-1", "1e300", "soon", "2026-11-24T10", "0", "600", "_"])
async def test_a_filter_that_no_page_sets_runs_nothing(bridge: BridgeFactory, field: str, value: str) -> None:
    async with signed_in(bridge) as pages:
        await failed(pages)
        answer = await pages.post("/monitoring/transfers/retry", None, **{field: value})
        assert answer.status_code == 400
        assert f"There is no such {field.replace('_', ' ')}." in answer.text
        assert len(pages.wire.requests) == 1


@pytest.mark.parametrize("text", ["7" * 200, "customer: " + "a" * 200, "a word " * 100])
async def test_what_is_too_long_to_be_looked_for_leads_to_no_address(bridge: BridgeFactory, text: str) -> None:
    async with signed_in(bridge) as pages:
        assert (await pages.post("/monitoring/transfers", search=text)).status_code == 400


async def test_a_form_after_the_session_leads_back_to_the_page(bridge: BridgeFactory) -> None:
    async with signed_in(bridge) as pages:
        path = await failed(pages)
        pages.client.cookies.clear()
        answer = await pages.client.post(f"{path}/retry", data={"form_token": "x"})
        assert answer.headers["Location"] == f"/login?next={path}/retry"
        answer = await pages.sign_in(next=f"{path}/retry")
        answer = await pages.get(answer.headers["Location"])
        assert answer.headers["Location"] == path
        for where in ("/monitoring/settings/test", "/monitoring/syncs/x/cancel", "/monitoring/syncs/x/continue"):
            assert (await pages.get(where)).status_code == 303


LIST = '150713\n"1002" <b>&amp; é'


@pytest.mark.parametrize("wrong_key_first", [False, True])
async def test_what_was_entered_when_the_session_ended_is_there_after_signing_in(
    bridge: BridgeFactory, *, wrong_key_first: bool
) -> None:
    async with signed_in(bridge) as pages:
        token = await pages.token()
        pages.client.cookies.clear()
        answer = await pages.client.post(
            "/monitoring/syncs", data={"form_token": token, "customer_ids": LIST, "connection": ""}
        )
        assert answer.status_code == 200
        assert "Your session has ended, and nothing was done." in answer.text
        form = hidden(answer.text)
        assert form == {"next": "/monitoring/syncs", "kept.customer_ids": LIST, "kept.connection": ""}
        if wrong_key_first:
            answer = await pages.sign_in("x" * 20, **form)
            assert hidden(answer.text) == form
        answer = await pages.sign_in(**form)
        assert answer.status_code == 200
        assert "Nothing was done." in answer.text
        assert html.escape(LIST).replace("&#x27;", "&#39;").replace("&quot;", "&#34;") in answer.text
        assert 'action="/monitoring/syncs"' in answer.text
        assert "None yet." in text_of((await pages.get("/monitoring/syncs")).text)
        answer = await pages.client.post(
            "/monitoring/syncs", data={"form_token": hidden(answer.text)["form_token"], "customer_ids": "1 2"}
        )
        assert answer.headers["Location"].startswith("/monitoring/syncs/")


async def test_what_was_entered_in_a_form_of_another_session_is_there(bridge: BridgeFactory) -> None:
    async with signed_in(bridge) as pages:
        answer = await pages.post(
            "/monitoring/connections/default/pause", form_token="old", reason="The store moves."
        )
        assert answer.status_code == 403
        assert 'value="The store moves."' in answer.text
        assert hidden(answer.text)["form_token"] == await pages.token()
        assert "Flows" in (await pages.get("/monitoring/connections")).text


@pytest.mark.parametrize(
    "target",
    [
        "https://example.com/",
        "//example.com",
        "/webhooks/customers",
        "/logout",
        "/monitoring/../logout",
        "/monitoring/.%2e/logout",
    ],
)
async def test_what_was_entered_goes_to_pages_of_ours_only(bridge: BridgeFactory, target: str) -> None:
    async with open_pages(bridge) as pages:
        answer = await pages.sign_in(next=target, **{"kept.customer_ids": "1"})
        assert 'action="/monitoring"' in answer.text
        assert target not in answer.text.replace('action="/logout"', "")


async def test_a_viewer_is_not_asked_to_send_what_it_may_not(bridge: BridgeFactory) -> None:
    async with open_pages(bridge, viewer_api_key=VIEWER_KEY) as pages:
        answer = await pages.sign_in(VIEWER_KEY, next="/monitoring/syncs", **{"kept.customer_ids": "1"})
        assert (answer.status_code, answer.headers["Location"]) == (303, "/monitoring/syncs")


def hidden(page: str) -> dict[str, str]:
    """What a form carries unseen, but for the one to sign out."""
    found = re.findall(r'type="hidden" name="([^"]+)" value="([^"]*)"', page)
    return {name: html.unescape(value) for name, value in found}
