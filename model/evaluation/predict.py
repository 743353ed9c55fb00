"""Instances of the worker's segmenter as maps.

Legend: H, W pixels; I instances.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from contract.mask import decode_mask
from contract.result import Instance


def instance_map(
    instances: Sequence[Instance], shape: tuple[int, ...], classes: Sequence[str]
) -> tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.float64]]:
    """Draw instances into a map.

    Args:
        instances: Of one picture; their masks do not overlap.
        shape: (H, W) of the picture.
        classes: Class names.

    Returns:
        Map int32 (H, W), 0 background, ``i + 1`` instance i; class index 1..K (I,); score (I,).
    """
    drawn = np.zeros(shape[:2], np.int32)
    for number, instance in enumerate(instances, start=1):
        x, y, width, height = instance.box
        here = np.s_[y : y + height, x : x + width]
        drawn[here][decode_mask(instance.mask)[here]] = number
    labels = np.array([classes.index(instance.class_name) + 1 for instance in instances], int)
    return drawn, labels, np.array([instance.score for instance in instances], float)
