"""What callers get is what was recorded, byte for byte. Wanted otherwise: `python -m tests.api.recording`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.api.recording import recorded
from tests.api.telling import SCENES, Scene


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.name)
async def test_answers_are_as_recorded(scene: Scene, tmp_path: Path) -> None:
    now, then = await scene.answers(tmp_path), recorded()[scene.name]
    assert now.splitlines() == then.splitlines()  # shows the line
    assert now == then


def test_every_scene_is_recorded() -> None:
    assert list(recorded()) == [scene.name for scene in SCENES]
