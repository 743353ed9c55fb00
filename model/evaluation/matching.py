"""Matching of predicted with true instances by the IoU of their masks, and what is counted by it.

Source: 2018 Data Science Bowl (Caicedo et al., Nature Methods 2019), and Schmidt et al., "Cell
Detection with Star-convex Polygons", MICCAI 2018: the average precision of a picture at a threshold
is TP / (TP + FP + FN). Panoptic quality: Kirillov et al., CVPR 2019.

Legend: H, W pixels; P predicted, T true instances; K classes; N thresholds.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.data.labels import IGNORE, Labelled
from segmentation.agreement import best_first

THRESHOLDS = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9)
"""IoU at and above which a prediction counts as right, as StarDist reports it."""

_DENSE_IDS = 1 << 24
"""Ids up to here are counted in a table, higher ones are sorted."""


@dataclass(frozen=True, eq=False)
class Matches:
    """Which instances of a picture belong together.

    Attributes:
        pairs: (index into the predicted, index into the true instances, IoU), no index twice, the
            highest IoU first, down to the lowest that was asked for.
        predicted: int (P,) class of each predicted instance, 1..K; 0 where it does not count: it
            has no pixel, or more than half of its pixels are ignored ones.
        true: int (T,) class of each true instance, 1..K.
        true_ids: int (T,) value of each true instance in the picture's map.
    """

    pairs: Sequence[tuple[int, int, float]]
    predicted: NDArray[np.int64]
    true: NDArray[np.int64]
    true_ids: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class PictureScores:
    """Counts of one picture.

    Attributes:
        thresholds: N IoU thresholds, ascending.
        tp: int (K, N) matched pairs by class and threshold.
        fp: int (K, N) predicted instances without a true one.
        fn: int (K, N) true instances without a predicted one.
        iou: float (K, N) sum of the matched pairs' IoU.
    """

    thresholds: tuple[float, ...]
    tp: NDArray[np.int64]
    fp: NDArray[np.int64]
    fn: NDArray[np.int64]
    iou: NDArray[np.float64]


def match_instances(
    predicted: NDArray[np.int32],
    predicted_classes: NDArray[np.integer],
    true: Labelled,
    lowest: float = THRESHOLDS[0],
) -> Matches:
    """Pair predicted with true instances of the same class one to one, the best overlaps first.

    Above an IoU of 0.5 an instance has at most one partner, because the instances of a map do not
    overlap; at exactly 0.5 it may have two, of which either gives the same count.

    Args:
        predicted: int32 (H, W), 0 background, 1..P.
        predicted_classes: int (P,), 1..K.
        true: The picture; its ids may be any positive numbers. An instance of the class 0
            (background) is no instance.
        lowest: Least IoU of a pair, 0..1.
    """
    ids, compact = _compact(true.instances)
    true_classes = np.zeros(len(ids) + 1, np.int64)
    classed = true.labels > 0
    # An instance has one class, so any of its pixels that has one tells it.
    true_classes[compact[classed]] = true.labels[classed]
    true_classes = true_classes[1:]
    overlaps = _overlaps(predicted, compact, len(predicted_classes), len(ids))
    ignored = np.bincount(
        predicted[true.labels == IGNORE], minlength=len(predicted_classes) + 1
    ).astype(np.int64)
    area = overlaps.sum(1)
    counts = (area > 0) & (2 * ignored <= area)
    classes = np.where(counts[1:], predicted_classes, 0).astype(np.int64)
    iou = np.where(classes[:, None] == true_classes, _iou(overlaps), 0)
    iou[classes == 0] = 0
    real = (true_classes != 0) & (true_classes != IGNORE)
    place = np.cumsum(real) - 1
    pairs = [(p, int(place[t]), value) for p, t, value in best_first(iou, lowest) if real[t]]
    return Matches(pairs, classes, true_classes[real], ids[real])


def score_picture(
    predicted: NDArray[np.int32],
    predicted_classes: NDArray[np.integer],
    true: Labelled,
    thresholds: Sequence[float] = THRESHOLDS,
    n_classes: int | None = None,
) -> PictureScores:
    """Count the right, wrong and missed instances of a picture.

    Args:
        predicted: int32 (H, W), 0 background, 1..P.
        predicted_classes: int (P,), 1..K.
        true: The picture, of the same H and W.
        thresholds: IoU thresholds, ascending.
        n_classes: K; None takes the highest class that the picture shows.
    """
    matches = match_instances(predicted, predicted_classes, true, thresholds[0])
    return count(matches, thresholds, n_classes)


def count(
    matches: Matches, thresholds: Sequence[float] = THRESHOLDS, n_classes: int | None = None
) -> PictureScores:
    """Count matches by class and threshold; see `score_picture`."""
    highest = int(max(matches.predicted.max(initial=0), matches.true.max(initial=0)))
    size = max(highest, n_classes or 0)
    tp = np.zeros((size, len(thresholds)), np.int64)
    total = np.zeros((size, len(thresholds)))
    at_least = np.asarray(thresholds)
    for _, t, value in matches.pairs:
        right = value >= at_least
        tp[matches.true[t] - 1] += right
        total[matches.true[t] - 1] += right * value
    found = np.bincount(matches.predicted, minlength=size + 1)[1:, None]
    there = np.bincount(matches.true, minlength=size + 1)[1:, None]
    return PictureScores(tuple(thresholds), tp, found - tp, there - tp, total)


def mean_average_precision(
    pictures: Sequence[PictureScores], label: int | None = None
) -> dict[float, float]:
    """Return the mean over the pictures of TP / (TP + FP + FN), by threshold.

    A picture without true and without predicted instances has no such value (0 / 0) and is left
    out of the mean. (The Data Science Bowl had none; StarDist's default, counts summed over all
    pictures, does not see it either.)

    Args:
        pictures: Counts of each picture, with the same thresholds.
        label: Class to look at, 1..K; None takes all classes together.

    Returns:
        The value by threshold, 0..1; empty where no picture has one: nothing was there to be
        found, and nothing was found, which says nothing about a model.
    """
    values = [value for each in pictures if (value := _precision(each, label)) is not None]
    if not values:
        return {}
    mean = np.mean(values, axis=0)
    return dict(zip(pictures[0].thresholds, mean.tolist(), strict=True))


def average_precision(scores: PictureScores, label: int | None = None) -> float | None:
    """Return one picture's TP / (TP + FP + FN), mean over its thresholds; None for 0 / 0."""
    values = _precision(scores, label)
    return None if values is None else float(values.mean())


def _precision(scores: PictureScores, label: int | None) -> NDArray[np.float64] | None:
    rows = slice(None) if label is None else slice(label - 1, label)
    tp, fp, fn = (counts[rows].sum(0) for counts in (scores.tp, scores.fp, scores.fn))
    total = tp + fp + fn  # at least one instance makes it positive at every threshold
    return None if not total.any() else np.asarray(tp / total, np.float64)


def _compact(instances: NDArray[np.int32]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the ids of a map (without 0) and the map with them numbered from 1."""
    highest = int(instances.max(initial=0))
    if highest > _DENSE_IDS:
        ids, inverse = np.unique(np.append(instances, 0), return_inverse=True)
        return ids[1:].astype(np.int64), inverse[:-1].reshape(instances.shape)
    present = np.bincount(instances.reshape(-1), minlength=highest + 1) > 0
    present[0] = False
    ids = np.flatnonzero(present).astype(np.int64)
    return ids, np.where(present, np.cumsum(present), 0)[instances]


def _overlaps(
    predicted: NDArray[np.integer], true: NDArray[np.integer], n_predicted: int, n_true: int
) -> NDArray[np.int64]:
    """Return (P + 1, T + 1) pixels by predicted and true id, row and column 0 the background."""
    pairs = predicted.astype(np.int64) * (n_true + 1) + true
    table = np.bincount(pairs.reshape(-1), minlength=(n_predicted + 1) * (n_true + 1))
    return table.reshape(n_predicted + 1, n_true + 1)


def _iou(overlaps: NDArray[np.int64]) -> NDArray[np.float64]:
    shared = overlaps[1:, 1:]
    union = overlaps.sum(1)[1:, None] + overlaps.sum(0)[None, 1:] - shared
    return np.asarray(shared / np.maximum(union, 1), np.float64)
