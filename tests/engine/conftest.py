"""An engine of one's own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.engine.support import Room, room


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[Room]:
    """With a time that only moves when told."""
    async with room(tmp_path / "bridge.db") as opened:
        yield opened
