"""How many callers the descriptors of this process allow."""

from __future__ import annotations

import resource

import pytest

from app.server.limits import Limits

ENDLESS = resource.RLIM_INFINITY


@pytest.mark.parametrize(
    ("soft", "hard", "places", "raised"),
    [
        (1024, 1024, 736, None),
        (1024, 1_000_000, 1000, 4096),
        (256, 512, 224, 512),
        (100, 100, 1, None),
        (65_536, 1_000_000, 1000, None),
        (1024, ENDLESS, 1000, 4096),
        (ENDLESS, ENDLESS, 1000, None),
    ],
)
def test_places_by_descriptors(
    monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, places: int, raised: int | None
) -> None:
    asked: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _which: (soft, hard))
    monkeypatch.setattr(resource, "setrlimit", lambda _which, limits: asked.append(limits))
    assert Limits.of_this_process().places == places
    assert asked == ([] if raised is None else [(raised, hard)])
