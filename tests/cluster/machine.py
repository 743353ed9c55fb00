"""A real Kubernetes on this machine: what the tests ask of it.

The scripts beside this file build it, start it as plain processes in a network namespace without a
way out, and remove it again.
"""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from tests.waits import PATIENCE

T = TypeVar("T")

HERE = Path(__file__).resolve().parent
DIR = Path(os.environ.get("CLUSTER_DIR", Path.home() / ".cache" / "seedstream" / "cluster"))
NETWORK = Path("/run/netns/seedstream")
LONGEST_SECONDS = 3600.0


class ClusterError(AssertionError):
    """The cluster did not do what was asked; the message has what it said."""


def missing() -> str | None:
    """Return why a cluster cannot run here, if anything."""
    if os.geteuid() != 0:
        return "needs root: network namespaces, containerd and mounts"
    absent = [name for name in ("ip", "nsenter", "openssl", "apt-get") if not shutil.which(name)]
    if absent:
        return f"needs {', '.join(absent)}"
    if not shutil.which("go") and not (DIR / "bin" / "kube-apiserver").exists():
        return "needs Go to build Kubernetes"
    return None


def script(name: str, *arguments: str) -> str:
    """Run one of the scripts beside this file, named without `.sh`; return what it printed.

    Raises:
        ClusterError: It failed.
    """
    done = subprocess.run(
        ["bash", str(HERE / f"{name}.sh"), *arguments],
        env={**os.environ, "CLUSTER_DIR": str(DIR)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LONGEST_SECONDS,
        check=False,
    )
    if done.returncode:
        raise ClusterError(f"{name}.sh failed:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
    return done.stdout


class Cluster:
    """The cluster that ``up.sh`` has started."""

    def kubectl(self, *arguments: str, stdin: str | None = None, timeout: float = 180) -> str:
        """Run kubectl in the cluster's network; return what it prints.

        Raises:
            ClusterError: It failed, or took longer than ``timeout`` seconds.
        """
        done = self.inside(self.command(*arguments), stdin=stdin, timeout=timeout)
        if done.returncode:
            shown = " ".join(arguments)
            raise ClusterError(f"kubectl {shown}: {done.stderr.strip()}\n{done.stdout[-1000:]}")
        return done.stdout

    def command(self, *arguments: str) -> list[str]:
        """Return the command line of kubectl for this cluster."""
        return ["kubectl", "--kubeconfig", str(DIR / "run" / "admin.conf"), *arguments]

    def inside(
        self, command: Sequence[str], *, stdin: str | None = None, timeout: float = 180
    ) -> "subprocess.CompletedProcess[str]":
        """Run a command in the cluster's network.

        Raises:
            ClusterError: It took longer than ``timeout`` seconds.
        """
        try:
            return subprocess.run(
                ["nsenter", f"--net={NETWORK}", *command],
                input=stdin if stdin is not None else "",
                capture_output=True,
                text=True,
                timeout=timeout,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise ClusterError(f"{' '.join(command)} took over {timeout:.0f} s") from error

    def json(self, *arguments: str, timeout: float = 180) -> Any:
        """Run kubectl with ``-o json`` and parse what it prints."""
        return json.loads(self.kubectl(*arguments, "-o", "json", timeout=timeout))

    def wait(self, what: str, condition: Callable[[], T], timeout_seconds: float) -> T:
        """Wait until a condition gives something true, and return that.

        A ClusterError on the way counts as not yet.

        Raises:
            ClusterError: Not in time; the message names ``what`` and the last error.
        """
        timeout_seconds *= PATIENCE
        deadline, seen = time.monotonic() + timeout_seconds, ""
        while time.monotonic() < deadline:
            try:
                result = condition()
            except ClusterError as error:
                seen = f"; last: {error}"
            else:
                if result:
                    return result
                seen = ""
            time.sleep(0.5)
        raise ClusterError(f"not within {timeout_seconds:.0f} s: {what}{seen}")

    def volume(self, name: str, namespace: str, claim: str, folder: Path, user: int) -> None:
        """Make a volume of a folder of this machine, for one claim."""
        folder.mkdir(parents=True, exist_ok=True)
        os.chown(folder, user, user)
        self.kubectl(
            "apply", "-f", "-",
            stdin=json.dumps({
                "apiVersion": "v1",
                "kind": "PersistentVolume",
                "metadata": {"name": name},
                "spec": {
                    "capacity": {"storage": "100Gi"},
                    "accessModes": ["ReadWriteOnce", "ReadWriteMany"],
                    "persistentVolumeReclaimPolicy": "Retain",
                    "hostPath": {"path": str(folder)},
                    "claimRef": {"namespace": namespace, "name": claim},
                },
            }),
        )  # fmt: skip

    def dump(self, folder: Path) -> None:
        """Write what is needed to understand a failure: objects, events, logs."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, arguments in {
            "pods": ("get", "pods", "-A", "-o", "wide"),
            "describe": ("describe", "pods", "-n", "seedstream"),
            "events": ("get", "events", "-A", "--sort-by=.lastTimestamp"),
        }.items():
            (folder / f"{name}.txt").write_text(self._said(*arguments))
        for pod in self._said("get", "pods", "-n", "seedstream", "-o", "name").split():
            for suffix, more in (("", ()), ("-before", ("--previous",))):
                text = self._said("logs", "-n", "seedstream", pod, "--tail=2000", *more)
                (folder / f"{pod.replace('/', '-')}{suffix}.log").write_text(text)

    def _said(self, *arguments: str) -> str:
        try:
            return self.kubectl(*arguments)
        except ClusterError as error:
            return str(error)
