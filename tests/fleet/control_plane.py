"""Kubernetes' control plane as plain processes of this user: no images, no root, no nodes.

The programs are those that `tests/cluster/build.sh` builds.
"""

import contextlib
import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from stack.child_process import ChildProcess, check_alive
from stack.launch import LOCALHOST, free_ports
from tests.fleet.kube_api import ApiError, KubeApi, Object
from tests.waits import PATIENCE

T = TypeVar("T")

CLUSTER = Path(os.environ.get("CLUSTER_DIR", Path.home() / ".cache" / "seedstream" / "cluster"))
PROGRAMS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
TOKEN = "fleet"
START_SECONDS = 180.0
TOLERATED_SECONDS = 3
"""How long pods stay on a lost node that do not say so themselves (300 s by default)."""
CONTROLLERS = (
    "deployment-controller", "replicaset-controller", "statefulset-controller",
    "disruption-controller", "node-lifecycle-controller", "taint-eviction-controller",
    "pod-garbage-collector-controller", "namespace-controller", "serviceaccount-controller",
)  # fmt: skip


def missing() -> str | None:
    """Return why no control plane can run here, if anything."""
    absent = [name for name in PROGRAMS if not (CLUSTER / "bin" / name).exists()]
    if absent:
        return f"no {', '.join(absent)} in {CLUSTER}/bin: tests/cluster/build.sh builds them"
    if kubectl_program() is None or shutil.which("openssl") is None:
        return "needs kubectl (tests/cluster/build.sh builds one) and openssl"
    return None


def kubectl_program() -> str | None:
    """Return the path of kubectl, if there is one."""
    return shutil.which("kubectl") or shutil.which(str(CLUSTER / "bin" / "kubectl"))


class ControlPlane:
    """A running control plane."""

    def __init__(self, api: KubeApi, folder: Path, processes: Sequence[ChildProcess]) -> None:
        """Keep them."""
        self.api, self._folder, self._processes = api, folder, processes

    def kubectl(self, *arguments: str, stdin: str = "", timeout: float = 360) -> str:
        """Run kubectl; return what it prints.

        Raises:
            AssertionError: It failed; the message has what it said.
        """
        done = self.tried(*arguments, stdin=stdin, timeout=timeout)
        said = f"{done.stderr.strip()}\n{done.stdout[-1000:]}"
        assert done.returncode == 0, f"kubectl {' '.join(arguments)}: {said}"
        return done.stdout

    def tried(
        self, *arguments: str, stdin: str = "", timeout: float = 360
    ) -> "subprocess.CompletedProcess[str]":
        """Run kubectl; return how it ended."""
        command = (str(kubectl_program()), "--kubeconfig", str(self._folder / "kubeconfig"))
        return subprocess.run(
            (*command, *arguments),
            input=stdin, capture_output=True, text=True, timeout=timeout, check=False,
        )  # fmt: skip

    def shell(self, script: str, timeout: float = 540) -> str:
        """Run what a user types whose KUBECONFIG is this control plane's; return what is printed.

        Raises:
            AssertionError: One of them failed; the message has what they said.
        """
        path = f"{Path(str(kubectl_program())).parent}:{os.environ['PATH']}"
        config = str(self._folder / "kubeconfig")
        # Which ends what the script has begun as well: a kill of bash alone leaves kubectl behind.
        bounded = ("timeout", "--kill-after=5", str(timeout))
        done = subprocess.run(
            [*bounded, "bash", "-e", "-u", "-c", script],
            env={**os.environ, "PATH": path, "KUBECONFIG": config},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{script}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
        return done.stdout

    def wait(self, what: str, condition: Callable[[], T], timeout_seconds: float = 60) -> T:
        """Wait until a condition gives something true, and return that."""
        timeout_seconds *= PATIENCE
        deadline, seen = time.monotonic() + timeout_seconds, ""
        while time.monotonic() < deadline:
            check_alive(self._processes)
            try:
                if result := condition():
                    return result
                seen = ""
            except ApiError as error:
                seen = f"; last: {error}"
            time.sleep(0.1)
        raise AssertionError(f"not within {timeout_seconds:.0f} s: {what}{seen}")

    def processor_seconds(self) -> float:
        """Return what its processes have taken so far."""
        ticks = 0
        for each in self._processes:
            fields = Path(f"/proc/{each.pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def running_control_plane(folder: Path) -> Iterator[ControlPlane]:
    """Start etcd, the API server, the controllers and the scheduler; stop them at the end."""
    client, peer, port = free_ports(3)
    _write_keys(folder, port)
    with contextlib.ExitStack() as stack:
        processes: list[ChildProcess] = []

        def start(name: str, *arguments: str) -> ChildProcess:
            command = [str(CLUSTER / "bin" / name), *arguments]
            # Memory is there; collecting it often would be a quarter of the processors' time.
            child = ChildProcess.spawn(
                name, command, log_path=folder / f"{name}.log", cwd=folder,
                env={**os.environ, "GOGC": "400"},
            )  # fmt: skip
            processes.append(stack.enter_context(child))
            return child

        start(
            "etcd", "--data-dir=etcd", "--unsafe-no-fsync", "--log-level=warn",
            f"--listen-client-urls=http://{LOCALHOST}:{client}",
            f"--advertise-client-urls=http://{LOCALHOST}:{client}",
            f"--listen-peer-urls=http://{LOCALHOST}:{peer}",
        )  # fmt: skip
        server = start(
            "kube-apiserver", f"--etcd-servers=http://{LOCALHOST}:{client}",
            f"--secure-port={port}", f"--bind-address={LOCALHOST}", "--cert-dir=certificates",
            "--endpoint-reconciler-type=none", "--service-cluster-ip-range=10.96.0.0/16",
            "--token-auth-file=tokens.csv", "--authorization-mode=RBAC",
            "--service-account-key-file=accounts.key",
            "--service-account-signing-key-file=accounts.key",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--default-unreachable-toleration-seconds={TOLERATED_SECONDS}",
            f"--default-not-ready-toleration-seconds={TOLERATED_SECONDS}",
        )  # fmt: skip
        api = KubeApi(port, TOKEN)
        server.wait_until(lambda: _answers(api), START_SECONDS, "not ready")
        quick = ("--kubeconfig=kubeconfig", "--leader-elect=false", "--secure-port=0",
                 "--kube-api-qps=500", "--kube-api-burst=1000")  # fmt: skip
        start(
            "kube-controller-manager", *quick, f"--controllers={','.join(CONTROLLERS)}",
            # Nodes send no signs of life; tests say which is lost, so a busy machine loses none.
            "--node-monitor-grace-period=3600s", "--node-monitor-period=1s",
            "--node-eviction-rate=10",
        )  # fmt: skip
        start("kube-scheduler", *quick)
        yield ControlPlane(api, folder, processes)


def _answers(api: KubeApi) -> bool:
    try:
        return bool(api.get("/readyz"))
    except (OSError, ApiError):
        return False


def _write_keys(folder: Path, port: int) -> None:
    key = ("openssl", "genrsa", "-out", str(folder / "accounts.key"), "2048")
    subprocess.run(key, capture_output=True, check=True)
    (folder / "tokens.csv").write_text(f'{TOKEN},admin,admin,"system:masters"\n')
    server = {"server": f"https://{LOCALHOST}:{port}", "insecure-skip-tls-verify": True}
    config: Object = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "fleet", "cluster": server}],
        "users": [{"name": "fleet", "user": {"token": TOKEN}}],
        "contexts": [{"name": "fleet", "context": {"cluster": "fleet", "user": "fleet"}}],
        "current-context": "fleet",
    }
    (folder / "kubeconfig").write_text(json.dumps(config))
