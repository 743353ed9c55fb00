"""What the tracker sees of one frame: boxes, classes, and colours under the masks. Pure.

Shape letters: I instances, B numbers of an appearance.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segmentation.instances import Instances
from segmentation.letterbox import Fit
from tracking.appearance import measure_appearance


@dataclass(frozen=True, eq=False)
class Observations:
    """One frame's instances, as far as association needs them; no pixels.

    Attributes:
        frame_size: (height, width) of the frame in pixels.
        boxes: float64 (I, 4), x, y, width, height.
        class_names: I class names.
        scores: float64 (I,), 0..1.
        appearance: What the objects look like, uint8 (I, B); None where it is off.
    """

    frame_size: tuple[int, int]
    boxes: NDArray[np.float64]
    class_names: tuple[str, ...]
    scores: NDArray[np.float64]
    appearance: NDArray[np.uint8] | None

    def __len__(self) -> int:
        return len(self.boxes)

    def first(self, most: int) -> "Observations":
        """Return the first instances, at most so many."""
        if len(self) <= most:
            return self
        return Observations(
            self.frame_size,
            self.boxes[:most],
            self.class_names[:most],
            self.scores[:most],
            None if self.appearance is None else self.appearance[:most],
        )


def observe(
    instances: Instances, picture: NDArray[np.uint8] | None = None, fit: Fit | None = None
) -> Observations:
    """Measure what identifies the instances of a frame.

    Args:
        instances: The frame's instances, in its own pixels.
        picture: uint8 (H, W, 3) RGB, the frame itself or as the model saw it; None tracks without
            appearance.
        fit: How the frame lies in ``picture``; None where it is the frame itself.
    """
    return Observations(
        frame_size=instances.size,
        boxes=instances.boxes.astype(np.float64),
        class_names=tuple(instances.class_names[kind] for kind in instances.classes.tolist()),
        scores=instances.scores,
        appearance=None if picture is None else measure_appearance(instances, picture, fit),
    )
