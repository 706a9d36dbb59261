"""Makes docs/monitoring.png and docs/error.png from made-up data against the sandbox: `make screenshots`."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import uvicorn
from playwright.sync_api import expect, sync_playwright

from app.loading import load_settings
from app.main import SANDBOX_PATH, create_app
from app.sandbox import SANDBOX_PRIVATE_KEY, SANDBOX_PUBLIC_KEY, SANDBOX_STORE_HASH, create_sandbox
from tools.seed import Plan, fill

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Page

CHROMIUM = "/usr/bin/chromium"
CHROMIUM_ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
OPERATOR_KEY = "sandbox-operator-key"
_OWN_KEY = "key-of-the-pictures"
_PICTURES = Path(__file__).parent.parent / "docs"
_SIZE = (1200, 1180)


@contextmanager
def serving(database_url: str) -> Iterator[str]:
    """The product with the keys of a store, a stand-in under its own address, on a free port; its address.

    What is seeded is that store's: in sandbox mode each start would have a store of its own.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = load_settings(
        _env_file=None,
        stamped_api_url=f"http://127.0.0.1:{port}{SANDBOX_PATH}",
        stamped_api_public_key=SANDBOX_PUBLIC_KEY,
        stamped_api_private_key=SANDBOX_PRIVATE_KEY,
        stamped_api_store_hash=SANDBOX_STORE_HASH,
        ipaas_webhook_api_key=f"webhook-{_OWN_KEY}",
        operator_api_key=f"ada:{_OWN_KEY}",
        database_url=database_url,
        subscription_field="SubscribeProfile",
        log_level="ERROR",
    )
    app = create_app(settings)
    app.mount(SANDBOX_PATH, create_sandbox())
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_config=None, access_log=False, loop="asyncio"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started and thread.is_alive():
        time.sleep(0.02)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(10)


def sign_in(page: Page, url: str, key: str = OPERATOR_KEY) -> None:
    """As an operator does."""
    page.goto(f"{url}/login")
    page.get_by_label("Your key").fill(key)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Integration Monitoring")).to_be_visible()


def take(page: Page, url: str, directory: Path) -> None:
    """Both pictures."""
    sign_in(page, url, _OWN_KEY)
    page.screenshot(path=directory / "monitoring.png")
    page.goto(f"{url}/monitoring/transfers?status=failed&error=subscribe-or-unsubscribe-failed")
    page.locator("#transfers .cover").first.click()
    expect(page.get_by_role("button", name="Re-run")).to_be_visible()
    page.screenshot(path=directory / "error.png")


def main() -> None:
    """Seed, serve, and take the pictures."""
    for name in [name for name in os.environ if name.startswith(("STAMPED_", "IPAAS_", "OPERATOR_"))]:
        del os.environ[name]  # the pictures must not depend on whoever takes them
    with TemporaryDirectory(prefix="ipaas-stamped-pictures-") as folder:
        url = f"sqlite:///{folder}/pictures.db"
        asyncio.run(fill(url, Plan(count=9000, days=3, failed=0.012, now=time.time())))
        with serving(url) as address, sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(CHROMIUM_ARGUMENTS))
            page = browser.new_page(viewport={"width": _SIZE[0], "height": _SIZE[1]}, device_scale_factor=2)
            take(page, address, _PICTURES)
            browser.close()


if __name__ == "__main__":
    main()
