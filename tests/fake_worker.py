"""A worker process whose network is the fake one: ``python -m tests.fake_worker``.

Settings come from the environment. ``FAKE_SECONDS`` is how long a batch takes; ``FAKE_FAILURE``
what the device says when every batch fails; ``FAKE_STANDSTILL_SECONDS`` shortens the minute after
which a network that hangs is no longer alive; with ``FAKE_HANGING_CAMERA`` decoding that camera's
frames never ends, and ``FAKE_DECODE_SECONDS`` shortens the time until they are given up.
Batches hang while the file ``FAKE_HANGS_WHILE`` exists. With ``FAKE_FINDS=colours`` the movers of
synthetic scenes are found.
"""

import os
import sys
import time
from pathlib import Path

from contract.errors import ConfigurationError, DeviceError
from contract.frame import Frame
from contract.settings import load_settings
from segmentation.decode import Image
from tests.coloured_objects import coloured_objects
from tests.fakes import build_fake
from workers import app, decoders, health
from workers.settings import WorkerSettings
from workers.stages import line


def hang_on(camera: str) -> None:
    """Let the decoding of a camera's frames hang."""
    decode = line.decode_image

    def decode_or_hang(frame: Frame, *, max_pixels: int) -> Image:
        while frame.camera == camera:
            time.sleep(1)
        return decode(frame, max_pixels=max_pixels)

    line.decode_image = decode_or_hang


if __name__ == "__main__":
    seconds = float(os.environ.get("FAKE_SECONDS", "0"))
    failed = os.environ.get("FAKE_FAILURE")
    health.STANDSTILL_SECONDS = float(os.environ.get("FAKE_STANDSTILL_SECONDS", "60"))
    decoders.MAX_DECODE_SECONDS = float(os.environ.get("FAKE_DECODE_SECONDS", "10"))
    hang_on(os.environ.get("FAKE_HANGING_CAMERA", ""))
    gate = os.environ.get("FAKE_HANGS_WHILE")
    find = coloured_objects if os.environ.get("FAKE_FINDS") == "colours" else None
    failure = DeviceError(failed) if failed else None

    def hang() -> None:
        while gate is not None and Path(gate).exists():
            time.sleep(0.05)

    try:
        code = app.run(
            load_settings(WorkerSettings),
            lambda settings: build_fake(settings, seconds, failure, hang, find),
        )
    except ConfigurationError as error:
        print("\n".join(error.faults), file=sys.stderr)
        code = 2
    sys.exit(code)
