"""A batch on the CPU: each image on a thread of its own, instead of all threads on each image.

Threads that share the work of every operator wait for each other after each; those that share
nothing wait once a batch. The maps are the same, bit for bit.

Library: onnxruntime.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contract import artifact as contract

Outputs = Sequence[NDArray[Any]]
"""The maps in the order of `contract.artifact.OUTPUTS`."""


class SideBySide:
    """Runs as many images at the same time as there are threads.

    Attributes:
        threads: How many there are.

    Args:
        session: One that gives each call a single thread, see `sessions.Tuning.side_by_side`.
        threads: How many calls there are at the same time.
    """

    def __init__(self, session: Any, threads: int) -> None:
        self._session = session
        self.threads = threads
        self._pool = ThreadPoolExecutor(threads, "infer")

    def share(self, n: int) -> int:
        """Return how many of n images to run so; for the rest, the threads had better join."""
        return n - n % self.threads

    def run(self, images: NDArray[np.uint8]) -> list[Outputs]:
        """Return the outputs of each image, of uint8 (N, H, W, 3)."""
        names = list(contract.OUTPUTS)

        def one(i: int) -> Outputs:
            outputs: Outputs = self._session.run(names, {contract.INPUT: images[i : i + 1]})
            return outputs

        return list(self._pool.map(one, range(len(images))))


def joined(parts: Sequence[Outputs]) -> Outputs:
    """Return the outputs of some images as those of their batch."""
    return (
        parts[0] if len(parts) == 1 else [np.concatenate(each) for each in zip(*parts, strict=True)]
    )
