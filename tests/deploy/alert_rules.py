"""The rules of Prometheus, their cases, and promtool."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml

from tests.deploy.made_cases import MADE
from tests.deploy.manifests import REPOSITORY

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


def promtool(*arguments: str) -> None:
    if shutil.which("promtool") is None:
        pytest.skip("no promtool on this machine (Debian's package prometheus)")
    done = subprocess.run(["promtool", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def metrics_of(expression: str) -> set[str]:
    promql_parser.parse(expression)  # refuses what Prometheus would
    bare = re.sub(r'"[^"]*"|\{[^}]*\}', "", expression)
    return set(re.findall(r"\b(?:\w+:)?seedstream_\w+(?::\w+)?|\bup\b|\bprocess_\w+", bare))


def document(folder: Path, interval: str, cases: list[Any]) -> dict[str, Any]:
    """Return what promtool is to test."""
    return {
        "rule_files": [str(file) for file in sorted(folder.glob("*.yaml"))],
        "evaluation_interval": interval,
        "group_eval_order": GROUPS,
        "tests": cases,
    }


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
    """Return the cases of one alert, with its own questions alone, asked of each of these names."""
    tests, intervals = [], set()
    for interval, case in CASES:
        asked = [t for t in case.get("alert_rule_test", []) if t["alertname"] == alert]
        if asked:
            questions = [{**question, "alertname": name} for name in names for question in asked]
            tests.append({**case, "alert_rule_test": questions})
            intervals.add(interval)
    (interval,) = intervals
    return interval, tests


def needed(rule: Any) -> list[dict[str, Any]]:
    """Return the groups of what is recorded for a rule; of troubles only those that it names."""
    troubles = set(re.findall(r'trouble="(\w+)"', rule["expr"]))
    names, before = metrics_of(rule["expr"]), set[str]()
    while names != before:
        before = set(names)
        for each in RULES:
            if each.get("record") in names:
                names |= metrics_of(each["expr"])

    def wanted(each: Any) -> bool:
        trouble = each.get("labels", {}).get("trouble")
        return each.get("record") in names and not (
            troubles and trouble and trouble not in troubles
        )

    groups = []
    for name in ("recording", "outages", "slo"):
        for group in yaml.safe_load((MONITORING / "rules" / f"{name}.yaml").read_text())["groups"]:
            rules = [each for each in group["rules"] if wanted(each)]
            groups += [{"name": group["name"], "rules": rules}] if rules else []
    return groups
