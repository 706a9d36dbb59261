"""The catalogue for callers and browsers."""

from __future__ import annotations

import html
import re

import httpx
import pytest

from app.error_catalog import CATALOG, Slug
from tests.conftest import Shared

pytestmark = pytest.mark.asyncio(loop_scope="module")

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
PROGRAMS = ["application/json", "*/*", "", "application/problem+json"]


async def get(shared: Shared, path: str, accept: str) -> httpx.Response:
    return await shared.client.get(path, headers={"Accept": accept, "Authorization": ""})


def text_of(answer: httpx.Response) -> str:
    """A page's text as a reader sees it; code is told by its look instead of backticks."""
    return " ".join(html.unescape(re.sub(r"</?code>", "`", answer.text)).split())


@pytest.mark.parametrize("accept", PROGRAMS)
async def test_the_list_for_programs(shared: Shared, accept: str) -> None:
    answer = await get(shared, "/errors", accept)
    assert answer.headers["Content-Type"] == "application/json"
    entries = answer.json()["errors"]
    assert [entry["slug"] for entry in entries] == [slug.value for slug in CATALOG]
    for entry in entries:
        known = CATALOG[Slug(entry["slug"])]
        assert entry["type"] == f"/errors/{entry['slug']}"
        members = ("title", "sentence", "message", "description", "resolution")
        assert [entry[member] for member in members] == [getattr(known, member) for member in members]


async def test_the_list_for_browsers(shared: Shared) -> None:
    answer = await get(shared, "/errors", BROWSER)
    assert answer.headers["Content-Type"].startswith("text/html")
    for entry in CATALOG.values():
        assert entry.title in text_of(answer)
        assert f'href="{entry.slug.type}"' in answer.text


@pytest.mark.parametrize("slug", Slug)
@pytest.mark.parametrize("accept", [BROWSER, "application/json"], ids=["browser", "program"])
async def test_every_type_answers_with_a_page_about_it(shared: Shared, slug: Slug, accept: str) -> None:
    answer = await get(shared, slug.type, accept)
    entry = CATALOG[slug]
    assert answer.status_code == 200
    text = text_of(answer) if accept == BROWSER else str(answer.json().values())
    for part in (entry.title, entry.message, entry.description, entry.resolution):
        assert part in text or repr(part) in text


@pytest.mark.parametrize("path", ["/errors", "/errors/unauthorized"])
@pytest.mark.parametrize("accept", [BROWSER, "application/json"], ids=["browser", "program"])
async def test_pages_may_not_do_anything(shared: Shared, path: str, accept: str) -> None:
    answer = await get(shared, path, accept)
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "Accept" in answer.headers["Vary"]
    assert "<script" not in answer.text
    assert "http://" not in answer.text


async def test_a_list_without_its_body(shared: Shared) -> None:
    for path in ("/errors", "/errors/unauthorized"):
        for accept, media_type in ((BROWSER, "text/html"), ("*/*", "application/json")):
            answer = await shared.client.head(path, headers={"Accept": accept})
            assert answer.status_code == 200
            assert answer.headers["Content-Type"].startswith(media_type)


@pytest.mark.parametrize("path", ["/errors/nothing", "/errors/%3Cscript%3E", "/errors/UNAUTHORIZED"])
@pytest.mark.parametrize("accept", [BROWSER, "application/json"], ids=["browser", "program"])
async def test_an_unknown_type_is_not_found(shared: Shared, path: str, accept: str) -> None:
    answer = await get(shared, path, accept)
    assert answer.status_code == 404
    if accept == BROWSER:
        assert 'href="/errors/not-found"' in answer.text
    else:
        assert answer.json()["type"] == "/errors/not-found"
    assert "<script>" not in answer.text
