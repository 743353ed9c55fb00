"""Instances of one picture, found twice: how far their masks overlap, which belong together.

Pure. Legend: A instances of one side, B of the other.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from segmentation.instances import Mask


def mask_iou(ones: Sequence[Mask], others: Sequence[Mask]) -> NDArray[np.float64]:
    """Return the intersection over union of each mask with each other one, (A, B), 0..1.

    Masks are decoded only where their boxes overlap.

    Raises:
        InvalidMessageError: ``malformed_mask``: a mask that came in a document is none.
    """
    iou = np.zeros((len(ones), len(others)))
    for row, one in enumerate(ones):
        for column, other in enumerate(others):
            iou[row, column] = _iou(one, other)
    return iou


def best_first(iou: NDArray[np.float64], lowest: float) -> list[tuple[int, int, float]]:
    """Pair rows with columns one to one, the highest IoU first.

    Args:
        iou: (A, B), 0..1.
        lowest: Least IoU of a pair; 0 pairs nothing with what it does not overlap.

    Returns:
        (row, column, IoU), no row and no column twice, the highest IoU first.
    """
    rows, columns = np.nonzero((iou >= lowest) & (iou > 0))
    values = iou[rows, columns]
    pairs: list[tuple[int, int, float]] = []
    used_rows: set[int] = set()
    used_columns: set[int] = set()
    for i in np.argsort(-values, kind="stable").tolist():
        row, column = int(rows[i]), int(columns[i])
        if row not in used_rows and column not in used_columns:
            used_rows.add(row)
            used_columns.add(column)
            pairs.append((row, column, float(values[i])))
    return pairs


def _iou(one: Mask, other: Mask) -> float:
    left, top = max(one.box[0], other.box[0]), max(one.box[1], other.box[1])
    right = min(one.box[0] + one.box[2], other.box[0] + other.box[2])
    bottom = min(one.box[1] + one.box[3], other.box[1] + other.box[3])
    if left >= right or top >= bottom:
        return 0.0
    both = _part(one, left, top, right, bottom) & _part(other, left, top, right, bottom)
    shared = int(np.count_nonzero(both))
    union = int(np.count_nonzero(one.array)) + int(np.count_nonzero(other.array)) - shared
    return shared / union if union else 0.0


def _part(mask: Mask, left: int, top: int, right: int, bottom: int) -> NDArray[np.bool_]:
    x, y, _, _ = mask.box
    return mask.array[top - y : bottom - y, left - x : right - x]
