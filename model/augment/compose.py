"""Copy-paste composer: crops of labelled pictures with more objects pasted into them.

Where motion gives masks of isolated objects only, crowds and occlusions are made: cut-outs are
pasted into real frames, sized by the scene's perspective, farthest first, behind the posts and
the people that stand nearer (after Dwibedi et al. 2017 and Ghiasi et al. 2021; the objects of
the frame itself take part in the occlusion).

Legend: H, W pixels of a picture, S pixels of the square crop. Images are uint8 RGB.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from model.data.labels import IGNORE, CutOut, Image, Labelled, Scene

LEAST_VISIBLE = 0.25
"""An object of which less than this share is visible is ignored."""
LEAST_PIXELS = 30
"""An object with fewer visible pixels in the crop is ignored."""
PATCH_SCALE = (0.4, 1.7)
"""Enlarging a cut-out further shows its blur, shrinking it further its sharpness."""


@dataclass(frozen=True, eq=False)
class _Placed:
    image: Image
    alpha: Image
    left: int
    bottom: int
    label: int


@dataclass(frozen=True, eq=False)
class Composer:
    """Draws crops; a crop is a function of the scenes and the random generator alone.

    Attributes:
        scenes: Where the pictures come from.
        cut_outs: What is pasted; at least one of class 1.
        crop: S, pixels of a side.
        pasted: Largest number of objects pasted into one crop.
        other_share: Share of the pasted objects that are not of class 1 (person).
    """

    scenes: Sequence[Scene]
    cut_outs: Sequence[CutOut]
    crop: int = 256
    pasted: int = 16
    other_share: float = 0.08
    _people: list[CutOut] = field(init=False, repr=False)
    _others: list[CutOut] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_people", [c for c in self.cut_outs if c.label == 1])
        object.__setattr__(self, "_others", [c for c in self.cut_outs if c.label != 1])

    def draw(self, rng: np.random.Generator) -> Labelled:
        """Return a crop: image (S, S, 3), instances and labels (S, S), after all augmentation."""
        weights = np.array([scene.weight for scene in self.scenes])
        scene = self.scenes[int(rng.choice(len(weights), p=weights / weights.sum()))]
        picture = scene.pictures[int(rng.integers(len(scene.pictures)))]
        window, front, top = _window(scene, picture, self.crop, rng)
        placed = self._place(scene, len(front), top, rng)
        crop = _resize(_paste(window, front, placed), self.crop)
        return _jitter(_flip(crop, scene.upside_down, rng), rng)

    def _place(self, scene: Scene, side: int, top: int, rng: np.random.Generator) -> list[_Placed]:
        """Choose objects, sizes and places in a window; returned farthest first."""
        free_height = rng.uniform(0.12, 0.45) * side
        placed: list[_Placed] = []
        for _ in range(int(rng.integers(self.pasted + 1) * rng.uniform(0.3, 1))):
            bottom = int(rng.integers(side + side // 4))
            left = int(rng.integers(-side // 16, side))
            if placed and rng.random() < 0.55:  # a companion, close enough to occlude
                friend = placed[rng.integers(len(placed))]
                bottom = friend.bottom + int(rng.normal(0, 0.08) * len(friend.image))
                left = friend.left + int(rng.normal(0, 0.4) * len(friend.image))
            height = free_height
            if scene.perspective is not None:
                height = scene.perspective[0] * (bottom + top) + scene.perspective[1]
            cut_out = self._choose(rng)
            scaled = _scale(cut_out, height * rng.uniform(0.87, 1.13), rng)
            if scaled is not None:
                placed.append(_Placed(*scaled, left, bottom, cut_out.label))
        return sorted(placed, key=lambda p: p.bottom)

    def _choose(self, rng: np.random.Generator) -> CutOut:
        pool = self._others if rng.random() < self.other_share else self._people
        pool = pool or self._people
        return pool[rng.integers(len(pool))]


def _window(
    scene: Scene, picture: Labelled, crop: int, rng: np.random.Generator
) -> tuple[Labelled, NDArray[np.int32], int]:
    """Cut a square out of a picture; return it, the rows of what is in front of it, and its top."""
    side = round(crop / np.exp(rng.uniform(*np.log(scene.scale))))
    rows, columns = picture.labels.shape
    top, left = _start(rows, side, rng), _start(columns, side, rng)
    area = (slice(top, top + side), slice(left, left + side))
    pad = (0, side - min(side, rows), 0, side - min(side, columns))
    window = Labelled(
        cv2.copyMakeBorder(picture.image[area], *pad, cv2.BORDER_REFLECT_101),
        cv2.copyMakeBorder(picture.instances[area], *pad, cv2.BORDER_CONSTANT, value=0),
        cv2.copyMakeBorder(picture.labels[area], *pad, cv2.BORDER_CONSTANT, value=IGNORE),
    )
    front = np.zeros((side, side), np.int32)
    if scene.front is not None:
        part = scene.front[area]
        front[: part.shape[0], : part.shape[1]] = np.where(part > 0, np.maximum(part - top, 1), 0)
    return window, front, top


def _start(length: int, side: int, rng: np.random.Generator) -> int:
    """Place a window's middle anywhere, then move it inside: borders are seen as often as the rest.

    A uniform start would show the outermost pixels in one window of hundreds.
    """
    start = int(rng.integers(length)) - side // 2
    return min(max(start, 0), max(length - side, 0))


def _scale(cut_out: CutOut, height: float, rng: np.random.Generator) -> tuple[Image, Image] | None:
    """Resize, mirror and recolour a cut-out; None where it would have to change too much."""
    factor = height / len(cut_out.image)
    if not PATCH_SCALE[0] <= factor <= PATCH_SCALE[1] or height < 12:
        return None
    mode = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    image = cv2.resize(cut_out.image, None, fx=factor, fy=factor, interpolation=mode)
    alpha = cv2.resize(cut_out.alpha, None, fx=factor, fy=factor, interpolation=mode)
    if rng.random() < 0.5:
        image, alpha = image[:, ::-1], alpha[:, ::-1]
    if rng.random() < 0.5:  # other clothes: the channels scaled and, at times, exchanged
        if rng.random() < 0.3:
            image = image[..., rng.permutation(3)]
        gain, lift = rng.uniform(0.75, 1.3, 3) * rng.uniform(0.8, 1.25), rng.uniform(-10, 40)
        image = np.clip(image * gain + lift, 0, 255).astype(np.uint8)
    return image, alpha


def _paste(window: Labelled, front: NDArray[np.int32], placed: Sequence[_Placed]) -> Labelled:
    """Paste objects into a window, farthest first, behind all that stands nearer."""
    image = window.image.astype(np.float32)
    instances, labels = window.instances.copy(), window.labels.copy()
    full = dict(zip(*np.unique(instances, return_counts=True), strict=True))
    nearer = front.copy()
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


def _resize(window: Labelled, crop: int) -> Labelled:
    side = len(window.labels)
    mode = cv2.INTER_AREA if side > crop else cv2.INTER_LINEAR
    nearest = ((np.arange(crop) + 0.5) * side / crop).astype(int)
    instances, labels = (array[nearest][:, nearest] for array in (window.instances, window.labels))
    small = np.flatnonzero(np.bincount(instances.ravel()) < LEAST_PIXELS)
    tiny = np.isin(instances, small[small > 0])
    labels[tiny], instances[tiny] = IGNORE, 0
    return Labelled(cv2.resize(window.image, (crop, crop), interpolation=mode), instances, labels)


def _flip(crop: Labelled, upside_down: bool, rng: np.random.Generator) -> Labelled:
    columns = slice(None, None, -1 if rng.random() < 0.5 else 1)
    rows = slice(None, None, -1 if upside_down and rng.random() < 0.5 else 1)
    return Labelled(
        np.ascontiguousarray(crop.image[rows, columns]),
        np.ascontiguousarray(crop.instances[rows, columns]),
        np.ascontiguousarray(crop.labels[rows, columns]),
    )


def _jitter(crop: Labelled, rng: np.random.Generator) -> Labelled:
    """Change light, contrast and white balance; add blur, noise and JPEG artefacts at times."""
    image = crop.image.astype(np.float32) / 255
    if rng.random() < 0.8:
        image = image ** rng.uniform(0.75, 1.3) * rng.uniform(0.9, 1.1, 3)
        mean = image.mean()
        image = (image - mean) * rng.uniform(0.8, 1.2) + mean + rng.uniform(-0.06, 0.06)
    if rng.random() < 0.15:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, 0.9))
    if rng.random() < 0.4:
        image = image + rng.normal(0, rng.uniform(0, 0.025), image.shape)
    pixels = np.clip(image * 255, 0, 255).astype(np.uint8)
    if rng.random() < 0.4:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(45, 95))]
        coded = cv2.imencode(".jpg", pixels, quality)[1]
        pixels = np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), np.uint8)
    return Labelled(pixels, crop.instances, crop.labels)
