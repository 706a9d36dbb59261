"""A real browser in front of the real product, which runs against its own sandbox."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from app.loading import load_settings
from app.main import SANDBOX_PATH, create_app
from tools.screenshots import CHROMIUM, CHROMIUM_ARGUMENTS, OPERATOR_KEY

WEBHOOK_KEY = "sandbox-webhook-key"
VIEWER_KEY = "sandbox-viewer-key"
_START_SECONDS = 20


@dataclass
class Product:
    """The product, iPaaS.com in front of it, and the sandbox's control API behind it."""

    url: str
    client: httpx.Client
    _number: int = field(default=200_000)

    def person(self, **fields: Any) -> dict[str, Any]:
        """A customer whom nobody else has."""
        self._number += 1
        usual = {
            "id": self._number,
            "customer_number": f"C-{self._number}",
            "first_name": "Annabell",
            "last_name": "Quisling",
            "email_address": f"annabell.{self._number}@example.com",
        }
        return usual | fields

    def webhook(self, *records: dict[str, Any]) -> httpx.Response:
        notifications = [{"id": each["id"], "scope": "customer/updated", "customer": each} for each in records]
        headers = {"Authorization": f"Bearer {WEBHOOK_KEY}"}
        return self.client.post("/webhooks/customers", json={"notifications": notifications}, headers=headers)

    def break_stamped(self, **fault: Any) -> None:
        """From now on the sandbox fails so."""
        usual = {"status": 401, "message": "The API key you supplied is not valid.", "times": None}
        self.client.post(f"{SANDBOX_PATH}/_sandbox/faults", json=usual | fault).raise_for_status()

    def mend_stamped(self) -> None:
        self.client.delete(f"{SANDBOX_PATH}/_sandbox/faults").raise_for_status()


class Visit:
    """A page that is being looked at; `faults` has what went wrong in the browser."""

    def __init__(self, product: Product, context: BrowserContext) -> None:
        self.product = product
        self.context = context
        self.page: Page = context.new_page()
        self.faults: list[str] = []
        self.page.set_default_timeout(10_000)
        self.page.on("console", lambda line: self._note(line.type, line.text))
        self.page.on("pageerror", lambda error: self._note("error", str(error)))
        self.page.on("requestfailed", lambda request: self._failed(request.url, request.failure))

    def go(self, path: str) -> Page:
        self.page.goto(self.product.url + path)
        return self.page

    def sign_in(self, key: str = OPERATOR_KEY) -> Page:
        self.go("/login")
        self.page.get_by_label("Your key").fill(key)
        self.page.get_by_role("button", name="Sign in").click()
        return self.page

    def see(self, text: str) -> None:
        expect(self.page.locator("main")).to_contain_text(text)

    def _note(self, kind: str, text: str) -> None:
        if kind in {"error", "warning"}:
            self.faults.append(text)

    def _failed(self, url: str, failure: str | None) -> None:
        if failure != "net::ERR_ABORTED":  # a page that was left while it asked for news
            self.faults.append(f"{url}: {failure}")


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """Served on a free port, over a fresh SQLite file."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = load_settings(
        _env_file=None,
        sandbox_url=f"http://127.0.0.1:{port}{SANDBOX_PATH}",
        database_url=f"sqlite:///{tmp_path_factory.mktemp('pages')}/bridge.db",
        subscription_field="SubscribeProfile",
        viewer_api_key=f"eve:{VIEWER_KEY}",
        log_level="ERROR",
    )
    config = uvicorn.Config(create_app(settings), port=port, log_config=None, access_log=False, ws="none")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    url = f"http://127.0.0.1:{port}"
    with httpx.Client(base_url=url, trust_env=False, timeout=30) as client:
        _wait_until_ready(client, thread)
        yield Product(url, client)
    server.should_exit = True
    thread.join(_START_SECONDS)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium; a machine without it fails these tests, as nothing else looks at the pages."""
    if not Path(CHROMIUM).exists():
        pytest.fail(f"The tests of the pages need Chromium at {CHROMIUM}: apt-get install chromium", pytrace=False)
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=list(CHROMIUM_ARGUMENTS))
        yield started
        started.close()


@pytest.fixture
def visitor(product: Product, browser: Browser) -> Iterator[Visit]:
    """Not signed in. Whatever the browser complains of fails the test."""
    product.mend_stamped()
    context = browser.new_context()
    visit = Visit(product, context)
    yield visit
    context.close()
    assert visit.faults == []


@pytest.fixture
def visit(visitor: Visit) -> Visit:
    """Signed in."""
    expect(visitor.sign_in().get_by_role("heading", name="Integration Monitoring")).to_be_visible()
    return visitor


def _wait_until_ready(client: httpx.Client, thread: threading.Thread) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and thread.is_alive():
        try:
            if client.get("/readyz").is_success:
                return
        except httpx.TransportError:
            continue
    pytest.fail("The product did not start.")
