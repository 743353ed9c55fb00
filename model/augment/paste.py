"""Copy-paste: objects chosen, and pasted into a window farthest first, behind all that is nearer.

After Dwibedi et al. 2017 and Ghiasi et al. 2021; the objects of the picture itself take part in
the occlusion.

Legend: h, w pixels of a patch. Images are uint8 RGB.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from model.augment.windows import Window
from model.data.labels import IGNORE, CutOut, Image, Labelled, Pictures

LEAST_VISIBLE = 0.25
"""An object of which less than this share is visible is ignored."""
PATCH_SCALE = (0.4, 1.7)
"""Enlarging a cut-out further shows its blur, shrinking it further its sharpness."""
_LEAST_HEIGHT = 12


class CutOutSource(Protocol):
    """Gives objects to paste."""

    def choose(self, rng: np.random.Generator) -> CutOut | None:
        """Return an object, or None where none was found."""
        ...


class StoredCutOuts:
    """Cut-outs in memory.

    Args:
        cut_outs: At least one.
        shares: Share of the chosen objects by class index; unset, each cut-out is as likely.
    """

    def __init__(
        self, cut_outs: Sequence[CutOut], shares: Mapping[int, float] | None = None
    ) -> None:
        self._pools: dict[int, list[CutOut]] = {}
        for cut_out in cut_outs:
            self._pools.setdefault(cut_out.label, []).append(cut_out)
        self._labels = sorted(self._pools)
        weights = [
            len(self._pools[label]) if not shares else shares.get(label, 0.0)
            for label in self._labels
        ]
        total = sum(weights)
        self._weights = np.array(weights, float) / total if total else np.zeros(0)

    def choose(self, rng: np.random.Generator) -> CutOut | None:
        """Return one of the cut-outs."""
        if not len(self._weights):
            return None
        pool = self._pools[self._labels[int(rng.choice(len(self._labels), p=self._weights))]]
        return pool[rng.integers(len(pool))]


class PictureCutOuts:
    """Objects cut out of random pictures where they are needed; those cut by a border stay."""

    def __init__(self, pictures: Pictures) -> None:
        self._pictures = pictures

    def choose(self, rng: np.random.Generator) -> CutOut | None:
        """Read a random picture and return one of its objects."""
        picture = self._pictures[int(rng.integers(len(self._pictures)))]
        numbers = np.flatnonzero(np.bincount(picture.instances.reshape(-1))[1:]) + 1
        if not len(numbers):
            return None
        own = picture.instances == numbers[rng.integers(len(numbers))]
        rows, columns = np.flatnonzero(own.any(axis=1)), np.flatnonzero(own.any(axis=0))
        cut_by_border = rows[0] == 0 or columns[0] == 0
        if cut_by_border or rows[-1] == len(own) - 1 or columns[-1] == own.shape[1] - 1:
            return None
        area = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
        alpha = own[area].astype(np.uint8) * 255
        label = int(picture.labels[area][own[area]][0])
        return CutOut(picture.image[area].copy(), alpha, label)


@dataclass(frozen=True, eq=False)
class Placed:
    """An object with its place in a window; ``bottom`` is the row below its feet."""

    image: Image
    alpha: Image
    left: int
    bottom: int
    label: int


def fit_cut_out(
    cut_out: CutOut, height: float, rng: np.random.Generator
) -> tuple[Image, Image] | None:
    """Resize, mirror and recolour a cut-out; None where it would have to change too much."""
    factor = height / len(cut_out.image)
    if not PATCH_SCALE[0] <= factor <= PATCH_SCALE[1] or height < _LEAST_HEIGHT:
        return None
    mode = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    size = tuple(max(1, round(n * factor)) for n in cut_out.alpha.shape[::-1])
    image = np.asarray(cv2.resize(cut_out.image, size, interpolation=mode), np.uint8)
    alpha = np.asarray(cv2.resize(cut_out.alpha, size, interpolation=mode), np.uint8)
    if rng.random() < 0.5:
        image, alpha = image[:, ::-1], alpha[:, ::-1]
    if rng.random() < 0.5:  # other clothes: the channels scaled and, at times, exchanged
        if rng.random() < 0.3:
            image = image[..., rng.permutation(3)]
        gain, lift = rng.uniform(0.75, 1.3, 3) * rng.uniform(0.8, 1.25), rng.uniform(-10, 40)
        image = np.clip(image * gain + lift, 0, 255).astype(np.uint8)
    return image, alpha


def paste(window: Window, placed: Sequence[Placed]) -> Labelled:
    """Return the window's picture with the objects, given farthest first, pasted into it."""
    picture = window.picture
    image = picture.image.astype(np.float32)
    instances, labels = picture.instances.copy(), picture.labels.copy()
    full = dict(zip(*np.unique(instances, return_counts=True), strict=True))
    nearer = window.front.copy()
    for number in full.keys() - {0}:
        own = instances == number
        nearer[own] = np.maximum(nearer[own], np.flatnonzero(own.any(axis=1))[-1] + 1)
    number = int(instances.max())
    for one in placed:
        top, left = max(one.bottom - len(one.image), 0), max(one.left, 0)
        area = (slice(top, max(one.bottom, 0)), slice(left, max(one.left + one.image.shape[1], 0)))
        shape = labels[area].shape
        if 0 in shape:
            continue
        skip_y, skip_x = top - (one.bottom - len(one.image)), left - one.left
        own_area = (slice(skip_y, skip_y + shape[0]), slice(skip_x, skip_x + shape[1]))
        visible = nearer[area] <= one.bottom
        alpha = (one.alpha[own_area] / np.float32(255) * visible)[..., None]
        image[area] += alpha * (one.image[own_area] - image[area])
        solid = one.alpha[own_area] > 127
        number += 1
        full[number] = int(solid.sum())
        instances[area][solid & visible] = number
        labels[area][solid & visible] = one.label
    _ignore_hidden(instances, labels, full)
    return Labelled(np.round(image).astype(np.uint8), instances, labels)


def _ignore_hidden(instances: NDArray[np.int32], labels: Image, full: dict[int, int]) -> None:
    numbers, counts = np.unique(instances, return_counts=True)
    for number, count in zip(numbers, counts, strict=True):
        if number and count < LEAST_VISIBLE * full[number]:
            labels[instances == number] = IGNORE
            instances[instances == number] = 0
