"""Composer: crops of labelled pictures, with objects of other pictures pasted into them at will.

Where motion gives masks of isolated objects only, crowds and occlusions are made here.

Legend: S pixels of the square crop. Images are uint8 RGB.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np

from model.augment.paste import CutOutSource, Placed, StoredCutOuts, fit_cut_out, paste
from model.augment.windows import Window, cut_window, flip, resize, turn
from model.data.labels import CutOut, Image, Labelled, Scene
from model.recipes.recipe import Augment, CopyPaste, Light

CROWD = Augment(centered=0.0, copy_paste=CopyPaste(objects=16, classes={}, height=(0.12, 0.45)))
"""Windows anywhere with up to 16 objects pasted: what motion labels need."""

_COMPANIONS = 0.55
"""Share of the pasted objects that stand close enough to another one to occlude it."""
_DIAGONAL = 1.4143
"""A window of this many sides holds the square turned by any angle."""


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
        window = cut_window(place, place.pictures[picture], size, options, rng)
        shown = window.picture
        if options.copy_paste.objects:
            shown = paste(window, self._place(place, window, rng))
        crop = resize(shown, size, options.least_pixels)
        if turned:
            crop = turn(crop, self.crop, rng.uniform(0, 360), options.least_pixels)
        mirror = options.flip_horizontal and rng.random() < 0.5
        upside_down = (options.flip_vertical or place.upside_down) and rng.random() < 0.5
        crop = flip(crop, mirror, upside_down)
        image = change_light(crop.image, options.light, rng)
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
