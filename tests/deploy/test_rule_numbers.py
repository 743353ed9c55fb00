"""Every number of a rule matters: doubled or halved, a case tells."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.alert_rules import ALERTS, GROUPS, RULES, cases_of, mutations, needed

EQUIVALENT: set[tuple[str, str]] = {
    # Both sides must look back: the shorter of the two hours decides.
    ("SeedstreamProducerMissing", "1 at 130 is 2h"),
    ("SeedstreamProducerMissing", "1 at 330 is 2h"),
}
"""Changes that change nothing."""

WITNESSES = {
    "pod:seedstream_kafka_connected:last10m": "SeedstreamKafkaUnreachable",
    "pod:seedstream_redis_connected:last10m": "SeedstreamRedisUnreachable",
    "lane:seedstream_outage kafka": "SeedstreamKafkaUnreachable",
    "lane:seedstream_outage redis": "SeedstreamRedisUnreachable",
    "lane:seedstream_outage workers": "SeedstreamNoWorkers",
    "namespace:seedstream_unscraped": "SeedstreamNotScraped",
    "camera:seedstream_trouble fps_low": "SeedstreamCameraFpsLow",
    "camera:seedstream_trouble unprocessed": "SeedstreamProcessedFpsLow",
    "camera:seedstream_trouble late": "SeedstreamLatencyHigh",
    "camera:seedstream_trouble dropped": "SeedstreamFramesDropped",
    "camera:seedstream_trouble damaged": "SeedstreamPicturesDamaged",
    "camera:seedstream_trouble skipped": "SeedstreamFramesSkipped",
    "camera:seedstream_trouble clock": "SeedstreamCameraClock",
    "lane:seedstream_trouble:shared": "SeedstreamCameraDown",
}
"""What is recorded with a number of its own, and the alert whose cases are asked about it. How long
an outage is remembered is in tests/deploy/test_outages.py."""


def title(rule: Any) -> str:
    return " ".join([rule["record"], *rule.get("labels", {}).values()])


def failed(folder: Path, groups: list[Any], alerts: list[Any], name: str) -> tuple[set[str], str]:
    """Run an alert's cases; return which alerts fail them, and what promtool said.

    Args:
        folder: Where to write.
        groups: What is recorded.
        alerts: Alerts that are asked side by side, each under a name of its own.
        name: Whose cases.
    """
    if shutil.which("promtool") is None:
        pytest.skip("no promtool on this machine (Debian's package prometheus)")
    rules, cases = folder / "rules.yaml", folder / "cases.yaml"
    interval, tests = cases_of(name, [each["alert"] for each in alerts])
    rules.write_text(yaml.safe_dump({"groups": [*groups, {"name": "seedstream", "rules": alerts}]}))
    document = {
        "rule_files": [str(rules)],
        "evaluation_interval": interval,
        "group_eval_order": GROUPS,
        "tests": tests,
    }
    cases.write_text(yaml.safe_dump(document, sort_keys=False))
    done = subprocess.run(
        ["promtool", "test", "rules", cases], capture_output=True, text=True, check=False
    )
    said = done.stdout + done.stderr
    told = set(re.findall(r"alertname: (\w+),", said))
    assert bool(told) == bool(done.returncode), said
    return told, said


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_an_alert_passes_its_cases_and_none_of_its_numbers_can_change(
    rule: Any, tmp_path: Path
) -> None:
    name = rule["alert"]
    changed = {f"{name}{n}": each for n, each in enumerate(mutations(rule))}
    mutants = [{**mutant, "alert": own} for own, (_, mutant) in changed.items()]
    told, said = failed(tmp_path, needed(rule), [rule, *mutants], name)
    assert name not in told, said
    survived = {(name, changed[own][0]) for own in changed.keys() - told}
    assert survived == {each for each in EQUIVALENT if each[0] == name}


def numbered() -> list[Any]:
    """What is recorded for alerts with numbers of its own."""
    outages = [rule for rule in RULES if "record" in rule and title(rule) in WITNESSES]
    assert {title(rule) for rule in outages} == WITNESSES.keys()
    return outages


@pytest.mark.parametrize("rule", numbered(), ids=title)
def test_no_number_of_what_is_recorded_can_change(rule: Any, tmp_path: Path) -> None:
    (alert,) = (each for each in ALERTS if each["alert"] == WITNESSES[title(rule)])
    changes = list(mutations(rule))
    assert changes
    for what, mutant in changes:
        groups = needed(alert)
        for group in groups:
            group["rules"] = [mutant if each == rule else each for each in group["rules"]]
        assert any(mutant in group["rules"] for group in groups)
        told, _ = failed(tmp_path, groups, [alert], alert["alert"])
        assert told == {alert["alert"]}, what
