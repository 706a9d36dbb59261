"""A few of the requests of `make hostile`, always the same ones."""

from __future__ import annotations

from pathlib import Path

from tests.fuzz.harness import serving
from tests.hostile.campaign import attack


async def test_hostile_requests_break_nothing_and_keep_nobody_waiting(tmp_path: Path) -> None:
    with serving(tmp_path, LOG_LEVEL="DEBUG") as product:
        finding = await attack(product, 150, 11, tmp_path, warm_up=0)
    assert finding.faults == []
    assert finding.sent.total() == 150
    assert {"200", "400", "401", "405", "414", "422", "431"} <= finding.statuses.keys()
    assert finding.witnessed
