"""Health on the page is what /readyz says, in the same words."""

from __future__ import annotations

from html import unescape
from typing import Any, get_args
from unittest.mock import patch

import pytest

from app.health import Check
from app.ledger.faults import DatabaseGone
from app.ledger.group import Group
from app.monitoring.overview import Line
from tests.conftest import BridgeFactory
from tests.monitoring.support import signed_in
from tests.support import WEBHOOK, FakeClock, Wire, envelope, notification, reply


def hints(ready: dict[str, Any]) -> list[str]:
    return [check["hint"] for check in ready["checks"] if check["status"] != "ok"]


@pytest.mark.parametrize(
    ("answer", "said", "judged"),
    [
        (reply(401), "HTTP status 401 Unauthorized. Check STAMPED_API_PUBLIC_KEY", "Needs help"),
        (reply(text="<html>We'll be right back</html>"), "HTTP status 200 OK.", "Needs a look"),
    ],
)
async def test_a_stamped_that_fails(bridge: BridgeFactory, answer: Any, said: str, judged: str) -> None:
    async with signed_in(bridge, Wire(add=answer, search=answer)) as pages:
        await pages.webhook()
        ready = (await pages.client.get("/readyz")).json()
        page = await pages.get("/monitoring")
        settings = await pages.get("/monitoring/settings")
    (hint,) = hints(ready)
    assert ready["status"] == "warn"
    assert hint in unescape(settings.text)
    assert said in hint
    assert hint in unescape(page.text)
    assert judged in page.text


async def test_a_database_that_is_away(bridge: BridgeFactory) -> None:
    async with signed_in(bridge) as pages:
        with patch("app.health.statistics.oldest_open", side_effect=DatabaseGone("away")):
            ready = await pages.client.get("/readyz")
            page = await pages.get("/monitoring")
    assert ready.status_code == page.status_code == 503
    (hint,) = hints(ready.json())
    assert hint in page.text


@pytest.mark.parametrize("ends", ["by a transfer", "by time"])
async def test_a_database_that_took_no_transfer(bridge: BridgeFactory, ends: str) -> None:
    """Though it answers whoever reads."""
    clock = FakeClock()
    async with bridge(clock=clock) as client:
        with patch.object(Group, "run", side_effect=DatabaseGone("FATAL:  too many connections for role")):
            assert (await client.post(WEBHOOK, json=envelope(notification()))).status_code == 503
        ready = await client.get("/readyz")
        assert ready.status_code == 503
        assert hints(ready.json())[0].startswith(
            "The server has no connection left: set a smaller DATABASE_POOL_SIZE"
        )
        if ends == "by time":
            clock.advance(10.1)
        else:
            assert (await client.post(WEBHOOK, json=envelope(notification()))).status_code == 200
        assert (await client.get("/readyz")).status_code == 200


@pytest.mark.parametrize("name", get_args(Check.model_fields["name"].annotation))
def test_every_check_has_words_for_people(name: Any) -> None:
    assert Line.of(Check(name=name, status="ok")).text
    warned = Line.of(Check(name=name, status="warn", hint="Look."))
    assert (warned.text, warned.name) == ("Look.", Check(name=name, status="warn").title)
