"""The service as a process of its own, in a temporary folder and with a clean environment."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Self

import httpx

if TYPE_CHECKING:
    from types import TracebackType

_START_SECONDS = 15.0
_STOP_SECONDS = 5.0
_LOG_LINES = 8


class ServiceFault(Exception):
    """The service did not start."""


class Service:
    """A context: starts the service and waits until it is ready; stops it and removes its folder."""

    def __init__(self) -> None:
        self._port = _free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        self.last_lines: list[str] = []

    def __enter__(self) -> Self:
        """Raises ServiceFault."""
        self._folder = TemporaryDirectory(prefix="ipaas-stamped-demo-")
        folder = Path(self._folder.name)
        self._log = folder / "service.log"
        environment = {
            "PATH": os.defpath,
            "HOME": self._folder.name,
            "PYTHONUTF8": "1",
            "SUBSCRIPTION_FIELD": "SubscribeProfile",
            "DATABASE_URL": f"sqlite:///{folder / 'demo.db'}",
            "LOG_FORMAT": "console",
        }
        program = Path(sys.executable).with_name("ipaas-stamped")
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own console script
                [program, "serve", "--port", str(self._port)],
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        try:
            self._wait_until_ready()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        """Never raises for a service that is gone already."""
        self._stop()

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                message = f"the service ended with exit code {self._process.returncode}."
                raise ServiceFault(message)
            try:
                if httpx.get(f"{self.url}/readyz", timeout=1, trust_env=False).is_success:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.05)
        message = f"the service was not ready after {_START_SECONDS:.0f} s."
        raise ServiceFault(message)

    def _stop(self) -> None:
        self.last_lines = self._log.read_text(encoding="utf-8", errors="replace").splitlines()[-_LOG_LINES:]
        self._process.terminate()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._folder.cleanup()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
