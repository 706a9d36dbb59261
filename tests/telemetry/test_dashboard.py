"""Alert rules and dashboard ask for metrics and labels that exist; each alert names a section that is there."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from app.telemetry.collectors import ConnectionState
from app.telemetry.metrics import Metrics
from tests.documents import anchor_of

ROOT = Path(__file__).parents[2]
RULES = (ROOT / "deploy/prometheus/alerts.yaml").read_text()
TESTS = (ROOT / "deploy/prometheus/alerts_test.yaml").read_text()
DASHBOARD = json.loads((ROOT / "deploy/grafana/dashboard.json").read_text())
OPERATIONS = (ROOT / "docs/operations.md").read_text()
OF_PROMETHEUS = {"up": {"job", "instance"}}
ADDED = {"job", "instance", "le"}
_METRIC = re.compile(r"\b((?:ipaas_stamped|process)_\w+|up)\b(?:\{([^}]*)\})?")
_LABEL = re.compile(r'(\w+)\s*(?:=~|!~|!=|=)\s*"')
_BY = re.compile(r"\bby \(([^)]*)\)")


def told() -> dict[str, set[str]]:
    """All that is told, with its labels, when each has been counted once."""
    metrics = Metrics()
    metrics.transfer("default", "failed", None, "internal-error", 1.0)
    metrics.of("default").call("stamped", "create", "ok", 0.1)
    metrics.rejection("invalid-request")
    metrics.turned_away(503)
    metrics.wrong_key("operator")
    metrics.answered("POST", "/webhooks/customers", 200, 0.1)
    metrics.see([ConnectionState("default", {}, 0.0, (), 500)])
    found: dict[str, set[str]] = defaultdict(set)
    for family in text_string_to_metric_families(metrics.exposition().decode()):
        for sample in family.samples:
            found[sample.name] |= sample.labels.keys()
    return found


def expressions() -> Iterator[str]:
    for found in re.finditer(r"^        expr: (?:\|\n((?: {10,}.*\n)+)|(.*)\n)", RULES, re.MULTILINE):
        yield found[1] or found[2]
    for panel in DASHBOARD["panels"]:
        yield from (target["expr"] for target in panel["targets"])


def test_every_expression_is_of_metrics_and_labels_that_exist() -> None:
    metrics = told() | OF_PROMETHEUS
    asked = list(expressions())
    assert len(asked) == RULES.count("- alert:") + sum(len(each["targets"]) for each in DASHBOARD["panels"])
    for expression in asked:
        names = _METRIC.findall(expression)
        assert names, expression
        given: set[str] = set()
        for name, selectors in names:
            assert name in metrics, expression
            assert set(_LABEL.findall(selectors)) <= metrics[name] | ADDED, expression
            given |= metrics[name]
        for labels in _BY.findall(expression):
            assert set(labels.replace(" ", "").split(",")) <= given | ADDED, expression


def test_nothing_that_is_told_is_left_out_of_the_documentation() -> None:
    ours = {name for name in told() if name.startswith("ipaas_stamped_")}
    plain = {re.sub(r"_(?:bucket|count|sum|created)$", "", name) for name in ours}
    missing = {name for name in plain if name.removeprefix("ipaas_stamped") not in OPERATIONS}
    assert {name for name in missing if f"{name}_total" not in ours} == set()


@pytest.mark.parametrize("alert", re.findall(r"- alert: (\w+)", RULES))
def test_each_alert_has_a_section_that_names_it_and_a_test(alert: str) -> None:
    (rule,) = re.findall(rf"- alert: {alert}\n(?:(?! +- alert).*\n?)*", RULES)
    (runbook,) = re.findall(r"runbook: (\S+)", rule)
    page, _, anchor = runbook.partition("#")
    assert page == "docs/operations.md"
    (section,) = [each for each in OPERATIONS.split("\n## ")[1:] if anchor_of(each.splitlines()[0]) == anchor]
    assert f"`{alert}`" in section
    assert re.search(rf"alertname: {alert}\n\s+exp_alerts:", TESTS)
