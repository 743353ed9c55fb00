"""Frames that are all there, such as those of a file: found and observed as a worker does it."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from segmentation.instances import Instances
from segmentation.segmenter import Fitted, Segmenter
from tracking.observations import Observations, observe


def find_and_observe(
    segmenter: Segmenter,
    images: Sequence[NDArray[np.uint8]],
    sources: Sequence[str] = (),
    *,
    appearance: bool = True,
) -> Iterator[tuple[Instances, Observations]]:
    """Yield the instances of each image, and what the tracker sees of them.

    Args:
        segmenter: Finds the instances.
        images: uint8 (H, W, 3) RGB, of one camera, in order.
        sources: File of each image, for what is logged.
        appearance: Whether colours are looked at.

    Raises:
        DeviceError: The accelerator failed.
        InvalidMessageError: ``too_many_tiles``, see `Segmenter.tiles`.
    """
    fitted = [segmenter.fit(image) for image in images]
    seen = iter(fitted)
    for maps in segmenter.maps(fitted, sources=sources):
        for instances, image in zip(segmenter.describe(maps), seen, strict=False):
            yield instances, _observed(instances, image, appearance)


def _observed(
    instances: Instances, image: NDArray[np.uint8] | Fitted, appearance: bool
) -> Observations:
    if not appearance:
        return observe(instances)
    if isinstance(image, Fitted):
        return observe(instances, image.picture, image.fit)
    return observe(instances, image)
