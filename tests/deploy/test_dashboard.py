"""The Grafana dashboard asks only for what exists, and its panels lie side by side."""

import itertools
import json
import re
from typing import Any

import promql_parser
import pytest

from deploy.monitoring.dashboard import TARGET, build
from tests.deploy.alert_rules import RULES
from tests.deploy.test_rules import catalogue

EXPORTERS = {
    "prometheus_client": {"process_cpu_seconds_total", "process_resident_memory_bytes"},
    "kafka_exporter": {"kafka_consumergroup_lag"},
    "redis_exporter": {"redis_memory_used_bytes", "redis_memory_max_bytes"},
    "DCGM exporter": {"DCGM_FI_DEV_GPU_UTIL", "DCGM_FI_DEV_FB_USED"},
}
PANELS = [panel for panel in build()["panels"] if panel["type"] != "row"]


def series(query: str) -> set[str]:
    """The series that a query selects."""
    promql_parser.parse(query)  # refuses what Prometheus would
    bare = re.sub(r"\{[^}]*\}|\[\w+\]|\b(by|on|without) \([^)]*\)", "", query)
    return set(re.findall(r"\b[a-zA-Z_:][\w:]*\b(?! ?\()", bare)) - {"sum", "count", "max"}


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_a_panel_asks_for_metrics_that_exist_and_says_what_it_shows(panel: Any) -> None:
    known = catalogue() | {rule["record"] for rule in RULES if "record" in rule}
    known |= set().union(*EXPORTERS.values())
    assert panel["description"]
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert panel["targets"]
    for target in panel["targets"]:
        query = target["expr"].replace("$namespace", "s")
        query = re.sub(r"\$(camera|lane|group)", ".*", query)
        assert series(query)
        assert series(query) <= known


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_a_panel_shows_this_namespace_and_a_readable_number_of_lines(panel: Any) -> None:
    for target in panel["targets"]:
        query, legend = target["expr"], target["legendFormat"]
        own = query.count('namespace="$namespace"') + query.count('consumergroup=~"$group"')
        assert own == query.count("{")
        if {"{{camera}}", "{{pod}}"} & set(re.findall(r"\{\{\w+\}\}", legend)):
            assert query.startswith(("topk(10, ", "bottomk(10, ")), query


def test_no_panels_overlap() -> None:
    for one, other in itertools.combinations([p["gridPos"] for p in build()["panels"]], 2):
        apart_x = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        apart_y = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert apart_x or apart_y, (one, other)
    assert all(p["gridPos"]["x"] + p["gridPos"]["w"] <= 24 for p in build()["panels"])


def test_the_file_is_what_the_script_writes() -> None:
    assert json.loads(TARGET.read_text()) == build(), "run `make monitoring`"
