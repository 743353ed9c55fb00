"""The processes of Seedstream as a user starts them, for end-to-end tests."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import redis
from prometheus_client.parser import text_string_to_metric_families

from contract.result import DOCUMENT_FIELD, Result, decode_result, results_key

START_SECONDS = 60.0


def wait_until(condition: Callable[[], bool], seconds: float, what: str) -> None:
    """Wait for a condition; fail naming ``what`` when it does not come true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:.0f} s: {what}")
        time.sleep(0.05)


class Process:
    """``python -m seedstream ...`` with its log; killed at the end of the ``with`` block.

    Args:
        folder: Where the log goes.
        arguments: Subcommand and options.
        environment: Added to this process's environment.
    """

    def __init__(self, folder: Path, *arguments: str, **environment: str) -> None:
        self.log = folder / f"{arguments[0]}-{time.monotonic_ns()}.log"
        with self.log.open("wb") as log:
            self._child = subprocess.Popen(
                [sys.executable, "-m", "seedstream", *arguments],
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._child.kill()
        self._child.wait(timeout=10)
        if error is not None:
            print(f"--- {self.log.name}\n{self.text()[-4000:]}")

    def text(self) -> str:
        """Return what it has logged."""
        return self.log.read_text(errors="replace")

    def running(self) -> bool:
        """Return whether it still runs."""
        return self._child.poll() is None

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._child.send_signal(number)

    def wait(self, seconds: float = 60.0) -> int:
        """Wait for its end and return its exit code."""
        return self._child.wait(timeout=seconds)

    def stop(self, seconds: float = 60.0) -> int:
        """End it with SIGTERM and return its exit code."""
        self.send(signal.SIGTERM)
        return self.wait(seconds)

    def port(self) -> int:
        """Return the port of its probes, from its log."""
        found: list[int] = []

        def said() -> bool:
            if not self.running():
                raise AssertionError(f"ended early:\n{self.text()}")
            match = re.search(r"(?:/metrics|probes)[^\n]*?(?:port |:)(\d{2,5})\b", self.text())
            found[:] = [int(match[1])] if match else []
            return bool(found)

        wait_until(said, START_SECONDS, "the port of the probes in the log")
        return found[0]

    def get(self, path: str) -> tuple[int, str]:
        """Return status and body of one of its pages."""
        url = f"http://127.0.0.1:{self.port()}{path}"
        try:
            with urllib.request.urlopen(url, timeout=5) as reply:
                return reply.status, reply.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError as error:
            return 0, str(error)

    def wait_ready(self, seconds: float = START_SECONDS) -> None:
        """Wait until /readyz says yes."""

        def ready() -> bool:
            if not self.running():
                raise AssertionError(f"ended early:\n{self.text()}")
            return self.get("/readyz")[0] == 200

        wait_until(ready, seconds, "/readyz")

    def metric(self, name: str, **labels: str) -> float:
        """Return the sum of the samples of a metric that have these labels."""
        samples = (
            sample
            for family in text_string_to_metric_families(self.get("/metrics")[1])
            for sample in family.samples
        )
        return sum(
            sample.value
            for sample in samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )


def results(client: "redis.Redis", camera: str) -> list[Result]:
    """Return all results of a camera in the order of the stream."""
    entries = client.xrange(results_key(camera))
    return [decode_result(fields[DOCUMENT_FIELD.encode()]) for _, fields in entries]


@contextlib.contextmanager
def connect(url: str) -> Iterator["redis.Redis"]:
    """Connect to Redis."""
    with contextlib.closing(redis.Redis.from_url(url)) as client:
        yield client
