"""Error Logs as issues: what mends them, acknowledging, and a re-run that sends one first."""

from __future__ import annotations

import re
import shlex
import shutil
from html import unescape
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest

from app.keys import SANDBOX_OPERATOR_KEY, SANDBOX_WEBHOOK_KEY
from app.loading import load_settings
from app.monitoring.spark import Spark
from tests.conftest import BridgeFactory
from tests.monitoring.support import Pages, person, signed_in, text_of
from tests.support import OPERATOR_KEY, FakeClock, Wire, open_bridge, reply

BAD = reply(400, {"message": "Email is not valid."})
DENIED = reply(401, {"message": "The API key you supplied is not valid."})
ERRORS = "/monitoring/errors"


def articles(page: str) -> list[str]:
    return [text_of(unescape(each)) for each in page.split("<article")[1:]]


async def group_of(pages: Pages) -> str:
    (group,) = re.findall(r'<article[^>]+id="([0-9a-f]{12})"', (await pages.get(ERRORS)).text)
    return str(group)


async def test_failures_are_told_by_what_mends_them(bridge: BridgeFactory) -> None:
    async with signed_in(bridge, Wire(add=[DENIED, BAD, BAD]), clock=FakeClock()) as pages:
        for number in (1, 2, 3):
            await pages.webhooks(person(number))
        found = (await pages.get(ERRORS)).text
        data, keys = articles(found)
        assert "data" in data
        assert "Other data mend it" in data
        assert "Newest: HTTP status 400 Bad Request: Email is not valid." in data
        assert "Test the keys under Settings" in keys
        assert "Confirm the Stamped.io credentials" in keys, "the documented resolution"
        assert "Keys 1" in text_of(found)
        assert re.search(r'aria-label="Failures over the time: at most 2 at once, from [^"]+Z"', found)
        assert articles((await pages.get(f"{ERRORS}?tag=keys")).text) == [keys]
        assert "None of them is of this kind." in (await pages.get(f"{ERRORS}?tag=passes")).text
        for nonsense in ("tag=x", "from=-1", "from=x"):
            assert (await pages.get(f"{ERRORS}?{nonsense}")).status_code == 400


async def test_a_group_leads_to_the_list_of_just_these(bridge: BridgeFactory) -> None:
    clock = FakeClock()
    async with signed_in(bridge, Wire(add=BAD), clock=clock) as pages:
        await pages.webhooks(person(1))
        clock.advance(7200)
        await pages.webhooks(person(2))
        clock.advance(1)
        found = (await pages.get(f"{ERRORS}?since=2026-11-24T11:00:00&until=2026-11-24T13:00:00")).text
        (path,) = set(re.findall(r'href="(/monitoring/transfers\?[^"]+)"', found))
        query = dict(parse_qsl(urlsplit(unescape(path)).query))
        assert (query["since"], query["until"]) == ("2026-11-24T11:00:00", "2026-11-24T13:00:00")
        listed = (await pages.get(unescape(path))).text
        assert len(set(re.findall(r"/monitoring/transfers/([0-9a-f-]{36})", listed))) == 1


async def test_an_acknowledged_group_is_marked_until_it_comes_back(bridge: BridgeFactory) -> None:
    clock = FakeClock()
    async with signed_in(bridge, Wire(add=BAD), clock=clock, operator_api_key=f"ada:{OPERATOR_KEY}") as pages:
        await pages.webhooks(person(1))
        group = await group_of(pages)
        clock.advance(60)
        form = {"last": "7d", "tag": "data"}
        answer = await pages.post(f"{ERRORS}/groups/{group}/acknowledge", None, **form)
        assert answer.headers["Location"] == f"{ERRORS}?tag=data&last=7d#{group}"
        (told,) = articles((await pages.get(ERRORS)).text)
        assert "Acknowledged by ada, 2026-11-24 10:01:00Z ." in told
        assert "Came back" not in told
        clock.advance(60)
        await pages.webhooks(person(2))
        (told,) = articles((await pages.get(ERRORS)).text)
        assert "Came back 2026-11-24 10:02:00Z : 1 since." in told
        await pages.post(f"{ERRORS}/groups/{group}/unacknowledge", None)
        (told,) = articles((await pages.get(ERRORS)).text)
        assert "Acknowledged" not in told
        for name in ("0" * 12, "x"):
            assert (await pages.post(f"{ERRORS}/groups/{name}/acknowledge", None)).status_code == 404
        assert (await pages.get(f"{ERRORS}/groups/{group}/acknowledge")).headers["Location"] == ERRORS


async def test_nothing_runs_on_get(bridge: BridgeFactory) -> None:
    async with signed_in(bridge, Wire(add=BAD)) as pages:
        await pages.webhooks(person(1))
        answer = await pages.get("/monitoring/transfers/retry?status=failed&first=yes")
        assert "Re-run 1 failed transfer?" in text_of(answer.text)
        assert "None yet." in text_of((await pages.get("/monitoring/syncs")).text)
        assert (await pages.get("/monitoring/transfers/retry?group=x")).status_code == 400


async def test_a_sync_says_that_its_first_failed_and_can_go_on(bridge: BridgeFactory) -> None:
    async with signed_in(bridge, Wire(add=BAD)) as pages:
        for number in (1, 2, 3):
            await pages.webhooks(person(number))
        answer = await pages.post("/monitoring/transfers/retry", None, status="failed", first="yes")
        sync = answer.headers["Location"]
        found = await until(pages, sync, "failed again, so the other 2 were left as they were.")
        assert "3 of 3 ended" in found
        assert "Failed 3" in found
        assert "Run the other 2 all the same" in found
        assert len(pages.wire.requests) == 4
        answer = await pages.post(f"{sync}/continue", None)
        found = await until(pages, sync, "3 of 3 ended")
        assert "left as they were" not in found
        assert len(pages.wire.requests) == 6


async def until(pages: Pages, path: str, words: str) -> str:
    for _ in range(1000):
        found = text_of((await pages.get(path)).text)
        if words in found:
            return found
    pytest.fail(f"no {words!r} in {found}")


def test_a_spark_is_drawn_and_told() -> None:
    spark = Spark.of([0, 1, 0, 48], 1_700_000_000, 1_700_000_000 + 4 * 3600)
    assert [(bar.x, bar.height) for bar in spark.bars] == [(5, 1.5), (15, 24.0)]
    assert spark.text == "over the time: at most 48 at once, from 2023-11-15 01:13Z"
    assert Spark.of([0, 0], 0, 1).bars == []


async def test_the_first_steps_of_a_sandbox_work_as_they_are_shown(tmp_path: Path, empty_file: Path) -> None:
    url = f"sqlite:///{tmp_path}/bridge.db"
    shutil.copy(empty_file, tmp_path / "bridge.db")
    settings = load_settings(_env_file=None, sandbox_url="http://127.0.0.1:1", database_url=url)
    wire = Wire(add=reply(200, {"id": 9}))
    async with open_bridge(settings, wire) as client:
        pages = Pages(client, wire)
        await pages.sign_in(SANDBOX_OPERATOR_KEY)
        page = (await pages.get("/monitoring")).text
        (line,) = re.findall(r'aria-label="curl line">([^<]+)<', page)
        _, _, where, *options = shlex.split(unescape(line))
        headers = dict(each.split(": ") for each in options if ": " in each and not each.startswith("{"))
        assert headers["Authorization"] == f"Bearer {SANDBOX_WEBHOOK_KEY}"
        answer = await client.post(where, content=options[-1], headers=headers)
        assert (answer.status_code, answer.json()["results"][0]["status"]) == (200, "succeeded")


async def test_the_first_steps_at_a_store_show_no_key(bridge: BridgeFactory) -> None:
    async with signed_in(bridge) as pages:
        page = unescape((await pages.get("/monitoring")).text)
        assert "Bearer $IPAAS_WEBHOOK_API_KEY" in page
        assert "Bearer <Webhook API Key>" in page
