"""What scripts add to times and texts to copy: the reader's zone, how long ago, a button; also after each swap."""

from __future__ import annotations

import re

from playwright.sync_api import Browser, Page, expect

from tests.monitoring.conftest import Product, Visit


def visit_from(zone: str, product: Product, browser: Browser) -> Visit:
    product.mend_stamped()
    context = browser.new_context(timezone_id=zone)
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    visit = Visit(product, context)
    expect(visit.sign_in().get_by_role("heading", name="Integration Monitoring")).to_be_visible()
    return visit


def to_transfer(visit: Visit) -> Page:
    transfer = visit.product.webhook(visit.product.person()).json()["results"][0]["transfer_id"]
    return visit.go(f"/monitoring/transfers/{transfer}")


def test_times_are_the_readers_and_stay_so_after_a_swap(product: Product, browser: Browser) -> None:
    visit = visit_from("Asia/Kolkata", product, browser)
    page = to_transfer(visit)
    time = page.locator(".timeline time").first
    utc = time.get_attribute("title") or ""
    here = time.evaluate("time => new Date(time.dateTime).toLocaleString('sv-SE', {timeZone: 'Asia/Kolkata'})")
    assert here != utc.removesuffix(" UTC")
    expect(time).to_have_text(here)
    expect(page.locator("footer")).to_contain_text("Times are in Asia/")
    expect(page.locator("footer")).to_contain_text("(UTC+05:30).")
    page.evaluate("() => { document.querySelector('#live').setAttribute('data-old', 'yes'); }")
    page.evaluate(
        "() => htmx.ajax('GET', location.pathname, {target: '#live', select: '#live', swap: 'outerMorph'})"
    )
    expect(page.locator("#live[data-old]")).to_have_count(0)  # it has been swapped
    expect(time).to_have_text(here)
    page.get_by_role("button", name="Show UTC").press("Enter")
    expect(time).to_have_text(utc.replace(" UTC", "Z"))
    page.reload()
    expect(time).to_have_text(utc.replace(" UTC", "Z"))  # as it was asked for
    page.get_by_role("button", name="Show Asia").press("Enter")
    expect(time).to_have_text(here)
    visit.context.close()
    assert visit.faults == []


def test_how_long_ago_has_its_exact_time_on_focus(product: Product, browser: Browser) -> None:
    visit = visit_from("Europe/Berlin", product, browser)
    page = to_transfer(visit)
    ago = page.locator("time.ago")
    expect(ago).to_contain_text(re.compile(r"just now|\d+ s ago"))
    exact = ago.locator(".exact")
    expect(exact).to_have_text(re.compile(r"^ \d{4}-\d\d-\d\d \d\d:\d\d:\d\d \(UTC\+0[12]:00\)$"))
    width = "element => element.getBoundingClientRect().width"
    assert exact.evaluate(width) <= 1
    ago.focus()
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Tab")
    expect(ago).to_be_focused()
    assert exact.evaluate(width) > 100
    visit.context.close()
    assert visit.faults == []


def test_texts_are_copied_by_keyboard(product: Product, browser: Browser) -> None:
    visit = visit_from("UTC", product, browser)
    page = to_transfer(visit)
    page.get_by_text("Copy as link, curl or command").focus()
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Copy Command that re-runs it").press("Enter")
    expect(page.locator("[aria-live=polite]")).to_have_text("Copied: Command that re-runs it")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == f"ipaas-stamped retry {page.url.rsplit('/', 1)[1]}"
    page.evaluate("document.querySelectorAll('.copies').forEach(each => each.remove())")  # as a swap does
    expect(page.get_by_role("button", name=re.compile("^(Copy|Copied) "))).to_have_count(5)
    visit.context.close()
    assert visit.faults == []
