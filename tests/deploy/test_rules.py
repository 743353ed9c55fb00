"""The rules of Prometheus: correct, tested, documented, and about metrics that exist."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry

from deploy.monitoring.prometheusrule import TARGET, build
from producer.metrics import ProducerMetrics
from tests.deploy.alert_rules import (
    ALERTS,
    CASES,
    MONITORING,
    RULES,
    document,
    metrics_of,
    promtool,
)
from tests.deploy.manifests import REPOSITORY, overlay
from viewer.web.metrics import ViewMetrics
from workers.metrics import WorkerMetrics

FOREIGN = {"up", "process_start_time_seconds"}
"""Series of Prometheus and its clients."""


def catalogue() -> set[str]:
    """Every series name that our processes give."""
    names = set()
    for metrics in (ProducerMetrics, WorkerMetrics, ViewMetrics):
        registry = CollectorRegistry()
        metrics(registry)
        for family in registry.collect():
            suffixes = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"]}
            names |= {family.name + s for s in suffixes.get(family.type, [""])}
    return names


def test_the_rules_are_correct() -> None:
    promtool("check", "rules", *map(str, (MONITORING / "rules").glob("*.yaml")))


def test_what_is_recorded(tmp_path: Path) -> None:
    """The cases of alerts are asked below, one alert after the other."""
    cases = [case for _, case in CASES if "promql_expr_test" in case]
    path = tmp_path / "recorded.yml"
    path.write_text(yaml.safe_dump(document(MONITORING / "rules", "10s", cases)))
    assert cases
    promtool("test", "rules", str(path))


@pytest.mark.parametrize("name", [rule["alert"] for rule in ALERTS])
def test_every_alert_has_a_case_in_which_it_fires_and_a_moment_in_which_it_does_not(
    name: str,
) -> None:
    tests = [
        test
        for _, case in CASES
        for test in case.get("alert_rule_test", [])
        if test["alertname"] == name
    ]
    assert any(t["exp_alerts"] for t in tests)
    assert any(not t["exp_alerts"] for t in tests)


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_every_alert_leads_to_its_section_of_the_runbook(rule: Any) -> None:
    assert rule["labels"]["severity"] in ("warning", "critical")
    page, _, anchor = rule["annotations"]["runbook_url"].partition("#")
    text = (REPOSITORY / page).read_text()
    assert anchor == rule["alert"].lower()
    section = re.search(rf"^## {rule['alert']}\n(.*?)(?=^## |\Z)", text, re.M | re.S)
    assert section, f"{page} has no section {rule['alert']}"
    for part in ("**Meaning.**", "**First look.**", "**Remedy.**"):
        assert part in section[1]


def test_the_links_to_the_runbook_lead_where_it_is_published() -> None:
    rules = [
        rule for group in build("https://wiki/run")["spec"]["groups"] for rule in group["rules"]
    ]
    links = [rule["annotations"]["runbook_url"] for rule in rules if "alert" in rule]
    assert links == [f"https://wiki/run#{rule['alert'].lower()}" for rule in ALERTS]


def test_the_runbook_has_no_section_of_an_alert_that_is_gone() -> None:
    text = (REPOSITORY / "docs" / "operate" / "runbook.md").read_text()
    sections = re.findall(r"^## (\w+)", text, re.M)
    assert sections == [rule["alert"] for rule in ALERTS]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.get("alert") or rule.get("record"))
def test_a_rule_names_only_metrics_that_exist(rule: Any) -> None:
    recorded = {each["record"] for each in RULES if "record" in each}
    named = metrics_of(rule["expr"])
    assert named
    assert named <= catalogue() | recorded | FOREIGN


def test_the_autoscalers_query_names_only_metrics_that_exist() -> None:
    (scaled,) = [each for each in overlay("production") if each["kind"] == "ScaledObject"]
    query = scaled["spec"]["triggers"][1]["metadata"]["query"]
    assert metrics_of(query) <= catalogue()


def test_the_operators_object_has_the_same_rules() -> None:
    assert yaml.safe_load(Path(TARGET).read_text()) == build(), "run `make monitoring`"
