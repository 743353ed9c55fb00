"""Which frames get a picture for the live page: those that somebody looks at, and now and then one.

Who looks is known from the answers of the script that stores (`contract.preview`), so it costs no
round trip; a camera that begins to be watched has pictures from its next frame on.
"""

import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from contract.frame import Frame
from contract.preview import DEFAULT_WIDTH, IDLE_SECONDS
from segmentation.decode import Image
from segmentation.segmenter import Fitted
from workers.camera_log import CameraLog
from workers.metrics import WorkerMetrics
from workers.preview_picture import PICTURE_ERRORS, encode_picture

_MOST_CAMERAS = 10_000
"""Beyond so many, the camera that was seen longest ago is forgotten."""


@dataclass(slots=True)
class _Camera:
    """What is known of a camera.

    Attributes:
        width: How wide somebody looks at it, in pixels; None: nobody does.
        due_at: When it gets a picture though nobody looks, by the monotonic clock, in seconds.
    """

    width: int | None = None
    due_at: float = -math.inf


class Previews:
    """Makes pictures of frames, and knows of which; threads describe, another one stores.

    Args:
        metrics: Counts.
        clock: Monotonic clock, in seconds.
    """

    def __init__(self, metrics: WorkerMetrics, clock: Callable[[], float] = time.monotonic) -> None:
        self._metrics = metrics
        self._clock = clock
        self._log = CameraLog(clock)
        self._lock = threading.Lock()
        self._cameras: OrderedDict[str, _Camera] = OrderedDict()

    def watched(self, camera: str, width: int | None) -> None:
        """Note how wide somebody looks at a camera, in pixels; None: nobody does."""
        with self._lock:
            self._camera(camera).width = width

    def jpeg(self, frame: Frame, image: Image | Fitted) -> bytes:
        """Return the picture of a frame, empty where nobody wants one or none can be made.

        Args:
            frame: The frame.
            image: Its pixels, as the segmenter took them.
        """
        began = self._clock()
        with self._lock:
            known = self._camera(frame.camera)
            width = known.width
            if width is None and began < known.due_at:
                return b""
            known.due_at = began + IDLE_SECONDS
        try:
            jpeg = encode_picture(frame, image, DEFAULT_WIDTH if width is None else width)
        except PICTURE_ERRORS as error:
            self._metrics.previews.labels("failed").inc()
            with self._lock:
                self._log.warn(
                    frame.camera,
                    "preview",
                    f"no picture for the live page could be made of frame {frame.sequence}: "
                    f"{error!r}; its result is stored without",
                )
            return b""
        self._metrics.previews.labels("idle" if width is None else "watched").inc()
        self._metrics.preview_bytes.inc(len(jpeg))
        self._metrics.stage_seconds.labels("preview").observe(self._clock() - began)
        return jpeg

    def _camera(self, camera: str) -> _Camera:
        known = self._cameras.setdefault(camera, _Camera())
        self._cameras.move_to_end(camera)
        if len(self._cameras) > _MOST_CAMERAS:
            self._cameras.popitem(last=False)
        return known
