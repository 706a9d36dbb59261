"""What a merchant does, in a real browser."""

from __future__ import annotations

import re

from playwright.sync_api import Browser, expect

from app.error_catalog import CATALOG, Slug
from tests.monitoring.conftest import VIEWER_KEY, Product, Visit
from tools.screenshots import OPERATOR_KEY

RESOLUTION = CATALOG[Slug.CUSTOMER].resolution


def test_a_failed_transfer_is_understood_mended_and_run_again(visit: Visit) -> None:
    product, page = visit.product, visit.page
    record = product.person()
    product.break_stamped(operation="add")
    assert product.webhook(record).status_code == 502
    page.get_by_role("link", name="Transfers", exact=True).click()
    page.get_by_role("navigation", name="Status").get_by_role("link", name="Failed").click()
    page.get_by_role("row", name=str(record["id"])).locator(".took").click(force=True)  # anywhere
    visit.see(RESOLUTION)
    visit.see("The API key you supplied is not valid.")
    product.mend_stamped()
    page.get_by_role("button", name="Re-run").click()
    expect(page.get_by_role("status")).to_contain_text("Succeeded")
    visit.see("created at Stamped.io as customer")
    expect(page.get_by_role("button", name="Re-run")).to_have_count(0)
    for number in (1, 2):
        steps = page.get_by_role("list", name=f"Steps of attempt {number}", exact=True)
        expect(steps.get_by_role("list", name="Calls: upserted").get_by_role("listitem")).to_have_count(1)


def test_the_list_is_live_filtered_and_paged(visit: Visit) -> None:
    product, page = visit.product, visit.page
    people = [product.person() for _ in range(60)]
    product.webhook(*people)
    visit.go("/monitoring/transfers")
    rows = page.locator("#transfers tbody tr")
    expect(rows).to_have_count(50)
    newest = product.person()
    product.webhook(newest)
    expect(page.get_by_role("cell", name=str(newest["id"]), exact=True)).to_be_visible()  # without reloading
    page.get_by_role("link", name="Older").click()
    expect(page.get_by_role("link", name="To the newest")).to_be_visible()
    expect(page.get_by_role("cell", name=str(people[0]["id"]), exact=True)).to_be_visible()
    page.get_by_role("link", name="To the newest").click()
    page.get_by_label("Search", exact=True).fill(people[3]["email_address"].upper())
    page.keyboard.press("Enter")
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text(str(people[3]["id"]))
    assert "annabell" not in page.url.lower()
    page.get_by_role("link", name="One e-mail").click()
    expect(rows).to_have_count(50)
    page.get_by_label("Search", exact=True).fill(str(people[5]["id"]))
    page.get_by_role("button", name="Search").click()
    expect(rows).to_have_count(1)
    page.get_by_text("Filter", exact=True).first.click()
    page.get_by_label("HTTP status").fill("401")
    page.get_by_role("button", name="Filter").click()
    expect(rows).to_have_count(0)
    page.get_by_role("link", name="Clear").click()
    expect(rows).to_have_count(50)


def test_a_group_of_failed_ones_runs_again_with_progress(visit: Visit) -> None:
    product, page = visit.product, visit.page
    message = "The store is closed for a test."
    product.break_stamped(operation="add", status=400, message=message)
    people = [product.person() for _ in range(30)]
    product.webhook(*people)
    visit.go("/monitoring/errors")
    group = page.get_by_role("article").filter(has_text=message)
    expect(group).to_contain_text("30")
    group.get_by_role("link", name="Re-run these 30").click()
    heading = page.get_by_role("heading", name="Re-run 30 failed transfers?")
    expect(heading).to_be_visible()
    page.go_back()
    acknowledge = group.get_by_role("button", name="Acknowledge")
    acknowledge.focus()
    page.keyboard.press("Enter")
    expect(group).to_contain_text("Acknowledged by")
    group.get_by_role("link", name="Re-run these 30").click()
    page.get_by_role("button", name="Re-run 30").click()  # nothing is mended yet
    expect(page.get_by_text("so the other 29 were left as they were")).to_be_visible()
    page.go_back()
    expect(heading).to_be_visible()
    page.go_forward()
    expect(page.get_by_text("so the other 29 were left as they were")).to_be_visible()
    page.go_back()
    product.mend_stamped()
    product.break_stamped(operation="add", status=None, delay_seconds=0.2)  # slow enough to be seen under way
    page.get_by_role("button", name="Re-run 30").click()
    bar = page.get_by_role("progressbar")
    expect(bar).to_have_attribute("max", "30")
    expect(page.get_by_role("button", name="Cancel what has not begun")).to_be_visible()
    expect(page.get_by_text("30 of 30 ended")).to_be_visible()
    expect(page.get_by_role("link", name="Succeeded 30")).to_be_visible()
    expect(page.get_by_role("button", name="Cancel what has not begun")).to_have_count(0)
    expect(page.locator("#live")).not_to_have_attribute("hx-get", re.compile("."))  # it asks no more


def test_a_list_survives_the_end_of_the_session(visit: Visit) -> None:
    page, ids = visit.page, "999999991\n999999992"
    visit.go("/monitoring/syncs")
    page.get_by_label("iPaaS.com customer ids").fill(ids)
    page.context.clear_cookies()
    page.get_by_role("button", name="Sync").click()
    visit.see("Your session has ended, and nothing was done.")
    page.get_by_label("Your key").fill(OPERATOR_KEY)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_label("iPaaS.com customer ids")).to_have_value(ids)
    page.get_by_role("button", name="Send it now").click()
    expect(page.get_by_text("2 of 2 ended")).to_be_visible()


def test_customers_are_synced_by_hand(visit: Visit) -> None:
    product, page = visit.product, visit.page
    known = product.person()
    product.webhook(known)
    visit.go("/monitoring/syncs")
    page.get_by_label("iPaaS.com customer ids").fill(f"{known['id']}\n999999999")
    page.get_by_role("button", name="Sync").click()
    expect(page.get_by_text("2 of 2 ended")).to_be_visible()
    expect(page.get_by_role("row", name=str(known["id"]))).to_contain_text("Succeeded")
    unknown = page.get_by_role("row", name="999999999")
    expect(unknown).to_contain_text("Failed")
    expect(unknown).to_contain_text("IPAAS_API_URL is not set")


def test_a_sync_is_cancelled_half_way(visit: Visit) -> None:
    product, page = visit.product, visit.page
    people = [product.person() for _ in range(40)]
    product.webhook(*people)
    product.break_stamped(operation="update", status=None, delay_seconds=1)
    visit.go("/monitoring/syncs")
    page.get_by_label("iPaaS.com customer ids").fill(" ".join(str(each["id"]) for each in people))
    page.get_by_role("button", name="Sync").click()
    page.get_by_role("button", name="Cancel what has not begun").click()
    visit.see("What had begun was finished.")
    expect(page.get_by_text("40 of 40 ended")).to_be_visible()
    expect(page.get_by_role("link", name=re.compile(r"Cancelled \d+"))).to_be_visible()


def test_a_wrong_key_opens_nothing(visitor: Visit) -> None:
    page = visitor.sign_in("not-the-key")
    expect(page.get_by_role("alert")).to_contain_text("This is no key for these pages.")
    visitor.go("/monitoring/transfers")
    expect(page).to_have_url(re.compile(r"/login\?next="))
    assert [fault for fault in visitor.faults if "403" not in fault] == []
    visitor.faults.clear()
    page.get_by_label("Your key").fill(OPERATOR_KEY)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Transfers")).to_be_visible()


def test_a_viewer_looks_and_finds_nothing_to_press(visitor: Visit) -> None:
    product, page = visitor.product, visitor.sign_in(VIEWER_KEY)
    expect(page.get_by_text("eve (viewer)")).to_be_visible()
    record = product.person()
    product.break_stamped(operation="add")
    path = product.webhook(record).json()["instance"]
    operator = {"Authorization": f"Bearer {OPERATOR_KEY}"}
    product.client.post(f"{path}/retry", headers=operator)
    visitor.go(f"/monitoring{path}")
    visitor.see(RESOLUTION)
    expect(page.locator(".timeline .deed")).to_have_count(1)
    visitor.see("a…@example.com")
    assert record["email_address"] not in page.content()
    expect(page.get_by_role("main").get_by_role("button")).to_have_count(0)
    visitor.go("/monitoring/syncs")
    expect(page.get_by_role("main").get_by_role("button")).to_have_count(0)


def test_signing_out_ends_the_session(visit: Visit) -> None:
    page = visit.page
    (cookie,) = visit.context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    visit.context.add_cookies([{"name": cookie["name"], "value": cookie["value"], "url": visit.product.url}])
    visit.go("/monitoring")
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()


def test_a_page_that_is_open_when_its_session_ends_leads_to_sign_in(visit: Visit) -> None:
    page = visit.go("/monitoring/transfers")
    visit.context.clear_cookies()
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    page.get_by_label("Your key").fill(OPERATOR_KEY)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Transfers")).to_be_visible()


def test_the_person_is_shown_on_asking(visit: Visit) -> None:
    product, page = visit.product, visit.page
    record = product.person()
    answer = product.webhook(record).json()
    visit.go(f"/monitoring/transfers/{answer['results'][0]['transfer_id']}")
    assert record["email_address"] not in page.content()
    assert record["last_name"] not in page.content()
    page.get_by_role("button", name="Show e-mail").click()
    visit.see(record["email_address"])
    visit.see(record["last_name"])
    page.get_by_role("link", name="Hide again").click()
    expect(page.get_by_role("button", name="Show e-mail")).to_be_visible()
    assert record["email_address"] not in page.content()


def test_the_connection_is_tested(visit: Visit) -> None:
    page = visit.go("/monitoring/settings")
    page.get_by_role("button", name="Test connection").click()
    visit.see("address, keys and store hash are right")
    visit.product.break_stamped(operation="search")
    page.get_by_role("button", name="Test connection").click()
    expect(page.get_by_role("alert")).to_contain_text("What to do: Check STAMPED_API_PUBLIC_KEY")
    expect(page.get_by_role("alert")).to_contain_text("401")


def test_everything_works_without_scripts(product: Product, browser: Browser) -> None:
    product.mend_stamped()
    context = browser.new_context(java_script_enabled=False)
    visit = Visit(product, context)
    page = visit.sign_in()
    record = product.person()
    product.break_stamped(operation="add")
    problem = product.webhook(record).json()
    product.mend_stamped()
    visit.go(f"/monitoring{problem['instance']}")
    visit.see(RESOLUTION)
    page.get_by_role("button", name="Re-run").click()
    expect(page.get_by_role("status")).to_contain_text("Succeeded")
    page.get_by_role("link", name="Transfers", exact=True).first.click()
    page.get_by_label("Search", exact=True).fill(str(record["id"]))
    page.get_by_role("button", name="Search").click()
    expect(page.locator("#transfers tbody tr")).to_have_count(1)
    page.get_by_role("row", name=str(record["id"])).get_by_role("checkbox").check()
    page.get_by_role("button", name="Export").click()
    expect(page.get_by_role("heading", name="Export 1 transfer")).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    context.close()
