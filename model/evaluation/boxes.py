"""True boxes of a video, and how boxes are compared with them.

The table of true boxes is MOTChallenge-style (Leal-Taixé et al., 2015): one line
``frame,track,x,y,w,h`` per box, frames and pixel coordinates counted from 1, further columns
ignored.

Legend: P predicted boxes, T true boxes. A box is (x, y, width, height) in pixels from 0.
"""

import csv
from collections import defaultdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from contract.errors import ConfigurationError

Boxes = NDArray[np.float64]
"""(n, 4) boxes."""


def match_boxes(predicted: Boxes, true: Boxes, iou: float) -> list[tuple[int, int]]:
    """Pair predicted with true boxes one to one, the best overlaps first.

    Args:
        predicted: (P, 4) boxes.
        true: (T, 4) boxes.
        iou: Least intersection over union of a pair, 0..1.

    Returns:
        Pairs (index into ``predicted``, index into ``true``), no index twice.
    """
    overlaps = box_iou(predicted, true)
    order = np.argsort(-overlaps, axis=None, kind="stable")
    pairs: list[tuple[int, int]] = []
    free_predicted, free_true = set(range(len(predicted))), set(range(len(true)))
    for flat in order:
        p, t = divmod(int(flat), len(true))
        if overlaps[p, t] < iou:
            break
        if p in free_predicted and t in free_true:
            pairs.append((p, t))
            free_predicted.remove(p)
            free_true.remove(t)
    return pairs


def box_iou(one: Boxes, other: Boxes) -> NDArray[np.float64]:
    """Return the (P, T) intersection over union of (P, 4) and (T, 4) boxes; 0 for empty boxes."""
    low = np.maximum(one[:, None, :2], other[None, :, :2])
    high = np.minimum(one[:, None, :2] + one[:, None, 2:], other[None, :, :2] + other[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=2)
    union = one[:, 2:].prod(axis=1)[:, None] + other[:, 2:].prod(axis=1)[None, :] - shared
    overlaps: NDArray[np.float64] = np.divide(
        shared, union, out=np.zeros_like(shared), where=union > 0
    )
    return overlaps


def read_boxes(path: Path) -> dict[int, Boxes]:
    """Read a table of true boxes.

    Returns:
        Boxes by frame number; frames count from 1, pixels from 0.

    Raises:
        ConfigurationError: The file is missing, or a line is not ``frame,track,x,y,w,h``.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            lines = list(csv.reader(file))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: cannot read the true boxes: {error}") from error
    by_frame: dict[int, list[list[float]]] = defaultdict(list)
    for number, line in enumerate(lines, start=1):
        try:
            frame, _, x, y, width, height = (float(value) for value in line[:6])
        except ValueError as error:
            raise ConfigurationError(
                f"{path}, line {number}: expected frame,track,x,y,w,h in numbers, found {line}"
            ) from error
        by_frame[int(frame)].append([x - 1, y - 1, width, height])
    return {frame: np.array(boxes) for frame, boxes in by_frame.items()}
