"""Whether the maps of one way to run the network are those of another; see `benchmarks.gpu`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from segmentation.engines.base import Predictions
from segmentation.engines.onnx import OnnxEngine
from segmentation.segmenter import Segmenter

MIN_IOU, MAX_PIXELS, MAX_MARGIN, MIN_CLASSES = 0.97, 0.5, 0.05, 0.99
"""Bounds on the foreground's IoU with the CPU's; in what is foreground of both, on the median
difference of offsets, that of margins (a share of them), and the share of pixels of equal class."""

Image = NDArray[np.uint8]


def differences(
    engine: OnnxEngine, reference: OnnxEngine, frames: Sequence[Image]
) -> dict[str, Any]:
    """Compare the maps of two engines, and the instances that come of them.

    Args:
        engine: What is compared, in batches of all its sizes and of such as it has to pad.
        reference: What is right, a frame at a time.
        frames: RGB frames of the size of both.
    """
    right = [_one(reference.run(image[None]), 0) for image in frames]
    step = np.array(reference.artifact.grid_step, np.float32)[:, None]
    found: list[Difference] = []
    compared = compared_batches(engine.batch_sizes)
    for size in compared:
        # From each frame on, so that every one is at every place of a batch, and beside others.
        for first in range(len(frames)):
            numbers = [(first + place) % len(frames) for place in range(size)]
            maps = engine.run(np.stack([frames[number] for number in numbers]))
            for place, number in enumerate(numbers):
                found.append(_difference(_one(maps, place), right[number], step))
    segmenters = [Segmenter(each) for each in (engine, reference)]
    counts = [[len(each.segment([image])[0]) for each in segmenters] for image in frames]
    return {
        "compared_batches": compared,
        "foreground_iou": round(float(np.min([each.iou for each in found])), 4),
        "offset_pixels": round(float(np.max([each.pixels for each in found])), 4),
        "margin_share": round(float(np.max([each.margin for each in found])), 4),
        "equal_classes": round(float(np.min([each.classes for each in found])), 4),
        "instances": np.sum(counts, axis=0).tolist(),
    }


def compared_batches(sizes: Sequence[int]) -> list[int]:
    """Return the batches to compare: of every size, and for each the smallest that is padded to it.

    Args:
        sizes: Of the engine's batches, ascending.
    """
    padded = [before + 1 for before in (0, *sizes[:-1])]
    return sorted({*sizes, *padded})


@dataclass(frozen=True)
class Maps:
    """What the network says of one frame.

    Attributes:
        seed: float32 (H, W).
        offset: float32 (2, H, W).
        bandwidth: float32 (S, H, W).
        class_index: uint8 (H, W).
    """

    seed: NDArray[np.float32]
    offset: NDArray[np.float32]
    bandwidth: NDArray[np.float32]
    class_index: NDArray[np.uint8]


class Difference(NamedTuple):
    """How far apart the maps of one frame are; see the bounds above."""

    iou: float
    pixels: float
    margin: float
    classes: float


def _one(maps: Predictions, place: int) -> Maps:
    return Maps(
        maps.seed[place], maps.offset[place], maps.bandwidth[place], maps.class_index[place]
    )


def _difference(ours: Maps, theirs: Maps, step: NDArray[np.float32]) -> Difference:
    a, b = ours.seed > 0.5, theirs.seed > 0.5
    both, either = a & b, a | b
    # Nothing on both sides is the same, too.
    iou = float(both.sum() / either.sum()) if either.any() else 1.0
    if not both.any():
        return Difference(iou, 0.0, 0.0, 1.0)
    away = np.abs(ours.offset[:, both] - theirs.offset[:, both]) / step
    # A margin's radius goes with exp(-5 bandwidth): precision is exp(10 bandwidth).
    wider = np.expm1(5 * np.abs(ours.bandwidth[:, both] - theirs.bandwidth[:, both]))
    same = ours.class_index[both] == theirs.class_index[both]
    return Difference(iou, float(np.median(away)), float(np.median(wider)), float(same.mean()))


def is_right(found: dict[str, Any]) -> bool:
    """Whether maps are near enough to the CPU's."""
    return bool(
        found["foreground_iou"] >= MIN_IOU
        and found["offset_pixels"] <= MAX_PIXELS
        and found["margin_share"] <= MAX_MARGIN
        and found["equal_classes"] >= MIN_CLASSES
    )
