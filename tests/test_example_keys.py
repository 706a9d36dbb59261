"""Keys that anybody can read in this project open no service that has a real store behind it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.keys import EXAMPLES
from app.settings import Settings
from tests.support import make_settings

ROOT = Path(__file__).parents[1]
IN_TEXTS = re.compile(r"(?:Bearer |_API_KEY=|_api_key = \")(?:[\w.-]+:)?([\w.-]{16,})")
ANYWHERE = re.compile(r"\b[a-z]+-(?:webhook|operator|viewer)-key\b")


def shown() -> Iterator[str]:
    """Whatever stands where a key would, and is long enough to be one."""
    for path in (ROOT / "README.md", ROOT / ".env.example", *(ROOT / "docs").rglob("*.md")):
        yield from IN_TEXTS.findall(path.read_text(encoding="utf-8"))
    for folder in ("app", "bench", "demo", "docs", "tests", "tools"):
        for path in (ROOT / folder).rglob("*"):
            if path != ROOT / "app" / "keys.py" and path.suffix in {".html", ".md", ".py", ".toml"}:
                yield from ANYWHERE.findall(path.read_text(encoding="utf-8"))


def test_the_list_has_what_is_shown() -> None:
    assert set(shown()) == EXAMPLES


@pytest.mark.parametrize("key", sorted(EXAMPLES))
@pytest.mark.parametrize("field", ["ipaas_webhook_api_key", "operator_api_key", "viewer_api_key"])
def test_none_opens_a_real_store(tmp_path: Path, field: str, key: str) -> None:
    def made(url: str) -> Settings:
        return make_settings(tmp_path, stamped_api_url=url, **{field: f"new-0123456789abc, {key}"})

    with pytest.raises(ValueError, match=f"{field.upper()} is not usable: everybody knows this example"):
        made("https://stamped.io")
    assert made("http://127.0.0.1:8081").stamped_api_url
