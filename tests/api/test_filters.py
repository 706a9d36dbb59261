"""The same filters for lists and for re-runs, and the groups of what failed, over HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from app.groups import ErrorGroups
from app.ledger.stored import hash_email
from tests.api.operating import OPERATOR, Operator, failed, person
from tests.conftest import BridgeFactory
from tests.support import (
    EMAIL,
    GUID,
    OPERATOR_KEY,
    VIEWER_KEY,
    WEBHOOK,
    WEBHOOK_KEY,
    FakeClock,
    Wire,
    customer,
    envelope,
    reply,
)

GROUPS = "/errors/groups"
NOT_VALID = [reply(400, {"message": f"{EMAIL} is not valid (request {number})."}) for number in (1, 2)]
NO_KEY = reply(401, {"message": "The API key you supplied is not valid."})
START = "2026-11-24T10:00:00"
LATER = "2026-11-24T10:01:00"


async def three_failed(bridge_client: Any, clock: FakeClock, wire: Wire) -> list[str]:
    """Two that failed alike, the second of them a minute later, and another one; oldest first."""
    wire.script(add=[NOT_VALID[0], NO_KEY, NOT_VALID[1]])
    first = await failed(bridge_client, 1, 2)
    clock.advance(60)
    return first + await failed(bridge_client, 1)


async def test_groups_of_what_failed(bridge: BridgeFactory) -> None:
    wire, clock = Wire(), FakeClock()
    async with bridge(wire, clock=clock) as client:
        operator = Operator(client)
        assert (await operator.get(GROUPS))["items"] == []
        first, other, newest = await three_failed(client, clock, wire)
        told = await operator.get(GROUPS)
        alike = told["items"][0]
        details = [(await operator.get(f"/transfers/{each}"))["error"]["detail"] for each in (first, newest)]
    ErrorGroups.model_validate(told)
    assert (told["since"], told["until"]) == ("2026-11-23T10:01:01.000Z", "2026-11-24T10:01:01.000Z")
    assert details[0] != details[1]
    assert alike == {
        "group": alike["group"],
        "error": "customer-create-or-update-failed",
        "title": "Customer create or update failed",
        "stamped_status": 400,
        "message": "HTTP status 400 Bad Request: … is not valid (request …).",
        "example": details[1],
        "count": 2,
        "customers": 1,
        "first_seen": "2026-11-24T10:00:00.000Z",
        "last_seen": "2026-11-24T10:01:00.000Z",
        "transfer_id": newest,
        "tag": "data",
        "trend": [0] * 23 + [2],
        "acknowledged": None,
        "came_back": None,
    }
    assert EMAIL not in str(told)
    (second,) = told["items"][1:]
    assert (second["stamped_status"], second["count"], second["transfer_id"]) == (401, 1, other)
    assert second["group"] != alike["group"]


@pytest.mark.parametrize(
    ("query", "counts"),
    [
        ({}, [2, 1]),
        ({"since": LATER}, [1]),
        ({"until": LATER}, [1, 1]),
        ({"since": "2026-11-24T10:00:30", "until": LATER}, []),
        ({"until": START}, []),
        ({"since": START, "until": "2026-12-01"}, [2, 1]),
        ({"connection": "default"}, [2, 1]),
        ({"connection": "store 1"}, []),
        ({"stamped_status": 401}, [1]),
        ({"customer_id": "1"}, [2]),
        ({"error": "customer-not-loaded"}, []),
        ({"since": "", "until": "", "connection": "", "group": "", "stamped_status": ""}, [2, 1]),
    ],
    ids=str,
)
async def test_groups_within_bounds(bridge: BridgeFactory, query: dict[str, Any], counts: list[int]) -> None:
    wire, clock = Wire(), FakeClock()
    async with bridge(wire, clock=clock) as client:
        await three_failed(client, clock, wire)
        found = await Operator(client).get(GROUPS, **query)
        assert [each["count"] for each in found["items"]] == counts


async def test_groups_are_of_the_last_day_where_nothing_else_is_said(bridge: BridgeFactory) -> None:
    wire, clock = Wire(), FakeClock()
    async with bridge(wire, clock=clock) as client:
        await three_failed(client, clock, wire)
        clock.advance(86_400 - 30)
        operator = Operator(client)
        assert [each["count"] for each in (await operator.get(GROUPS))["items"]] == [1]
        assert [each["count"] for each in (await operator.get(GROUPS, since=START))["items"]] == [2, 1]
        earlier = await operator.get(GROUPS, until=LATER)
        assert earlier["since"] == "2026-11-23T10:01:00.000Z"
        assert [each["count"] for each in earlier["items"]] == [1, 1]


async def test_groups_are_for_operators_and_the_catalogue_for_all(bridge: BridgeFactory) -> None:
    async with bridge() as client:
        for key, status in (("", 401), (WEBHOOK_KEY, 403)):
            answer = await client.get(GROUPS, headers={"Authorization": f"Bearer {key}"})
            assert answer.status_code == status
        assert (await client.get("/errors/not-found", headers={"Authorization": ""})).status_code == 200
        for query in (
            {"status": "failed"},
            {"limit": 5},
            {"since": "x"},
            {"stamped_status": "99"},
            {"group": "x"},
        ):
            answer = await client.get(GROUPS, params=query, headers=OPERATOR)
            assert answer.status_code == 422
            assert [fault["pointer"] for fault in answer.json()["errors"]] == [f"/{next(iter(query))}"]


async def test_a_group_is_listed_counted_and_run_again(bridge: BridgeFactory) -> None:
    wire, clock = Wire(), FakeClock()
    async with bridge(wire, clock=clock) as client:
        operator = Operator(client)
        first, other, newest = await three_failed(client, clock, wire)
        group = (await operator.get(GROUPS))["items"][0]["group"]
        listed = await operator.get("/transfers", group=group)
        assert [each["transfer_id"] for each in listed["items"]] == [newest, first]
        dry = await operator.post("/transfers/retry", {"group": group, "dry_run": True})
        assert dry.json() == {"dry_run": True, "total": 2}
        wire.script(add=reply(200, customer()))
        answer = await operator.post("/transfers/retry", {"group": group})
        counts = await operator.until(answer.headers["Location"], remaining=0)
        assert (counts["total"], counts["succeeded"], counts["skipped"]) == (2, 1, 1), "of one customer the newest"
        assert (await operator.get(f"/transfers/{newest}"))["status"] == "succeeded"
        left = await operator.get("/transfers", status="failed")
        assert [each["transfer_id"] for each in left["items"]] == [other]
        (kept,) = (await operator.get(GROUPS))["items"]
        assert kept["transfer_id"] == other


FILTERS: list[tuple[dict[str, Any], int]] = [
    ({}, 3),
    ({"error": "customer-create-or-update-failed", "stamped_status": 400}, 2),
    ({"stamped_status": 401}, 1),
    ({"stamped_status": 599}, 0),
    ({"customer_id": "2"}, 1),
    ({"customer_id": "1", "until": LATER}, 1),
    ({"since": LATER}, 1),
    ({"since": START, "until": LATER}, 2),
    ({"connection": "default", "stamped_status": 400}, 2),
    ({"connection": "1796"}, 0),
    ({"group": "0" * 12}, 0),
]


@pytest.mark.parametrize(("wanted", "total"), FILTERS, ids=str)
async def test_lists_and_reruns_mean_the_same(bridge: BridgeFactory, wanted: dict[str, Any], total: int) -> None:
    wire, clock = Wire(), FakeClock()
    async with bridge(wire, clock=clock) as client:
        operator = Operator(client)
        await three_failed(client, clock, wire)
        wire.script(add=reply(200, customer()))
        await client.post(WEBHOOK, json=envelope(person(9)))
        listed = await operator.get("/transfers", status="failed", **wanted)
        assert len(listed["items"]) == total
        dry = await operator.post("/transfers/retry", wanted | {"dry_run": True})
        assert (dry.status_code, dry.json()["total"]) == (200, total)
        answer = await operator.post("/transfers/retry", wanted)
        counts = await operator.until(answer.headers["Location"], remaining=0)
        assert counts["total"] == total


@pytest.mark.parametrize(
    "wrong",
    [
        {"stamped_status": "401"},
        {"stamped_status": True},
        {"stamped_status": 401.5},
        {"stamped_status": 99},
        {"stamped_status": 600},
        {"group": ""},
        {"group": "0123456789ABCDEF"},
        {"group": 123456789012},
        {"until": 1764000000},
        {"since": ""},
        {"error": ""},
        {"customer_id": ""},
        {"connection": ".."},
        {"connection": ["store 270392"]},
        {"tracking_guid": "x"},
        {"sync_id": "x"},
        {"email_hash": "0" * 64},
    ],
    ids=str,
)
async def test_a_slip_in_a_filter_runs_nothing(bridge: BridgeFactory, wrong: dict[str, Any]) -> None:
    wire = Wire(add=NO_KEY)
    async with bridge(wire) as client:
        await failed(client)
        answer = await Operator(client).post("/transfers/retry", wrong)
        assert answer.status_code == 422
        assert {fault["pointer"] for fault in answer.json()["errors"]} == {f"/{next(iter(wrong))}"}
    assert len(wire.requests) == 1


async def test_a_list_by_the_hash_of_an_email(bridge: BridgeFactory) -> None:
    async with bridge() as client:
        operator = Operator(client)
        await client.post(WEBHOOK, json=envelope(person(1), person(2)))
        mine = await operator.get("/transfers", email_hash=hash_email(" Person2@Example.com"))
        assert [each["customer_id"] for each in mine["items"]] == ["2"]
        wrong = await operator.call("GET", "/transfers", params={"email_hash": "person2@example.com"})
        assert wrong.status_code == 422
        assert "person2" not in wrong.text


async def test_a_tracking_guid_is_found_however_it_is_written(bridge: BridgeFactory) -> None:
    async with bridge() as client:
        await client.post(WEBHOOK, json=envelope())
        for written in (GUID, GUID.upper(), f" {GUID} "):
            assert len((await Operator(client).get("/transfers", tracking_guid=written))["items"]) == 1


async def test_groups_of_one_tag(bridge: BridgeFactory) -> None:
    wire, clock = Wire(), FakeClock()
    async with bridge(wire, clock=clock) as client:
        await three_failed(client, clock, wire)
        operator = Operator(client)
        for tag, counts in (("data", [2]), ("keys", [1]), ("passes", []), ("", [2, 1])):
            assert [each["count"] for each in (await operator.get(GROUPS, tag=tag))["items"]] == counts
        assert (await operator.call("GET", GROUPS, params={"tag": "money"})).status_code == 422


async def test_a_group_is_acknowledged(bridge: BridgeFactory) -> None:
    wire, clock = Wire(), FakeClock()
    keys: dict[str, Any] = {"operator_api_key": f"ada:{OPERATOR_KEY}", "viewer_api_key": VIEWER_KEY}
    async with bridge(wire, clock=clock, **keys) as client:
        await three_failed(client, clock, wire)
        operator = Operator(client)
        group = (await operator.get(GROUPS))["items"][0]["group"]
        path, noted = f"{GROUPS}/{group}", {"at": "2026-11-24T10:01:00.000Z", "who": "ada"}
        assert (await Operator(client, VIEWER_KEY).post(f"{path}/acknowledge")).status_code == 403
        assert (await operator.post(f"{path}/acknowledge")).json() == {"group": group, "acknowledged": noted}
        last = (await operator.get(GROUPS))["items"][-1]
        assert (last["group"], last["acknowledged"], last["came_back"]) == (group, noted, None)
        clock.advance(10)
        wire.script(add=NOT_VALID[0])
        await failed(client, 5)
        back = (await operator.get(GROUPS))["items"][0]
        assert (back["group"], back["count"]) == (group, 3)
        assert back["came_back"] == {"since": "2026-11-24T10:01:10.000Z", "count": 1}
        for _ in range(2):
            answer = await operator.post(f"{path}/unacknowledge")
            assert answer.json() == {"group": group, "acknowledged": None}
        for name in ("0" * 12, "x", "A" * 12):
            for action in ("acknowledge", "unacknowledge"):
                assert (await operator.post(f"{GROUPS}/{name}/{action}")).status_code == 404


async def test_a_rerun_that_is_cancelled_stands_in_its_group_again(bridge: BridgeFactory) -> None:
    wire, clock = Wire(), FakeClock()
    async with bridge(wire, clock=clock) as client:
        *_, newest = await three_failed(client, clock, wire)
        operator = Operator(client)
        before = await operator.get(GROUPS)
        await operator.post("/connections/default/pause")
        await operator.post(f"/transfers/{newest}/retry", Prefer="respond-async")
        assert [each["count"] for each in (await operator.get(GROUPS))["items"]] == [1, 1]
        assert (await operator.post(f"/transfers/{newest}/cancel")).json()["status"] == "failed"
        assert await operator.get(GROUPS) == before


async def test_a_rerun_of_many_sends_one_first(bridge: BridgeFactory) -> None:
    wire, clock = Wire(), FakeClock()
    async with bridge(wire, clock=clock) as client:
        await three_failed(client, clock, wire)
        clock.advance(1)
        operator = Operator(client)
        asked = {"status": "failed", "first": True}
        assert (await operator.post("/transfers/retry", asked | {"dry_run": True})).json()["total"] == 3
        wire.script(add=NO_KEY)
        clock.advance(1)
        where = (await operator.post("/transfers/retry", asked)).headers["Location"]
        held = await operator.until(where, remaining=0)
        assert (held["total"], held["skipped"], held["failed"], held["held"]) == (3, 1, 2, 1)
        assert held["first"]["status"] == "failed", "the one before it was older than what failed last"
        assert len(wire.requests) == 4
        wire.script(add=reply(200, {"id": 9}))
        assert (await operator.post(f"{where}/continue")).status_code == 200
        ended = await operator.until(where, remaining=0)
        assert (ended["failed"], ended["held"]) == (1, 0)
        assert (await operator.post(f"{where}/continue")).status_code == 409
        assert (await operator.post("/syncs/nobody/continue")).status_code == 404


async def test_rejections_are_paged(bridge: BridgeFactory) -> None:
    clock = FakeClock()
    async with bridge(clock=clock) as client:
        for _ in range(3):
            await client.post(WEBHOOK, json={"notifications": 1})
            clock.advance(60)
        operator = Operator(client)
        newest = await operator.get("/rejections", limit=2)
        oldest = await operator.get("/rejections", limit=2, cursor=newest["next"])
        times = [each["at"][11:16] for each in (*newest["items"], *oldest["items"])]
        assert (times, oldest["next"]) == (["10:02", "10:01", "10:00"], None)
        some = await operator.get("/rejections", since="2026-11-24T10:01:00Z", until="2026-11-24T10:02:00Z")
        assert [each["at"][11:16] for each in some["items"]] == ["10:01"]
        for query in ({"limit": 201}, {"cursor": "x"}, {"since": "soon"}, {"page": 2}):
            assert (await operator.call("GET", "/rejections", params=query)).status_code == 422
