"""Worker and every reader of results: masks as COCO run-length encoding.

``{"size": [height, width], "counts": "..."}`` with column-major compressed counts, which
``pycocotools.mask.decode`` reads as it is.
"""

from typing import TypedDict

import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco

from contract.errors import InvalidMessageError


class RunLengths(TypedDict):
    """A mask: ``size`` is [height, width] in pixels, ``counts`` COCO's compressed counts."""

    size: list[int]
    counts: str


def encode_mask(
    mask: npt.NDArray[np.bool_], size: tuple[int, int], origin: tuple[int, int] = (0, 0)
) -> RunLengths:
    """Encode a mask that is given as a crop of its image.

    Only the crop is looked at, so the cost follows the object, not the image.

    Args:
        mask: (h, w) bool, the crop.
        size: (height, width) of the whole image in pixels.
        origin: (x, y) of the crop's top left corner in the image.

    Raises:
        ValueError: The crop does not lie inside the image.
    """
    (height, width), (x, y) = size, origin
    rows, columns = mask.shape
    if min(x, y) < 0 or x + columns > width or y + rows > height:
        raise ValueError(f"a crop of {mask.shape} at x {x}, y {y} is not inside an image of {size}")
    # Positions where the value changes, in the column-major order of the whole image. A run that
    # leaves the crop's last row ends there, unless the next column continues it at the image's top.
    padded = np.zeros((columns, rows + 2), np.int8)
    padded[:, 1:-1] = mask.T
    column, row = np.nonzero(np.diff(padded, axis=1))
    changes = (column + x) * height + row + y
    if rows == height:
        changes = _merge_touching(changes)
    counts = np.diff(np.concatenate(([0], changes, [height * width])))
    if counts[-1] == 0:  # the mask reaches the image's last pixel
        counts = counts[:-1]
    encoded = coco.frPyObjects({"size": [height, width], "counts": counts.tolist()}, height, width)
    return {"size": [height, width], "counts": encoded["counts"].decode()}


def decode_mask(mask: RunLengths) -> npt.NDArray[np.bool_]:
    """Return the (height, width) bool image of an encoded mask.

    Raises:
        InvalidMessageError: ``malformed_mask``: the counts do not fill the size.
    """
    height, width = mask["size"]
    # pycocotools writes without a bound: check the counts against the size before it does.
    if height <= 0 or width <= 0 or sum(_counts(mask["counts"])) != height * width:
        raise InvalidMessageError(
            "malformed_mask", f"the counts of a mask do not add up to its size {mask['size']}"
        )
    try:
        decoded = coco.decode({"size": [height, width], "counts": mask["counts"].encode()})
    except ValueError as error:  # it reads an unfinished last count on, beyond the text's end
        raise InvalidMessageError("malformed_mask", f"a mask does not decode: {error}") from error
    return np.asarray(decoded, dtype=np.bool_)


def _counts(text: str) -> list[int]:
    """Read COCO's compressed counts: 5-bit groups from 48 on, from the third on as differences."""
    counts: list[int] = []
    value = shift = 0
    for byte in text.encode():
        group = byte - 48
        value |= (group & 0x1F) << shift
        shift += 5
        if group & 0x20:
            continue
        if group & 0x10:
            value -= 1 << shift
        if len(counts) > 2:
            value += counts[-2]
        if value < 0:
            return []
        counts.append(value)
        value = shift = 0
    return counts


def _merge_touching(changes: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Drop pairs of changes at one position: an end that is at once the next run's beginning."""
    same = changes[1:] == changes[:-1]
    keep = np.ones(len(changes), np.bool_)
    keep[1:] &= ~same
    keep[:-1] &= ~same
    return changes[keep]
