"""Pages of a service with several stores: each is named, tested and narrowed to."""

from __future__ import annotations

from collections.abc import Callable
from html import unescape
from typing import Any

import httpx

from tests.api.test_connections import EU, US, stores
from tests.monitoring.support import Pages, text_of
from tests.support import STAMPED_URL, VIEWER_KEY, WEBHOOK, Wire, envelope, notification, reply

__all__ = ["stores"]  # the fixture

REFUSED = reply(401, {"message": "The API key you supplied is not valid."})


def only_at(store: str, answer: Any) -> Callable[[httpx.Request], httpx.Response]:
    """This answer at one store; at the other one all is well."""

    def give(request: httpx.Request) -> httpx.Response:
        found: httpx.Response = (
            answer(request) if f"/{store}/" in request.url.path else httpx.Response(200, json={})
        )
        return found

    return give


async def test_the_switch_is_on_every_page_and_kept_in_the_address(stores: Callable[..., Any]) -> None:
    async with stores() as client:
        pages = Pages(client, Wire())
        await pages.sign_in()
        for path in ("/monitoring", "/monitoring/transfers", "/monitoring/errors", "/monitoring/settings"):
            page = unescape((await pages.get(f"{path}?connection=1797")).text)
            assert f'<a href="{path}?connection=1796">US store</a>' in page
            assert f'<a href="{path}?connection=1797" aria-current="true">1797</a>' in page
            assert '<a href="/monitoring/transfers?connection=1797"' in page
            navigation = page[page.index("<nav") : page.index("</nav>")]
            assert navigation.count("?connection=1797") == navigation.count("<a href=") == 7


async def test_one_store_has_no_switch(bridge: Callable[..., Any]) -> None:
    async with bridge() as client:
        pages = Pages(client, Wire())
        await pages.sign_in()
        assert "All connections" not in (await pages.get("/monitoring")).text


async def test_monitoring_counts_the_chosen_one(stores: Callable[..., Any]) -> None:
    wire = Wire(add=[REFUSED, reply(200, {"id": 2}), reply(200, {"id": 3})])
    async with stores(wire) as client:
        for number, key in ((1, US), (2, EU), (3, EU)):
            record = {"id": number, "email_address": f"person{number}@example.com"}
            one = notification(id=str(number), destination=..., tracking_guid=None, customer=record)
            await client.post(WEBHOOK, json=envelope(one), headers=key)
        pages = Pages(client, wire)
        await pages.sign_in()
        for query, counted in (
            ("", "Attempts 3 Failed 1"),
            ("?connection=1796", "Attempts 1 Failed 1"),
            ("?connection=1797", "Attempts 2 Failed 0"),
            ("?connection=1797&last=30d", "Attempts 2 Failed 0"),
        ):
            page = await pages.get(f"/monitoring{query}")
            assert counted in text_of(page.text), query
            assert ("Latest failed transfers" in page.text) is ("1797" not in query)
            assert ("HTTP status 401</span>" in page.text) is (query == "?connection=1796")
        assert "/monitoring/transfers?since=" in page.text
        assert "&amp;connection=1797" in page.text


async def test_lists_and_groups_are_narrowed(stores: Callable[..., Any]) -> None:
    wire = Wire(add=REFUSED)
    async with stores(wire) as client:
        for number, key in ((1, US), (2, EU), (3, EU)):
            record = {"id": number, "email_address": f"person{number}@example.com"}
            one = notification(id=str(number), destination=..., tracking_guid=None, customer=record)
            assert (await client.post(WEBHOOK, json=envelope(one), headers=key)).status_code == 502
        pages = Pages(client, wire)
        await pages.sign_in()
        listed = (await pages.get("/monitoring/transfers?connection=1797")).text
        groups = text_of((await pages.get("/monitoring/errors?connection=1797")).text)
        everything = text_of((await pages.get("/monitoring/errors")).text)
        both = text_of((await pages.get("/monitoring/transfers")).text)
        overview = text_of((await pages.get("/monitoring")).text)
    assert "1 1796 " in both
    assert "3 1797 " in both
    assert "Stamped.io of connection 1796 " in overview
    assert "Stamped.io of connection 1797 " in overview
    assert listed.count('data-label="Outcome"') == 2
    assert "2 failed transfers" in groups
    assert "3 failed transfers" in everything


async def test_each_is_tested_on_its_own(stores: Callable[..., Any]) -> None:
    wire = Wire(search=only_at("1002", REFUSED))
    async with stores(wire) as client:
        pages = Pages(client, wire)
        await pages.sign_in()
        shown = text_of((await pages.get("/monitoring/settings")).text)
        well = text_of((await pages.post("/monitoring/settings/test", connection="1796")).text)
        ill = text_of((await pages.post("/monitoring/settings/test", connection="1797")).text)
        unknown = await pages.post("/monitoring/settings/test", connection="9")
        one = text_of((await pages.get("/monitoring/settings?connection=1796")).text)
    assert shown.count("Test connection") == 2
    assert f"One read-only call to {STAMPED_URL} with the keys and the store hash that are set, 1001" in shown
    assert "STAMPED_ API_ PUBLIC_ KEY not set" in shown
    assert "absent" not in shown
    assert "address, keys and store hash are right" in well
    assert "The test failed" not in well
    assert "The API key you supplied is not valid." in ill
    assert unknown.status_code == 404
    assert one.count("Test connection") == 1


async def test_a_sync_asks_whose_customers_they_are(stores: Callable[..., Any]) -> None:
    async with stores() as client:
        pages = Pages(client, Wire())
        await pages.sign_in()
        form = (await pages.get("/monitoring/syncs?connection=1797")).text
        without = await pages.post("/monitoring/syncs", customer_ids="1 2")
        started = await pages.post("/monitoring/syncs", customer_ids="1 2", connection="1797")
    assert '<option value="1797" selected>1797</option>' in form
    assert without.status_code == 422
    assert "Choose the connection" in without.text
    assert started.status_code == 303


async def test_a_connection_is_paused_and_resumed_on_its_page(stores: Callable[..., Any]) -> None:
    where = "/monitoring/connections"
    async with stores(viewer_api_key=VIEWER_KEY) as client:
        pages = Pages(client, Wire())
        await pages.sign_in()
        flows = text_of((await pages.get(where)).text)
        paused = await pages.post(f"{where}/1796/pause", reason="Stock-taking")
        shown = text_of((await pages.get(where)).text)
        narrowed = text_of((await pages.get(f"{where}?connection=1797")).text)
        overview = text_of((await pages.get("/monitoring")).text)
        accepted = await client.post(WEBHOOK, json=envelope(notification(destination="1796")), headers=US)
        story = text_of((await pages.get(f"/monitoring{accepted.headers['Location']}")).text)
        assert (await pages.post(f"{where}/9/pause")).status_code == 404
        assert (await pages.get(f"{where}/1796/pause")).headers["Location"] == f"{where}#1796"
        viewer = Pages(client, Wire())
        await viewer.sign_in(VIEWER_KEY)
        looked_at = (await viewer.get(where)).text
        await pages.sign_in()
        resumed = await pages.post(f"{where}/1796/resume")
        again = text_of((await pages.get(where)).text)
    assert flows.count(" Flows ") == 2
    assert (paused.status_code, paused.headers["Location"]) == (303, where)
    assert "Paused by hand Waits, for the connection is paused by hand since" in shown
    assert ("Stock-taking" in shown, "Stock-taking" in narrowed) == (True, False)
    assert "Calls to Stamped.io US store paused" in overview
    assert "Stock-taking" in story
    assert "Stock-taking" in looked_at
    assert "<form" not in looked_at.partition("<main")[2]
    assert resumed.status_code == 303
    assert again.count(" Flows ") == 2
