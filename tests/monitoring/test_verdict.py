"""The verdict on the Monitoring page: each cause with the one thing that acts on it."""

from __future__ import annotations

import re
from html import unescape

import pytest

from app.monitoring.verdict import deed_of
from app.verdict import CODES, KINDS, Cause
from tests.conftest import BridgeFactory
from tests.monitoring.support import REFUSED, Pages, person, signed_in, text_of
from tests.support import IPAAS, VIEWER_KEY, WEBHOOK, FakeClock, Wire, envelope, raising, reply

SAVED = reply(200, {"id": 7})


async def shown(pages: Pages, clock: FakeClock, query: str = "") -> str:
    """The panel, as it is now."""
    clock.advance(4.1)
    page = await pages.get(f"/monitoring{query}")
    found = re.search(r'<section class="panel verdict.*?</section>', page.text, re.DOTALL)
    assert found
    return found[0]


def form_in(panel: str, label: str) -> tuple[str, dict[str, str]]:
    """Where the form with this button goes, and its fields."""
    forms = re.findall(r'<form method="post" action="([^"]+)"(.*?)</form>', panel, re.DOTALL)
    action, inner = next(each for each in forms if label in unescape(each[1]))
    fields = dict(re.findall(r'name="([^"]+)" value="([^"]*)"', inner))
    fields.pop("form_token")
    return action, fields


async def test_what_is_well(bridge: BridgeFactory) -> None:
    clock = FakeClock()
    async with signed_in(bridge, clock=clock) as pages:
        await pages.webhook()
        panel = await shown(pages, clock)
    assert text_of(panel).startswith("It works All well: 1 today, the last 4 s ago Judged just now")
    assert 'class="panel verdict ok"' in panel


async def test_keys_are_tested_and_what_failed_is_run_again(bridge: BridgeFactory) -> None:
    clock, wire = FakeClock(), Wire(add=[REFUSED, SAVED])
    async with signed_in(bridge, wire, clock=clock) as pages:
        await pages.webhook()
        panel = await shown(pages, clock)
        assert text_of(panel).startswith(
            "Needs help Stamped.io refuses our keys since 10:00 UTC : 1 transfer failed"
        )
        action, fields = form_in(panel, "Test keys")
        assert "address, keys and store hash are right" in (await pages.post(action, None, **fields)).text
        panel = await shown(pages, clock)
        assert "Test keys" not in panel
        (path,) = re.findall(r'<a class="button" href="([^"]+)">Re-run 1 …', panel)
        asked = await pages.get(unescape(path))
        assert "Re-run 1 failed transfer?" in asked.text
        assert "Nothing has been run yet" in asked.text


async def test_a_pause_is_resumed(bridge: BridgeFactory) -> None:
    clock = FakeClock()
    async with signed_in(bridge, clock=clock) as pages:
        await pages.post("/monitoring/connections/default/pause", reason="Ada moves it")
        panel = await shown(pages, clock)
        assert "Paused by hand since 10:00 UTC" in text_of(panel)
        assert "Ada" not in panel
        action, fields = form_in(panel, "Resume")
        await pages.post(action, None, **fields)
        assert "Paused" not in await shown(pages, clock)


async def test_a_viewer_sees_causes_and_links_but_no_button(bridge: BridgeFactory) -> None:
    clock, wire = FakeClock(), Wire(add=[REFUSED, SAVED])
    async with signed_in(bridge, wire, clock=clock, viewer_api_key=VIEWER_KEY) as pages:
        await pages.webhook()
        await pages.client.post(WEBHOOK, json=envelope(person(1)), headers={"Authorization": "Bearer nobody"})
        await pages.sign_in(VIEWER_KEY)
        panel = await shown(pages, clock)
    assert "<form" not in panel
    assert '<a class="button" href="/monitoring/rejections">Show the rejections</a>' in panel
    assert "Stamped.io refuses our keys" in panel


async def test_stamped_that_is_down_leads_to_its_connection(bridge: BridgeFactory) -> None:
    clock = FakeClock()
    away = raising(ConnectionError("away"))
    async with signed_in(bridge, Wire(add=away, search=away), clock=clock) as pages:
        for number in range(1, 4):
            await pages.webhooks(person(number))
        panel = await shown(pages, clock, "?connection=default")
    assert "Stamped.io does not answer since" in panel
    assert 'href="/monitoring/connections?connection=default"' in panel


async def test_what_was_looked_at_is_folded_below(bridge: BridgeFactory) -> None:
    async with signed_in(bridge) as pages:
        page = (await pages.get("/monitoring")).text
    assert "<summary>What was looked at</summary>" in page
    assert page.index("<summary>What was looked at</summary>") < page.index("New transfers are taken.")


@pytest.mark.parametrize("code", CODES)
def test_every_cause_has_what_acts_on_it(code: str) -> None:
    deed = deed_of(Cause(code, "warn", "It is so", connection="1 7/96", since=0.0, count=3))
    assert (deed is None) is (KINDS[code].action is None)
    if deed is not None:
        assert deed.path.startswith("/monitoring/")
        assert deed.form is (KINDS[code].action not in {"show", "re-run"})


async def test_a_token_is_tested_beside_the_keys(bridge: BridgeFactory) -> None:
    clock = FakeClock()
    refused = reply(401, {"message": "AUTH-001 expired"})
    wire = Wire(load=[refused, refused, reply(404, {"message": "NFND-0001"})])
    async with signed_in(bridge, wire, clock=clock, **IPAAS) as pages:
        await pages.webhook(customer=...)
        panel = await shown(pages, clock)
        assert "iPaaS.com refuses our token" in panel
        action, fields = form_in(panel, "Test keys")
        tested = text_of((await pages.post(action, None, **fields)).text)
        assert "Stamped.io answered" in tested
        assert "iPaaS.com: the test failed after 0 ms. HTTP status 401 Unauthorized" in tested
        assert "What to do: Renew IPAAS_API_TOKEN." in tested
        tested = text_of((await pages.post(action, None, **fields)).text)
        assert "iPaaS.com answered after 0 ms: address and token are right." in tested
        assert "refuses our token" not in await shown(pages, clock)
