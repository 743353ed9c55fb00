"""A command of Seedstream as a child process: its settings, its pages, its metrics."""

import http.client
import os
import re
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from contract.samples import FILES_VARIABLE, NOTHING, Samples
from stack.child_process import ChildProcess

READY_SECONDS = 180.0
PAGE_SECONDS = 2.0
"""How long a process may take to answer one request."""

_PREFIXES = {"produce": "PRODUCER_", "work": "WORKER_", "render": "VIEWER_", "view": "VIEW_"}
_PORT = re.compile(r"probes.* on port (\d+)")


@dataclass(kw_only=True)
class SeedstreamProcess(ChildProcess):
    """A producer, a worker or a viewer, which serves its metrics and its probes on 127.0.0.1."""

    _port: int | None = field(default=None, repr=False)

    @property
    def port(self) -> int | None:
        """Port of its pages, from its log; None until it has logged it."""
        if self._port is None and (found := _PORT.search(self.text())):
            self._port = int(found[1])
        return self._port

    def get(self, path: str) -> tuple[int, str]:
        """Return status and body of one of its pages; status 0 and why while nothing answers."""
        if self.port is None:
            return 0, "no port in its log yet"
        # No proxy: this machine's own address is meant, whatever the environment says.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(f"http://127.0.0.1:{self.port}{path}", timeout=PAGE_SECONDS) as reply:
                return reply.status, reply.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except (OSError, http.client.HTTPException) as error:
            return 0, str(error)

    def ready(self) -> bool:
        """Return whether ``/readyz`` says yes."""
        return self.get("/readyz")[0] == 200

    def wait_until_ready(self, timeout_seconds: float = READY_SECONDS) -> None:
        """Wait until ``/readyz`` says yes.

        Raises:
            StartError: It has ended, or was not ready in time; with the end of its log.
        """
        self.wait_until(self.ready, timeout_seconds, "not ready")

    def metrics(self) -> Samples | None:
        """Return its metrics at one moment, None while nothing answers."""
        status, text = self.get("/metrics")
        return Samples.of(text_string_to_metric_families(text)) if status == 200 else None

    def metric(self, name: str, **labels: str) -> float:
        """Return the sum over the series of a metric that have these labels; 0 without one."""
        return (self.metrics() or NOTHING).total(name, **labels)


def start_seedstream(
    command: str,
    *options: str,
    log_path: Path,
    name: str = "",
    settings: Mapping[str, object] | None = None,
    env: Mapping[str, str] | None = None,
    values: Path | None = None,
) -> SeedstreamProcess:
    """Start ``python -m seedstream COMMAND``.

    Args:
        command: The subcommand.
        options: Its options.
        log_path: File for what it writes.
        name: What it is, for messages; the command's own name unless set.
        settings: Settings that it finds in its environment, without their prefix.
        env: Other variables of its environment.
        values: Folder that keeps its metrics after its end, see ``samples.last_values``.

    Raises:
        StartError: It cannot be run.
    """
    return SeedstreamProcess.spawn(
        name or command,
        [sys.executable, "-m", "seedstream", command, *options],
        log_path=log_path,
        env=environment(_PREFIXES.get(command, ""), settings or {}, values) | dict(env or {}),
    )


def environment(
    prefix: str, settings: Mapping[str, object], values: Path | None = None
) -> dict[str, str]:
    """Return the environment of a child with these settings.

    That is this process's own, without what configures a producer, worker or viewer in it: a shell
    that is set up for another pipeline must not change the child.

    Args:
        prefix: Of the variables of its settings, such as ``WORKER_``.
        settings: Its settings.
        values: Folder that keeps its metrics after its end.
    """
    # Names of settings are read without regard to case.
    known = (*_PREFIXES.values(), FILES_VARIABLE)
    made = {k: v for k, v in os.environ.items() if not k.upper().startswith(known)}
    made |= {f"{prefix}{key.upper()}": str(value) for key, value in settings.items()}
    if values is not None:
        values.mkdir(parents=True, exist_ok=True)
        made[FILES_VARIABLE] = str(values)
    return made
