"""Made pictures and instances for tests of what measures masks."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from contract.mask import encode_mask
from contract.result import Instance
from model.data.labels import Labelled

Box = tuple[int, int, int, int]
"""x, y, width, height in pixels."""


def box_mask(size: tuple[int, int], box: Box) -> NDArray[np.bool_]:
    """A rectangle in a picture of (height, width)."""
    mask = np.zeros(size, np.bool_)
    x, y, width, height = box
    mask[y : y + height, x : x + width] = True
    return mask


def instance(mask: NDArray[np.bool_], class_name: str = "person", score: float = 0.9) -> Instance:
    """What the worker would say of a mask."""
    ys, xs = np.nonzero(mask)
    x, y = int(xs.min()), int(ys.min())
    return Instance(
        id=1,
        class_name=class_name,
        score=score,
        box=(x, y, int(xs.max()) - x + 1, int(ys.max()) - y + 1),
        center=(float(xs.mean()), float(ys.mean())),
        area=int(mask.sum()),
        mask=encode_mask(mask, (mask.shape[0], mask.shape[1])),
    )


def picture(size: tuple[int, int], objects: Sequence[tuple[Box, int]]) -> Labelled:
    """White rectangles on black, with labels."""
    image = np.zeros((*size, 3), np.uint8)
    instances, labels = np.zeros(size, np.int32), np.zeros(size, np.uint8)
    for number, (box, label) in enumerate(objects, start=1):
        mask = box_mask(size, box)
        image[mask], labels[mask], instances[mask] = 255, label, number * 7
    instances[labels == 255] = 0
    return Labelled(image, instances, labels)
