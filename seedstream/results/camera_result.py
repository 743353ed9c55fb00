"""One result of a camera: what a worker stored, typed, with masks that are decoded when asked for.

Shape letters: h, w one instance's box.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from contract.mask import decode_mask
from contract.result import Instance, ModelReference, Result
from segmentation.instances import Instances


@dataclass(frozen=True)
class CameraResult:
    """The result of one frame.

    `len` counts its instances; iterating gives each `Instance` (class, score, box, track, ...) with
    its mask, bool (h, w), as large as its box.

    Attributes:
        document: The document as a worker stored it; its fields have short ways here.
        entry: Id of the stream's entry: `follow` goes on after it.
    """

    document: Result
    entry: str

    @property
    def camera(self) -> str:
        """Camera id."""
        return self.document.camera

    @property
    def session(self) -> str:
        """Id of the uninterrupted connection to the camera."""
        return self.document.session

    @property
    def sequence(self) -> int:
        """Number of the frame within its session; skipped frames leave gaps."""
        return self.document.sequence

    @property
    def captured_at(self) -> datetime:
        """Capture time, UTC."""
        return self.document.captured_at

    @property
    def processed_at(self) -> datetime:
        """When the instances were ready, UTC."""
        return self.document.processed_at

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the captured frame in pixels."""
        return self.document.height, self.document.width

    @property
    def model(self) -> ModelReference:
        """Which weights made it."""
        return self.document.model

    @property
    def position(self) -> tuple[int, int] | None:
        """(partition, offset) of the frame's record in Kafka; None in older documents."""
        return self.document.position

    @cached_property
    def instances(self) -> Instances:
        """The instances as arrays: boxes, scores, areas, masks, identities.

        Raises:
            InvalidMessageError: ``malformed_mask`` or ``malformed_result``.
        """
        return Instances.from_result(self.document)

    def __len__(self) -> int:
        return len(self.document.instances)

    def __bool__(self) -> bool:
        return True  # a frame without instances is a result, too

    def __iter__(self) -> Iterator[tuple[Instance, NDArray[np.bool_]]]:
        """Yield each instance with its mask.

        Raises:
            InvalidMessageError: ``malformed_mask``.
        """
        for instance in self.document.instances:
            yield instance, decode_mask(instance.mask, instance.box)
