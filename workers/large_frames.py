"""Frames far larger than the model's input, which cost Kafka and decoders much for nothing."""

import logging
import threading

from segmentation.letterbox import Fit

log = logging.getLogger(__name__)

TIMES_INPUT = 2.0
"""A frame whose sides are shrunk by more than this is warned of."""

_GOOD_TIMES_INPUT = 1.5
"""Of the model's longer side: what is advised, with some detail to spare for the live page."""

_MOST_REMEMBERED = 2000


class LargeFrames:
    """Warns of each camera once whose frames are large for the model. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._warned: set[str] = set()

    def look(self, camera: str, fit: Fit) -> None:
        """Look at how a frame lies in the input.

        Args:
            camera: Whose frame it is.
            fit: How it lies there.
        """
        if not is_large(fit):
            return
        with self._lock:
            if camera in self._warned or len(self._warned) >= _MOST_REMEMBERED:
                return
            self._warned.add(camera)
        height, width = fit.frame_size
        log.warning(
            "camera %s: frames of %dx%d pixels are more than twice what the model takes (%dx%d): "
            "set max_side: %d in the camera list, which saves bytes in Kafka and time of workers, "
            "or find small objects with WORKER_RESIZE=tile",
            *(camera, width, height, fit.input_size[1], fit.input_size[0]),
            advised_side_pixels(fit.input_size),
        )


def is_large(fit: Fit) -> bool:
    """Return whether a frame is shrunk by more than `TIMES_INPUT`."""
    return max(fit.frame_size) > TIMES_INPUT * max(fit.content_size)


def advised_side_pixels(input_size: tuple[int, int]) -> int:
    """Return the longer side of frames that suits an input of (height, width), in pixels."""
    return round(_GOOD_TIMES_INPUT * max(input_size))
