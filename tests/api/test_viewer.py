"""Keys with names: a viewer looks and does not act; what operators do stands in the trail."""

from __future__ import annotations

from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.api.operating import AWAY, REFUSED, SYNC, Operator, failed, person
from tests.api.test_operators import CALLS
from tests.conftest import BridgeFactory
from tests.support import EMAIL, OPERATOR_KEY, RECORD, VIEWER_KEY, WEBHOOK, FakeClock, Wire, envelope, reply

BOB_KEY = "bob-Tw6xN8-Gk4hM9"
KEYS: dict[str, Any] = {
    "operator_api_key": f"ada:{OPERATOR_KEY},bob:{BOB_KEY}",
    "viewer_api_key": f"eve:{VIEWER_KEY}",
}
PERSON = (EMAIL, RECORD["first_name"], RECORD["last_name"], RECORD["customer_number"])
VIEWER = {"Authorization": f"Bearer {VIEWER_KEY}"}


def deeds(transfer: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [(deed["what"], deed["who"], deed["via"]) for deed in transfer["trail"]]


@pytest.mark.parametrize(("method", "path"), [*CALLS, ("GET", "/")])
async def test_a_viewers_key_opens_what_reads_and_nothing_else(
    bridge: BridgeFactory, method: str, path: str
) -> None:
    wire = Wire()
    async with bridge(wire, **KEYS) as client:
        answer = await client.request(method, path, headers=VIEWER, json={} if method == "POST" else None)
    if method == "GET":
        assert answer.status_code in {200, 404}
        return
    assert answer.status_code == 403
    assert answer.json()["type"] == "/errors/forbidden"
    assert answer.json()["detail"] == "The key is valid, but it is not meant for this call."
    assert wire.requests == []


async def test_a_viewers_key_sends_no_webhook(bridge: BridgeFactory) -> None:
    wire = Wire()
    async with bridge(wire, **KEYS) as client:
        answer = await client.post(WEBHOOK, json=envelope(), headers=VIEWER)
        assert (answer.status_code, answer.json()["type"]) == (403, "/errors/forbidden")
        assert wire.requests == []
        assert (await Operator(client, VIEWER_KEY).get("/transfers"))["items"] == []


async def test_without_the_setting_there_is_no_viewer(bridge: BridgeFactory) -> None:
    async with bridge() as client:
        for key in (VIEWER_KEY, "", "viewer"):
            answer = await client.get("/transfers", headers={"Authorization": f"Bearer {key}"})
            assert answer.status_code == 401


async def test_a_viewer_sees_no_email_and_no_name(bridge: BridgeFactory) -> None:
    message = f"{RECORD['first_name']} {RECORD['last_name']} ({EMAIL}) is not valid."
    async with bridge(Wire(add=reply(422, {"message": message})), **KEYS) as client:
        record = RECORD | {"phone": 5550123, "custom_fields": [{"custom_field_name": "Nick", "value": "Belle"}]}
        answer = await client.post(WEBHOOK, json=envelope(person(7) | {"id": "150713", "customer": record}))
        path = answer.json()["instance"]
        seen = await Operator(client, VIEWER_KEY).call("GET", path)
        listed = await Operator(client, VIEWER_KEY).call("GET", "/transfers")
        clear = await Operator(client).get(path)
        by_viewer = await Operator(client, VIEWER_KEY).get(path)
    for word in (*PERSON, "5550123", "Belle"):
        assert word not in seen.text + listed.text, word
        assert word in str(clear["record"])
    masked = seen.json()
    assert masked["record"]["email_address"] == "a…@example.com"
    assert masked["record"]["first_name"] == "…"
    assert masked["record"]["id"] == clear["record"]["id"]
    assert "a…@example.com" in masked["error"]["detail"]
    assert list(masked) == list(clear)
    assert list(masked["error"]) == list(clear["error"])
    apart = {"record", "error", "attempts", "reason", "trail"}
    assert {name: masked[name] for name in masked.keys() - apart} == {
        name: clear[name] for name in clear.keys() - apart
    }
    assert masked["trail"] == [], "who looks at what is masked has seen nothing"
    assert deeds(clear) == deeds(by_viewer) == [("revealed", "ada", "api")]


async def test_who_did_what_from_where_and_when(bridge: BridgeFactory) -> None:
    wire, clock = Wire(add=AWAY), FakeClock()
    async with bridge(wire, clock=clock, **KEYS) as client:
        ada, bob, eve = (Operator(client, key) for key in (OPERATOR_KEY, BOB_KEY, VIEWER_KEY))
        (transfer,) = await failed(client)
        path = f"/transfers/{transfer}"
        assert (await ada.post(f"{path}/retry")).status_code == 502
        assert (await bob.post(f"{path}/retry", Prefer="respond-async")).status_code == 202
        await eve.until(path, status="waiting")
        clock.advance(1)
        cancelled = (await bob.post(f"{path}/cancel")).json()
        assert (await bob.post(f"{path}/cancel")).status_code == 409
        seen = await eve.get(path)
    wanted = [("re-run", "ada"), ("re-run", "bob"), ("cancelled", "bob"), ("revealed", "bob")]
    assert deeds(seen) == [(what, who, "api") for what, who in wanted]
    assert cancelled["trail"] == seen["trail"]
    assert [deed["where"] for deed in seen["trail"]] == ["127.0.0.1"] * 4
    times = [deed["at"] for deed in seen["trail"]]
    assert times == sorted(times)
    assert times[0] < times[2]
    assert cancelled["status"] == "failed"


async def test_a_sync_of_one_and_one_of_many_say_by_whom(bridge: BridgeFactory) -> None:
    async with bridge(
        Wire(add=[REFUSED, REFUSED, reply(200, {"id": 1}), reply(200, {"id": 2})]), **KEYS
    ) as client:
        ada, bob, eve = (Operator(client, key) for key in (OPERATOR_KEY, BOB_KEY, VIEWER_KEY))
        transfers = await failed(client, 1, 2)
        where = (await bob.post("/transfers/retry", {})).headers["Location"]
        await eve.until(where, remaining=0)
        for transfer in transfers:
            assert deeds(await eve.get(f"/transfers/{transfer}")) == [("re-run all", "bob", "api")]
        one = (await ada.post(SYNC, RECORD | {"email_address": "other@example.com"})).json()
        many = (await ada.post("/syncs", {"customer_ids": ["1", "2"]})).headers["Location"]
        await eve.until(many, remaining=0)
        assert (await bob.post(f"{many}/cancel")).status_code == 200
        listed = await eve.get("/transfers", sync_id=many.removeprefix("/syncs/"))
        assert len(listed["items"]) == 2
        for item in listed["items"]:
            found = await eve.get(f"/transfers/{item['transfer_id']}")
            assert deeds(found) == [("sync", "ada", "api"), ("sync cancelled", "bob", "api")]
        alone = one["results"][0]["transfer_id"]
        assert deeds(await eve.get(f"/transfers/{alone}")) == [("sync", "ada", "api")]


async def test_who_polls_has_looked_once_an_hour(bridge: BridgeFactory) -> None:
    clock = FakeClock()
    async with bridge(clock=clock, **KEYS) as client:
        ada, bob = Operator(client), Operator(client, BOB_KEY)
        done = (await client.post(WEBHOOK, json=envelope())).json()["results"][0]["transfer_id"]
        path = f"/transfers/{done}"
        with capture_logs() as lines:
            for _ in range(3):
                assert deeds(await ada.get(path)) == [("revealed", "ada", "api")]
        assert [line["who"] for line in lines if line["event"] == "record shown"] == ["ada"] * 3
        assert [who for _, who, _ in deeds(await bob.get(path))] == ["ada", "bob"]
        clock.advance(3601)
        assert [who for _, who, _ in deeds(await ada.get(path))] == ["ada", "bob", "ada"]


async def test_a_skipped_one_without_a_record_reveals_nothing(bridge: BridgeFactory) -> None:
    async with bridge(**KEYS) as client:
        skipped = person(1) | {"scope": "customer/deleted"}
        del skipped["customer"]
        answer = await client.post(WEBHOOK, json=envelope(skipped))
        found = await Operator(client).get(f"/transfers/{answer.json()['results'][0]['transfer_id']}")
    assert (found["status"], found["record"], found["trail"]) == ("skipped", None, [])


async def test_no_key_is_in_an_answer_or_a_log(bridge: BridgeFactory) -> None:
    wire = Wire(add=reply(400, {"message": f"{OPERATOR_KEY} {BOB_KEY} {VIEWER_KEY}"}))
    async with bridge(wire, **KEYS) as client:
        with capture_logs() as lines:
            (transfer,) = await failed(client)
            answers = [
                await Operator(client, key).call("GET", path)
                for key in (BOB_KEY, VIEWER_KEY)
                for path in (f"/transfers/{transfer}", "/transfers", "/rejections")
            ]
            answers += [await client.get(path) for path in ("/metrics", "/openapi.json", "/readyz")]
    told = "".join(answer.text for answer in answers) + str(lines)
    assert "***" in told
    assert not [key for key in (OPERATOR_KEY, BOB_KEY, VIEWER_KEY) if key in told]
