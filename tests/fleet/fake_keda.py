"""KEDA as the API server sees it: the scale of the workers set anew, unless a user has paused that.

KEDA itself, with its metrics, runs in tests/cluster.
"""

import threading

from tests.fleet.kube_api import ApiError, KubeApi, Object

EVERY_SECONDS = 0.3
PAUSED = "autoscaling.keda.sh/paused"
PAUSED_REPLICAS = "autoscaling.keda.sh/paused-replicas"


class FakeKeda:
    """Scales the Deployment `worker` of each namespace in ``wanted``.

    Attributes:
        wanted: How many workers the frames of a namespace would need, GPUs or not.
    """

    def __init__(self, api: KubeApi) -> None:
        """Start; nothing is wanted yet."""
        self._api = api
        self.wanted: dict[str, int] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name="keda")
        self._thread.start()

    def stop(self) -> None:
        """Scale no more."""
        self._ended.set()
        self._thread.join(10.0)

    def _run(self) -> None:
        while not self._ended.wait(EVERY_SECONDS):
            for namespace, wanted in list(self.wanted.items()):
                try:
                    self._scale(namespace, wanted)
                except ApiError as error:
                    # A test may end, and its namespace with it, in the middle of this.
                    if error.status != 404:
                        raise

    def _scale(self, namespace: str, wanted: int) -> None:
        scaled = f"/apis/keda.sh/v1alpha1/namespaces/{namespace}/scaledobjects/worker"
        deployment = f"/apis/apps/v1/namespaces/{namespace}/deployments/worker"
        replicas = replicas_for(self._api.get(scaled), wanted)
        if replicas not in (None, self._api.get(deployment)["spec"]["replicas"]):
            self._api.patch(f"{deployment}/scale", {"spec": {"replicas": replicas}})


def replicas_for(scaled: Object, wanted: int) -> int | None:
    """Return what KEDA scales to: None where it leaves things as they are."""
    annotations, spec = scaled["metadata"].get("annotations", {}), scaled["spec"]
    if PAUSED_REPLICAS in annotations:
        return int(annotations[PAUSED_REPLICAS])
    if annotations.get(PAUSED) == "true":
        return None
    return int(min(max(wanted, spec["minReplicaCount"]), spec["maxReplicaCount"]))
