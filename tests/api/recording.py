"""Scenes whose answers are recorded, the webhook's first; `python -m tests.api.recording` records them anew."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

from tests.api import webhook_scenes  # noqa: F401 - they come first
from tests.api.operating import AWAY, SYNC, Gate
from tests.api.telling import SCENES, Teller, guid, own_id, person, scene
from tests.support import (
    EMAIL,
    IPAAS,
    OPERATOR_KEY,
    RECORD,
    WEBHOOK,
    WEBHOOK_KEY,
    ZEROS,
    envelope,
    reply,
)

FILE = Path(__file__).parents[1] / "data" / "recorded_answers.txt"
TRANSFERS = "/transfers"
AFRESH = "/transfers/retry"
GROUPS = "/errors/groups"
SYNCS = "/syncs"
CONNECTIONS = "/connections"
REFUSED = reply(400, {"message": "Email is not valid."})
_HEADLINE = "=== "


@scene(retry_unit_seconds=86400)
async def a_transfer_waits(at: Teller) -> None:
    at.wire.script(add=AWAY)
    path = (await at.hook(envelope(), Prefer="respond-async")).headers["Location"]
    await at.until(path, status="waiting")
    await at.get(path)
    await at.get(f"{TRANSFERS}?status=waiting")
    await at.post(f"{path}/retry")
    await at.hook(envelope())
    await at.post(f"{path}/retry", Prefer="respond-async")
    await at.until(path, status="waiting", attempts_made=4)
    await at.ready()
    at.clock.advance(1860)
    await at.until("/readyz", status="warn")
    await at.ready()
    for _ in range(2):
        await at.post(f"{path}/cancel")
    await at.get(path)
    await at.get(f"{TRANSFERS}?status=cancelled")
    await at.post(AFRESH, {"status": "cancelled", "dry_run": True})
    for body in ({"dry_run": True}, {}, {"transfer_ids": ["1"]}, {"status": "failed"}):
        await at.post("/transfers/cancel", body)
    at.wire.script(add=own_id)
    await at.post(f"{path}/retry")
    await at.get(path)


@scene()
async def stamped_asks_to_wait(at: Teller) -> None:
    slow = reply(429, {"error": "Slow."}, headers={"Retry-After": "90"})
    at.wire.script(add=[slow, own_id])
    path = (await at.hook(envelope())).headers["Location"]
    for where in (path, f"{TRANSFERS}?status=accepted", CONNECTIONS):
        await at.get(where)
    await at.ready()
    await at.hook(envelope(person(2)))
    at.clock.advance(91)
    await at.until(path, status="succeeded")
    await at.get(path)


@scene()
async def stamped_is_down(at: Teller) -> None:
    at.wire.script(add=reply(503, text="Down"))
    await at.hook(envelope(person(1)))
    path = (await at.hook(envelope(person(2)))).headers["Location"]
    for where in (path, CONNECTIONS):
        await at.get(where)
    await at.ready()
    await at.hook(envelope(person(3)))
    at.wire.script(add=own_id)
    at.clock.advance(6)
    await at.until(path, status="succeeded")
    await at.get(path)


@scene()
async def a_connection_is_paused(at: Teller) -> None:
    where = f"{CONNECTIONS}/default"
    await at.get(CONNECTIONS)
    await at.post(f"{where}/pause")
    await at.post(f"{where}/pause", {"reason": "The store moves."})
    path = (await at.hook(envelope())).headers["Location"]
    for each in (path, CONNECTIONS):
        await at.get(each)
    await at.ready()
    wrong: tuple[Any, ...] = ({"reason": 1}, {"why": "x"}, [], {"reason": "x" * 201})
    for body in wrong:
        await at.post(f"{where}/pause", body)
    for key in (None, WEBHOOK_KEY):
        await at.post(f"{where}/pause", key=key)
    for action in ("pause", "resume"):
        await at.post(f"{CONNECTIONS}/nobody/{action}")
        await at.get(f"{where}/{action}")
    await at.post(f"{where}/resume")
    await at.until(path, status="succeeded")
    await at.post(f"{where}/resume")
    await at.get(path)


@scene()
async def keys(at: Teller) -> None:
    for key in (None, "nonsense", f"Basic {WEBHOOK_KEY}", OPERATOR_KEY, f"bearer  {WEBHOOK_KEY} "):
        await at.call("POST", WEBHOOK, envelope(), key)
    for key in (None, "nonsense", f"Token {OPERATOR_KEY}", WEBHOOK_KEY):
        await at.get(TRANSFERS, key=key)
    for path in (SYNC, SYNCS, "/syncs/1/cancel", AFRESH, "/transfers/1/retry", "/transfers/1/cancel"):
        await at.post(path, b"{", key=WEBHOOK_KEY)
    for path in ("/syncs/1", "/transfers/1", "/rejections", "/transfers?limit=x"):
        await at.get(path, key=None)


@scene()
async def bodies_that_are_not_read(at: Teller) -> None:
    broken = (b"", b"{", b"\xff", b'{"id": NaN}', b'{"id": [1e999]}', b'{"id": -Infinity}', b'{"id": "\\ud800"}')
    for body in broken:
        await at.hook(body)
    await at.hook(b'\xef\xbb\xbf{"id": 1}')
    await at.hook(b" " * 1_048_577)
    for media_type in ("text/plain", "application/xml; charset=utf-8", "json", ""):
        await at.hook(b"{}", Content_Type=media_type)
    await at.hook(b"{}", Content_Encoding="gzip")
    for path in (SYNC, SYNCS, AFRESH):
        await at.post(path, b"{")
        await at.post(path, b"{}", Content_Type="text/plain")
        await at.post(path, b"{}", Content_Encoding="br")
        await at.post(path, b"1" * 1_048_577)
        await at.post(path, Content_Type="text/plain")
    await at.get("/rejections")


@scene()
async def operators_bodies_of_a_wrong_shape(at: Teller) -> None:
    wrong: tuple[Any, ...] = ([], {"id": []}, {"email_address": 7}, {"id": 2})
    for body in wrong:
        await at.post(SYNC, body)
    wrong = (None, "1", [], [None], [True, 1.5, {}, " ", ".", "x" * 101], list(range(1, 3002)))
    for ids in wrong:
        await at.post(SYNCS, {"customer_ids": ids})
    wrong = ([], "x", {}, {"customer_id": ["1"]})
    for body in wrong:
        await at.post(SYNCS, body)
    wrong = ([], {"status": "running"}, {"status": None}, {"error": "x"}, {"since": "x"}, {"dry_run": "x"})
    for body in wrong:
        await at.post(AFRESH, body)
    await at.post(AFRESH, {"status": 1, "dry": True, "dry_run": None, "limit": 5})
    await at.get(f"{TRANSFERS}?limit=200")


@scene()
async def what_the_router_answers(at: Teller) -> None:
    calls = (
        *(("GET", path) for path in (WEBHOOK, SYNC, SYNCS, "/syncs/1/cancel", "/transfers/1/retry")),
        *(("DELETE", path) for path in (TRANSFERS, "/transfers/1", AFRESH, "/syncs/1", "/errors", "/errors/x")),
        *(("POST", path) for path in ("/rejections", "/livez", "/readyz", "/startupz", TRANSFERS)),
        *(("GET", path) for path in ("/nothing", "/webhooks", "/livez/", "/transfers/", "/customers//sync")),
        *(("HEAD", path) for path in ("/livez", "/readyz", "/startupz", TRANSFERS, "/errors")),
        *(("PUT", WEBHOOK), ("OPTIONS", WEBHOOK), ("POST", f"{WEBHOOK}/")),
    )
    for method, path in calls:
        await at.call(method, path)


@scene(started=False)
async def before_the_start(at: Teller) -> None:
    for path in ("/livez", "/startupz", "/readyz"):
        await at.get(path, key=None)
    await at.call("HEAD", "/readyz", key=None)
    await at.hook(envelope())
    await at.hook(envelope(), "nonsense")
    await at.hook({"notifications": 1})
    await at.post(SYNC, RECORD)
    await at.post(SYNCS, {"customer_ids": [1]})
    await at.post(AFRESH, {})
    for path in (TRANSFERS, f"{TRANSFERS}/{guid(1)}", f"/syncs/{guid(1)}", "/rejections"):
        await at.get(path)


@scene()
async def one_customer_by_hand(at: Teller) -> None:
    await at.post(SYNC)
    for path in ("/customers/%20/sync", f"/customers/{'x' * 101}/sync", "/customers/a%00b/sync"):
        await at.post(path)
        await at.post(path, {"email_address": EMAIL})
    done = await at.post(SYNC, RECORD)
    await at.get(f"/transfers/{done.json()['results'][0]['transfer_id']}")
    await at.post(SYNC, b"  \n")
    await at.post("/customers/1/sync", RECORD)
    await at.post("/customers/%201/sync", {"id": " 1 ", "email_address": "person1@example.com"}, Prefer="wait=9")
    at.wire.script(add=REFUSED)
    await at.post("/customers/2/sync", {"email_address": "person2@example.com"})
    at.wire.script(add=(gate := Gate()))
    going = await at.post("/customers/3/sync", {"email_address": "person3@example.com"}, Prefer="respond-async")
    gate.opened.set()
    await at.until(going.headers["Location"], status="succeeded")


@scene(**IPAAS, stamped_concurrent_connections=1)
async def syncs(at: Teller) -> None:
    at.wire.script(load=[reply(body=RECORD), reply(404, {"message": "NFND-1"})])
    await at.post(SYNCS, {"customer_ids": [1], "more": 1})
    where = (await at.post(SYNCS, {"customer_ids": ["150713", 2, "150713"]})).headers["Location"]
    await at.until(where, remaining=0)
    await at.get(where)
    await at.get(f"{TRANSFERS}?sync_id={where.removeprefix('/syncs/')}&status=failed")
    await at.post(f"{where}/cancel")
    at.wire.script(load=(gate := Gate()))
    where = (await at.post(SYNCS, {"customer_ids": [4, 5, 6]})).headers["Location"]
    await gate.reached.wait()
    await at.get(where)
    for _ in range(2):
        await at.post(f"{where}/cancel")
    gate.opened.set()
    await at.until(where, remaining=0)
    for path in ("/syncs/nobody", f"/syncs/{guid(1)}", f"/syncs/{ZEROS}", "/syncs/a%00b"):
        await at.get(path)
        await at.post(f"{path}/cancel")


@scene()
async def lists(at: Teller) -> None:
    at.wire.script(add=[REFUSED, own_id])
    await at.hook(envelope(person(1)))
    at.clock.advance(60)
    await at.hook(envelope(*(person(number) for number in (2, 3, 4))))
    await at.hook(envelope(person(1, tracking_guid=guid(11), scope="customer/deleted", customer=...)))
    await at.get(TRANSFERS)
    page = await at.get(f"{TRANSFERS}?limit=2")
    while page.json()["next"]:
        page = await at.get(f"{TRANSFERS}?limit=2&cursor={page.json()['next']}")
    for query in (
        *(f"status={status}" for status in ("failed", "skipped", "running", "accepted", "failed&status=skipped")),
        *("customer_id=1&limit=1", "customer_id=%203%20", "error=customer-create-or-update-failed"),
        *("error=customer-not-loaded", "error=not-found", f"tracking_guid={guid(3)}", "tracking_guid=x"),
        *("since=2026-11-24T10:00:30Z&limit=1", "since=2026-11-24T12:00:30%2B02:00&limit=1", "since=2027-01-01"),
        *(
            "since=1763978460&status=failed",
            "sync_id=nobody",
            f"sync_id={guid(1)}",
            "cursor=0",
            "limit=9&cursor=2",
        ),
        "status=&customer_id=&error=&since=&tracking_guid=&sync_id=&limit=&cursor=&other=",
        *("status=lost", "status=Failed", "error=x", "since=x", "limit=0", "limit=201", "limit=x", "limit=1.5"),
        *("cursor=x", "cursor=-1", "cursor=4611686018427387905", f"customer_id={'x' * 101}", "customer_id=.."),
        *("customer_id=%00", "tracking_guid=a%00", "sync_id=%20", "other=1", "STATUS=failed&limit=0&a/b~c=1"),
    ):
        await at.get(f"{TRANSFERS}?{query}")
    for number in ("nobody", "1", guid(1), ZEROS, "a%00b"):
        await at.get(f"{TRANSFERS}/{number}")
        for what in ("retry", "cancel"):
            await at.post(f"{TRANSFERS}/{number}/{what}")


@scene()
async def runs_again(at: Teller) -> None:
    at.wire.script(add=REFUSED)
    paths = [(await at.hook(envelope(person(number)))).json()["instance"] for number in (1, 2, 3)]
    await at.post(f"{paths[0]}/retry")
    await at.post(f"{paths[0]}/cancel")
    at.clock.advance(60)
    wanted = {"status": "failed", "error": "customer-create-or-update-failed"}
    await at.post(AFRESH, wanted | {"dry_run": True})
    await at.post(AFRESH, {"since": "2026-11-24T10:00:30", "dry_run": "yes"})
    await at.post(AFRESH, {"error": None, "since": None, "dry_run": 1})
    at.wire.script(add=own_id)
    await at.post(f"{paths[0]}/retry", Prefer="wait=10")
    await at.get(paths[0])
    for body in (wanted, {}):
        where = (await at.post(AFRESH, body)).headers["Location"]
        await at.until(where, remaining=0)
        await at.get(where)
    await at.get(f"{TRANSFERS}?status=succeeded")


@scene()
async def rejections(at: Teller) -> None:
    await at.get("/rejections")
    await at.hook(b"{")
    at.clock.advance(1.5)
    await at.hook({"notifications": [{}, {"scope": "customer/created"}]})
    await at.hook(envelope(), "nonsense")
    await at.hook(envelope(), OPERATOR_KEY)
    await at.hook(b"{}", Content_Type="text/plain")
    await at.hook({"notifications": [{"scope": index} for index in range(30)]})
    await at.get("/rejections?limit=1")


@scene()
async def what_breaks_inside(at: Teller) -> None:
    for name in ("triggers.accept", "reports.listed", "reports.sync_counts", "reports.by_id"):
        with patch(f"app.ledger.{name}", side_effect=RuntimeError(EMAIL)):
            await at.hook(envelope())
            for path in (TRANSFERS, f"/syncs/{guid(1)}", f"/transfers/{guid(1)}"):
                await at.get(path)


@scene()
async def health(at: Teller) -> None:
    for path in ("/livez", "/startupz", "/readyz"):
        await at.get(path, key=None)


@scene()
async def the_catalogue(at: Teller) -> None:
    every = await at.get("/errors", key=None)
    for slug in (*(each["slug"] for each in every.json()["errors"]), "nope", "Not-Found"):
        await at.get(f"/errors/{slug}", key=None, Accept="application/json")


@scene()
async def groups_of_failures(at: Teller) -> None:
    at.wire.script(add=[REFUSED, reply(400, {"message": "Customer 7 is not valid."})])
    await at.hook(envelope(person(1)))
    at.clock.advance(60)
    for number in (2, 3):
        await at.hook(envelope(person(number)))
    for key in (None, WEBHOOK_KEY):
        await at.get(GROUPS, key=key)
    await at.get(GROUPS)
    for method in ("HEAD", "POST", "DELETE"):
        await at.call(method, GROUPS)
    for query in (
        *("since=2026-11-24T10:00:30Z", "until=2026-11-24T10:00:30", "connection=nowhere", "stamped_status=400"),
        *("since=&until=&connection=&group=", "status=failed", "since=x&until=1&group=x&stamped_status=99"),
    ):
        await at.get(f"{GROUPS}?{query}")
    wanted = {"stamped_status": 400, "until": "2026-11-24T10:00:30", "customer_id": 1, "dry_run": True}
    await at.post(AFRESH, wanted)
    await at.post(AFRESH, {"stamped_status": "400", "group": "", "connection": [], "tracking_guid": guid(1)})
    await at.get(f"{TRANSFERS}?stamped_status=400&until=2026-11-24T10:00:30")
    await at.get(f"{TRANSFERS}?email_hash=x&group=x&stamped_status=x&until=x")


def recorded() -> dict[str, str]:
    """The answers in the file, by scene."""
    parts = re.split(rf"^{_HEADLINE}(.+)\n\n", FILE.read_bytes().decode(), flags=re.MULTILINE)[1:]
    return {name: text.removesuffix("\n\n") for name, text in zip(parts[::2], parts[1::2], strict=True)}


def main() -> None:
    """Write the file."""
    parts = []
    for each in SCENES:
        with TemporaryDirectory() as directory:
            parts.append(f"{_HEADLINE}{each.name}\n\n{asyncio.run(each.answers(Path(directory)))}\n\n")
    FILE.write_bytes("".join(parts).encode())


if __name__ == "__main__":
    main()
