"""The rules of Prometheus: correct, tested, documented, and about metrics that exist."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml
from prometheus_client import CollectorRegistry

from deploy.monitoring.prometheusrule import TARGET, build
from producer.metrics import ProducerMetrics
from tests.deploy.made_cases import MADE
from tests.deploy.manifests import REPOSITORY, overlay
from viewer.web.metrics import ViewMetrics
from workers.metrics import WorkerMetrics

MONITORING = REPOSITORY / "deploy" / "monitoring"
RULES = [
    rule
    for file in sorted((MONITORING / "rules").glob("*.yaml"))
    for group in yaml.safe_load(file.read_text())["groups"]
    for rule in group["rules"]
]
ALERTS = [rule for rule in RULES if "alert" in rule]
GROUPS = [
    group["name"]
    for name in ("recording", "outages", "slo", "alerts")
    for group in yaml.safe_load((MONITORING / "rules" / f"{name}.yaml").read_text())["groups"]
]
"""In the order in which one needs the other; promtool's own order is another one in each run."""

CASES = [
    (str(document["evaluation_interval"]), case)
    for file in sorted((MONITORING / "tests").glob("*.yaml"))
    for document in [yaml.safe_load(file.read_text())]
    for case in document["tests"]
] + [(interval, case) for interval, cases in MADE.items() for case in cases]
"""Each with how often rules are evaluated in it."""


FOREIGN = {"up", "process_start_time_seconds", "seedstream_camera_list_refused"}
"""Series of Prometheus and its clients, and one that the producer has with a list that changes."""


def promtool(*arguments: str) -> None:
    if shutil.which("promtool") is None:
        pytest.skip("no promtool on this machine (Debian's package prometheus)")
    done = subprocess.run(["promtool", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


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


def metrics_of(expression: str) -> set[str]:
    promql_parser.parse(expression)  # refuses what Prometheus would
    bare = re.sub(r'"[^"]*"|\{[^}]*\}', "", expression)
    return set(re.findall(r"\b(?:\w+:)?seedstream_\w+(?::\w+)?|\bup\b|\bprocess_\w+", bare))


def test_the_rules_are_correct() -> None:
    promtool("check", "rules", *map(str, (MONITORING / "rules").glob("*.yaml")))


def test_what_is_recorded(tmp_path: Path) -> None:
    """The cases of alerts are asked below, one alert after the other."""
    cases = [case for _, case in CASES if "promql_expr_test" in case]
    path = tmp_path / "recorded.yml"
    path.write_text(yaml.safe_dump(document(MONITORING / "rules", "10s", cases)))
    assert cases
    promtool("test", "rules", str(path))


def document(rules: Path, interval: str, cases: list[Any]) -> dict[str, Any]:
    """What promtool is to test."""
    return {
        "rule_files": [str(file) for file in sorted(rules.glob("*.yaml"))],
        "evaluation_interval": interval,
        "group_eval_order": GROUPS,
        "tests": cases,
    }


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


NUMBER = re.compile(r"(?<=[<>] )[\d.]+|[\d.]+(?= \*)|(?<=\[)\d+(?=[mh]\])")
"""What an alert compares with, multiplies by or looks back over."""


def mutations(rule: Any) -> Iterator[tuple[str, Any]]:
    """The alert with each of its numbers doubled and halved, one at a time."""
    if "for" in rule:
        for factor in (0.5, 2):
            seconds = factor * 60 * int(rule["for"].removesuffix("m"))
            yield f"for: {seconds:.0f}s", {**rule, "for": f"{seconds:.0f}s"}
    for match in NUMBER.finditer(rule["expr"]):
        value, rest = float(match[0]), rule["expr"][match.end() :]
        window = rest.startswith(("m]", "h]"))
        if window:
            smaller = "m" if rest[0] == "h" else "s"
            changed = [f"{value * 30:.0f}{smaller}", f"{value * 2:.0f}{rest[0]}"]
        else:
            # 0 is what there is or is not: it cannot be doubled.
            changed = [f"{value / 2:g}", f"{value * 2:g}"] if value else []
        for text in changed:
            expr = rule["expr"][: match.start()] + text + rest[window:]
            yield f"{match[0]} at {match.start()} is {text}", {**rule, "expr": expr}


def cases_of(alert: str, names: list[str]) -> tuple[str, list[Any]]:
    """The cases of one alert, with its own questions alone, asked of each of these names."""
    tests, intervals = [], set()
    for interval, case in CASES:
        asked = [t for t in case.get("alert_rule_test", []) if t["alertname"] == alert]
        if asked:
            questions = [{**question, "alertname": name} for name in names for question in asked]
            tests.append({**case, "alert_rule_test": questions})
            intervals.add(interval)
    (interval,) = intervals
    return interval, tests


EQUIVALENT: set[tuple[str, str]] = {
    # Both sides must look back: the shorter of the two hours decides.
    ("SeedstreamProducerMissing", "1 at 130 is 2h"),
    ("SeedstreamProducerMissing", "1 at 330 is 2h"),
}
"""Changes that change nothing."""


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_an_alert_passes_its_cases_and_none_of_its_numbers_can_change(
    rule: Any, tmp_path: Path
) -> None:
    if shutil.which("promtool") is None:
        pytest.skip("no promtool on this machine (Debian's package prometheus)")
    name = rule["alert"]
    for file in (MONITORING / "rules").glob("*.yaml"):
        if file.stem != "alerts" and (file.stem != "slo" or "objective" in rule["expr"]):
            shutil.copy(file, tmp_path)
    changed = {f"{name}{n}": each for n, each in enumerate(mutations(rule))}
    # All side by side in one run: each under a name of its own.
    rules = [rule, *({**mutant, "alert": own} for own, (_, mutant) in changed.items())]
    for each in rules:
        link = each["annotations"]["runbook_url"]
        assert link.endswith(name.lower())
    file = tmp_path / "alerts.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "seedstream", "rules": rules}]}))
    interval, tests = cases_of(name, [name, *changed])
    cases = tmp_path / "cases.yml"
    cases.write_text(yaml.safe_dump(document(tmp_path, interval, tests), sort_keys=False))
    done = subprocess.run(
        ["promtool", "test", "rules", cases], capture_output=True, text=True, check=False
    )
    told = set(re.findall(r"alertname: (\w+),", done.stdout + done.stderr))
    assert name not in told, done.stdout + done.stderr
    assert told <= changed.keys()
    survived = {(name, changed[own][0]) for own in changed.keys() - told}
    assert survived == {each for each in EQUIVALENT if each[0] == name}


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
