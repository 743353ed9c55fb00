"""True boxes of a video, and how boxes are compared with them.

The table of true boxes is MOTChallenge-style (Leal-Taixé et al., 2015): one line
``frame,track,x,y,w,h`` per box, frames and pixel coordinates counted from 1, further columns
ignored.

Legend: P predicted boxes, T true boxes. A box is (x, y, width, height) in pixels from 0.
"""

import csv
import math
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

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
        ConfigurationError: The file is missing or empty, or a line is not ``frame,track,x,y,w,h``.
    """
    by_frame: dict[int, list[tuple[float, ...]]] = defaultdict(list)
    for row in _read_rows(path):
        by_frame[row.frame].append(row.box)
    return {frame: np.array(boxes) for frame, boxes in by_frame.items()}


def read_tracks(path: Path) -> dict[int, dict[int, tuple[float, ...]]]:
    """Read a table of true tracks.

    Returns:
        By frame number, from 1: the box of each track that is there, pixels from 0.

    Raises:
        ConfigurationError: As `read_boxes`; or a track is no whole number from 0, or has two boxes
            in one frame.
    """
    by_frame: dict[int, dict[int, tuple[float, ...]]] = defaultdict(dict)
    lines: dict[tuple[int, int], int] = {}
    for row in _read_rows(path):
        track = int(row.track)
        if track != row.track or track < 0:
            raise ConfigurationError(
                f"{path}, line {row.line}: track {row.track:g}, expected a whole number from 0"
            )
        before = lines.setdefault((row.frame, track), row.line)
        if before != row.line:
            raise ConfigurationError(
                f"{path}, line {row.line}: track {track} has a box in frame {row.frame} already, "
                f"in line {before}; expected one"
            )
        by_frame[row.frame][track] = row.box
    return dict(by_frame)


class _Row(NamedTuple):
    line: int
    frame: int
    track: float
    box: tuple[float, ...]  # pixels from 0


def _read_rows(path: Path) -> list[_Row]:
    try:
        # A byte order mark, which spreadsheets write, is no part of the first number.
        with path.open(newline="", encoding="utf-8-sig") as file:
            lines = list(csv.reader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigurationError(f"{path}: cannot read the true boxes: {error}") from error
    if not lines:
        raise ConfigurationError(f"{path}: empty, expected lines frame,track,x,y,w,h")
    return [_row(path, number, line) for number, line in enumerate(lines, start=1)]


def _row(path: Path, number: int, line: list[str]) -> _Row:
    try:
        frame, track, x, y, width, height = (float(value) for value in line[:6])
    except ValueError as error:
        raise ConfigurationError(
            f"{path}, line {number}: expected frame,track,x,y,w,h in numbers, found {line}"
        ) from error
    if not all(map(math.isfinite, (frame, track, x, y, width, height))):
        raise ConfigurationError(f"{path}, line {number}: expected finite numbers, found {line}")
    if frame < 1 or frame != int(frame):
        raise ConfigurationError(
            f"{path}, line {number}: frame {frame:g}, expected a whole number: frames count from 1"
        )
    if min(width, height) <= 0:
        raise ConfigurationError(
            f"{path}, line {number}: a box of {width:g}x{height:g} pixels, expected sides above 0"
        )
    return _Row(number, int(frame), track, (x - 1, y - 1, width, height))
