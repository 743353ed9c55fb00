"""Write the rules as the Prometheus operator's object: deploy/k8s/components/monitoring.

Kustomize cannot put a file into a field, so the object repeats the rules; a test compares.
"""

from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).resolve().parent
TARGET = HERE.parent / "k8s" / "components" / "monitoring" / "prometheusrule.yaml"
HEAD = "# Written by `make monitoring` from deploy/monitoring/rules; change those.\n"


def build() -> dict[str, Any]:
    """Return the object."""
    files = sorted((HERE / "rules").glob("*.yaml"), reverse=True)  # recording before alerts
    groups = [group for file in files for group in yaml.safe_load(file.read_text())["groups"]]
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
    TARGET.write_text(HEAD + yaml.safe_dump(build(), sort_keys=False, width=120))
