"""The kubelets of all nodes: no container ever runs, but the API server is told that it does."""

import contextlib
import heapq
import http.client
import sys
import threading
import time
from collections import defaultdict
from datetime import UTC, datetime

from tests.fleet.kube_api import STRATEGIC, ApiError, KubeApi, Object

START_SECONDS = 0.5
"""From a pod's place on a node to its readiness."""
STOP_SECONDS = 0.3
"""From a pod's deletion to its end, if it may take so long."""
STOP_TIMEOUT_SECONDS = 10.0
BROKEN = "broken"
"""An image with this word in it never becomes ready."""
COMPONENT = "app.kubernetes.io/component"


def now() -> str:
    """Return the time as Kubernetes writes it, to a microsecond."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class FakeKubelet:
    """Brings pods of its nodes up and down, and counts those that are ready.

    Attributes:
        lost: Names of nodes that are cut off: their pods change no more, and nobody hears of them.
        lowest: The fewest ready pods of each (namespace, component) since ``forget_lowest``.
    """

    def __init__(self, api: KubeApi) -> None:
        """Start watching; there are no nodes yet."""
        self._api = api
        self.nodes: set[str] = set()
        self.lost: set[str] = set()
        self.ready: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
        self.lowest: dict[tuple[str, str], int] = {}
        self._begun: set[tuple[str, bool]] = set()
        self._due: list[tuple[float, int, bool, Object]] = []
        self._changed, self._ended = threading.Condition(), threading.Event()
        self._threads = [
            threading.Thread(target=loop, daemon=True, name=f"kubelet{loop.__name__}")
            for loop in (self._watch, self._act, self._act)
        ]
        for each in self._threads:
            each.start()

    def add_node(self, name: str, labels: dict[str, str], gpus: int = 0) -> None:
        """Register a node with plenty of processors and memory, and some GPUs."""
        room = {"cpu": "512", "memory": "4Ti", "pods": "250", "ephemeral-storage": "1Ti"}
        if gpus:
            room["nvidia.com/gpu"] = str(gpus)
            labels = {**labels, "nvidia.com/gpu.present": "true"}
        ready = {"type": "Ready", "status": "True", "reason": "KubeletReady"}
        metadata = {"name": name, "labels": {"kubernetes.io/hostname": name, **labels}}
        status = {"capacity": room, "allocatable": room, "conditions": [ready]}
        self._api.post("/api/v1/nodes", {"metadata": metadata, "status": status})
        self.nodes.add(name)

    def lose_node(self, name: str) -> None:
        """Cut a node off, and say of it what the controllers do 50 s later."""
        self.lost.add(name)
        unknown = {"type": "Ready", "status": "Unknown", "reason": "NodeStatusUnknown"}
        status = {"status": {"conditions": [unknown]}}
        self._api.patch(f"/api/v1/nodes/{name}/status", status, STRATEGIC)

    def remove_node(self, name: str) -> None:
        """Take a node away for good, as the cloud does whose machine is gone."""
        self.nodes.discard(name)
        self._api.delete(f"/api/v1/nodes/{name}")

    def forget_lowest(self) -> None:
        """Begin to look for the fewest ready pods anew."""
        self.lowest = {key: len(pods) for key, pods in self.ready.items()}

    def stop(self) -> None:
        """Say no more; the thread that watches ends when its connection does."""
        self._ended.set()
        with self._changed:
            self._changed.notify_all()
        for each in self._threads[1:]:
            each.join(STOP_TIMEOUT_SECONDS)

    def _watch(self) -> None:
        while not self._ended.is_set():
            with contextlib.suppress(OSError, http.client.HTTPException):
                for kind, pod in self._api.watch("/api/v1/pods"):
                    if kind in ("ADDED", "MODIFIED", "DELETED"):
                        self._seen(kind, pod)
            self._ended.wait(0.1)

    def _seen(self, kind: str, pod: Object) -> None:
        uid, deleted = pod["metadata"]["uid"], "deletionTimestamp" in pod["metadata"]
        self._count(pod, is_ready=kind != "DELETED" and not deleted and is_ready(pod))
        if kind == "DELETED" or pod["spec"].get("nodeName") not in self.nodes - self.lost:
            return
        if (uid, deleted) not in self._begun:
            self._begun.add((uid, deleted))
            grace = pod["metadata"].get("deletionGracePeriodSeconds", 0)
            seconds = min(STOP_SECONDS, grace) if deleted else START_SECONDS
            with self._changed:
                entry = (time.monotonic() + seconds, len(self._begun), deleted, pod)
                heapq.heappush(self._due, entry)
                self._changed.notify_all()

    def _count(self, pod: Object, *, is_ready: bool) -> None:
        key = (pod["metadata"]["namespace"], pod["metadata"]["labels"].get(COMPONENT, ""))
        (self.ready[key].add if is_ready else self.ready[key].discard)(pod["metadata"]["uid"])
        self.lowest[key] = min(len(self.ready[key]), self.lowest.get(key, sys.maxsize))

    def _act(self) -> None:
        while not self._ended.is_set():
            with self._changed:
                wait = self._due[0][0] - time.monotonic() if self._due else None
                if wait is None or wait > 0:
                    self._changed.wait(wait)
                    continue
                _, _, deleted, pod = heapq.heappop(self._due)
            if pod["spec"]["nodeName"] not in self.lost:
                self._tell(deleted, pod)

    def _tell(self, deleted: bool, pod: Object) -> None:
        meta = pod["metadata"]
        path = f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}"
        try:
            if deleted:
                options = {"gracePeriodSeconds": 0, "preconditions": {"uid": meta["uid"]}}
                self._api.delete(path, options)
            else:
                self._api.patch(f"{path}/status", {"status": _running(pod)}, STRATEGIC)
        except ApiError as error:
            # Gone already, or another one has its name.
            if error.status not in (404, 409):
                raise


def is_ready(pod: Object) -> bool:
    """Return whether a pod counts as ready."""
    conditions = pod.get("status", {}).get("conditions", ())
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def _running(pod: Object) -> Object:
    """Return the status of a pod whose container runs."""
    kinds = ["PodReadyToStartContainers", "Initialized"]
    if BROKEN not in pod["spec"]["containers"][0]["image"]:
        kinds += ["ContainersReady", "Ready"]
    since = now()[:19] + "Z"
    conditions = [{"type": each, "status": "True", "lastTransitionTime": since} for each in kinds]
    return {"phase": "Running", "startTime": since, "conditions": conditions}
