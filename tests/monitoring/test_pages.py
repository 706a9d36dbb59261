"""What the pages say and do, over HTTP."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from structlog.testing import capture_logs

from app.error_catalog import CATALOG, Slug
from tests.conftest import BridgeFactory
from tests.monitoring.support import PAGES, REFUSED, Pages, person, signed_in, text_of
from tests.support import (
    EMAIL,
    GUID,
    IPAAS,
    IPAAS_TOKEN,
    OPERATOR_KEY,
    PRIVATE_KEY,
    PUBLIC_KEY,
    RECORD,
    WEBHOOK_KEY,
    FakeClock,
    Wire,
    reply,
    with_consent,
)

KEYS = (PUBLIC_KEY, PRIVATE_KEY, WEBHOOK_KEY, OPERATOR_KEY, IPAAS_TOKEN)
UNAVAILABLE = reply(503, {"message": "Service Temporarily Unavailable"})


async def text(pages: Pages, path: str) -> str:
    answer = await pages.get(path)
    assert answer.status_code == 200, path
    return text_of(answer.text)


async def wait_for(pages: Pages, path: str, words: str) -> str:
    for _ in range(500):
        found = await text(pages, path)
        if words in found:
            return found
    raise AssertionError(found)


@pytest.mark.parametrize("path", ["/monitoring", "/monitoring/transfers"])
async def test_empty_pages_say_what_to_do_first(bridge: BridgeFactory, path: str) -> None:
    async with signed_in(bridge) as pages:
        found = await text(pages, path)
        assert "http://bridge.test/webhooks/customers" in found
        assert "Authorization: Bearer &lt;Webhook API Key&gt;" in found
        assert "curl -i http://bridge.test/webhooks/customers" in found
        await pages.webhook()
        assert "curl -i" not in await text(pages, path)


async def test_a_re_run_leaves_the_failure_where_it_was_and_marks_it(bridge: BridgeFactory) -> None:
    async with signed_in(bridge, Wire(add=[REFUSED, reply(200, {"id": 1})])) as pages:
        path = await pages.webhook()
        assert "Attempts 1 Failed 1 Half" in await text(pages, "/monitoring")
        await pages.post(f"{path}/retry")
        found = await text(pages, "/monitoring?last=7d")
    assert "Attempts 2 Failed 1 1 recovered since" in found
    assert "Succeeded 1 Put off 0 Failed 0 Failed, recovered since 1" in found


async def test_a_closed_window_is_drawn_and_is_not_live(bridge: BridgeFactory) -> None:
    async with signed_in(bridge) as pages:
        await pages.webhook()
        live = (await pages.get("/monitoring?last=7d")).text
        assert 'hx-get="/monitoring?last=7d"' in live
        window = "since=2026-11-20T00:00&until=2026-11-21T00:00"
        closed = (await pages.get(f"/monitoring?{window}")).text
        assert "hx-get" not in closed
        assert "Attempts 0" in text_of(closed)
        listed = (await pages.get(f"/monitoring/transfers?{window}")).text
        assert "hx-get" not in listed
        assert "pulse" not in listed
        for unreadable in ("last=1h", "last=8d", "since=2099-01-01"):
            assert (await pages.get(f"/monitoring?{unreadable}")).status_code == 400


async def test_monitoring_counts_the_last_day(bridge: BridgeFactory) -> None:
    async with signed_in(bridge, Wire(add=[reply(200, {"id": 1}), REFUSED])) as pages:
        await pages.webhooks(person(1))
        await pages.webhooks(person(2))
        await pages.webhooks(person(3, scope="customer/deleted"))
        found = await text(pages, "/monitoring")
    assert "Success rate 50.0 %" in found
    assert "Succeeded 1 Put off 0 Failed 1 Failed, recovered since 0" in found
    assert "Attempts 2 Failed 1" in found
    assert "Needs help" in found
    assert "HTTP status 401 : The API key you supplied is not valid, 2" in found


async def test_monitoring_shows_the_wait_that_stamped_asked_for(bridge: BridgeFactory) -> None:
    clock = FakeClock()
    wire = Wire(add=reply(429, {"message": "Too many requests"}, headers={"Retry-After": "120"}))
    async with signed_in(bridge, wire, clock=clock) as pages:
        assert "Calls to Stamped.io flow" in await text(pages, "/monitoring")
        await pages.webhook()
        clock.advance(100)
        assert "Calls to Stamped.io default throttled until" in await text(pages, "/monitoring")
        clock.advance(21)
        assert "Calls to Stamped.io flow" in await text(pages, "/monitoring")


async def test_one_transfer_tells_its_story(bridge: BridgeFactory) -> None:
    wire = Wire(lookup=reply(404, {}))
    async with signed_in(bridge, wire, subscription_field="Consent", **IPAAS) as pages:
        path = await pages.webhook(customer=...)
        wire.script(load=reply(200, with_consent("yes")))
        await pages.webhook(customer=..., tracking_guid="11111111-0d44-4b50-8888-8dd25736052a")
        found = await text(pages, path)
        latest = re.search(
            r'href="(/monitoring/transfers/[^"]+)"', (await pages.get("/monitoring/transfers")).text
        )
        assert latest
        second = await text(pages, latest[1])
    for words in (
        "Succeeded",
        "customer/updated, by webhook",
        "fetched from iPaaS.com",
        "created at Stamped.io as customer 143491",
        "iPaaS.com has external ID 143491",
        "the record carries no consent: the subscription was left as it is",
        GUID,
    ):
        assert words in found
    assert "updated at Stamped.io as customer 143491" in second
    assert "iPaaS.com already had external ID 143491" in second
    assert "Reconciled: subscribed" in second


async def test_a_failed_transfer_names_its_resolution_and_runs_again(bridge: BridgeFactory) -> None:
    async with signed_in(bridge, Wire(add=[REFUSED, reply(200, {"id": 5})])) as pages:
        path = await pages.webhook()
        html = (await pages.get(path)).text
        entry = CATALOG[Slug.CUSTOMER]
        shown = text_of(html).replace("&#39;", "'")
        for words in (entry.title, entry.description, entry.resolution, "HTTP status 401", "not valid."):
            assert words in shown
        assert "Re-run" in shown
        answer = await pages.post(f"{path}/retry")
        assert (answer.status_code, answer.headers["Location"]) == (303, path)
        found = await text(pages, path)
        assert "Succeeded" in found
        assert entry.resolution not in found
        assert "It took 2 attempts." in found
        answer = await pages.post(f"{path}/retry")
        assert answer.status_code == 409
        assert "This transfer is succeeded" in answer.text
        assert (await pages.post(f"{path}/cancel")).status_code == 409


async def test_each_attempt_lists_its_calls(bridge: BridgeFactory) -> None:
    said, create = f"{RECORD['first_name']} <b>{EMAIL}</b> is refused", "Stamped.io: create the customer"
    wire = Wire(add=[UNAVAILABLE, reply(400, {"message": said}), reply(200, {"id": 5})], load=reply(body=RECORD))
    async with signed_in(bridge, wire, **IPAAS) as pages:
        path = await pages.webhook(customer=...)
        html = (await pages.get(path)).text
        lines = [text_of(line) for line in re.findall(r"<span>((?:iPaaS.com|Stamped.io): .*?)</span>\n", html)]
        assert lines == [
            "iPaaS.com: load the record, try 1: HTTP status 200 OK, 0 ms",
            "iPaaS.com: look up the external ID, try 1: HTTP status 404 Not Found, 0 ms NFND-1: no link",
            f"{create}, try 1: HTTP status 503 Service Unavailable, 0 ms Service Temporarily Unavailable",
            f"{create}, try 2: HTTP status 400 Bad Request, 0 ms … &lt;b&gt;a…@example.com&lt;/b&gt; is refused",
        ]
        assert html.count('<li class="failed"><span>Stamped.io: ') == 2
        await pages.post(f"{path}/retry")
        html = (await pages.get(path)).text
        assert re.findall(r'aria-label="Calls: upserted, attempt (\d)"', html) == ["1", "2"]


async def test_an_attempt_without_calls_lists_none(bridge: BridgeFactory) -> None:
    async with signed_in(bridge) as pages:
        html = (await pages.get(await pages.webhook(customer=RECORD | {"email_address": "nobody"}))).text
        assert "Nothing was sent to Stamped.io: the record&#39;s e-mail address is not valid." in html
        assert 'class="calls"' not in html


async def test_a_waiting_transfer_is_cancelled(bridge: BridgeFactory) -> None:
    async with signed_in(bridge, Wire(add=UNAVAILABLE)) as pages:
        answer = await pages.post("/monitoring/syncs", customer_ids="1")
        await wait_for(pages, answer.headers["Location"], "1 of 1 ended")
        headers = {"Prefer": "respond-async"}
        answer = await pages.client.post("/webhooks/customers", json=person(7), headers=headers)
        answer = await pages.client.post("/webhooks/customers", json=RECORD, headers=headers)
        path = f"/monitoring{answer.headers['Location']}"
        found = await wait_for(pages, path, "Waits for try 2 of 6 at")
        assert "runs again by itself: try 2 of 6" in found
        assert "with that the service gives up." in found
        assert (await pages.post(f"{path}/cancel")).status_code == 303
        assert "Cancelled by operator at" in await text(pages, path)


async def test_the_person_is_shown_on_asking_only_and_the_asking_is_logged(bridge: BridgeFactory) -> None:
    names = (EMAIL, RECORD["first_name"], RECORD["last_name"])
    async with signed_in(bridge, Wire(add=REFUSED)) as pages:
        path = await pages.webhook()
        for each in (*PAGES, path):
            html = (await pages.get(each)).text
            assert not any(name in html for name in names), each
        with capture_logs() as lines:
            answer = await pages.post(f"{path}/record")
        assert all(name in answer.text for name in names)
        assert answer.headers["Cache-Control"] == "no-store"
        (line,) = [line for line in lines if line["event"] == "record shown"]
        assert (line["customer_id"], line["transfer_id"]) == ("150713", path.rsplit("/", 1)[1])
        assert not any(name in str(lines) for name in names)
        assert EMAIL not in (await pages.get(path)).text


async def test_no_page_shows_a_key(bridge: BridgeFactory) -> None:
    async with signed_in(bridge, Wire(add=REFUSED), **IPAAS) as pages:
        path = await pages.webhook()
        tested = await pages.post("/monitoring/settings/test")
        shown = [await pages.get(each) for each in (*PAGES, path)]
        shown.append(await pages.post(f"{path}/record"))
    for answer in (tested, *shown):
        assert not any(key in answer.text + str(answer.headers) for key in KEYS)


async def test_an_email_is_looked_for_without_standing_in_an_address(bridge: BridgeFactory) -> None:
    async with signed_in(bridge) as pages:
        await pages.webhooks(person(1), person(2))
        answer = await pages.post("/monitoring/transfers", search=" Person1@Example.com ", status="failed")
        where = answer.headers["Location"]
        assert "person1" not in where.lower()
        found = (await pages.get(where)).text
        assert found.count('data-label="Outcome"') == 1
        kept = re.search(r'name="email_hash" value="([^"]+)"', found)
        assert kept
        answer = await pages.post("/monitoring/transfers", email_hash=kept[1], customer_id="2")
        assert "No transfer fits this filter." in (await pages.get(answer.headers["Location"])).text


@pytest.mark.parametrize(
    ("query", "rows"),
    [
        ("", 3),
        ("status=failed", 0),
        ("customer_id=2", 1),
        ("tracking_guid=3C90C3CC-0d44-4b50-8888-000000000003", 1),
        ("error=customer-not-loaded", 0),
        ("since=2026-11-24T09:59", 3),
        ("since=2026-11-24T10:01", 0),
        ("until=2026-11-24T10:01&since=2026-11-24T09:59:00Z", 3),
        ("until=2026-11-24T09:59", 0),
        ("cursor=2", 1),
    ],
)
async def test_the_list_is_filtered(bridge: BridgeFactory, query: str, rows: int) -> None:
    async with signed_in(bridge, clock=FakeClock()) as pages:
        await pages.webhooks(person(1), person(2), person(3))
        html = (await pages.get(f"/monitoring/transfers?{query}")).text
    assert html.count('data-label="Outcome"') == rows


@pytest.mark.parametrize(
    "query",
    ["status=gone", "cursor=x", "cursor=99999999999999999999", "since=yesterday", "stamped_status=1", "group=x"],
)
async def test_an_unreadable_filter_says_so(bridge: BridgeFactory, query: str) -> None:
    async with signed_in(bridge) as pages:
        answer = await pages.get(f"/monitoring/transfers?{query}")
    assert answer.status_code == 400
    assert "This filter cannot be read" in answer.text


def chosen(html: str) -> dict[str, str]:
    """The filter in a form."""
    found = dict(re.findall(r'type="hidden" name="([^"]+)" value="([^"]*)"', html))
    return {name: value for name, value in found.items() if name not in {"form_token", "confirmed"}}


def group_row(html: str, words: str) -> str:
    (row,) = [each for each in html.split("<article") if words in each]
    return row


def asked(html: str) -> dict[str, str]:
    """The filter in the address of the page that asks."""
    (query,) = re.findall(r'/monitoring/transfers/retry\?([^"]+)', html)
    return dict(parse_qsl(query.replace("&amp;", "&")))


async def test_failed_ones_are_grouped_counted_and_run_again(bridge: BridgeFactory) -> None:
    refused = [reply(400, {"message": f"Customer {number} is not valid."}) for number in (150713, 7)]
    clock = FakeClock()
    async with signed_in(bridge, Wire(add=[REFUSED, *refused]), clock=clock) as pages:
        for number in (1, 2, 3):
            await pages.webhooks(person(number))
        clock.advance(1)
        html = (await pages.get("/monitoring/errors")).text
        assert "3 failed transfers" in text_of(html)
        assert re.findall(r'class="big"><a [^>]+>(\d+)', html) == ["2", "1"]
        assert "HTTP status 400 Bad Request: Customer … is not valid." in html
        row = group_row(html, "Customer … is")
        group = asked(row)
        assert set(group) == {"status", "group", "since", "until"}
        listed = re.findall(r'href="(/monitoring/transfers\?[^"]+)"', row)[0].replace("&amp;", "&")
        assert dict(parse_qsl(urlsplit(listed).query)) == group
        html = (await pages.get(listed)).text
        assert html.count('data-label="Outcome"') == 2
        assert "Failed alike: HTTP status 400 Bad Request: Customer … is not valid." in text_of(html)
        form = chosen(html.split('action="/monitoring/transfers/export"')[1].split("</form>")[0])
        assert form == group, "the list's own button means the same"
        assert "Re-run these 2 …" in html
        answer = await pages.get(f"/monitoring/transfers/retry?{urlencode(group)}")
        assert "Re-run 2 failed transfers?" in answer.text
        assert "Customer … is not valid." in answer.text
        assert chosen(answer.text) == group
        assert 'name="first" value="yes" checked' in answer.text
        assert len(pages.wire.requests) == 3
        pages.wire.script(add=reply(200, {"id": 9}))
        answer = await pages.post("/monitoring/transfers/retry", None, **chosen(answer.text))
        sync = answer.headers["Location"]
        assert sync.startswith("/monitoring/syncs/")
        found = await wait_for(pages, sync, "2 of 2 ended")
        assert "Re-run of 2 transfers" in found
        html = (await pages.get("/monitoring/errors")).text
        assert "1 failed transfer " in text_of(html)
        assert "Re-run of failed ones" in await text(pages, "/monitoring/syncs")
        every = asked(html.split("<article")[0])
        assert set(every) == {"status", "since", "until"}
        answer = await pages.get(f"/monitoring/transfers/retry?{urlencode(every)}")
        assert "Re-run 1 failed transfer?" in answer.text


async def test_a_filtered_list_of_failed_ones_runs_again_by_exactly_its_filter(bridge: BridgeFactory) -> None:
    clock = FakeClock()
    refused = reply(400, {"message": "Email is not valid."})
    async with signed_in(bridge, Wire(add=[REFUSED, refused, refused]), clock=clock) as pages:
        await pages.webhooks(person(1), person(2), person(3))
        query = {"status": "failed", "stamped_status": "400", "customer_id": "2"}
        html = (await pages.get(f"/monitoring/transfers?{urlencode(query)}")).text
        assert "Re-run these 1 …" in html
        assert "Status 400 of Stamped.io" in html
        answer = await pages.get(f"/monitoring/transfers/retry?{urlencode(query)}")
        assert "Re-run 1 failed transfer?" in answer.text
        bound = chosen(answer.text)
        assert bound == query | {"until": "2026-11-24T10:00:01"}
        clock.advance(5)
        pages.wire.script(add=[refused, reply(200, {"id": 9})])
        await pages.webhook(**person(2, tracking_guid="3c90c3cc-0d44-4b50-8888-00000000000a"))
        answer = await pages.post("/monitoring/transfers/retry", None, **bound)
        await wait_for(pages, answer.headers["Location"], "1 of 1 ended")
        assert "Re-run these 1 …" in (await pages.get(f"/monitoring/transfers?{urlencode(query)}")).text
        left = await text(pages, "/monitoring/transfers?status=failed")
        assert "Re-run these 3 …" in left, "what failed after the question, and the others"


@pytest.mark.parametrize(
    ("query", "offered"),
    [
        ("", "Re-run these 1 failed …"),
        ("status=succeeded", None),
        ("stamped_status=401", "Re-run these 1 failed …"),
        ("status=failed", "Re-run these 1 …"),
        ("customer_id=2", None),
    ],
)
async def test_only_a_list_with_failed_ones_offers_to_run_them(
    bridge: BridgeFactory, query: str, offered: str | None
) -> None:
    async with signed_in(bridge, Wire(add=[REFUSED, reply(200, {"id": 9})])) as pages:
        await pages.webhooks(person(1), person(2))
        html = (await pages.get(f"/monitoring/transfers?{query}")).text
        button = re.search(r'<button formaction="/monitoring/transfers/retry"([^>]*)>([^<]*)<', html)
        assert button
        assert (" hidden" in button[1], button[2]) == (offered is None, offered or "")


async def test_chips_are_kept_by_the_form_and_can_be_removed(bridge: BridgeFactory) -> None:
    async with signed_in(bridge, Wire(add=REFUSED)) as pages:
        shown = text_of((await pages.get(await pages.webhooks(person(1)))).text)
        assert "Others that failed alike" in shown
        wanted = {"stamped_status": "401", "group": "0" * 12, "connection": "default", "sync_id": "s"}
        answer = await pages.post("/monitoring/transfers", None, customer_id="1", **wanted)
        where = answer.headers["Location"]
        assert dict(parse_qsl(urlsplit(where).query)) == wanted | {"customer_id": "1"}
        html = (await pages.get(where)).text
        form = html.split('<form method="post" action="/monitoring/transfers"')[1].split("</form>")[0]
        assert wanted.items() <= chosen(form).items()
        chips = html.split('aria-label="Narrowed by"')[1].split("</nav>")[0]
        left = [
            dict(parse_qsl(urlsplit(path).query))
            for path in re.findall(r'href="([^"]+)"', chips.replace("&amp;", "&"))
        ]
        for name, rest in zip(["customer_id", *wanted], left, strict=True):
            assert rest == {key: value for key, value in (wanted | {"customer_id": "1"}).items() if key != name}
        assert f"Failed alike: {'0' * 12}" in text_of(chips)


async def test_many_customers_are_synced_by_hand(bridge: BridgeFactory) -> None:
    async with signed_in(bridge, **IPAAS) as pages:
        answer = await pages.post("/monitoring/syncs", customer_ids="1, 2;3\n\n4 4")
        found = await wait_for(pages, answer.headers["Location"], "4 of 4 ended")
        assert "Succeeded 4" in found
        html = (await pages.get(f"{answer.headers['Location']}?status=succeeded")).text
        assert re.findall(r'data-label="Customer"><a href="[^"]+">(\d)', html) == ["1", "2", "3", "4"]


@pytest.mark.parametrize(
    ("ids", "words"),
    [
        ("  ", "at least one"),
        (" ".join(str(number) for number in range(3001)), "3,001 ids"),
        (f"1 {'9' * 101}", "is no customer id"),
    ],
)
async def test_what_cannot_be_synced_says_why_and_keeps_what_was_typed(
    bridge: BridgeFactory, ids: str, words: str
) -> None:
    async with signed_in(bridge) as pages:
        answer = await pages.post("/monitoring/syncs", customer_ids=ids)
        assert answer.status_code == 422
        assert words in answer.text
        assert ids in answer.text


async def test_a_sync_is_cancelled(bridge: BridgeFactory) -> None:
    async with signed_in(bridge) as pages:
        answer = await pages.post("/monitoring/syncs", customer_ids="1")
        where = answer.headers["Location"]
        assert (await pages.post(f"{where}/cancel")).headers["Location"] == where
        assert "Cancelled" in await text(pages, where)
        assert (await pages.post("/monitoring/syncs/none/cancel")).status_code == 404


async def test_a_sync_says_what_it_waits_for(bridge: BridgeFactory) -> None:
    async with signed_in(bridge) as pages:
        await pages.webhook()
        await pages.post("/monitoring/connections/default/pause")
        answer = await pages.post("/monitoring/syncs", customer_ids="150713")
        await wait_for(pages, answer.headers["Location"], "Waits, for the connection is paused by hand since")


async def test_rejections_are_listed(bridge: BridgeFactory) -> None:
    async with signed_in(bridge) as pages:
        assert "Nothing was rejected in the last 7 days." in await text(pages, "/monitoring/rejections")
        for _ in range(2):
            await pages.client.post("/webhooks/customers", json={}, headers={"Authorization": "Bearer wrong"})
        found = await text(pages, "/monitoring/rejections")
        assert "2 rejected in the last 7 days, by reason and caller." in found
        assert "401 The key is missing or not valid" in found
        assert found.count("Two keys have to be the same") == 1
        assert "Two keys have to be the same: the Webhook API Key of the subscription in iPaaS.com" in found
        assert (await pages.get("/monitoring/rejections?by=one")).text.count('data-label="Time"') == 2
        for nonsense in ("by=two", "cursor=x", "since=soon"):
            assert (await pages.get(f"/monitoring/rejections?{nonsense}")).status_code == 400


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({}, ("Stamped.io answered",)),
        (
            {"search": REFUSED},
            (
                "HTTP status 401 Unauthorized: The API key you supplied is not valid.",
                "What to do: Check STAMPED_API_PUBLIC_KEY and STAMPED_API_PRIVATE_KEY.",
            ),
        ),
        ({"search": reply(404)}, ("What to do: Check STAMPED_API_STORE_HASH, then STAMPED_API_URL.",)),
        ({"search": reply(200, text="<h1>We'll be right back</h1>")}, ("the answer is a web page",)),
    ],
    ids=["well", "keys", "store", "page"],
)
async def test_the_connection_is_tested_by_one_reading_call(
    bridge: BridgeFactory, answer: dict[str, Any], words: tuple[str, ...]
) -> None:
    async with signed_in(bridge, Wire(**answer)) as pages:
        answered = await pages.post("/monitoring/settings/test", connection="default")
        found = text_of(answered.text).replace("&#39;", "'")
        assert pages.wire.operations == ["search"]
        assert pages.wire.requests[0].method == "GET"
    for each in words:
        assert each in found
    assert ("What to do:" in found) is bool(answer)


async def test_a_page_without_a_database_says_so(bridge: BridgeFactory) -> None:
    async with bridge(started=False) as client:
        pages = Pages(client, Wire())
        await pages.sign_in()
        answer = await pages.client.post(
            "/monitoring/syncs",
            data={"form_token": await pages.token("/monitoring/settings"), "customer_ids": "1"},
        )
    assert answer.status_code == 503
    assert "Not available at the moment" in answer.text
