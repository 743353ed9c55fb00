"""Network namespaces of our own: the servers in one, a client in another, a cable between them.

The kernel's ``netem`` is not everywhere; packets are lost by iptables' ``statistic`` match, and the
cable is cut by taking its end down. Needs root, ``ip`` and ``iptables``.
"""

import contextlib
import ctypes
import os
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from stack.launch import LOCALHOST

_SERVERS, _WORKER = "10.213.0.1", "10.213.0.2"
_CLONE_NEWNET = 0x40000000


@dataclass(frozen=True)
class Network:
    """Where the servers of the suite are.

    Attributes:
        host: Their address.
        near: Their namespace; empty where it is the machine's own.
        far: Namespace that reaches them over the cable; empty where there is none.
    """

    host: str = LOCALHOST
    near: str = ""
    far: str = ""

    @property
    def prefix(self) -> tuple[str, ...]:
        """What starts a program at the far end."""
        return ("ip", "netns", "exec", self.far)

    def cut(self) -> None:
        """Take the cable away: packets vanish both ways, nobody is told."""
        _run(f"ip -n {self.far} link set far down")

    def mend(self) -> None:
        """Put it back."""
        _run(f"ip -n {self.far} link set far up")

    def drop(self, ports: Iterable[int]) -> None:
        """Drop what goes to these ports of the servers and what comes from them."""
        listed = ",".join(map(str, ports))
        for chain, side in (("OUTPUT", "dports"), ("INPUT", "sports")):
            _run(
                f"ip netns exec {self.far} iptables -A {chain} -p tcp -m multiport --{side} "
                f"{listed} -j DROP"
            )

    def refuse(self, port: int) -> None:
        """Have the servers' host answer what comes for a port with "port unreachable" (ICMP)."""
        self._near(f"iptables -A INPUT -p tcp --dport {port} -j REJECT")

    def admit(self, port: int) -> None:
        """Take that back."""
        self._near(f"iptables -D INPUT -p tcp --dport {port} -j REJECT")

    def enter(self) -> None:
        """Have this thread live at the far end."""
        _enter(Path(f"/run/netns/{self.far}"))

    def enter_near(self) -> None:
        """Have this thread live where the servers are."""
        _enter(Path(f"/run/netns/{self.near}"))

    def _near(self, command: str) -> None:
        _run(f"ip netns exec {self.near} {command}")

    def lose(self, share: float) -> None:
        """Lose this share of the packets, in both directions."""
        for chain in ("INPUT", "OUTPUT"):
            _run(
                f"ip netns exec {self.far} iptables -A {chain} -m statistic --mode random "
                f"--probability {share} -j DROP"
            )

    def clear(self) -> None:
        """Drop, lose and refuse no more packets."""
        for name in (self.near, self.far):
            _run(f"ip netns exec {name} iptables -F")


@contextlib.contextmanager
def own_network() -> Iterator[Network]:
    """Make both namespaces and have this thread, and what it starts, live in the servers'.

    See `missing` for what it needs.
    """
    near, far = f"seedstream-near-{os.getpid()}", f"seedstream-far-{os.getpid()}"
    with contextlib.ExitStack() as stack:
        for name in (near, far):
            _run(f"ip netns add {name}")
            stack.callback(_run, f"ip netns del {name}")
            _run(f"ip -n {name} link set lo up")
        _run(f"ip -n {near} link add near type veth peer name far netns {far}")
        _run(f"ip -n {near} addr add {_SERVERS}/30 dev near")
        _run(f"ip -n {far} addr add {_WORKER}/30 dev far")
        _run(f"ip -n {near} link set near up")
        _run(f"ip -n {far} link set far up")
        home = stack.enter_context(Path("/proc/thread-self/ns/net").open())
        _enter(Path(f"/run/netns/{near}"))
        stack.callback(_set, home.fileno())
        yield Network(_SERVERS, near, far)


def missing() -> str | None:
    """Return what `own_network` lacks here, if anything."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    absent = [name for name in ("ip", "iptables") if not shutil.which(name)]
    return f"network namespaces need {' and '.join(absent)}" if absent else None


def _enter(path: Path) -> None:
    with path.open() as file:
        _set(file.fileno())


def _set(descriptor: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(descriptor, _CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "cannot enter the network namespace")


def _run(command: str) -> None:
    subprocess.run(command.split(), check=True, timeout=20)
