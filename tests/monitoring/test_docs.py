"""Swagger UI inside the pages, in a real browser under their policy."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.conftest import BridgeFactory
from tests.monitoring.conftest import WEBHOOK_KEY, Visit
from tests.monitoring.support import HTML
from tests.monitoring.test_accessibility import DESK, PHONE, violations
from tests.monitoring.test_forms import CSP
from tools.screenshots import OPERATOR_KEY

LIST = "#operations-transfers-transfers_transfers_get"
SEND = "#operations-webhook-receive_webhooks_customers_post"


@pytest.fixture
def docs(visitor: Visit) -> Page:
    """Whatever the browser complains of, also of the policy, fails the test."""
    page = visitor.go("/docs")
    expect(page.locator(LIST)).to_be_visible()
    return page


def open_call(page: Page, call: str) -> None:
    page.locator(f"{call} .opblock-summary-control").click()
    page.locator(call).get_by_role("button", name="Try it out").click()


def authorize(page: Page, name: str, key: str) -> None:
    page.get_by_role("button", name="Authorize").first.click()
    form = page.locator(".auth-container").filter(has_text=name)
    form.get_by_role("textbox").fill(key)
    form.get_by_role("button", name="Apply credentials").click()
    form.get_by_role("button", name="Close").click()


@pytest.mark.parametrize("accept", ["text/html", "*/*"])
async def test_the_page_is_as_strict_as_the_others(bridge: BridgeFactory, accept: str) -> None:
    async with bridge() as client:
        for answer in (
            await client.get("/docs", headers={"Accept": accept}),
            await client.head("/docs", headers={"Accept": accept}),
        ):
            assert answer.status_code == 200
            assert answer.headers["Content-Security-Policy"] == CSP
            assert answer.headers["X-Frame-Options"] == "DENY"
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
        page = (await client.get("/docs")).text
    assert not re.search(r"<script(?![^>]* src=)|<style| style=", page)


@pytest.mark.parametrize("path", ["/redoc", "/docs/oauth2-redirect", "/static-offline-docs/redoc.standalone.js"])
async def test_nothing_is_left_of_other_pages(bridge: BridgeFactory, path: str) -> None:
    async with bridge() as client:
        assert (await client.get(path, headers=HTML)).status_code == 404


def test_a_call_without_a_key_is_refused_and_with_one_is_answered(visitor: Visit, docs: Page) -> None:
    open_call(docs, LIST)
    execute = docs.locator(LIST).get_by_role("button", name="Execute")
    status = docs.locator(f"{LIST} .live-responses-table .response-col_status").last
    execute.click()
    expect(status).to_contain_text("401")
    assert visitor.faults == [
        "Failed to load resource: the server responded with a status of 401 (Unauthorized)",
    ]
    visitor.faults.clear()
    authorize(docs, "operatorKey", OPERATOR_KEY)
    execute.click()
    expect(status).to_contain_text("200")
    expect(docs.locator(f"{LIST} .live-responses-table")).to_contain_text('"items"')
    assert violations(docs) == []


def test_a_customer_can_be_sent_from_the_page(docs: Page) -> None:
    authorize(docs, "webhookKey", WEBHOOK_KEY)
    open_call(docs, SEND)
    docs.locator(SEND).get_by_role("button", name="Execute").click()
    expect(docs.locator(f"{SEND} .live-responses-table .response-col_status").last).to_contain_text("200")


def test_everything_comes_from_this_origin(visitor: Visit) -> None:
    asked: list[str] = []
    visitor.page.on("request", lambda request: asked.append(request.url))
    expect(visitor.go("/docs").locator(LIST)).to_be_visible()
    asked = [url for url in asked if not url.startswith("data:")]
    assert f"{visitor.product.url}/openapi.json" in asked
    assert [url for url in asked if not url.startswith(f"{visitor.product.url}/")] == []


def test_axe_finds_nothing(docs: Page) -> None:
    """Also where Swagger UI itself leaves something to be found."""
    open_call(docs, LIST)
    open_call(docs, SEND)
    assert violations(docs, PHONE) == []
    for size in (PHONE, DESK):
        docs.set_viewport_size(size)
        assert docs.evaluate("document.documentElement.scrollWidth") <= size["width"]
    docs.get_by_role("button", name="Authorize").first.click()
    expect(docs.locator(".modal-ux")).to_be_visible()
    assert violations(docs, DESK) == []


def test_it_is_dark_in_the_dark(visitor: Visit, docs: Page) -> None:
    def colours() -> list[str]:
        return [
            docs.locator(where).first.evaluate("e => getComputedStyle(e).backgroundColor")
            for where in ("html", ".opblock")
        ]

    page = visitor.page
    page.emulate_media(color_scheme="dark")
    expect(page.locator("html.dark-mode")).to_be_attached()
    dark = colours()
    page.emulate_media(color_scheme="light")
    expect(page.locator("html:not(.dark-mode)")).to_be_attached()
    assert dark == ["rgb(16, 21, 28)", "rgb(25, 33, 43)"]
    assert colours()[1] == "rgb(255, 255, 255)"


def test_a_call_has_an_address_of_its_own_and_the_page_a_way_back(visitor: Visit) -> None:
    page = visitor.go("/docs#/transfers/transfers_transfers_get")
    expect(page.locator(f"{LIST} .opblock-body")).to_be_visible()
    assert all("deep link whitespace" in fault for fault in visitor.faults), "it takes any _ for a blank"
    visitor.faults.clear()
    page.get_by_role("link", name="Start page").click()
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()
