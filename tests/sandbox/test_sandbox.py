"""The stand-in answers like Stamped.io's V2 API, and fails exactly as told."""

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
import pytest_asyncio
import uvicorn
from fastapi import FastAPI

from app.sandbox import SANDBOX_PRIVATE_KEY, SANDBOX_PUBLIC_KEY, SANDBOX_STORE_HASH, create_sandbox

pytestmark = pytest.mark.asyncio

V2 = f"/api/v2/{SANDBOX_STORE_HASH}"
CUSTOMERS = f"{V2}/dashboard/customers"
ADD = f"{CUSTOMERS}/add"
ADA = {"email": "ada@example.com", "firstName": "Ada", "lastName": "Lovelace", "externalId": "C-1"}
AUTH = (SANDBOX_PUBLIC_KEY, SANDBOX_PRIVATE_KEY)


def client_of(app: FastAPI, prefix: str = "") -> httpx.AsyncClient:
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app),
        base_url=f"http://sandbox{prefix}",
        auth=AUTH,
        follow_redirects=False,
    )


@pytest_asyncio.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(create_sandbox()) as client:
        yield client


async def add(client: httpx.AsyncClient, **fields: Any) -> dict[str, Any]:
    answer = await client.post(ADD, json=ADA | fields)
    assert answer.status_code == 200, answer.text
    customer: dict[str, Any] = answer.json()
    return customer


async def fault(client: httpx.AsyncClient, **fields: Any) -> None:
    answer = await client.post("/_sandbox/faults", json=fields)
    assert answer.status_code == 201, answer.text


async def test_add_creates_a_customer(client: httpx.AsyncClient) -> None:
    customer = await add(client, unknown="ignored", externalId=17)
    assert customer | {"dateCreated": "", "dateUpdated": ""} == {
        "id": 143491,
        "email": "ada@example.com",
        "firstName": "Ada",
        "lastName": "Lovelace",
        "name": "Ada Lovelace",
        "externalId": "17",
        "tags": None,
        "country": None,
        "notes": None,
        "isSubscribed": False,
        "isConfirmed": False,
        "points": 0,
        "dateCreated": "",
        "dateUpdated": "",
    }
    assert "Z" not in customer["dateCreated"]
    assert "+" not in customer["dateCreated"]


async def test_add_of_a_known_email_updates_ignoring_case(client: httpx.AsyncClient) -> None:
    first = await add(client)
    again = await client.post(ADD, json={"email": "ADA@example.com", "lastName": "King"})
    assert again.json()["id"] == first["id"]
    assert again.json()["name"] == "Ada King"
    assert len((await client.get("/_sandbox/customers")).json()) == 1


async def test_update_keeps_what_is_absent_and_is_readable(client: httpx.AsyncClient) -> None:
    customer = await add(client)
    path = f"{CUSTOMERS}/{customer['id']}"
    updated = await client.post(path, json={"email": "countess@example.com", "lastName": None})
    assert updated.json()["firstName"] == "Ada"
    assert updated.json()["lastName"] is None
    assert (await client.get(path)).json() == updated.json()
    assert (await add(client))["id"] != customer["id"]


async def test_update_to_anothers_email_conflicts(client: httpx.AsyncClient) -> None:
    customer = await add(client)
    await add(client, email="bob@example.com")
    answer = await client.post(f"{CUSTOMERS}/{customer['id']}", json={"email": "BOB@example.com"})
    assert answer.status_code == 409


async def test_search_matches_email_and_name(client: httpx.AsyncClient) -> None:
    ada = await add(client)
    bob = await add(client, email="bob@example.com", firstName="Bob")
    found = (await client.get(CUSTOMERS, params={"search": "BOB"})).json()
    assert found == {"results": [{"customer": bob}], "total": 1}
    found = (await client.get(CUSTOMERS, params={"search": "lovelace"})).json()
    assert [result["customer"]["id"] for result in found["results"]] == [ada["id"], bob["id"]]
    assert (await client.get(CUSTOMERS)).json()["total"] == 2


@pytest.mark.parametrize("place", ["json", "params"])
async def test_subscribe_and_unsubscribe_by_email(client: httpx.AsyncClient, place: str) -> None:
    customer = await add(client)
    for operation, subscribed in (("subscribe", True), ("subscribe", True), ("unsubscribe", False)):
        sent: dict[str, Any] = {place: {"email": "Ada@Example.com"}}
        answer = await client.post(f"{V2}/survey/{operation}", **sent)
        assert answer.json()["isSubscribed"] is subscribed
        assert (await client.get(f"{CUSTOMERS}/{customer['id']}")).json()["isSubscribed"] is subscribed


@pytest.mark.parametrize(
    ("path", "content", "status", "message"),
    [
        ("/api/v2/other/dashboard/customers/add", "{}", 404, "Store not found."),
        (f"{CUSTOMERS}/143491", None, 404, "Customer not found."),
        (f"{CUSTOMERS}/{'9' * 5000}", None, 404, "Customer not found."),
        (f"{CUSTOMERS}/x", None, 404, "Customer not found."),
        (f"{CUSTOMERS}/1", "{}", 404, "Customer not found."),
        (ADD, "", 400, "The body is not a JSON object."),
        (ADD, "[]", 400, "The body is not a JSON object."),
        (ADD, "[" * 100_000, 400, "The body is not a JSON object."),
        (ADD, b"\xff", 400, "The body is not a JSON object."),
        (ADD, "{}", 400, "Email is not valid."),
        (ADD, '{"email": null}', 400, "Email is not valid."),
        (ADD, '{"email": "nobody"}', 400, "Email is not valid."),
        (ADD, '{"email": "a@example.com\\n"}', 400, "Email is not valid."),
        (ADD, '{"email": "a\\ud800@example.com"}', 400, "Email is not valid."),
        (ADD, '{"email": "a@example.com", "notes": "\\ud800"}', 400, "Notes is not valid."),
        (ADD, '{"email": "a@example.com", "firstName": []}', 400, "FirstName is not valid."),
        (f"{V2}/survey/subscribe", '{"email": "a@example.com"}', 404, "Customer not found."),
        (f"{V2}/survey/unsubscribe", "", 400, "Email is not valid."),
    ],
)
async def test_refusals(
    client: httpx.AsyncClient, path: str, content: str | bytes | None, status: int, message: str
) -> None:
    answer = await client.request("GET" if content is None else "POST", path, content=content)
    assert (answer.status_code, answer.json()) == (status, {"message": message})
    assert (await client.get("/_sandbox/customers")).json() == []
    assert (await client.get("/_sandbox/calls")).json()[-1]["status"] == status


@pytest.mark.parametrize("header", [None, "Basic", "Basic !", "Bearer key-sandbox", "Basic a2V5OmtleQ=="])
async def test_wrong_keys(client: httpx.AsyncClient, header: str | None) -> None:
    def authorize(request: httpx.Request) -> httpx.Request:
        if header is not None:
            request.headers["Authorization"] = header
        return request

    answer = await client.post(ADD, json=ADA, auth=authorize)
    assert answer.status_code == 401
    assert answer.json() == {"message": "The API key you supplied is not valid."}


async def test_own_keys_and_store() -> None:
    async with client_of(create_sandbox(public_key="p", private_key="k", store_hash="s")) as client:
        assert (await client.get("/api/v2/s/dashboard/customers")).status_code == 401
        client.auth = httpx.BasicAuth("p", "k")
        assert (await client.get("/api/v2/s/dashboard/customers")).status_code == 200


@pytest.mark.parametrize(
    ("style", "body"),
    [
        ("nested", '{"customer":{"id":143491,'),
        ("data", '{"data":{"id":143491,'),
        ("result", '{"result":{"id":143491,'),
        ("list", '[{"id":143491,'),
        ("text_id", '{"id":"143491",'),
        ("null_subscribed", '{"id":143491,'),
        ("no_id", "{}"),
        ("empty", ""),
        ("null", "null"),
        ("true", "true"),
        ("text", "OK"),
    ],
)
async def test_styles(client: httpx.AsyncClient, style: str, body: str) -> None:
    assert (await client.put("/_sandbox/style", json={"style": style})).json() == {"style": style}
    answer = await client.post(ADD, json=ADA)
    assert answer.status_code == 200
    assert answer.text.startswith(body)
    assert answer.text == body or body.endswith(",")
    assert "ada@example.com" in (await client.get(f"{CUSTOMERS}/143491")).text
    assert "ada@example.com" in (await client.get(CUSTOMERS)).text
    subscribed = await client.post(f"{V2}/survey/subscribe", json={"email": "ada@example.com"})
    assert style == "no_id" or subscribed.text.startswith(body)


@pytest.mark.parametrize(("style", "kept"), [("no_subscribed", False), ("null_subscribed", True)])
async def test_subscription_can_be_unknown(client: httpx.AsyncClient, style: str, *, kept: bool) -> None:
    await client.put("/_sandbox/style", json={"style": style})
    customer = await add(client)
    found = (await client.get(CUSTOMERS)).json()["results"][0]["customer"]
    for answer in (customer, found, (await client.get(f"{CUSTOMERS}/143491")).json()):
        assert ("isSubscribed" in answer) is kept
        assert answer.get("isSubscribed") is None


async def test_a_status_fault_meets_its_calls_and_is_used_up(client: httpx.AsyncClient) -> None:
    await fault(client, operation="add", email="ADA@example.com", status=429, message="Slow.", retry_after="2")
    assert (await client.get(CUSTOMERS)).status_code == 200
    await add(client, email="bob@example.com")
    answer = await client.post(ADD, json=ADA)
    assert (answer.status_code, answer.json()) == (429, {"message": "Slow."})
    assert answer.headers["Retry-After"] == "2"
    assert (await client.get("/_sandbox/faults")).json() == []
    await add(client)


async def test_a_fault_by_email_meets_calls_by_id(client: httpx.AsyncClient) -> None:
    customer = await add(client)
    await fault(client, email="ada@example.com", status=500, times=None)
    path = f"{CUSTOMERS}/{customer['id']}"
    assert (await client.get(path)).status_code == 500
    assert (await client.post(path, json={"notes": "x"})).status_code == 500
    assert (await client.get(CUSTOMERS, params={"search": "ada@example.com"})).status_code == 500
    assert (await client.post(f"{V2}/survey/subscribe?email=ada@example.com")).status_code == 500
    assert (await client.delete("/_sandbox/faults")).status_code == 204
    assert (await client.get(path)).json() == customer


async def test_after_answers_the_fault_once_the_call_took_effect(client: httpx.AsyncClient) -> None:
    await fault(client, status=503)
    await fault(client, status=503, after=True)
    assert (await client.post(ADD, json=ADA)).status_code == 503
    assert (await client.get("/_sandbox/customers")).json() == []
    assert (await client.post(ADD, json=ADA)).status_code == 503
    assert len((await client.get("/_sandbox/customers")).json()) == 1


async def test_other_kinds_of_faults(client: httpx.AsyncClient) -> None:
    for kind in ("nonsense", "in_body", "truncated", "redirect", "huge"):
        await fault(client, kind=kind, status=422, message="No.")
    answers = [await client.post(ADD, json=ADA) for _ in range(5)]
    nonsense, in_body, truncated, redirect, huge = answers
    assert [answer.status_code for answer in answers] == [200, 200, 200, 302, 200]
    assert nonsense.headers["Content-Type"].startswith("text/html")
    assert in_body.json() == {"httpStatusCode": 422, "message": "No."}
    with pytest.raises(ValueError, match="Unterminated"):
        truncated.json()
    assert redirect.headers["Location"] == "/"
    assert len(huge.content) > 1024 * 1024
    assert huge.json()


@pytest.mark.parametrize("after", [False, True])
async def test_a_delay_alone_ends_in_the_normal_answer(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, *, after: bool
) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    await fault(client, delay_seconds=30, after=after)
    monkeypatch.setattr(asyncio, "sleep", sleep)
    assert (await add(client))["email"] == "ada@example.com"
    assert slept == [30]


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"status": 200},
        {"status": 500, "kind": "fire"},
        {"status": 500, "operation": "delete"},
        {"status": 500, "times": 0},
        {"status": 500, "delay_seconds": -1},
        {"status": 500, "retry_after": "2\r\nX: y"},
        {"status": 500, "unknown": 1},
    ],
)
async def test_faults_are_validated(client: httpx.AsyncClient, wrong: dict[str, Any]) -> None:
    assert (await client.post("/_sandbox/faults", json=wrong)).status_code == 422
    assert (await client.get("/_sandbox/faults")).json() == []


async def test_seeding_and_reset(client: httpx.AsyncClient) -> None:
    seeded = await client.post("/_sandbox/customers", json=ADA | {"isSubscribed": True, "points": 7})
    assert seeded.status_code == 201
    assert (await client.get(f"{CUSTOMERS}/{seeded.json()['id']}")).json() == seeded.json()
    assert seeded.json()["isSubscribed"] is True
    assert (await client.post("/_sandbox/customers", json={"email": "x"})).status_code == 422
    assert (await client.put("/_sandbox/style", json={"style": "x"})).status_code == 422
    await client.put("/_sandbox/style", json={"style": "list"})
    await fault(client, status=500)
    assert (await client.post("/_sandbox/reset")).status_code == 204
    for what in ("customers", "calls", "faults"):
        assert (await client.get(f"/_sandbox/{what}")).json() == []
    assert (await add(client))["id"] == seeded.json()["id"]


async def test_calls_are_logged_without_keys(client: httpx.AsyncClient) -> None:
    await add(client)
    await client.get(CUSTOMERS, params={"search": "ada"})
    await client.post(f"{V2}/survey/subscribe", params={"email": "ada@example.com"})
    calls = await client.get("/_sandbox/calls")
    assert calls.json() == [
        {"method": "POST", "path": ADD, "operation": "add", "email": "ada@example.com", "status": 200},
        {"method": "GET", "path": CUSTOMERS, "operation": "search", "email": "ada", "status": 200},
        {
            "method": "POST",
            "path": f"{V2}/survey/subscribe",
            "operation": "subscribe",
            "email": "ada@example.com",
            "status": 200,
        },
    ]
    assert (await client.delete("/_sandbox/calls")).status_code == 204
    for _ in range(1001):
        await client.get(CUSTOMERS)
    calls = await client.get("/_sandbox/calls")
    assert len(calls.json()) == 1000
    assert SANDBOX_PRIVATE_KEY not in calls.text


async def test_page_escapes_what_it_shows(client: httpx.AsyncClient) -> None:
    assert "None yet." in (await client.get("/")).text
    await add(client, firstName="<script>alert(1)</script>")
    await fault(client, status=500, message="<img src=x>")
    page = await client.get("/")
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "not subscribed" in page.text
    assert "&lt;img" in page.text
    assert "<script" not in page.text
    assert 'href="/_sandbox/calls"' in page.text


async def test_mounted_under_a_prefix() -> None:
    outer = FastAPI()
    outer.mount("/sandbox", create_sandbox())
    async with client_of(outer, "/sandbox") as client:
        await add(client)
        await fault(client, kind="redirect")
        assert (await client.get(CUSTOMERS)).headers["Location"] == "/sandbox/"
        assert (await client.get("/_sandbox/calls")).json()[0]["path"] == ADD
        assert 'href="/sandbox/_sandbox/calls"' in (await client.get("/")).text


async def test_two_sandboxes_share_nothing(client: httpx.AsyncClient) -> None:
    await add(client)
    async with client_of(create_sandbox()) as other:
        assert (await other.get("/_sandbox/customers")).json() == []


@pytest.fixture(params=["h11", "httptools"])
def real_url(request: pytest.FixtureRequest) -> Iterator[str]:
    outer = FastAPI()
    outer.mount("/sandbox", create_sandbox())
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(outer, http=request.param, log_level="critical"))
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    for _ in range(500):
        if server.started:
            break
        thread.join(0.01)
    else:
        pytest.fail("uvicorn didn't start within 5 s")
    yield f"http://127.0.0.1:{listener.getsockname()[1]}/sandbox"
    server.should_exit = True
    thread.join(5)
    listener.close()


@pytest.mark.parametrize("after", [False, True])
async def test_drop_cuts_the_real_connection(real_url: str, *, after: bool) -> None:
    async with httpx.AsyncClient(base_url=real_url, auth=AUTH) as client:
        await fault(client, kind="drop", operation="add", after=after)
        with pytest.raises(httpx.RemoteProtocolError, match="without sending a response"):
            await client.post(ADD, json=ADA)
        assert len((await client.get("/_sandbox/customers")).json()) == int(after)
        assert (await client.get("/_sandbox/calls")).json()[0]["status"] is None
        assert "no answer" in (await client.get("/")).text
        await add(client)


async def test_drop_without_a_server_raises_a_connection_error(client: httpx.AsyncClient) -> None:
    await fault(client, kind="drop")
    with pytest.raises(ConnectionResetError):
        await client.post(ADD, json=ADA)
