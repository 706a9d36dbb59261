"""Markdown as GitHub reads it, as far as this project's documents use it."""

from __future__ import annotations

import re
from collections.abc import Iterator

_FENCED = re.compile(r"^ *```.*?^ *```$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`[^`\n]*`")
_LINK = re.compile(r"\]\(([^)\s]+)\)")


def links_in(text: str) -> list[str]:
    """Where links and pictures lead; none within code."""
    return _LINK.findall(_CODE.sub("", _FENCED.sub("", text)))


def anchors_in(text: str) -> list[str]:
    """Of all headings, in order."""
    return [anchor_of(line.lstrip("#").strip()) for line in _FENCED.sub("", text).splitlines() if line[:1] == "#"]


def anchor_of(heading: str) -> str:
    """As GitHub makes it."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def rows_in(text: str, header: str) -> Iterator[list[str]]:
    """The cells of the table whose first line begins so."""
    lines = text[text.index(f"\n{header}") + 1 :].splitlines()
    for line in lines[2:]:
        if not line.startswith("|"):
            return
        yield [cell.strip() for cell in line.strip("|").split(" | ")]
