"""A worker process whose network is the fake one: ``python -m tests.fake_worker``.

Settings come from the environment; ``FAKE_SECONDS`` is how long a batch takes, and batches hang
while the file ``FAKE_HANGS_WHILE`` exists.
"""

import os
import sys
import time
from pathlib import Path

from contract.errors import ConfigurationError
from contract.settings import load_settings
from tests.fakes import build_fake
from workers.app import run
from workers.settings import WorkerSettings

if __name__ == "__main__":
    seconds = float(os.environ.get("FAKE_SECONDS", "0"))
    gate = os.environ.get("FAKE_HANGS_WHILE")

    def hang() -> None:
        while gate is not None and Path(gate).exists():
            time.sleep(0.05)

    try:
        code = run(
            load_settings(WorkerSettings), lambda settings: build_fake(settings, seconds, hang)
        )
    except ConfigurationError as error:
        print("\n".join(error.faults), file=sys.stderr)
        code = 2
    sys.exit(code)
