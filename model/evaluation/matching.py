"""Matching of predicted with true instances by the IoU of their masks.

Source: 2018 Data Science Bowl, and Schmidt et al., "Cell Detection with Star-convex Polygons",
MICCAI 2018: the average precision of a picture at a threshold is TP / (TP + FP + FN).

Legend: H, W pixels; P predicted, T true instances; N thresholds.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.data.labels import IGNORE, Labelled

THRESHOLDS = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9)


@dataclass(frozen=True, eq=False)
class PictureScores:
    """Counts of a picture by class and threshold: ``tp``, ``fp``, ``fn`` int (K, N)."""

    thresholds: tuple[float, ...]
    tp: NDArray[np.int64]
    fp: NDArray[np.int64]
    fn: NDArray[np.int64]


def overlaps(
    predicted: NDArray[np.int32], true: NDArray[np.int32]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Count pixels.

    Args:
        predicted: (H, W), 0 background, 1..P.
        true: (H, W), 0 background, 1..T.

    Returns:
        Shared pixels (P, T), pixels of the predicted (P,), of the true instances (T,).
    """
    n_predicted, n_true = int(predicted.max(initial=0)), int(true.max(initial=0))
    pairs = predicted.reshape(-1).astype(np.int64) * (n_true + 1) + true.reshape(-1)
    table = np.bincount(pairs, minlength=(n_predicted + 1) * (n_true + 1))
    table = table.reshape(n_predicted + 1, n_true + 1)
    return table[1:, 1:], table.sum(1)[1:], table.sum(0)[1:]


def iou_matrix(predicted: NDArray[np.int32], true: NDArray[np.int32]) -> NDArray[np.float64]:
    """Return the IoU (P, T) of every predicted with every true instance, 0 for empty ones."""
    shared, ours, theirs = overlaps(predicted, true)
    union = ours[:, None] + theirs[None, :] - shared
    return np.asarray(shared / np.maximum(union, 1), float)


def score_picture(
    predicted: NDArray[np.int32],
    predicted_classes: NDArray[np.int64],
    true: Labelled,
    thresholds: Sequence[float] = THRESHOLDS,
    n_classes: int | None = None,
) -> PictureScores:
    """Match the instances of a picture one to one, class by class, the best overlaps first.

    A predicted instance that matches none and lies by more than half on ignored pixels does not
    count.

    Args:
        predicted: (H, W), 0 background, 1..P.
        predicted_classes: (P,) class index 1..K.
        true: The labelled picture; its instances may have any numbers.
        thresholds: Least IoU of a matched pair, each at least 0.5.
        n_classes: K; None takes the largest class that occurs.
    """
    numbers, compact = np.unique(true.instances, return_inverse=True)
    compact = compact.reshape(true.instances.shape)
    if numbers[0] != 0:
        compact, numbers = compact + 1, np.concatenate([[0], numbers])
    labels = np.zeros(len(numbers), np.int64)
    labels[compact.reshape(-1)] = true.labels.reshape(-1)
    iou = iou_matrix(predicted, compact.astype(np.int32))
    n_predicted = len(iou)
    ours, theirs = np.asarray(predicted_classes)[:n_predicted], labels[1:]
    area = np.bincount(predicted.reshape(-1), minlength=n_predicted + 1)[1:]
    on_ignored = np.bincount(predicted[true.labels == IGNORE], minlength=n_predicted + 1)[1:]
    counted = (area > 0) & (2 * on_ignored <= area)
    iou = iou * (ours[:, None] == theirs[None, :])
    if n_classes is None:
        n_classes = int(max(ours.max(initial=1), theirs.max(initial=1)))
    shape = (n_classes, len(thresholds))
    tp, fp, fn = np.zeros(shape, np.int64), np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    pairs = _match(iou, min(thresholds))
    values = np.array([iou[p, t] for p, t in pairs])
    of_class = np.array([theirs[t] for _, t in pairs], int)
    matched = np.zeros(n_predicted, bool)
    for column, threshold in enumerate(thresholds):
        good = values >= threshold
        matched[:] = False
        matched[[p for (p, _), keep in zip(pairs, good, strict=True) if keep]] = True
        for k in range(1, n_classes + 1):
            row = k - 1
            tp[row, column] = (good & (of_class == k)).sum()
            fp[row, column] = ((ours == k) & ~matched & counted).sum()
            fn[row, column] = (theirs == k).sum() - tp[row, column]
    return PictureScores(tuple(thresholds), tp, fp, fn)


def _match(iou: NDArray[np.float64], least: float) -> list[tuple[int, int]]:
    """Pairs (predicted, true) with at least this IoU, the best first, no one twice."""
    candidates = np.argwhere(iou >= least)
    order = np.argsort(-iou[candidates[:, 0], candidates[:, 1]], kind="stable")
    pairs: list[tuple[int, int]] = []
    taken: tuple[set[int], set[int]] = (set(), set())
    for p, t in candidates[order].tolist():
        if p not in taken[0] and t not in taken[1]:
            pairs.append((p, t))
            taken[0].add(p)
            taken[1].add(t)
    return pairs


def mean_average_precision(scores: Sequence[PictureScores]) -> dict[float, float]:
    """Return the mean over the pictures of TP / (TP + FP + FN), all classes together, by threshold.

    A picture without true and without predicted instances counts 1: nothing to find was found.
    """
    if not scores:
        return {}
    rows = []
    for one in scores:
        tp, fp, fn = one.tp.sum(0), one.fp.sum(0), one.fn.sum(0)
        total = tp + fp + fn
        rows.append(np.where(total > 0, tp / np.maximum(total, 1), 1.0))
    means = np.mean(rows, axis=0).tolist()
    return dict(zip(scores[0].thresholds, means, strict=True))
