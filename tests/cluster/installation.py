"""What the tests know about the installation: apply, wait, look inside, count."""

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from tests.cluster.machine import DIR, NETWORK, Cluster, ClusterError
from tests.made_data import write_discs, write_recipe

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent.parent
NAMESPACE = "seedstream"
LOCAL = REPOSITORY / "deploy" / "k8s" / "overlays" / "local"
OVERLAYS = HERE / "overlays"
TOPIC = "few"
GROUP = "seedstream-workers"

Count = dict[str, Any]

_FETCH = """
import json, sys, urllib.request
with urllib.request.urlopen(sys.argv[1], timeout=10) as reply:
    body = reply.read()
kind = reply.headers["content-type"]
print(json.dumps({"kind": kind, "size": len(body), "text": body.decode("latin-1")}))
"""


class Reply(NamedTuple):
    """What a page answered: its content type, its size in bytes, and its bytes as Latin-1."""

    kind: str
    size: int
    text: str


@dataclass
class Stack:
    """The installation in the cluster.

    Attributes:
        cluster: The cluster.
        rows: Lines of the table at the end: what was done, and what was seen.
        ends: Where on the topic the last count ended.
        dead: Dead letters at the last count.
    """

    cluster: Cluster
    rows: list[tuple[str, str]] = field(default_factory=list)
    ends: dict[str, int] = field(default_factory=dict)
    dead: int = 0

    def kubectl(self, *arguments: str, timeout: float = 180, stdin: str | None = None) -> str:
        """Run kubectl in our namespace."""
        return self.cluster.kubectl("-n", NAMESPACE, *arguments, timeout=timeout, stdin=stdin)

    def get(self, *arguments: str) -> Any:
        """Return what `kubectl get` knows, parsed."""
        return json.loads(self.kubectl("get", *arguments, "-o", "json"))

    def pods(self, component: str) -> list[Any]:
        """Return the pods of a component that are not on their way out."""
        items = self.get("pods", "-l", f"app.kubernetes.io/component={component}")["items"]
        return [pod for pod in items if "deletionTimestamp" not in pod["metadata"]]

    def apply(self, overlay: Path) -> None:
        """Apply an overlay as a user does, and wait for what it started."""
        self.cluster.kubectl("apply", "-k", str(overlay), timeout=360)
        self.rolled_out()

    def rolled_out(self, timeout_seconds: float = 720) -> None:
        """Wait until all but the workers are as the manifests say, and ready; then those, too."""
        sets = [f"statefulset/{name}" for name in ("kafka", "redis", "producer")]
        for what in (*sets, "deployment/viewer"):
            self.kubectl(
                "rollout", "status", what, f"--timeout={timeout_seconds:.0f}s",
                timeout=timeout_seconds + 10,
            )  # fmt: skip
        self.rolled_out_workers(timeout_seconds)

    def rolled_out_workers(self, timeout_seconds: float = 720) -> None:
        """Wait until the workers are as the manifests say, and ready."""
        self.kubectl(
            "rollout", "status", "deployment/worker", f"--timeout={timeout_seconds:.0f}s",
            timeout=timeout_seconds + 10,
        )  # fmt: skip

    def start_training(self) -> None:
        """Apply what trains a tiny model into the volume of models; it trains once."""
        if not self.kubectl("get", "job", "train", "--ignore-not-found"):
            data = DIR / "volumes" / "training-data"
            write_discs(data)
            write_recipe(data)
        self.apply(OVERLAYS / "training")

    def look(self, script: str, *arguments: str, timeout: float = 720) -> str:
        """Run a script of ``inside/`` in the pod `looker`; return what it prints."""
        text = (HERE / "inside" / f"{script}.py").read_text()
        return self.kubectl(
            "exec", "-i", "looker", "--", "/opt/seedstream/bin/python", "-", *arguments,
            timeout=timeout, stdin=text,
        )  # fmt: skip

    def count(self) -> Count:
        """Compare the frames published since the last count with the results."""
        seen: Count = json.loads(self.look("count", TOPIC, GROUP, json.dumps(self.ends)))
        self.ends = seen["ends"]
        seen["new_dead_letters"], self.dead = seen["dead_letters"] - self.dead, seen["dead_letters"]
        return seen

    @contextlib.contextmanager
    def forwarded(self, what: str, port: int) -> Iterator[Callable[[str], Reply]]:
        """Forward a port of a pod as a user does; yields what fetches a path from there."""
        begun = ["nsenter", f"--net={NETWORK}", *self.cluster.command("-n", NAMESPACE)]
        process = subprocess.Popen(
            [*begun, "port-forward", what, f"{port}:{port}"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

        def get(path: str) -> Reply:
            url = f"http://127.0.0.1:{port}{path}"
            done = self.cluster.inside([sys.executable, "-c", _FETCH, url], timeout=20)
            if done.returncode:
                raise ClusterError(f"{url}: {done.stderr[-500:]}")
            return Reply(**json.loads(done.stdout))

        try:
            self.cluster.wait(f"an answer through {what}", lambda: get("/"), 30)
            yield get
        finally:
            process.terminate()
            process.wait(10)

    def row(self, what: str, seen: str) -> None:
        """Add a line to the table at the end."""
        self.rows.append((what, seen))

    def query(self, promql: str) -> list[Any]:
        """Ask the Prometheus inside."""
        script = (
            "import sys, urllib.parse, urllib.request\n"
            "url = 'http://prometheus:9090/api/v1/query?' + urllib.parse.urlencode("
            "{'query': sys.argv[1]})\n"
            "print(urllib.request.urlopen(url, timeout=10).read().decode())"
        )
        text = self.kubectl(
            "exec", "looker", "--", "/opt/seedstream/bin/python", "-c", script, promql
        )
        return list(json.loads(text)["data"]["result"])


class Timer:
    """Seconds since it was made."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    @property
    def seconds(self) -> float:
        """Seconds since it was made."""
        return time.monotonic() - self._began
