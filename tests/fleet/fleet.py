"""overlays/production as a user has it who has copied it, in a namespace of its own."""

import json
import re
import shutil
import time
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from tests.deploy.manifests import REPOSITORY
from tests.fleet.control_plane import ControlPlane
from tests.fleet.fake_keda import FakeKeda
from tests.fleet.fake_kubelet import COMPONENT, FakeKubelet, is_ready
from tests.fleet.kube_api import Object

WORKER_IMAGE = "registry.example.com/seedstream/worker-gpu"
PRODUCER_IMAGE = "registry.example.com/seedstream/producer"
MIN_READY_SECONDS = 1
"""Instead of the manifests' 5: the fake kubelet's starts and stops are short as well."""


@dataclass
class Fleet:
    """An installation for fake nodes of its own.

    Attributes:
        plane: The control plane.
        kubelet: The nodes.
        keda: The autoscaler.
        rows: Lines of the table at the end.
        folder: A copy of `deploy/`, whose overlay `production` belongs to the user.
        namespace: Where it is applied.
        gpus: What the user states: the most workers.
        producers: Number of producers.
        tags: The image tag of each component; a release changes one.
        more: Further patches: (kind, name, JSON patch).
        kustomization: What else the overlay upon the user's has, such as `configMapGenerator`.
    """

    plane: ControlPlane
    kubelet: FakeKubelet
    keda: FakeKeda
    rows: list[tuple[str, str]]
    folder: Path
    namespace: str
    gpus: int = 12
    producers: int = 4
    tags: dict[str, str] = field(default_factory=lambda: {"worker": "1", "producer": "1"})
    more: list[tuple[str, str, list[Object]]] = field(default_factory=list)
    kustomization: Object = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Copy the manifests."""
        shutil.copytree(REPOSITORY / "deploy", self.folder / "deploy")
        (self.overlay.parent / "fleet").mkdir()

    @property
    def overlay(self) -> Path:
        """The user's overlay."""
        return self.folder / "deploy" / "k8s" / "overlays" / "production"

    def row(self, what: str, seen: object) -> None:
        """Add a line to the table."""
        self.rows.append((what, str(seen)))

    def add_nodes(self, gpus: tuple[int, ...] = (), others: int = 0) -> None:
        """Add a node for each number of GPUs, and nodes without any for the producers."""
        for index, count in enumerate(gpus):
            self.kubelet.add_node(
                self.node("gpu", index), {"fleet": f"{self.namespace}-gpu"}, count
            )
        for index in range(others):
            self.kubelet.add_node(self.node("cpu", index), {"fleet": f"{self.namespace}-cpu"})

    def node(self, kind: str, index: int) -> str:
        """Return the name of a node."""
        return f"{self.namespace}-{kind}-{index}"

    def write(self) -> Path:
        """Write the overlay that stands upon the user's: sizes, versions, nodes, short times."""
        select = [
            ("Deployment", "worker", [
                {"op": "add", "path": "/spec/template/spec/nodeSelector/fleet",
                 "value": f"{self.namespace}-gpu"},
                {"op": "replace", "path": "/spec/minReadySeconds", "value": MIN_READY_SECONDS},
            ]),
            ("StatefulSet", "producer", [
                {"op": "add", "path": "/spec/template/spec/nodeSelector",
                 "value": {"fleet": f"{self.namespace}-cpu"}},
            ]),
            ("ScaledObject", "worker", [
                {"op": "replace", "path": "/spec/maxReplicaCount", "value": self.gpus},
            ]),
        ]  # fmt: skip
        patches = [
            {"target": {"kind": kind, "name": name}, "patch": json.dumps(patch)}
            for kind, name, patch in [*select, *self.more]
        ]
        images = [
            {"name": WORKER_IMAGE, "newTag": self.tags["worker"]},
            {"name": PRODUCER_IMAGE, "newTag": self.tags["producer"]},
        ]
        self.kustomization |= {
            "namespace": self.namespace,
            "resources": ["../production"],
            "replicas": [{"name": "producer", "count": self.producers}],
            "images": images,
            "patches": patches,
        }
        target = self.overlay.parent / "fleet"
        (target / "kustomization.yaml").write_text(json.dumps(self.kustomization))
        return target

    def apply(self) -> None:
        """Apply it with the command of docs/operate/deploy.md."""
        options = ("--server-side", "--force-conflicts")
        self.plane.kubectl("apply", *options, "-k", str(self.write()))

    def kubectl(self, *arguments: str, timeout: float = 360) -> str:
        """Run kubectl in the namespace."""
        return self.plane.kubectl("-n", self.namespace, *arguments, timeout=timeout)

    def install(self, *, workers: int = 2) -> float:
        """Apply everything and wait until all is ready; return how many seconds that took."""
        began = time.monotonic()
        self.apply()
        self.scale_to(workers)
        self.wait_ready(producer=self.producers, worker=min(workers, self.gpus))
        return time.monotonic() - began

    def scale_to(self, workers: int) -> None:
        """Let there be frames for so many workers."""
        self.keda.wanted[self.namespace] = workers

    def wait_ready(self, timeout_seconds: float = 60, **components: int) -> None:
        """Wait until exactly so many pods of each component are ready."""
        for name, count in components.items():
            what = f"{count} {name}s ready"
            self.plane.wait(what, partial(self._has_ready, name, count), timeout_seconds)

    def _has_ready(self, component: str, count: int) -> bool:
        return self.ready(component) == count

    def ready(self, component: str) -> int:
        """Return how many of its pods are ready."""
        return len(self.kubelet.ready[(self.namespace, component)])

    def lowest(self, component: str) -> int:
        """Return the fewest that were ready since `forget_lowest`."""
        return self.kubelet.lowest[(self.namespace, component)]

    def forget_lowest(self) -> None:
        """Look for the fewest anew."""
        self.kubelet.forget_lowest()

    def pods(self, component: str) -> list[Object]:
        """Return its pods, those that are about to go among them."""
        query = f"labelSelector={COMPONENT}%3D{component}"
        return self.plane.api.items(f"/api/v1/namespaces/{self.namespace}/pods?{query}")

    def versions(self, component: str) -> Counter[tuple[str, str]]:
        """Count its pods by tag and by what they are: `ready`, `unready`, `pending`, `leaving`."""
        return Counter((_tag(each), _state(each)) for each in self.pods(component))

    def get(self, group: str, kind: str, name: str) -> Any:
        """Return an object of the namespace; ``group`` is such as `apps/v1`."""
        return self.plane.api.get(f"/apis/{group}/namespaces/{self.namespace}/{kind}/{name}")

    def run_documented(self, heading: str, block: int, node: str = "NODE") -> float:
        """Run a block of commands of docs/operate/deploy.md, as it stands there.

        Args:
            heading: Of the section.
            block: Which of its blocks, from 0.
            node: Takes the place of NODE.

        Returns:
            How many seconds that took.
        """
        script = commands(heading)[block].replace("-n seedstream", f"-n {self.namespace}")
        script = script.replace("my-overlay", str(self.write())).replace("NODE", node)
        # The fake kubelet's pods leave in a hundredth of the time.
        script = script.replace("sleep 40", "sleep 1")
        began = time.monotonic()
        self.plane.shell(script)
        return time.monotonic() - began


def commands(heading: str) -> list[str]:
    """Return the blocks of commands below a heading of docs/operate/deploy.md, as scripts."""
    text = (REPOSITORY / "docs" / "operate" / "deploy.md").read_text()
    _, found, rest = text.partition(f"\n### {heading}\n")
    assert found, f"docs/operate/deploy.md has no heading {heading!r}"
    section = re.split(r"\n##+ ", rest)[0]
    return [
        "\n".join(line[2:] for line in block.splitlines() if line.startswith(("$ ", "> ")))
        for block in re.findall(r"```console\n(.*?)```", section, re.DOTALL)
    ]


def _tag(pod: Object) -> str:
    return str(pod["spec"]["containers"][0]["image"]).rpartition(":")[2]


def _state(pod: Object) -> str:
    if "deletionTimestamp" in pod["metadata"]:
        return "leaving"
    if "nodeName" not in pod["spec"]:
        return "pending"
    return "ready" if is_ready(pod) else "unready"
