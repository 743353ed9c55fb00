"""From clusters on the model's input to instances in the captured frame's own pixels.

Pure: no input or output. Shape letters: I instances.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from contract.mask import RunLengths
from segmentation.cluster import Clusters
from segmentation.instances import FoundMask, Instances
from segmentation.letterbox import Fit
from segmentation.map_kernels import count_pixels, measure
from segmentation.mask_kernels import cut_masks


def describe(clusters: Clusters, min_pixels: int, fit: Fit, classes: Sequence[str]) -> Instances:
    """Describe instances in pixels of the captured frame.

    Args:
        clusters: Instances on the model's input.
        min_pixels: Fewest pixels of the input that an instance must have: what later ones left of
            it may be a sliver.
        fit: How the frame lies in the input.
        classes: Class names.

    Returns:
        Those that have a pixel in the frame, too, numbered from 1.
    """
    instance_map = fit.restore(clusters.instance_map)
    table = measure(instance_map, len(clusters.scores))
    left = table[:, 4]
    if instance_map is not clusters.instance_map:
        left = count_pixels(clusters.instance_map, len(clusters.scores))
    kept = np.flatnonzero((left >= min_pixels) & (table[:, 4] > 0))
    left, top, right, bottom, area, sum_x, sum_y = table[kept].T
    boxes = np.stack([left, top, right - left + 1, bottom - top + 1], axis=1)
    return Instances.of(
        fit.frame_size,
        classes,
        classes=clusters.classes[kept],
        scores=clusters.scores[kept],
        centers=np.stack([sum_x / area, sum_y / area], axis=1),
        areas=area,
        masks=_masks(instance_map, kept + 1, boxes),
    )


def _masks(
    instance_map: NDArray[np.int32], numbers: NDArray[np.int64], boxes: NDArray[np.int64]
) -> list[FoundMask]:
    pixels, text, ends = cut_masks(instance_map, numbers, boxes)
    counts = text.tobytes().decode("ascii")
    size, masks, start, begin = list(instance_map.shape), [], 0, 0
    for end, box in zip(ends.tolist(), boxes.tolist(), strict=True):
        x, y, width, height = box
        stop = start + height * width
        array = pixels[start:stop].reshape(height, width)
        run_lengths = RunLengths(size=size, counts=counts[begin:end])
        masks.append(FoundMask(array, run_lengths, (x, y, width, height)))
        start, begin = stop, end
    return masks
