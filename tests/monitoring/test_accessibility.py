"""Every page for everybody: screen readers, keyboards, dark rooms and phones."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, ViewportSize, expect

from tests.monitoring.conftest import Product, Visit

AXE = files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")
PHONE: ViewportSize = {"width": 360, "height": 740}
DESK: ViewportSize = {"width": 1280, "height": 900}
WIDTHS = (360, 700, 737, 760, 800, 850, 903, 1024, 1280)
HIDDEN = "element => element.getBoundingClientRect().width <= 1"
PATHS = (
    "/monitoring",
    "/monitoring?last=7d",
    "/monitoring/transfers",
    "/monitoring/transfers?customer_id=1&status=failed&stamped_status=401",
    "/monitoring/transfers?words=valid&since=2026-01-01T00:00",
    "/monitoring/transfers/retry",
    "/monitoring/transfers/export?last=1h",
    "{failed}",
    "{succeeded}",
    "{waiting}",
    "/monitoring/errors",
    "/monitoring/syncs",
    "{sync}",
    "/monitoring/rejections",
    "/monitoring/rejections?by=one",
    "/monitoring/connections",
    "/monitoring/settings",
    "/monitoring/nothing",
)


@pytest.fixture(scope="module")
def places(product: Product) -> dict[str, str]:
    """Pages that only exist when something happened."""
    succeeded = product.webhook(product.person()).json()["results"][0]["transfer_id"]
    long_message = "https://example.com/" + "x" * 200
    product.break_stamped(operation="add", status=400, message=long_message)
    problem = product.webhook(product.person()).json()
    operator = {"Authorization": "Bearer sandbox-operator-key"}
    assert product.client.post(f"{problem['instance']}/retry", headers=operator).status_code == 422  # in its trail
    product.mend_stamped()
    product.break_stamped(operation="add", status=429, retry_after="600")
    headers = {"Prefer": "respond-async", "Authorization": "Bearer sandbox-webhook-key"}
    answer = product.client.post("/webhooks/customers", json=product.person(), headers=headers)
    product.client.post("/webhooks/customers", json={}, headers={"Authorization": "Bearer wrong"})
    ids = {"customer_ids": [str(number) for number in range(3)]}
    sync = product.client.post("/syncs", json=ids, headers=operator).json()["sync_id"]
    return {
        "{failed}": f"/monitoring{problem['instance']}",
        "{succeeded}": f"/monitoring/transfers/{succeeded}",
        "{waiting}": f"/monitoring{answer.headers['Location']}",
        "{sync}": f"/monitoring/syncs/{sync}",
    }


@pytest.fixture(scope="module")
def reader(product: Product, browser: Browser, places: dict[str, str]) -> Iterator[Visit]:
    """Signed in once; axe is evaluated by the debugger, so the pages' own policy stays as it is."""
    assert places
    context = browser.new_context(reduced_motion="reduce")
    visit = Visit(product, context)
    expect(visit.sign_in().get_by_role("heading", name="Integration Monitoring")).to_be_visible()
    yield visit
    context.close()


def violations(page: Page, size: ViewportSize = DESK) -> list[str]:
    """Of any impact. In the dark only the colours are others."""
    page.set_viewport_size(size)
    page.emulate_media(color_scheme="light")
    page.evaluate(AXE)
    found = _violations(page, "{resultTypes: ['violations']}")
    page.emulate_media(color_scheme="dark")
    assert page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")
    return found + _violations(page, "{resultTypes: ['violations'], runOnly: ['color-contrast']}")


def _violations(page: Page, options: str) -> list[str]:
    found: dict[str, Any] = page.evaluate(f"axe.run(document, {options})")
    return [
        f"{each['impact']}: {each['id']}: {each['help']}: {[node['html'] for node in each['nodes'][:3]]}"
        for each in found["violations"]
    ]


@pytest.mark.parametrize("path", PATHS)
def test_axe_finds_nothing(reader: Visit, places: dict[str, str], path: str) -> None:
    page = reader.go(places.get(path, path))
    assert violations(page) == []


def test_axe_finds_nothing_on_what_forms_answer(reader: Visit, places: dict[str, str]) -> None:
    page = reader.go("/monitoring/errors")
    page.get_by_role("link", name="Re-run all").click()
    expect(page.get_by_role("heading", name="Re-run")).to_be_visible()
    assert violations(page) == []
    page = reader.go(places["{failed}"])
    page.get_by_role("button", name="Show e-mail").click()
    expect(page.get_by_role("link", name="Hide again")).to_be_visible()
    assert violations(page) == []
    reader.product.break_stamped(operation="search")
    page = reader.go("/monitoring/settings")
    page.get_by_role("button", name="Test connection").click()
    expect(page.get_by_role("alert")).to_be_visible()
    assert violations(page) == []


def test_axe_finds_nothing_before_signing_in_and_before_the_first_transfer(
    product: Product, browser: Browser
) -> None:
    context = browser.new_context()
    visit = Visit(product, context)
    page = visit.sign_in("wrong")
    expect(page.get_by_role("alert")).to_be_visible()
    assert violations(page) == []
    context.close()


@pytest.mark.parametrize("path", PATHS)
def test_no_page_is_wider_than_its_window(reader: Visit, places: dict[str, str], path: str) -> None:
    page = reader.go(places.get(path, path))
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 740})
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_no_sheet_changes_the_shapes_of_another(reader: Visit) -> None:
    page = reader.go("/monitoring")
    width = "element => element.getBoundingClientRect().width"
    bar, slot = page.locator(".plot .bar").last, page.locator(".slots a").last
    assert bar.evaluate(width) < slot.evaluate(width)
    cell = "element => getComputedStyle(element).display"
    assert {each.evaluate(cell) for each in page.locator(".rows td").all()} == {"table-cell"}


def test_bars_are_read_and_followed_by_keyboard(reader: Visit) -> None:
    page = reader.go("/monitoring")
    bars = page.get_by_role("list", name="Attempts per hour, UTC").get_by_role("link")
    expect(bars).to_have_count(24)
    tip = bars.last.locator(".tip")
    assert tip.evaluate(HIDDEN)
    bars.nth(22).focus()
    page.keyboard.press("Tab")
    expect(bars.last).to_be_focused()
    expect(bars.last).to_contain_text("so far")
    expect(bars.last).to_contain_text("succeeded, ")
    assert not tip.evaluate(HIDDEN)
    bars.nth(3).hover()
    assert not bars.nth(3).locator(".tip").evaluate(HIDDEN)
    assert violations(page) == []
    bars.last.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#transfers tbody tr").first).to_be_visible()
    assert "since=" in page.url
    assert "until=" in page.url
    expect(page.get_by_text("live")).to_have_count(0)


@pytest.mark.parametrize("width", [740, 800, 900])
def test_tables_with_long_words_fit_a_tablet(reader: Visit, width: int) -> None:
    reader.page.set_viewport_size({"width": width, "height": 900})
    for path in (
        "/monitoring/errors",
        "/monitoring/rejections",
        "/monitoring/rejections?by=one",
        "/monitoring/settings",
    ):
        page = reader.go(path)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path


def test_a_keyboard_is_enough(visit: Visit) -> None:
    page = visit.go("/monitoring")
    page.keyboard.press("Tab")
    skip = page.get_by_role("link", name="Skip to the content")
    expect(skip).to_be_focused()
    assert skip.evaluate("element => element.getBoundingClientRect().left") >= 0
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.get_by_role("main").get_by_role("link").first).to_be_focused()
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
