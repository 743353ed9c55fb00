"""What every engine is: a network that maps a batch of images to maps.

Shape letters: N batch, H, W the input, S bandwidths.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from contract.artifact import Artifact


@dataclass(frozen=True)
class Predictions:
    """Maps of a batch, as `contract.artifact` describes the graph's outputs.

    They belong to whoever called the engine: no later run writes into them.

    Attributes:
        offset: float32 (N, 2, H, W), x and y after tanh, grid units.
        bandwidth: float32 (N, S, H, W), raw.
        seed: float32 (N, H, W), 0..1, of the best class.
        class_index: uint8 (N, H, W), that class.
    """

    offset: NDArray[np.float32]
    bandwidth: NDArray[np.float32]
    seed: NDArray[np.float32]
    class_index: NDArray[np.uint8]

    @classmethod
    def first(cls, n: int, outputs: Sequence[NDArray[Any]]) -> "Predictions":
        """Return the first n images of a graph's outputs, in the order of the contract."""
        offset, bandwidth, seed, class_index = (each[:n] for each in outputs)
        return Predictions(_float32(offset), _float32(bandwidth), _float32(seed), class_index)

    def __len__(self) -> int:
        return len(self.seed)


class Engine(Protocol):
    """Runs one model artifact; :mod:`segmentation.engines` chooses which kind."""

    @property
    def artifact(self) -> Artifact:
        """The model that it runs."""
        ...

    @property
    def batch_sizes(self) -> tuple[int, ...]:
        """Batch sizes, ascending; the last one is the largest that it takes."""
        ...

    @property
    def variable_size(self) -> bool:
        """Whether images may have any size of multiples of 8, not only the artifact's."""
        ...

    def run(self, images: NDArray[np.uint8]) -> Predictions:
        """Map uint8 (N, H, W, 3) RGB to predictions.

        The engine is done with ``images`` when this returns: the same memory can take the next
        batch while the predictions of this one are still read.

        Raises:
            ValueError: The engine does not take that shape or type.
            DeviceError: The device failed; the engine is of no further use.
        """
        ...


def _float32(values: NDArray[Any]) -> NDArray[np.float32]:
    return values.astype(np.float32, copy=False)
