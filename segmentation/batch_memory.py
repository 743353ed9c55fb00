"""Memory of the network's batches, filled again and again: new one costs page faults."""

import threading
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Batch = NDArray[np.uint8]
"""uint8 (N, H, W, 3)."""


def plain_batch(shape: tuple[int, ...]) -> Batch:
    """Return memory for a batch of a shape (N, H, W, 3), of which the device gets a copy."""
    return np.empty(shape, np.uint8)


class BatchMemory:
    """A batch for each thread that asks for one.

    Args:
        make: Makes memory for one.
    """

    def __init__(self, make: Callable[[], Batch]) -> None:
        self._make = make
        self._ready: list[Batch] = []
        self._of_thread = threading.local()

    def make_ready(self) -> None:
        """Make the first thread's ahead: memory that a device reads by itself is dear."""
        if not self._ready:
            self._ready.append(self._make())

    def own(self) -> Batch:
        """Return this thread's, as it left it."""
        found: Batch | None = getattr(self._of_thread, "batch", None)
        if found is None:
            try:
                found = self._ready.pop()
            except IndexError:  # another thread has just taken it
                found = self._make()
            self._of_thread.batch = found
        return found
