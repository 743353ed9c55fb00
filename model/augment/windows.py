"""Windows: the square of a picture that becomes a crop, and its way to the crop's size.

Legend: H, W pixels of a picture, S pixels of the square crop. Images are uint8 RGB.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from model.data.labels import IGNORE, Labelled, Scene
from model.recipes.augmentation import Augment


@dataclass(frozen=True, eq=False)
class Window:
    """A square of a picture.

    Attributes:
        picture: What it shows; beyond the picture's border it is mirrored and ignored.
        front: (side, side) int32, see `model.data.labels.Scene`, rows counted in the window.
        top: Row of the picture at which it begins, for the perspective; negative above it.
    """

    picture: Labelled
    front: NDArray[np.int32]
    top: int


def cut_window(
    scene: Scene,
    picture: Labelled,
    crop: int,
    augment: Augment,
    rng: np.random.Generator,
    margin: float = 0.0,
) -> Window:
    """Cut the window that becomes a crop of S = ``crop`` pixels, at a random scale.

    Args:
        scene: Where the picture is from.
        picture: What is cut.
        crop: S.
        augment: How crops are drawn.
        rng: Draws.
        margin: Share of the window's side, at each edge, that the crop will not show: the window
            reaches so far beyond the picture, or the picture's borders would never be seen.
    """
    shape = picture.labels.shape
    factor = np.exp(rng.uniform(*np.log(scene.scale))) * _fit(shape, scene.fit)
    side = max(1, round(crop / factor))
    top, left = _corner(picture, side, augment, rng, int(margin * side))
    area = (slice(max(top, 0), top + side), slice(max(left, 0), left + side))
    height, width = picture.labels[area].shape
    above, before = max(-top, 0), max(-left, 0)
    pad = (above, side - above - height, before, side - before - width)
    window = Labelled(
        cv2.copyMakeBorder(picture.image[area], *pad, cv2.BORDER_REFLECT_101),
        cv2.copyMakeBorder(picture.instances[area], *pad, cv2.BORDER_CONSTANT, value=0),
        cv2.copyMakeBorder(picture.labels[area], *pad, cv2.BORDER_CONSTANT, value=IGNORE),
    )
    front = np.zeros((side, side), np.int32)
    if scene.front is not None:
        part = scene.front[area]
        inside = front[above : above + height, before : before + width]
        inside[:] = np.where(part > 0, np.maximum(part - top, 1), 0)
    return Window(window, front, top)


def _fit(shape: tuple[int, ...], size: tuple[int, int] | None) -> float:
    return 1.0 if size is None else min(size[0] / shape[0], size[1] / shape[1])


def _corner(
    picture: Labelled, side: int, augment: Augment, rng: np.random.Generator, margin: int
) -> tuple[int, int]:
    """Top and left of a window, around an object or anywhere, moved inside the picture.

    Its outer ``margin`` pixels may lie beyond the picture.
    """
    rows, columns = picture.labels.shape
    center = None
    if rng.random() < augment.centered:
        center = _object_center(picture.instances, rng)
    if center is None:
        # The middle lies anywhere in the picture: moved inside, borders are seen as often as the
        # rest. A uniform corner would show the outermost pixels in one window of hundreds.
        center = float(rng.integers(rows)), float(rng.integers(columns))
    else:
        shift = rng.uniform(-augment.off_center, augment.off_center, 2) * side
        center = center[0] + shift[0], center[1] + shift[1]
    return _start(rows, side, center[0], margin), _start(columns, side, center[1], margin)


def _object_center(
    instances: NDArray[np.int32], rng: np.random.Generator
) -> tuple[float, float] | None:
    numbers = np.flatnonzero(np.bincount(instances.reshape(-1))[1:]) + 1
    if not len(numbers):
        return None
    rows, columns = np.nonzero(instances == numbers[rng.integers(len(numbers))])
    return (rows[0] + rows[-1]) / 2, (columns.min() + columns.max()) / 2


def _start(length: int, side: int, center: float, margin: int) -> int:
    furthest = max(length - side + margin, -margin)
    return min(max(round(center) - side // 2, -margin), furthest)


def resize(window: Labelled, crop: int, least_pixels: int) -> Labelled:
    """Bring a window to S = ``crop`` pixels; what becomes too small is ignored."""
    side = len(window.labels)
    mode = cv2.INTER_AREA if side > crop else cv2.INTER_LINEAR
    image = cv2.resize(window.image, (crop, crop), interpolation=mode)
    nearest = ((np.arange(crop) + 0.5) * side / crop).astype(int)
    instances, labels = (array[nearest][:, nearest] for array in (window.instances, window.labels))
    return ignore_small(Labelled(np.asarray(image, np.uint8), instances, labels), least_pixels)


def ignore_small(crop: Labelled, least_pixels: int) -> Labelled:
    """Mark instances of fewer than ``least_pixels`` pixels as ignored, in place."""
    small = np.flatnonzero(np.bincount(crop.instances.reshape(-1)) < least_pixels)
    tiny = np.isin(crop.instances, small[small > 0])
    crop.labels[tiny], crop.instances[tiny] = IGNORE, 0
    return crop


def turn(window: Labelled, crop: int, degrees: float, least_pixels: int) -> Labelled:
    """Cut an S = ``crop`` square, turned about the window's middle, out of a larger window."""
    middle = (len(window.labels) - 1) / 2
    matrix = cv2.getRotationMatrix2D((middle, middle), degrees, 1.0)
    matrix[:, 2] += (crop - 1) / 2 - middle
    size = (crop, crop)
    image = cv2.warpAffine(
        window.image, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101
    )
    nearest = {"flags": cv2.INTER_NEAREST, "borderMode": cv2.BORDER_CONSTANT}
    # float32 holds instance numbers exactly up to 2 ** 24; OpenCV warps no int32.
    instances = cv2.warpAffine(window.instances.astype(np.float32), matrix, size, **nearest)
    labels = cv2.warpAffine(window.labels, matrix, size, borderValue=IGNORE, **nearest)
    turned = Labelled(np.asarray(image, np.uint8), instances.astype(np.int32), labels)
    return ignore_small(turned, least_pixels)


def flip(crop: Labelled, horizontal: bool, vertical: bool) -> Labelled:
    """Mirror a crop."""
    rows = slice(None, None, -1 if vertical else 1)
    columns = slice(None, None, -1 if horizontal else 1)
    return Labelled(
        np.ascontiguousarray(crop.image[rows, columns]),
        np.ascontiguousarray(crop.instances[rows, columns]),
        np.ascontiguousarray(crop.labels[rows, columns]),
    )
