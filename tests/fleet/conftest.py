"""A control plane with fake nodes for the tests, and a table of what was seen at the end."""

import itertools
import re
import resource
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fleet.control_plane import ControlPlane, missing, running_control_plane
from tests.fleet.fake_keda import FakeKeda
from tests.fleet.fake_kubelet import FakeKubelet
from tests.fleet.fleet import Fleet
from tests.fleet.kube_api import Object

_ROWS: list[tuple[str, str]] = []
_NUMBERS = itertools.count(1)

_KINDS = (
    ("keda.sh", "v1alpha1", "ScaledObject"),
    ("keda.sh", "v1alpha1", "TriggerAuthentication"),
    ("monitoring.coreos.com", "v1", "PodMonitor"),
    ("monitoring.coreos.com", "v1", "PrometheusRule"),
)
"""What operators bring; objects are held against their own schemas in tests/deploy."""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give each test the time it takes where others want the cores as well."""
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.timeout(1800))


@pytest.fixture(scope="session")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """Kubernetes without a node."""
    why = missing()
    if why:
        pytest.skip(f"no control plane on this machine: {why}")
    began = time.monotonic()
    with running_control_plane(tmp_path_factory.mktemp("fleet")) as plane:
        for group, version, kind in _KINDS:
            _define(plane, group, version, kind)
        _ROWS.append(("etcd, API server, controllers and scheduler", f"{_since(began)} to start"))
        yield plane
        spent = (
            resource.getrusage(resource.RUSAGE_SELF),
            resource.getrusage(resource.RUSAGE_CHILDREN),
        )
        ours = sum(each.ru_utime + each.ru_stime for each in spent)
        control = plane.processor_seconds()
        _ROWS.append(
            (
                "all of it",
                f"{_since(began)}; {control:.0f} core-seconds of the control plane, "
                f"{ours:.0f} of the tests, their kubelets and kubectl",
            )
        )


@pytest.fixture(scope="session")
def kubelet(plane: ControlPlane) -> Iterator[FakeKubelet]:
    """The nodes; none at first."""
    kubelet = FakeKubelet(plane.api)
    yield kubelet
    kubelet.stop()


@pytest.fixture(scope="session")
def keda(plane: ControlPlane) -> Iterator[FakeKeda]:
    """The autoscaler."""
    keda = FakeKeda(plane.api)
    yield keda
    keda.stop()


@pytest.fixture
def new_fleet(
    plane: ControlPlane, kubelet: FakeKubelet, keda: FakeKeda, tmp_path: Path,
    request: pytest.FixtureRequest,
) -> Iterator[Callable[..., Fleet]]:  # fmt: skip
    """Make a fleet in a namespace of its own; its nodes go with the test."""
    made: list[Fleet] = []

    def make(**options: Any) -> Fleet:
        name = re.sub("[^a-z]+", "-", request.node.name.removeprefix("test_"))[:30].strip("-")
        namespace = f"{name}-{next(_NUMBERS)}"
        made.append(Fleet(plane, kubelet, keda, _ROWS, tmp_path / namespace, namespace, **options))
        return made[-1]

    yield make
    for fleet in made:
        keda.wanted.pop(fleet.namespace, None)
        plane.api.delete(f"/api/v1/namespaces/{fleet.namespace}")
        for node in [each for each in kubelet.nodes if each.startswith(f"{fleet.namespace}-")]:
            kubelet.remove_node(node)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the table."""
    if _ROWS:
        terminalreporter.section("what the control plane showed")
        width = max(len(what) for what, _ in _ROWS)
        for what, seen in _ROWS:
            terminalreporter.write_line(f"{what:<{width}}  {seen}")


def _since(began: float) -> str:
    return f"{time.monotonic() - began:.0f} s"


def _define(plane: ControlPlane, group: str, version: str, kind: str) -> None:
    """Make a kind known that takes anything."""
    plural = f"{kind.lower()}s"
    schema: Object = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    served = {"name": version, "served": True, "storage": True}
    body: Object = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"kind": kind, "plural": plural, "singular": kind.lower()},
            "versions": [{**served, "schema": {"openAPIV3Schema": schema}}],
        },
    }
    plane.api.post("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", body)
    plane.wait(f"{kind} to be served", lambda: plane.api.get(f"/apis/{group}/{version}/{plural}"))
