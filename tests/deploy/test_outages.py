"""Whole fleets in an outage: one critical alert, which names the part; a release fires nothing."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.alert_rules import GROUPS, MONITORING, promtool
from tests.deploy.fleet_outages import BEGIN_SECONDS, Fleet, series_of, written

FIRING = 'sum by (alertname, severity) (ALERTS{alertstate="firing"})'
ALERT_SECONDS = 180
"""How soon after its begin an outage must have its alert, beside the minutes of a restart."""


def case_of(fleet: Fleet, alert: str | None) -> dict[str, Any]:
    """Return a fleet's series, and that at every minute nothing fires but ``alert``."""
    others = f'ALERTS{{alertstate="firing",alertname!="{alert}"}}'
    questions: list[dict[str, Any]] = [
        {"expr": others, "eval_time": f"{seconds}s", "exp_samples": []}
        for seconds in range(BEGIN_SECONDS, fleet.last_seconds + 1, 60)
    ]
    if alert is not None:
        one = {"labels": f'{{alertname="{alert}", severity="critical"}}', "value": 1}
        questions += [
            {"expr": FIRING, "eval_time": f"{seconds}s", "exp_samples": [one]}
            for seconds in range(BEGIN_SECONDS + ALERT_SECONDS, fleet.end_seconds - 59, 60)
        ]
        # What waits for its next start needs up to five minutes.
        end = fleet.end_seconds + 420
        questions.append({"expr": FIRING, "eval_time": f"{end}s", "exp_samples": []})
    return {
        "interval": "1m",
        "input_series": [
            {"series": name, "values": written(values)} for name, values in series_of(fleet)
        ],
        "promql_expr_test": questions,
    }


@pytest.mark.timeout(600)  # half a minute of processor time for 2,000 cameras
@pytest.mark.parametrize(
    ("fleet", "alert"),
    [
        (Fleet("kafka"), "SeedstreamKafkaUnreachable"),
        (Fleet("redis", cameras=200), "SeedstreamRedisUnreachable"),
        (Fleet("workers", cameras=200), "SeedstreamNoWorkers"),
        (Fleet("cameras", cameras=200), "SeedstreamMostCamerasDown"),
        (Fleet("unscraped", cameras=200), "SeedstreamNotScraped"),
        (Fleet("release", cameras=200), None),
        (Fleet("none", cameras=40), None),
    ],
    ids=lambda value: value.outage if isinstance(value, Fleet) else None,
)
def test_an_outage_has_one_alert_and_a_release_none(
    fleet: Fleet, alert: str | None, tmp_path: Path
) -> None:
    path = tmp_path / "fleet.yaml"
    document = {
        "rule_files": [str(file) for file in sorted((MONITORING / "rules").glob("*.yaml"))],
        "evaluation_interval": "1m",
        "group_eval_order": GROUPS,
        "tests": [case_of(fleet, alert)],
    }
    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)  # megabytes
    path.write_text(yaml.dump(document, Dumper=dumper, sort_keys=False, width=10_000))
    promtool("test", "rules", str(path))
