"""Write the rules as the Prometheus operator's object: deploy/k8s/components/monitoring.

Kustomize cannot put a file into a field, so the object repeats the rules; a test compares. With
``SEEDSTREAM_RUNBOOK=https://wiki.example/runbook make monitoring`` the alerts' links lead there.
"""

import os
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).resolve().parent
TARGET = HERE.parent / "k8s" / "components" / "monitoring" / "prometheusrule.yaml"
HEAD = "# Written by `make monitoring` from deploy/monitoring/rules; change those.\n"


RUNBOOK = "docs/operate/runbook.md"
"""Where the alerts' links lead unless it is set: a path in the repository."""


def build(runbook: str = RUNBOOK) -> dict[str, Any]:
    """Return the object.

    Args:
        runbook: Address of the page that the alerts' links lead to.
    """
    files = sorted((HERE / "rules").glob("*.yaml"), reverse=True)  # recording before alerts
    texts = [
        file.read_text().replace(f"runbook_url: {RUNBOOK}", f"runbook_url: {runbook}")
        for file in files
    ]
    groups = [group for text in texts for group in yaml.safe_load(text)["groups"]]
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {
            "name": "seedstream",
            "labels": {"app.kubernetes.io/name": "seedstream"},
        },
        "spec": {"groups": groups},
    }


if __name__ == "__main__":
    found = build(os.environ.get("SEEDSTREAM_RUNBOOK", RUNBOOK))
    TARGET.write_text(HEAD + yaml.safe_dump(found, sort_keys=False, width=120))
