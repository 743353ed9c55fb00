"""The rules of Prometheus: correct, tested, documented, and about metrics that exist."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml
from prometheus_client import CollectorRegistry

from deploy.monitoring.prometheusrule import TARGET, build
from producer.metrics import ProducerMetrics
from tests.deploy.manifests import REPOSITORY, overlay
from workers.metrics import WorkerMetrics

MONITORING = REPOSITORY / "deploy" / "monitoring"
RULES = [
    rule
    for file in sorted((MONITORING / "rules").glob("*.yaml"))
    for group in yaml.safe_load(file.read_text())["groups"]
    for rule in group["rules"]
]
ALERTS = [rule for rule in RULES if "alert" in rule]
CASES = yaml.safe_load((MONITORING / "tests" / "alerts.yaml").read_text())["tests"]


def promtool(*arguments: str) -> None:
    if shutil.which("promtool") is None:
        pytest.skip("no promtool on this machine (Debian's package prometheus)")
    done = subprocess.run(["promtool", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def catalogue() -> set[str]:
    """Every series name that our processes give."""
    registry = CollectorRegistry()
    ProducerMetrics(registry)
    WorkerMetrics(registry, max_cameras=1, clock=lambda: 0.0)
    names = set()
    for family in registry.collect():
        suffixes = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"]}
        names |= {family.name + s for s in suffixes.get(family.type, [""])}
    return names


def metrics_of(expression: str) -> set[str]:
    promql_parser.parse(expression)  # refuses what Prometheus would
    bare = re.sub(r'"[^"]*"|\{[^}]*\}', "", expression)
    return set(re.findall(r"\b(?:\w+:)?seedstream_\w+(?::\w+)?|\bup\b", bare))


def test_the_rules_are_correct() -> None:
    promtool("check", "rules", *map(str, (MONITORING / "rules").glob("*.yaml")))


def test_every_alert_fires_when_it_should_and_not_when_it_should_not() -> None:
    promtool("test", "rules", str(MONITORING / "tests" / "alerts.yaml"))


@pytest.mark.parametrize("name", [rule["alert"] for rule in ALERTS])
def test_every_alert_has_a_case_of_both_kinds(name: str) -> None:
    tests = [t for case in CASES for t in case.get("alert_rule_test", []) if t["alertname"] == name]
    assert any(t["exp_alerts"] for t in tests), "none in which it fires"
    quiet = any(not t["exp_alerts"] for t in tests)
    # Or a case with another camera, pod or namespace that must not be among those that fire.
    described = [case["name"] for case in CASES if case["name"].startswith(name)]
    assert quiet or any(", not " in text or "; " in text for text in described)


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


def test_the_runbook_has_no_section_of_an_alert_that_is_gone() -> None:
    sections = re.findall(r"^## (\w+)", (REPOSITORY / "docs" / "runbook.md").read_text(), re.M)
    assert sections == [rule["alert"] for rule in ALERTS]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.get("alert") or rule.get("record"))
def test_a_rule_names_only_metrics_that_exist(rule: Any) -> None:
    recorded = {each["record"] for each in RULES if "record" in each}
    named = metrics_of(rule["expr"])
    assert named
    assert named <= catalogue() | recorded | {"up"}


def test_the_autoscalers_query_names_only_metrics_that_exist() -> None:
    (scaled,) = [each for each in overlay("production") if each["kind"] == "ScaledObject"]
    query = scaled["spec"]["triggers"][1]["metadata"]["query"]
    assert metrics_of(query) <= catalogue()


def test_the_operators_object_has_the_same_rules() -> None:
    assert yaml.safe_load(Path(TARGET).read_text()) == build(), "run `make monitoring`"
