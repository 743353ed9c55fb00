"""Where tracked objects came from: their last seconds as fading lines."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from segmentation.instances import Instances

TRAIL_SECONDS = 2.0
"""How far back a trail goes."""

_OPACITY = 0.9
_SHIFT = 4  # OpenCV takes places in 16ths of a pixel
_SMOOTHED = 2  # points on each side that a place is averaged with: feet go up and down


class TrailPoint(NamedTuple):
    """Where an object stood.

    Attributes:
        x: Column of the foot, the middle of the box's lower edge, in pixels.
        y: Its row.
        age: 0 for now to 1 for the end of the trail.
    """

    x: float
    y: float
    age: float


Trail = tuple[int, list[TrailPoint]]
"""An object's track and where it stood, oldest first."""


@dataclass
class TrailMemory:
    """Remembers where the objects of one camera stood.

    Attributes:
        seconds: How far back.
    """

    seconds: float = TRAIL_SECONDS
    _points: dict[int, deque[tuple[float, float, float]]] = field(default_factory=dict)
    _now: float = float("-inf")
    _size: tuple[int, int] | None = None

    def add(self, moment: float, instances: Instances) -> list[Trail]:
        """Add a frame and return the trails that end with it or before; none without tracks.

        Args:
            moment: Capture time in seconds; one that goes back begins anew, and so does a picture
                of another size.
            instances: Of the frame.
        """
        if moment < self._now or instances.size != self._size:
            self._points.clear()
        self._now, self._size = moment, instances.size
        boxes = instances.boxes.tolist()
        for who, (x, y, width, height) in zip(instances.identities or (), boxes, strict=False):
            points = self._points.setdefault(who.track, deque())
            points.append((moment, x + width / 2, y + height))
        for track, points in list(self._points.items()):
            while points and moment - points[0][0] > self.seconds:
                points.popleft()
            if not points:
                del self._points[track]
        return [
            (track, [TrailPoint(x, y, (moment - then) / self.seconds) for then, x, y in points])
            for track, points in self._points.items()
        ]


def draw_trails(
    image: npt.NDArray[np.uint8], trails: Iterable[tuple[tuple[int, int, int], list[TrailPoint]]]
) -> None:
    """Draw trails into a picture.

    Args:
        image: (H, W, 3) uint8 RGB.
        trails: Colour and points of each.
    """
    thickness = max(2, round(min(image.shape[:2]) / 200))
    for color, points in trails:
        if len(points) < 2:
            continue
        # Only where the trail is: the cost follows its length, not the picture's size.
        places = _smooth(np.array([(p.x, p.y) for p in points]))
        left, top = np.maximum(np.floor(places.min(axis=0)).astype(int) - thickness - 1, 0)
        right, bottom = np.ceil(places.max(axis=0)).astype(int) + thickness + 2
        crop = image[top:bottom, left:right]
        if not crop.size:
            continue
        weight = np.zeros(crop.shape[:2], np.uint8)
        ends = np.round((places - (left, top)) * 2**_SHIFT).astype(int).tolist()
        for begin, end, point in zip(ends, ends[1:], points[1:], strict=False):
            strength = round(255 * _OPACITY * (1 - point.age))
            cv2.line(weight, begin, end, strength, thickness, cv2.LINE_AA, _SHIFT)
        share = weight[..., None].astype(np.float32) / 255
        crop[:] = (crop * (1 - share) + np.asarray(color, np.float32) * share).astype(np.uint8)


def _smooth(places: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return each of the (n, 2) places averaged with its neighbours, as many on either side."""
    last = len(places) - 1
    reach = [min(_SMOOTHED, i, last - i) for i in range(last + 1)]
    return np.array([places[i - r : i + r + 1].mean(axis=0) for i, r in enumerate(reach)])
