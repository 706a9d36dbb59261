"""What browsers see where programs get JSON: problems and the catalogue of errors."""

from __future__ import annotations

import html
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import httpx
import pytest
from fastapi import FastAPI
from playwright.sync_api import Browser as Chromium
from playwright.sync_api import expect

from app.api.problems import Fault, ProblemError, Refusal, install_problem_handlers
from app.connections import Connections
from app.engine import NotTaking
from app.error_catalog import CATALOG, Slug
from app.monitoring import Browser, Pages, Sessions
from tests.conftest import BridgeFactory
from tests.monitoring.conftest import Product, Visit
from tests.monitoring.support import HTML, open_pages, signed_in
from tests.monitoring.test_accessibility import DESK, PHONE, violations
from tests.monitoring.test_forms import CSP
from tests.support import OPERATOR_KEY, WEBHOOK, FakeClock, Wire, keyring, make_connection

PROGRAMS = ["application/json", "*/*", "", "application/problem+json"]
PROBLEMS = [
    ("/nope", 404, Slug.NOT_FOUND, {}),
    ("/errors/nope", 404, Slug.NOT_FOUND, {}),
    (WEBHOOK, 405, Slug.METHOD_NOT_ALLOWED, {"Allow": "POST"}),
    ("/transfers", 401, Slug.UNAUTHORIZED, {"WWW-Authenticate": "Bearer"}),
]
FAULTS = [
    ("/broken", 500, Slug.INTERNAL_ERROR, {}),
    ("/busy", 503, Slug.SERVICE_UNAVAILABLE, {"Retry-After": "10"}),
    ("/odd", 422, Slug.INVALID_REQUEST, {"X-Own": "yes"}),
]
PLACES = {"/errors": 200, "/errors/unauthorized": 200, "/nope": 404, "/errors/nope": 404, "/transfers": 401}
STRICT = {
    "Content-Security-Policy": CSP,
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Vary": "Accept",
}
LOADING = "Failed to load resource: the server responded with a status of"


@asynccontextmanager
async def faulty() -> AsyncIterator[httpx.AsyncClient]:
    """An application whose calls go wrong in every way."""
    app = FastAPI(docs_url=None, redoc_url=None)
    connection = make_connection(Wire())
    connections = Connections(connection.settings, connection.redactor, lambda *_: connection)
    pages = Pages(Sessions(keyring(OPERATOR_KEY), FakeClock()), connections, sandbox=False)
    install_problem_handlers(app, lambda _request, _error: None, Browser(pages).problem)

    @app.get("/broken")
    async def broken() -> None:
        message = "Vq7 secret"
        raise RuntimeError(message)

    @app.get("/busy")
    async def busy() -> None:
        raise NotTaking

    @app.get("/odd")
    async def odd() -> None:
        errors = [Fault(pointer="/limit", detail="Not <b>this</b>."), Fault(pointer="", detail="Nor that.")]
        refusal = Refusal("Odd.", Slug.INVALID_REQUEST, 422, "See `errors`.", sends={"X-Own": "yes"})
        raise ProblemError(refusal, errors=errors)

    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://bridge.test") as client:
        yield client


def check_page(answer: httpx.Response, status: int, slug: Slug, headers: dict[str, str]) -> None:
    """Says what is wrong and what to do, and leads on."""
    entry = CATALOG[slug]
    assert answer.status_code == status
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    read = " ".join(html.unescape(re.sub(r"</?code>", "`", answer.text)).split())
    for part in (
        f"<h1>{entry.title}</h1>",
        entry.sentence,
        entry.description,
        entry.resolution,
        f"status {status}",
    ):
        assert part in read
    for target in ("/", "/errors", slug.type):
        assert f'href="{target}"' in answer.text
    assert {name: answer.headers.get(name) for name in (STRICT | headers)} == STRICT | headers
    assert not re.search(r"<script(?![^>]* src=)|<style| style=", answer.text)


@pytest.mark.parametrize(("path", "status", "slug", "headers"), PROBLEMS)
async def test_a_browser_is_told_in_a_page(
    bridge: BridgeFactory, path: str, status: int, slug: Slug, headers: dict[str, str]
) -> None:
    async with open_pages(bridge) as pages:
        check_page(await pages.get(path, Authorization=""), status, slug, headers)


@pytest.mark.parametrize(("path", "status", "slug", "headers"), FAULTS)
async def test_also_of_what_goes_wrong_inside(path: str, status: int, slug: Slug, headers: dict[str, str]) -> None:
    async with faulty() as client:
        answer = await client.get(path, headers=HTML)
    check_page(answer, status, slug, headers)
    assert "Vq7" not in answer.text
    if path == "/odd":
        assert "<code>/limit</code> Not &lt;b&gt;this&lt;/b&gt;." in answer.text
        assert "Nor that." in answer.text


@pytest.mark.parametrize("accept", PROGRAMS)
async def test_programs_get_the_problem_itself(bridge: BridgeFactory, accept: str) -> None:
    headers = {"Accept": accept, "Authorization": ""}
    async with bridge() as client, faulty() as other:
        for each, problems in ((client, PROBLEMS), (other, FAULTS)):
            for path, status, slug, own in problems:
                answer = await each.get(path, headers=headers)
                assert (answer.status_code, answer.json()["type"]) == (status, slug.type)
                assert answer.headers["Content-Type"] == "application/problem+json"
                assert {name: answer.headers.get(name) for name in own} == own
                assert (answer.headers["Vary"], answer.headers["Cache-Control"]) == ("Accept", "no-store")
        del client.headers["Accept"]
        assert (await client.get("/nope")).json()["status"] == 404


async def test_what_is_sent_is_answered_to_a_program(bridge: BridgeFactory) -> None:
    async with bridge() as client:
        answer = await client.post("/nope", headers=HTML)
    assert answer.json()["type"] == Slug.NOT_FOUND.type
    assert "Vary" not in answer.headers


async def test_whoever_opens_a_call_is_led_to_its_page(bridge: BridgeFactory) -> None:
    async with signed_in(bridge) as pages:
        schema = (await pages.get("/openapi.json")).json()
        calls = [path for path, item in schema["paths"].items() if item.get("get", {}).get("security")]
        assert len(calls) >= 4
        for call in calls:
            path = re.sub(r"{\w+}", "unknown", call)
            answer = await pages.get(path, Authorization="")
            assert answer.status_code == 401
            assert f'<a href="/monitoring{path}">/monitoring{path}</a>' in answer.text
            assert "no such page" not in (await pages.get(f"/monitoring{path}")).text
        answer = await pages.get('/transfers/"><script>', Authorization="")
        assert 'href="/monitoring/transfers/%22%3E%3Cscript%3E"' in answer.text


@pytest.mark.parametrize("path", [*PLACES, "/docs"])
async def test_whoever_is_signed_in_keeps_the_navigation(bridge: BridgeFactory, path: str) -> None:
    async with open_pages(bridge) as pages:
        assert "Sign out" not in (await pages.get(path, Authorization="")).text
        await pages.sign_in()
        answer = await pages.get(path, Authorization="")
        assert 'href="/monitoring/syncs"' in answer.text
        token = re.search(r'name="form_token" value="([^"]+)"', answer.text)
        assert token
        await pages.client.post("/logout", data={"form_token": token[1]}, headers=HTML)
        assert "Sign out" not in (await pages.get(path, Authorization="")).text


@pytest.mark.parametrize("path", ["/errors", "/errors/unauthorized"])
async def test_the_catalogue_has_strict_headers_too(bridge: BridgeFactory, path: str) -> None:
    async with bridge() as client:
        for answer in (await client.get(path, headers=HTML), await client.head(path, headers=HTML)):
            assert {name: answer.headers.get(name) for name in STRICT} == STRICT
            assert answer.status_code == 200


@pytest.fixture
def opened(visitor: Visit, path: str) -> Iterator[Visit]:
    """The browser itself notes a status of 4xx; nothing else may be wrong."""
    visitor.go(path)
    assert [fault for fault in visitor.faults if not fault.startswith(f"{LOADING} {PLACES[path]}")] == []
    assert bool(visitor.faults) is (PLACES[path] >= 400)
    visitor.faults.clear()
    yield visitor
    assert visitor.faults == []


@pytest.mark.parametrize("path", PLACES)
def test_axe_finds_nothing(opened: Visit) -> None:
    for size in (PHONE, DESK):
        assert violations(opened.page, size) == []
        assert opened.page.evaluate("document.documentElement.scrollWidth") <= size["width"]


@pytest.mark.parametrize("path", PLACES)
def test_each_page_has_a_way_back(opened: Visit, path: str) -> None:
    page = opened.page
    if path != "/errors":
        page.get_by_role("link", name="All documented errors").click()
        expect(page.get_by_role("heading", level=1, name="Documented errors")).to_be_visible()
    page.get_by_role("link", name="To the start page").click()
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    page.go_back()
    page.get_by_role("banner").get_by_role("link", name="Stamped.io").click()
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()


def test_the_pages_are_dark_in_the_dark_and_need_no_script(product: Product, browser: Chromium) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = Visit(product, context).go("/errors")
    grounds = set()
    for path in ("/errors", "/nope", "/login"):
        page.goto(product.url + path)
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            grounds.add((scheme, page.locator("body").evaluate("e => getComputedStyle(e).backgroundColor")))
    context.close()
    assert len(grounds) == 2


def test_a_head_has_no_body(product: Product) -> None:
    for path, status in (PLACES | {"/docs": 200, "/transfers": 405}).items():
        answer = product.client.head(path, headers=HTML)
        assert (answer.status_code, answer.content) == (status, b"")
        assert answer.headers["Content-Type"].startswith("text/html")
