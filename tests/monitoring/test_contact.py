"""A page whose service is gone says so, and since when; it goes on by itself when the service is back."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from tools.screenshots import sign_in

SILENT_MS = 11_000
START_SECONDS = 20
LIVE = "/monitoring/transfers"


class Service:
    """A process of its own, which can be started again on the same port and database."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        named = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME"}}
        given = {"DATABASE_URL": f"sqlite:///{self._folder}/bridge.db", "LOG_LEVEL": "ERROR"}
        self._process = subprocess.Popen(  # noqa: S603 - our own
            [Path(sys.executable).with_name("ipaas-stamped"), "serve", "--port", str(self.port)],
            cwd=self._folder,
            env=named | given,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            with suppress(httpx.TransportError):
                if httpx.get(f"{self.url}/readyz", trust_env=False).is_success:
                    return
        pytest.fail("The service did not start.")

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(START_SECONDS)


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    service = Service(tmp_path)
    service.start()
    yield service
    service.stop()


@contextmanager
def page_of(browser: Browser, service: Service, path: str) -> Iterator[Page]:
    """Its clock is ours: only what the service does takes time."""
    context = browser.new_context()
    page = context.new_page()
    sign_in(page, service.url)
    page.clock.install()
    page.goto(service.url + path)
    yield page
    context.close()


def test_a_page_says_since_when_its_service_is_gone_until_it_is_back(browser: Browser, service: Service) -> None:
    with page_of(browser, service, LIVE) as live, page_of(browser, service, "/monitoring/settings") as still:
        for page in (live, still):
            page.clock.run_for(SILENT_MS)
            expect(page.get_by_role("alert")).to_have_count(0)
        expect(live.get_by_text("Newest first, live")).to_be_visible()
        service.stop()
        for page in (live, still):
            page.clock.run_for(SILENT_MS)
            expect(page.get_by_role("alert")).to_contain_text("No contact with the service since 20")
        expect(live.get_by_text("Newest first, live")).to_be_hidden()
        service.start()
        for page in (live, still):
            page.clock.run_for(SILENT_MS)
            expect(page.get_by_role("alert")).to_have_count(0)
        expect(live.get_by_text("Newest first, live")).to_be_visible()
