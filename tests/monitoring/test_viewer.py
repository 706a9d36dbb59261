"""Pages for who looks only, and who did what on them."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.conftest import BridgeFactory
from tests.monitoring.support import HTML, PAGES, REFUSED, Pages, person, signed_in, text_of
from tests.monitoring.test_pages import wait_for
from tests.support import EMAIL, OPERATOR_KEY, RECORD, VIEWER_KEY, FakeClock, Wire, reply

KEYS: dict[str, Any] = {"operator_api_key": f"ada:{OPERATOR_KEY}", "viewer_api_key": f"eve:{VIEWER_KEY}"}
PERSON = (EMAIL, RECORD["first_name"], RECORD["last_name"])
READING = {"/logout", "/monitoring/transfers", "/monitoring/transfers/export"}
ACTIONS = [
    "{transfer}/retry",
    "{transfer}/cancel",
    "{transfer}/record",
    "{sync}/cancel",
    "{sync}/continue",
    "/monitoring/syncs",
    "/monitoring/errors/groups/088c64560262/acknowledge",
    "/monitoring/errors/groups/088c64560262/unacknowledge",
    "/monitoring/transfers/retry",
    "/monitoring/transfers/cancel",
    "/monitoring/transfers/export",
    "/monitoring/settings/test",
]


def actions(html: str) -> set[str]:
    """Where the forms of a page go, but for those that only read."""
    return set(re.findall(r'action="([^"#]+)', html)) - READING


async def as_viewer(pages: Pages) -> None:
    pages.client.cookies.clear()
    assert (await pages.sign_in(VIEWER_KEY)).status_code == 303


async def places(pages: Pages) -> dict[str, str]:
    """A transfer that failed, and a sync that cannot end yet."""
    transfer = await pages.webhook()
    pages.wire.script(add=reply(500))  # what is promised waits for its next try
    sync = (await pages.post("/monitoring/syncs", customer_ids=str(RECORD["id"]))).headers["Location"]
    await wait_for(pages, f"{sync}?status=waiting", "Waiting")
    return {"transfer": transfer, "sync": sync}


async def test_a_viewer_sees_every_page_and_no_form_that_acts(bridge: BridgeFactory) -> None:
    async with signed_in(bridge, Wire(add=REFUSED), **KEYS) as pages:
        there = await places(pages)
        every = (*PAGES, *there.values())
        acting = {action for path in every for action in actions((await pages.get(path)).text)}
        await as_viewer(pages)
        for path in every:
            answer = await pages.get(path)
            assert answer.status_code == 200
            assert actions(answer.text) == set(), path
            assert not any(name in answer.text for name in PERSON), path
    assert acting >= {
        f"{there['transfer']}/retry",
        f"{there['transfer']}/record",
        f"{there['sync']}/cancel",
        "/monitoring/syncs",
        "/monitoring/settings/test",
    }
    assert any(re.fullmatch("/monitoring/errors/groups/[0-9a-f]{12}/acknowledge", each) for each in acting)


@pytest.mark.parametrize("action", ACTIONS)
async def test_a_form_of_a_viewer_does_nothing(bridge: BridgeFactory, action: str) -> None:
    async with signed_in(bridge, Wire(add=REFUSED), **KEYS) as pages:
        there = await places(pages)
        await as_viewer(pages)
        calls = len(pages.wire.requests)
        token = await pages.token("/monitoring")
        answer = await pages.post(action.format(**there), form_token=token, customer_ids="1", confirmed="yes")
        assert answer.status_code == 403
        assert "This key only looks" in answer.text
        assert "Nothing was done." in answer.text
        assert not any(name in answer.text for name in PERSON)
        assert len(pages.wire.requests) == calls
        assert 'class="deed"' not in (await pages.get(there["transfer"])).text


async def test_a_viewer_may_filter_and_sign_out(bridge: BridgeFactory) -> None:
    async with signed_in(bridge, **KEYS) as pages:
        await pages.webhooks(person(1), person(2))
        await as_viewer(pages)
        token = await pages.token("/monitoring")
        answer = await pages.post("/monitoring/transfers", form_token=token, customer_id="2")
        assert answer.status_code == 303
        assert (await pages.get(answer.headers["Location"])).text.count('data-label="Outcome"') == 1
        assert (await pages.post("/monitoring/transfers", form_token="made-up")).status_code == 403
        await pages.post("/logout", form_token=token)
        assert (await pages.get("/monitoring")).status_code == 303


@pytest.mark.parametrize(
    ("keys", "key", "shown"),
    [
        (KEYS, OPERATOR_KEY, "Signed in as ada (operator)"),
        (KEYS, VIEWER_KEY, "Signed in as eve (viewer)"),
        ({}, OPERATOR_KEY, "Signed in as operator Sign out"),
        ({"viewer_api_key": VIEWER_KEY}, VIEWER_KEY, "Signed in as viewer Sign out"),
    ],
)
async def test_the_page_says_who_is_signed_in(
    bridge: BridgeFactory, keys: dict[str, Any], key: str, shown: str
) -> None:
    async with signed_in(bridge, **keys) as pages:
        pages.client.cookies.clear()
        await pages.sign_in(key)
        assert shown in text_of((await pages.get("/monitoring")).text)


async def test_the_page_of_a_transfer_tells_who_did_what(bridge: BridgeFactory) -> None:
    async with signed_in(bridge, Wire(add=REFUSED), **KEYS) as pages:
        path = await pages.webhook()
        assert 'class="deed"' not in (await pages.get(path)).text
        assert (await pages.post(f"{path}/retry")).status_code == 303
        for _ in range(2):
            shown = await pages.post(f"{path}/record")
        assert EMAIL in shown.text
        await as_viewer(pages)
        found = text_of((await pages.get(path)).text)
    deeds = [f"{what} by ada from 127.0.0.1, by page" for what in ("Re-run", "Record shown")]
    assert re.search(" .*".join(map(re.escape, deeds)), found)
    assert found.count("Record shown") == 1


async def test_what_is_run_again_by_error_says_by_whom(bridge: BridgeFactory) -> None:
    clock = FakeClock()
    async with signed_in(bridge, Wire(add=REFUSED), clock=clock, **KEYS) as pages:
        path = await pages.webhook()
        clock.advance(1)
        answer = await pages.post("/monitoring/transfers/retry", status="failed")
        sync = answer.headers["Location"]
        await wait_for(pages, sync, "1 of 1 ended")
        assert (await pages.post(f"{sync}/cancel")).status_code == 303
        headers = {"Authorization": f"Bearer {VIEWER_KEY}"}
        told = await pages.client.get(path.removeprefix("/monitoring"), headers=headers)
    deeds = [(deed["what"], deed["who"], deed["via"]) for deed in told.json()["trail"]]
    assert deeds == [("re-run all", "ada", "page"), ("sync cancelled", "ada", "page")]


async def test_keys_are_counted_and_not_shown(bridge: BridgeFactory) -> None:
    keys: dict[str, Any] = {
        "operator_api_key": f"ada:{OPERATOR_KEY},bob:bob-Tw6xN8-Gk4hM9",
        "viewer_api_key": VIEWER_KEY,
    }
    async with signed_in(bridge, **keys) as pages:
        html = (await pages.get("/monitoring/settings")).text
    assert "•••••••• (2 keys)" in html
    assert not [each for each in (OPERATOR_KEY, "bob-Tw6xN8-Gk4hM9", VIEWER_KEY, "bob:") if each in html]


async def test_a_sign_in_with_the_name_before_the_key_is_told_what_to_leave_out(bridge: BridgeFactory) -> None:
    async with signed_in(bridge, **KEYS) as pages:
        pages.client.cookies.clear()
        answer = await pages.client.post("/login", data={"key": f"ada:{OPERATOR_KEY}"}, headers=HTML)
    assert answer.status_code == 403
    assert "without the name before it" in answer.text
    assert OPERATOR_KEY not in answer.text
