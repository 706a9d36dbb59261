"""What the documents name is there: links, settings and defaults, commands, calls, errors, targets of make."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.core import TyperGroup
from typer.main import get_command

from app.cli import cli
from app.error_catalog import CATALOG
from app.main import create_app
from app.settings import OTHER_NAMES, Settings, given_as
from tests.documents import anchors_in, links_in, rows_in
from tests.support import make_settings

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
REFERENCE = (ROOT / "docs/reference.md").read_text(encoding="utf-8")
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("deploy/**/*.md")]
FIELDS = {given_as(name).upper(): field for name, field in Settings.model_fields.items() if not field.exclude}
ELSEWHERE = {"IPAAS_STAMPED_URL", "OTEL_EXPORTER_OTLP_ENDPOINT"}  # the command line's, OpenTelemetry's
OPEN_TO_ALL = {"/webhooks/customers", "/livez", "/startupz", "/readyz", "/metrics", "/errors", "/errors/{slug}"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    anchors = anchors_in(text)
    assert len(set(anchors)) == len(anchors) or page.name == "CHANGELOG.md"
    for link in links_in(text):
        path, _, anchor = link.partition("#")
        if re.match(r"\w+:", path):
            continue
        target = page.parent / path if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors_in(target.read_text(encoding="utf-8")), link


def settings_of_the_table() -> Iterator[tuple[str, str]]:
    for names, defaults, *_ in rows_in(README, "| name | default |"):
        yield from zip(re.findall(r"`(\w+)`", names), defaults.split(", "), strict=True)


def test_every_setting_is_in_the_table_with_its_default() -> None:
    told = dict(settings_of_the_table())
    assert told.keys() == FIELDS.keys()
    for name, default in told.items():
        field = FIELDS[name]
        if default in {"required", "unset", "built-in"}:
            assert (default == "required") == field.is_required(), name
            assert field.default is None or field.is_required(), name
        else:
            assert default.strip("`") == str(field.default), name


def test_every_setting_is_in_the_example() -> None:
    example = (ROOT / ".env.example").read_text(encoding="utf-8")
    assert set(re.findall(r"^#?([A-Z_]{2,})=", example, re.MULTILINE)) == FIELDS.keys() | ELSEWHERE


def test_every_setting_that_the_documents_name_is_one() -> None:
    known = {*FIELDS, *OTHER_NAMES.values()}
    for page in [ROOT / "README.md", *ROOT.glob("docs/*.md")]:
        named = re.findall(r"\b((?:STAMPED|IPAAS)_[A-Z_]+[A-Z])\b", page.read_text(encoding="utf-8"))
        for name in named:
            assert name.removesuffix("_FILE") in known | ELSEWHERE, (page.name, name)


def test_every_command_is_in_the_reference() -> None:
    told = {name for cells in rows_in(REFERENCE, "| command |") for name in re.findall(r"`([a-z]+)", cells[0])}
    group = get_command(cli)
    assert isinstance(group, TyperGroup)
    assert told == group.commands.keys()


def test_every_call_is_in_the_reference(tmp_path: Path) -> None:
    paths = create_app(make_settings(tmp_path)).openapi()["paths"]
    there = {
        f"{verb.upper()} {path}" for path, verbs in paths.items() if path not in OPEN_TO_ALL for verb in verbs
    }
    cells = " ".join(" ".join(row) for row in rows_in(REFERENCE, "| call |"))
    told = re.findall(r"`((?:GET|POST) /[^`]+)`", cells.replace("`…/", "`POST /errors/groups/{group}/"))
    ids = {"/syncs/{id}": "/syncs/{sync_id}", "/transfers/{id}": "/transfers/{transfer_id}"}
    ids |= {"/connections/{id}": "/connections/{connection_id}"}
    for short, full in ids.items():
        told = [call.replace(short, full) for call in told]
    assert set(told) == there
    assert all(path in REFERENCE for path in OPEN_TO_ALL)


def test_every_error_is_in_the_table_in_order() -> None:
    titles = [cells[0] for cells in rows_in(README, "| title | status |")]
    assert titles == [entry.title for entry in CATALOG.values()]


def test_whatever_is_to_be_made_can_be() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for page in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]:
        text = page.read_text(encoding="utf-8")
        lines = re.findall(r"^make ((?:[a-z-]+ )*[a-z-]+)", text, re.MULTILINE)
        named = {name for line in [*lines, *re.findall(r"`make ([a-z -]+)`", text)] for name in line.split()}
        assert named <= targets, page.name
