from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz.harness import schemathesis, serving, told

_SHORT = ("--seed=1", "--max-examples=2", "--no-color")  # the same requests each time, but for ids and times
_MOST_SECONDS = 120


def test_schemathesis_finds_no_difference_between_openapi_and_code(tmp_path: Path) -> None:
    with serving(tmp_path) as product:
        ran = schemathesis(product, tmp_path, *_SHORT, captured=True, most_seconds=_MOST_SECONDS)
    if ran.returncode:
        pytest.fail(ran.stdout, pytrace=False)
    assert "Traceback" not in told(tmp_path)
