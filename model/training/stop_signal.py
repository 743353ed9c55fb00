"""SIGTERM and SIGINT as a wish to stop in order."""

import signal
import threading
from types import FrameType
from typing import Any, Self


class StopSignal:
    """Whether SIGTERM or SIGINT came while it was entered; a second one ends the process at once.

    Several processes would hear it at different steps: they do without this, stop where they are,
    and go on from their last checkpoint.
    """

    def __init__(self, *, enabled: bool) -> None:
        self.came = False
        self._enabled = enabled and threading.current_thread() is threading.main_thread()
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        for number in (signal.SIGTERM, signal.SIGINT) if self._enabled else ():
            self._before[number] = signal.signal(number, self._hear)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _hear(self, number: int, _: FrameType | None) -> None:
        self.came = True
        signal.signal(number, signal.SIG_DFL)
