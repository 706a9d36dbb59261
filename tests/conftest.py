"""Fixtures of all tests; the fakes themselves are in `support`."""

from __future__ import annotations

import logging
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import httpx
import hypothesis
import pytest
import pytest_asyncio
import structlog

from app.clock import Clock
from app.loading import names_of
from app.sandbox import create_sandbox
from app.settings import Settings
from tests.support import PRIVATE_KEY, PUBLIC_KEY, STORE, WEBHOOK, Wire, make_settings, migrate, open_bridge

hypothesis.settings.register_profile("bridge", deadline=None, max_examples=60, database=None)
hypothesis.settings.load_profile("bridge")


class BridgeFactory(Protocol):
    """Opens the product over a transport, with settings of its own."""

    def __call__(
        self,
        transport: httpx.AsyncBaseTransport | None = None,
        *,
        clock: Clock | None = None,
        started: bool = True,
        **overrides: Any,
    ) -> AbstractAsyncContextManager[httpx.AsyncClient]: ...


class Shared(NamedTuple):
    """One bridge for a whole module, for tests that leave nothing behind."""

    client: httpx.AsyncClient
    wire: Wire

    async def post(self, body: Any, **headers: str) -> httpx.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.client.post(WEBHOOK, json=body, headers=named)


class Sandbox(NamedTuple):
    """The stand-in's control API, and the way to it for the bridge."""

    control: httpx.AsyncClient
    transport: httpx.ASGITransport

    async def style(self, style: str) -> None:
        (await self.control.put("/style", json={"style": style})).raise_for_status()

    async def seed(self, **fields: Any) -> None:
        (await self.control.post("/customers", json=fields)).raise_for_status()

    async def fault(self, **fields: Any) -> None:
        (await self.control.post("/faults", json=fields)).raise_for_status()

    async def mend(self) -> None:
        (await self.control.delete("/faults")).raise_for_status()

    async def customers(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = (await self.control.get("/customers")).json()
        return found

    async def operations(self) -> list[str]:
        return [call["operation"] for call in (await self.control.get("/calls")).json()]


@pytest.fixture(scope="session", autouse=True)
def _no_settings_in_the_environment() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in (name for field in Settings.model_fields for name in names_of(field)):
            patch.delenv(name, raising=False)
        yield


@pytest.fixture(scope="session")
def empty_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite database, to copy."""
    path = tmp_path_factory.mktemp("empty") / "empty.db"
    migrate(f"sqlite:///{path}")
    return path


@pytest.fixture(autouse=True)
def _logs_as_before() -> Iterator[None]:
    """The application configures the logs of the whole process, also one that serves many tests."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    structlog.reset_defaults()
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
def settings(tmp_path: Path) -> Callable[..., Settings]:
    """A factory: usable settings, with overrides."""

    def make(**overrides: Any) -> Settings:
        return make_settings(tmp_path, **overrides)

    return make


@pytest.fixture
def bridge(settings: Callable[..., Settings], empty_file: Path, tmp_path: Path) -> BridgeFactory:
    """A factory: the product over HTTP, by default with a healthy network, and with a database that is there."""

    def make(
        transport: httpx.AsyncBaseTransport | None = None,
        *,
        clock: Clock | None = None,
        started: bool = True,
        **overrides: Any,
    ) -> AbstractAsyncContextManager[httpx.AsyncClient]:
        file = tmp_path / "bridge.db"
        if started and not file.exists():
            shutil.copy(empty_file, file)
        return open_bridge(settings(**overrides), transport or Wire(), clock, started=started)

    return make


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Shared]:
    """Needs `pytest.mark.asyncio(loop_scope="module")`."""
    wire = Wire()
    async with open_bridge(make_settings(tmp_path_factory.mktemp("shared")), wire) as client:
        yield Shared(client, wire)


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    """The Stamped.io stand-in; its transport goes into `bridge`."""
    app = create_sandbox(public_key=PUBLIC_KEY, private_key=PRIVATE_KEY, store_hash=STORE)
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://stamped.test/_sandbox") as control:
        yield Sandbox(control, transport)
