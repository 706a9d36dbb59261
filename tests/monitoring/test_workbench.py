"""The list of transfers in a real browser: rows that are links, choosing with a mouse and with keys, sizes."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.monitoring.conftest import Product, Visit
from tests.monitoring.test_accessibility import violations

LIST = "/monitoring/transfers"
WIDTHS = (360, 800, 1280)
ROWS = 50


@pytest.fixture(scope="module")
def refused(product: Product) -> list[str]:
    """Customers whose transfers failed, the newest first."""
    product.break_stamped(operation="add", message=f"Not valid: https://x.test/{'y' * 150}")
    people = [product.person() for _ in range(ROWS + 2)]
    product.webhook(*people)
    product.mend_stamped()
    return [str(each["id"]) for each in reversed(people)]


def chosen(page: Page) -> int:
    return page.locator(".rows input:checked").count()


def test_the_row_is_the_link_and_its_links_stay(visit: Visit, refused: list[str]) -> None:
    page = visit.go(f"{LIST}?status=failed")
    row = page.get_by_role("row", name=refused[1])
    target = row.locator(".cover").get_attribute("href") or "none"
    with visit.context.expect_page() as opened:
        row.locator(".at").click(button="middle", force=True)
    assert opened.value.url.endswith(target)
    opened.value.close()
    row.get_by_role("link", name=refused[1]).click()
    expect(page).to_have_url(re.compile(f"customer_id={refused[1]}$"))
    page.go_back()
    row.locator(".at").click(force=True)
    expect(page).to_have_url(re.compile(f"{target}$"))
    page.go_back()
    page.get_by_role("row", name=refused[0]).get_by_role("checkbox").focus()
    page.keyboard.press("Space")
    assert chosen(page) == 1
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name=refused[0], exact=True)).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_contain_text(refused[0])


def test_chosen_rows_run_again_and_back_is_safe(visit: Visit, refused: list[str]) -> None:
    page = visit.go(f"{LIST}?status=failed")
    again = page.locator("button[formaction$=retry]")
    expect(again).to_have_text(re.compile(r"Re-run these \d+ …"))
    boxes = page.get_by_role("row").get_by_role("checkbox")
    boxes.nth(0).check()
    boxes.nth(2).click(modifiers=["Shift"])
    expect(again).to_have_text("Re-run 3 chosen …")
    expect(page.get_by_text("still while rows are chosen")).to_be_visible()
    again.click()
    expect(page.get_by_role("heading", name="Re-run 3 transfers?")).to_be_visible()
    page.go_back()
    expect(again).to_have_text(re.compile(r"Re-run these \d+ …"))  # other rows may stand there by now
    page.go_forward()
    page.get_by_role("button", name="Re-run 3").click()
    expect(page.get_by_text("3 of 3 ended")).to_be_visible()
    page.go_back()
    expect(page.get_by_role("heading", name="Nothing to re-run")).to_be_visible()
    expect(page.get_by_text("3 succeeded: nothing is left to do")).to_be_visible()
    visit.go(LIST)
    page.get_by_label("All on this page").check()
    assert chosen(page) == ROWS
    with page.expect_download() as download:
        page.get_by_role("button", name=f"Export {ROWS} chosen").click()
        page.get_by_role("link", name="CSV").click()
    assert download.value.suggested_filename.startswith("transfers-until-")
    assert len(download.value.path().read_text().splitlines()) == ROWS + 1
    assert refused


@pytest.mark.parametrize("width", WIDTHS)
def test_rows_are_low_and_fit(visit: Visit, refused: list[str], width: int) -> None:
    visit.page.set_viewport_size({"width": width, "height": 800})
    page = visit.go(f"{LIST}?status=failed")
    assert len(refused) > ROWS
    heights = page.locator(".rows tbody tr").evaluate_all("rows => rows.map(row => row.offsetHeight)")
    if width == WIDTHS[0]:
        assert max(heights) <= 78
        assert page.evaluate("document.documentElement.scrollHeight") < 5500  # 11,568 before
    else:
        assert set(heights) == {28}
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.get_by_role("row").get_by_role("checkbox").first.check()
    if width != 800:
        assert violations(page, {"width": width, "height": 800}) == []
