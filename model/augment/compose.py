"""Composer: crops of labelled pictures, with objects of other pictures pasted into them at will.

Where motion gives masks of isolated objects only, crowds and occlusions are made here. Copy-paste
is that of Dwibedi et al. 2017 and Ghiasi et al. 2021; the objects of the picture itself take part
in the occlusion.

Legend: S pixels of the square crop, h, w pixels of a patch. Images are uint8 RGB.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from model.augment.fading import fade_objects
from model.augment.windows import Window, cut_window, flip, resize, turn
from model.data.labels import IGNORE, CutOut, Image, Labelled, Pictures, Scene
from model.recipes.augmentation import Augment, CopyPaste, Light

CROWD = Augment(centered=0.0, copy_paste=CopyPaste(objects=16, classes={}, height=(0.12, 0.45)))
"""Windows anywhere with up to 16 objects pasted: what motion labels need."""

_COMPANIONS = 0.55
"""Share of the pasted objects that stand close enough to another one to occlude it."""
_DIAGONAL = 1.4143
"""A window of this many sides holds the square turned by any angle."""

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


@dataclass(frozen=True, eq=False)
class Composer:
    """Draws crops; a crop is a function of the scenes and the random generator alone.

    Attributes:
        scenes: Where the pictures come from.
        cut_outs: What is pasted: a source, or cut-outs of which each is as likely.
        crop: S, pixels of a side.
        augment: How crops are drawn.
    """

    scenes: Sequence[Scene]
    cut_outs: CutOutSource | Sequence[CutOut] = ()
    crop: int = 256
    augment: Augment = CROWD
    _source: CutOutSource = field(init=False, repr=False)

    def __post_init__(self) -> None:
        source = self.cut_outs
        object.__setattr__(
            self, "_source", StoredCutOuts(source) if isinstance(source, Sequence) else source
        )

    def draw(self, rng: np.random.Generator) -> Labelled:
        """Return a crop of a scene drawn by weight: image (S, S, 3), instances, labels (S, S)."""
        weights = np.array([scene.weight for scene in self.scenes])
        scene = int(rng.choice(len(weights), p=weights / weights.sum()))
        picture = int(rng.integers(len(self.scenes[scene].pictures)))
        return self.draw_from(scene, picture, rng)

    def draw_from(self, scene: int, picture: int, rng: np.random.Generator) -> Labelled:
        """Return a crop of picture number ``picture`` of scene number ``scene``."""
        place, options = self.scenes[scene], self.augment
        turned = rng.random() < options.rotate
        size = round(self.crop * _DIAGONAL) if turned else self.crop
        # Turned, only the middle of the window is shown.
        margin = (1 - 1 / _DIAGONAL) / 2 if turned else 0.0
        window = cut_window(place, place.pictures[picture], size, options, rng, margin)
        shown = window.picture
        if options.copy_paste.objects:
            shown = paste(window, self._place(place, window, rng))
        crop = resize(shown, size, options.least_pixels)
        if turned:
            crop = turn(crop, self.crop, rng.uniform(0, 360), options.least_pixels)
        mirror = options.flip_horizontal and rng.random() < 0.5
        upside_down = (options.flip_vertical or place.upside_down) and rng.random() < 0.5
        crop = flip(crop, mirror, upside_down)
        image = fade_objects(crop, options.fade, rng) if options.fade.share else crop.image
        image = change_light(image, options.light, rng)
        return Labelled(image, crop.instances, crop.labels)

    def _place(self, scene: Scene, window: Window, rng: np.random.Generator) -> list[Placed]:
        """Choose objects, sizes and places in a window; returned farthest first."""
        options, side = self.augment.copy_paste, len(window.front)
        free_height = None if options.height is None else rng.uniform(*options.height) * side
        placed: list[Placed] = []
        for _ in range(round(rng.integers(options.objects + 1) * rng.uniform(0.5, 1))):
            bottom = int(rng.integers(side + side // 4))
            left = int(rng.integers(-side // 16, side))
            if placed and rng.random() < _COMPANIONS:
                friend = placed[rng.integers(len(placed))]
                bottom = friend.bottom + int(rng.normal(0, 0.08) * len(friend.image))
                left = friend.left + int(rng.normal(0, 0.4) * len(friend.image))
            cut_out = self._source.choose(rng)
            if cut_out is None:
                continue
            height = float(len(cut_out.image)) if free_height is None else free_height
            if scene.perspective is not None:
                height = scene.perspective[0] * (bottom + window.top) + scene.perspective[1]
            fitted = fit_cut_out(cut_out, height * rng.uniform(0.87, 1.13), rng)
            if fitted is not None:
                placed.append(Placed(*fitted, left, bottom, cut_out.label))
        return sorted(placed, key=lambda p: p.bottom)


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


def change_light(image: Image, options: Light, rng: np.random.Generator) -> Image:
    """Return a crop (S, S, 3) in another light, blurred, noisy or coded at times."""
    values = image.astype(np.float32) / 255
    if rng.random() < options.share:
        values = values ** rng.uniform(*options.gamma)
        values *= np.exp(rng.uniform(*np.log(options.gain))) * rng.uniform(*options.color, 3)
        mean = values.mean()
        values = (values - mean) * rng.uniform(*options.contrast) + mean
        values += rng.uniform(-options.lift, options.lift)
    if rng.random() < options.blur_share:
        values = cv2.GaussianBlur(values, (0, 0), rng.uniform(*options.blur))
    if rng.random() < options.noise_share:
        values = values + rng.normal(0, rng.uniform(0, options.noise), values.shape)
    pixels = np.round(np.clip(values, 0, 1) * 255).astype(np.uint8)
    if rng.random() < options.jpeg_share:
        quality = [cv2.IMWRITE_JPEG_QUALITY, round(rng.uniform(*options.jpeg))]
        coded = cv2.imencode(".jpg", pixels, quality)[1]
        pixels = np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), np.uint8)
    return pixels
