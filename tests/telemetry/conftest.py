"""The logs, as somebody configured them."""

from __future__ import annotations

from typing import Any

import pytest

from app.telemetry.logs import configure_logs
from app.telemetry.redaction import Redactor


@pytest.fixture
def logs(capsys: pytest.CaptureFixture[str]) -> Any:
    """Configures the logs and gives what was written since."""

    def since(level: str = "DEBUG", log_format: str = "json") -> Any:
        configure_logs(level, log_format, Redactor(["known-secret"]))
        return lambda: capsys.readouterr().out

    return since
