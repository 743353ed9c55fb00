"""Fit a captured frame into the model's input, and bring instance maps back.

Pure: no input or output. Library: OpenCV for resizing pictures.
"""

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from segmentation.map_kernels import resample

Resize = Literal["letterbox", "stretch", "tile", "auto"]
"""``letterbox`` keeps the aspect and pads right or below; ``stretch`` fills the whole input;
``tile`` cuts a frame that is larger than the input into tiles (`segmentation.tiles`) and
letterboxes any other; ``auto`` does so unless the letterboxed frame shows objects that are too
large for tiles."""

PADDING = 127
"""Grey value of the padding, 0..255: mid-grey is nearest to any picture."""


@dataclass(frozen=True)
class Fit:
    """How frames of one size lie in the model's input.

    Attributes:
        frame_size: (height, width) of the captured frame in pixels.
        input_size: (height, width) of the model's input in pixels.
        content_size: (height, width) of the part of the input, from its top left corner, that the
            frame fills.
    """

    frame_size: tuple[int, int]
    input_size: tuple[int, int]
    content_size: tuple[int, int]

    @classmethod
    def of(
        cls,
        frame_size: tuple[int, int],
        input_size: tuple[int, int],
        resize: Literal["letterbox", "stretch"] = "letterbox",
    ) -> "Fit":
        """Plan the fit of a frame into an input, both (height, width) in pixels.

        Raises:
            ValueError: A side is below one pixel.
        """
        if min(*frame_size, *input_size) < 1:
            raise ValueError(
                f"frame {frame_size}, input {input_size}: expected sides of at least one pixel"
            )
        if resize == "stretch":
            return cls(frame_size, input_size, input_size)
        scale = min(input_size[0] / frame_size[0], input_size[1] / frame_size[1])
        height, width = (max(1, round(side * scale)) for side in frame_size)
        return cls(frame_size, input_size, (height, width))

    @property
    def area_scale(self) -> float:
        """Pixels of the input per pixel of the frame."""
        content, frame = self.content_size, self.frame_size
        return content[0] * content[1] / (frame[0] * frame[1])

    def apply(
        self, image: NDArray[np.uint8], out: NDArray[np.uint8] | None = None
    ) -> NDArray[np.uint8]:
        """Return the frame as model input.

        Args:
            image: uint8 (H0, W0, 3).
            out: uint8 (H, W, 3) to write it into, such as a place in a batch.

        Returns:
            uint8 (H, W, 3): ``out``, or without it the image itself, not a copy, where the sizes
            are equal.

        Raises:
            ValueError: The image is not of the planned size.
        """
        if image.shape != (*self.frame_size, 3):
            raise ValueError(f"image of shape {image.shape}, expected {(*self.frame_size, 3)}")
        if self.frame_size == self.input_size:
            if out is None:
                return image
            out[:] = image
            return out
        fitted = np.empty((*self.input_size, 3), np.uint8) if out is None else out
        height, width = self.content_size
        shrinks = height < self.frame_size[0] or width < self.frame_size[1]
        # Averaging over areas keeps thin things from flickering when the picture shrinks.
        method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        content = fitted[:height, :width]
        cv2.resize(image, (width, height), dst=content, interpolation=method)
        fitted[:height, width:] = PADDING
        fitted[height:] = PADDING
        return fitted

    def restore(self, instance_map: NDArray[np.int32]) -> NDArray[np.int32]:
        """Bring a map over the model's input back to the captured frame, nearest neighbour.

        Args:
            instance_map: int32 (H, W).

        Returns:
            int32 (H0, W0); the map itself, not a copy, where the sizes are equal.

        Raises:
            ValueError: The map is not of the input's size.
        """
        if instance_map.shape != self.input_size:
            raise ValueError(f"map of shape {instance_map.shape}, expected {self.input_size}")
        if self.frame_size == self.input_size:
            return instance_map
        rows, columns = (
            _nearest(content, frame)
            for content, frame in zip(self.content_size, self.frame_size, strict=True)
        )
        restored: NDArray[np.int32] = resample(instance_map, rows, columns)
        return restored


def _nearest(content: int, frame: int) -> NDArray[np.uint32]:
    """Position in ``content`` pixels under the middle of each of ``frame`` pixels."""
    # In integers: floor((i + 1/2) * content / frame), exact for any size.
    return ((2 * np.arange(frame) + 1) * content // (2 * frame)).astype(np.uint32)
