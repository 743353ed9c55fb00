"""Scratch memory of the seed clustering, kept by each thread: new memory costs more than the loops.

Shape letters: N pixels of an image.
"""

import threading
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segmentation.kernels import Marks
from segmentation.sorting_kernels import Float32Map, Int32Map, Points

_KEPT_PIXELS = 1 << 22
"""Largest image whose scratch memory a thread keeps: 54 bytes a pixel, as far as it is touched."""

_threads = threading.local()


@dataclass(frozen=True)
class Scratch:
    """Memory for images of up to N pixels; what is never touched costs nothing.

    Attributes:
        foreground: All foreground in image order.
        label: uint8 (N,), its classes.
        of_class: That of one class in image order.
        by_cell: The same by cell.
        place: int32 (N,), where each point of a class is in ``by_cell``; before, as ``score``, what
            becomes the scores of raw maps.
        marks: Of `segmentation.kernels.grow`.
    """

    foreground: Points
    label: NDArray[np.uint8]
    of_class: Points
    by_cell: Points
    place: Int32Map
    marks: Marks

    @property
    def score(self) -> Float32Map:
        """``place`` as float32 (N,)."""
        return self.place.view(np.float32)

    @classmethod
    def of(cls, n: int) -> "Scratch":
        """Return memory for images of up to ``n`` pixels."""
        return cls(
            foreground=Points.of(n),
            label=np.empty(n, np.uint8),
            of_class=Points.of(n),
            by_cell=Points.of(n),
            place=np.empty(n, np.int32),
            marks=Marks.of(n),
        )


def scratch_of(pixels: int) -> Scratch:
    """Return memory of this thread for images of that many pixels, as it left it."""
    if pixels > _KEPT_PIXELS:
        return Scratch.of(pixels)
    found: Scratch | None = getattr(_threads, "scratch", None)
    if found is None or len(found.label) < pixels:
        found = Scratch.of(pixels)
        _threads.scratch = found
    return found
