"""The product as users start it, under the hands of the durable tests' story."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field

from bench.processes import ROOT
from tests.durable.support import Bridge, Process

_STOP_SECONDS = 30.0  # as README.md tells orchestrators


@dataclass
class Replica(Bridge):
    """A process of its own from its first moment on, so that its memory is nobody else's."""

    _command: subprocess.Popen[bytes] | None = field(default=None, init=False)

    def start(self) -> None:
        """On the same port each time; the log goes on."""
        command = [sys.executable, "-m", "uvicorn", "app.main:app", "--port", str(self.port), "--no-access-log"]
        with self.log.open("ab") as log:
            self._command = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                command,
                cwd=self.log.parent,
                env=os.environ | self.environment | {"PYTHONPATH": str(ROOT)},
                stdout=log,
                stderr=log,
            )
        self.process = Process(self._command.pid)

    def kill(self) -> None:
        """`kill -9`."""
        super().kill()
        self._bury()

    async def stop(self) -> None:
        """As an orchestrator does it."""
        assert self.process is not None  # noqa: S101 - it was started
        self.ready.clear()
        self.process.send(signal.SIGTERM)
        await self.process.end(_STOP_SECONDS)
        self._bury()

    def _bury(self) -> None:
        assert self._command is not None  # noqa: S101 - it was started
        self._command.wait()
