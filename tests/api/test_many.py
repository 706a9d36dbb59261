"""Many transfers at once: cancelled by a filter, chosen one by one, counted first."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.operating import REFUSED, Operator, failed, person
from tests.conftest import BridgeFactory
from tests.support import OPERATOR_KEY, VIEWER_KEY, WEBHOOK, Wire, customer, envelope, reply

CANCEL, RETRY = "/transfers/cancel", "/transfers/retry"
PAUSE = "/connections/default/pause"
NO_SUCH = "0b0e7a52-4b3e-7c7f-9c59-6f0f3f1d2a10"


async def waiting(client: Any, *numbers: int) -> list[str]:
    """Promised, and not begun, as their connection is paused; oldest first."""
    await Operator(client).post(PAUSE)
    answers = [await client.post(WEBHOOK, json=envelope(person(number))) for number in numbers]
    return [each.json()["results"][0]["transfer_id"] for each in answers]


async def statuses(operator: Operator, ids: list[str]) -> list[str]:
    return [(await operator.get(f"/transfers/{each}"))["status"] for each in ids]


async def test_those_of_a_filter_are_cancelled(bridge: BridgeFactory) -> None:
    async with bridge(operator_api_key=f"ada:{OPERATOR_KEY}") as client:
        operator = Operator(client)
        await client.post(WEBHOOK, json=envelope(person(9)))
        ids = await waiting(client, 1, 2, 3)
        for body, total in (
            ({}, 3),
            ({"status": "accepted"}, 3),
            ({"status": "waiting"}, 0),
            ({"customer_id": "2"}, 1),
            ({"transfer_ids": [ids[0], NO_SUCH]}, 1),
            ({"transfer_ids": ids[:2], "customer_id": "3"}, 0),
        ):
            dry = await operator.post(CANCEL, body | {"dry_run": True})
            assert (dry.status_code, dry.json()) == (200, {"dry_run": True, "total": total}), body
        assert await statuses(operator, ids) == ["accepted"] * 3
        chosen = {"transfer_ids": [ids[0].upper(), ids[1]]}
        assert (await operator.post(CANCEL, chosen)).json() == {"dry_run": False, "total": 2}
        assert await statuses(operator, ids) == ["cancelled", "cancelled", "accepted"]
        assert (await operator.post(CANCEL, chosen)).json()["total"] == 0
        assert (await operator.post(CANCEL, {})).json()["total"] == 1
        trail = (await operator.get(f"/transfers/{ids[2]}"))["trail"]
        assert [each["who"] for each in trail if each["what"] == "cancelled"] == ["ada"]


async def test_a_rerun_that_is_cancelled_is_failed_again(bridge: BridgeFactory) -> None:
    async with bridge(Wire(add=REFUSED)) as client:
        operator = Operator(client)
        (transfer_id,) = await failed(client)
        before = await operator.get(f"/transfers/{transfer_id}")
        await operator.post(PAUSE)
        answer = await operator.post(RETRY, {"transfer_ids": [transfer_id]})
        await operator.until(f"/transfers/{transfer_id}", status="accepted")
        assert (await operator.post(CANCEL, {"transfer_ids": [transfer_id]})).json()["total"] == 1
        after = await operator.get(f"/transfers/{transfer_id}")
        assert {**after, "trail": []} == {**before, "trail": []}
        counts = await operator.get(answer.headers["Location"])
        assert (counts["failed"], counts["remaining"]) == (1, 0)


async def test_chosen_ones_run_again_where_they_can(bridge: BridgeFactory) -> None:
    async with bridge(Wire(add=[REFUSED, REFUSED, reply(200, customer())])) as client:
        operator = Operator(client)
        first, second = await failed(client, 1, 2)
        answer = await client.post(WEBHOOK, json=envelope(person(3)))
        done = answer.json()["results"][0]["transfer_id"]
        (cancelled,) = await waiting(client, 4)
        await operator.post(CANCEL, {})
        await operator.post("/connections/default/resume")
        ids = [first, done, cancelled]
        for body, total in (
            ({"transfer_ids": ids}, 2),
            ({"transfer_ids": ids, "status": "failed"}, 1),
            ({"transfer_ids": ids, "status": "cancelled"}, 1),
            ({}, 2),
            ({"words": "not valid"}, 2),
            ({"words": "nothing like it"}, 0),
        ):
            assert (await operator.post(RETRY, body | {"dry_run": True})).json()["total"] == total, body
        answer = await operator.post(RETRY, {"transfer_ids": ids})
        counts = await operator.until(answer.headers["Location"], remaining=0)
        assert (counts["total"], counts["succeeded"]) == (2, 2)
        assert await statuses(operator, [first, second, done, cancelled]) == [
            *("succeeded", "failed", "succeeded", "succeeded")
        ]


@pytest.mark.parametrize(
    "wrong",
    [
        {"transfer_ids": []},
        {"transfer_ids": ["1"]},
        {"transfer_ids": [NO_SUCH] * 3001},
        {"transfer_ids": NO_SUCH},
        {"words": " "},
        {"words": "a\n"},
        {"words": "x" * 201},
        {"status": "succeeded"},
        {"status": "running"},
        {"cursor": 1},
    ],
    ids=lambda body: str(body)[:40],
)
async def test_a_slip_cancels_nothing_and_runs_nothing(bridge: BridgeFactory, wrong: dict[str, Any]) -> None:
    async with bridge() as client:
        operator = Operator(client)
        ids = await waiting(client, 1)
        for path in (CANCEL, RETRY):
            answer = await operator.post(path, wrong)
            assert answer.status_code == 422
            assert answer.json()["errors"][0]["pointer"].startswith(f"/{next(iter(wrong))}")
        assert await statuses(operator, ids) == ["accepted"]


async def test_a_viewer_cancels_nothing(bridge: BridgeFactory) -> None:
    async with bridge(viewer_api_key=VIEWER_KEY) as client:
        ids = await waiting(client, 1)
        assert (await Operator(client, VIEWER_KEY).post(CANCEL, {})).status_code == 403
        assert await statuses(Operator(client), ids) == ["accepted"]


async def test_no_transfer_is_called_so(bridge: BridgeFactory) -> None:
    async with bridge() as client:
        answer = await Operator(client).call("GET", CANCEL)
        assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")
