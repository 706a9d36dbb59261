"""The list as a workbench, without any script: searching, choosing, and what can be done with many."""

from __future__ import annotations

import html as text
import re
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest

from app.ledger.stored import hash_email
from tests.conftest import BridgeFactory
from tests.monitoring.support import REFUSED, Pages, person, signed_in, text_of
from tests.monitoring.test_pages import wait_for
from tests.support import OPERATOR_KEY, VIEWER_KEY, FakeClock, Wire, reply

LIST = "/monitoring/transfers"


def ids_of(html: str) -> list[str]:
    """Of the boxes, newest first."""
    return re.findall(r'<input type="checkbox" name="id" value="([^"]+)"', html)


async def search(pages: Pages, looked_for: str, **kept: str) -> str:
    """Where it leads."""
    answer = await pages.post(LIST, None, search=looked_for, **kept)
    assert answer.status_code == 303, answer.text
    return answer.headers["Location"]


async def listed(pages: Pages, **query: str) -> list[str]:
    return ids_of((await pages.get(f"{LIST}?{urlencode(query)}")).text)


async def test_one_box_finds_all(bridge: BridgeFactory) -> None:
    async with signed_in(bridge, Wire(add=[REFUSED, reply(200, {"id": 9})])) as pages:
        await pages.webhooks(person(1), person(2))
        second, first = await listed(pages)
        guid = "3c90c3cc-0d44-4b50-8888-000000000001"
        assert await search(pages, first) == f"{LIST}/{first}"
        assert await search(pages, f"http://x.test{LIST}/{second}") == f"{LIST}/{second}"
        assert await search(pages, guid.upper(), status="succeeded") == f"{LIST}?tracking_guid={guid}"
        assert await search(pages, "2", last="1h", words="x") == f"{LIST}?customer_id=2"
        where = await search(pages, "Person2@Example.com")
        assert where == f"{LIST}?email_hash={hash_email('person2@example.com')}"
        assert ids_of((await pages.get(where)).text) == [second]
        where = await search(pages, "KEY not  valid", status="failed", last="24h", customer_id="7")
        assert dict(parse_qsl(urlsplit(where).query)) == {
            "status": "failed",
            "words": "KEY not valid",
            "last": "24h",
        }
        found = (await pages.get(where)).text
        assert ids_of(found) == [first]
        assert "Message with “KEY not valid”" in found
        other = re.search(r'Or look for it <a href="([^"]+)">as a customer id</a>', found)
        assert other
        assert "customer_id=KEY+not+valid" in other[1]
        assert "customer_id" not in await search(pages, "", customer_id="7", status="failed")


async def test_what_nothing_says_stands_in_no_address(bridge: BridgeFactory) -> None:
    """It may be a name."""
    async with signed_in(bridge, Wire(add=REFUSED)) as pages:
        await pages.webhooks(person(1))
        answer = await pages.post(LIST, None, search="Annabell <b>", status="failed")
        assert answer.status_code == 200
        assert "no failed transfer says “Annabell &lt;b&gt;”" in answer.text
        addresses = re.findall(r'(?:href|action|hx-get)="([^"]+)"', answer.text)
        assert not [each for each in addresses if "Annabell" in each]
        assert "hx-get" not in answer.text


async def test_pills_count_what_is_chosen_beside_them(bridge: BridgeFactory) -> None:
    async with signed_in(bridge, Wire(add=[REFUSED, REFUSED, reply(200, {"id": 9})]), clock=FakeClock()) as pages:
        await pages.webhooks(person(1), person(2), person(3))
        for query, counts in (
            ("", "All 3 Accepted Running Waiting Succeeded 1 Skipped Failed 2 Cancelled"),
            ("status=failed", "All 3 Accepted Running Waiting Succeeded 1 Skipped Failed 2 Cancelled"),
            ("customer_id=2", "All 1 Accepted Running Waiting Succeeded Skipped Failed 1 Cancelled"),
            ("last=1h", "All 3 Accepted Running Waiting Succeeded 1 Skipped Failed 2 Cancelled"),
            ("until=2026-11-24T09:00", "All Accepted Running Waiting Succeeded Skipped Failed Cancelled"),
        ):
            html = (await pages.get(f"{LIST}?{query}")).text
            assert text_of(html.split('aria-label="Status"')[1].split("</nav>")[0].partition(">")[2]) == counts


@pytest.mark.parametrize(
    ("query", "live"),
    [("", True), ("last=24h", True), ("since=2026-11-24", True), ("until=2026-11-25", False), ("live=off", False)],
)
async def test_a_closed_time_is_not_live(bridge: BridgeFactory, query: str, live: bool) -> None:  # noqa: FBT001
    async with signed_in(bridge) as pages:
        await pages.webhook()
        html = (await pages.get(f"{LIST}?{query}")).text
        assert ("hx-get" in html) is live
        assert ("pulse" in html) is live


async def test_chosen_ones_run_again(bridge: BridgeFactory) -> None:
    wire = Wire(add=[REFUSED, REFUSED, reply(200, {"id": 9})])
    async with signed_in(bridge, wire, clock=FakeClock()) as pages:
        await pages.webhooks(person(1), person(2), person(3))
        done, second, first = await listed(pages)
        query = urlencode([("status", "failed"), ("id", done), ("id", first)])
        asked = await pages.get(f"{LIST}/retry?{query}")
        found = text_of(asked.text)
        assert "Re-run 1 transfer?" in found
        assert "2 chosen" in found
        assert "1 succeeded: nothing is left to do" in found
        assert len(wire.requests) == 3, "asking runs nothing"
        fields = dict(re.findall(r'type="hidden" name="([^"]+)" value="([^"]*)"', asked.text.split("<h1>")[1]))
        answer = await pages.post(f"{LIST}/retry", None, **{**fields, "form_token": await pages.token()})
        assert "Re-run of 1 transfer" in await wait_for(pages, answer.headers["Location"], "1 of 1 ended")
        assert await listed(pages, status="failed") == [second]
        assert "Nothing to re-run" in text_of((await pages.get(f"{LIST}/retry?{query}")).text)


async def test_all_of_a_filter_run_again(bridge: BridgeFactory) -> None:
    clock = FakeClock()
    async with signed_in(bridge, Wire(add=[REFUSED, REFUSED, reply(200, {"id": 9})]), clock=clock) as pages:
        await pages.webhooks(person(1), person(2), person(3))
        html = (await pages.get(f"{LIST}/retry?last=24h")).text
        assert "Re-run 2 failed transfers?" in html
        assert "1 succeeded" in text_of(html)
        assert "Nothing to re-run" in (await pages.get(f"{LIST}/retry?status=succeeded")).text
        fields = dict(re.findall(r'type="hidden" name="([^"]+)" value="([^"]*)"', html.split("<h1>")[1]))
        assert (fields["since"], fields["until"]) == ("2026-11-23T10:00:01", "2026-11-24T10:00:01")
        fields["form_token"] = await pages.token()
        answer = await pages.post(f"{LIST}/retry", None, **fields)
        assert "Re-run of 2 transfers" in await wait_for(pages, answer.headers["Location"], "2 of 2 ended")


async def test_many_are_cancelled(bridge: BridgeFactory) -> None:
    async with signed_in(bridge, operator_api_key=f"ada:{OPERATOR_KEY}") as pages:
        await pages.post("/monitoring/connections/default/pause")
        await pages.webhooks(person(1), person(2), person(3))
        third, second, first = await listed(pages)
        assert "Cancel these 3 not begun …" in (await pages.get(LIST)).text
        query = urlencode([("id", first), ("id", second)])
        assert "Cancel 2 transfers?" in (await pages.get(f"{LIST}/cancel?{query}")).text
        assert await listed(pages, status="cancelled") == []
        answer = await pages.post(f"{LIST}/cancel", None, ids=f"{first} {second}")
        assert answer.headers["Location"] == f"{LIST}/cancel?{query}"
        after = text_of((await pages.get(answer.headers["Location"])).text)
        assert "Nothing to cancel" in after
        assert "2 cancelled: ended" in after
        assert await listed(pages, status="cancelled") == [second, first]
        assert "ada" in text_of((await pages.get(f"{LIST}/{first}")).text)
        assert await listed(pages, status="accepted") == [third]


async def test_a_file_of_them(bridge: BridgeFactory) -> None:
    async with signed_in(bridge, Wire(add=REFUSED), viewer_api_key=VIEWER_KEY) as pages:
        await pages.webhooks(person(1), person(2))
        second, first = await listed(pages)
        for query, expected in (("status=failed", [second, first]), (f"id={first}", [first])):
            html = (await pages.get(f"{LIST}/export?{query}")).text
            assert f"Export {len(expected)} transfer" in html
            (csv, _) = map(text.unescape, re.findall(r'href="([^"]+)" download', html))
            answer = await pages.get(csv)
            assert answer.headers["Content-Disposition"].startswith('attachment; filename="transfers-')
            assert [line.partition(",")[0] for line in answer.text.splitlines()[1:]] == expected
            assert "example.com" not in answer.text
        answer = await pages.post(f"{LIST}/export", None, format="json", ids=first)
        assert [each["email"] for each in answer.json()] == ["person1@example.com"]
        pages.client.cookies.clear()
        await pages.sign_in(VIEWER_KEY)
        html = (await pages.get(f"{LIST}/export?status=failed")).text
        assert "with names" not in html
        token = await pages.token(LIST)
        answer = await pages.post(f"{LIST}/export", None, format="csv", form_token=token)
        assert answer.status_code == 403


@pytest.mark.parametrize("what", ["id=1", "id=" + "&id=".join(["x"] * 3), "last=9h", "status=gone"])
@pytest.mark.parametrize("action", ["retry", "cancel", "export"])
async def test_what_no_list_sends_does_nothing(bridge: BridgeFactory, action: str, what: str) -> None:
    async with signed_in(bridge) as pages:
        assert (await pages.get(f"{LIST}/{action}?{what}")).status_code == 400


async def test_the_same_elsewhere(bridge: BridgeFactory) -> None:
    async with signed_in(bridge, clock=FakeClock()) as pages:
        html = (await pages.get(f"{LIST}?status=failed&last=24h&words=it%27s+not&customer_id=7")).text
        address, curl, command = map(
            text.unescape, re.findall(r"<pre class=\"copy\" data-copy[^>]*>([^<]*)<", html)
        )
        assert address == "http://bridge.test" + LIST + "?status=failed&words=it%27s+not&customer_id=7&last=24h"
        assert command == (
            "ipaas-stamped transfers --status failed --words 'it'\"'\"'s not' --customer 7 --since 24h"
        )
        assert curl.startswith("curl -G http://bridge.test/transfers -H ")
        assert "--data-urlencode since=2026-11-23T10:00:01.000Z" in curl
        html = (await pages.get(f"{LIST}?since=2026-11-24T09:00&until=2026-11-24T10:00:00")).text
        assert "--since 2026-11-24T09:00:00.000Z --until 2026-11-24T10:00:00.000Z" in html
