"""Stopping a run from outside, and why it stops by itself."""

import signal
import threading
from types import FrameType
from typing import Any, Self

from contract.errors import SeedstreamError


class NonFiniteLossError(SeedstreamError):
    """The loss is no number any more; the last checkpoint is from before."""


class StoppedError(SeedstreamError):
    """The run was asked to stop; its last step is kept."""


class StopSignal:
    """Whether SIGTERM or SIGINT came while it was entered; a second one ends the process at once.

    Several processes would hear it at different steps: they do without this, stop where they are,
    and go on from their last checkpoint.
    """

    def __init__(self) -> None:
        self.came = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                self._before[number] = signal.signal(number, self._hear)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _hear(self, number: int, _: FrameType | None) -> None:
        self.came = True
        signal.signal(number, signal.SIG_DFL)
