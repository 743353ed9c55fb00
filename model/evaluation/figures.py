"""Figures of an evaluation, over all classes and of each class.

Legend: K classes; N thresholds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from model.evaluation.matching import PictureScores, mean_average_precision

Values = dict[str, float]
"""Figures by name; one without a denominator (the precision of no predictions) is left out."""

TRUE, PREDICTED = "true_instances", "predicted_instances"

_COUNTS = frozenset(
    {TRUE, PREDICTED, "pictures", "tiles", "score_threshold", "first_frame", "last_frame"}
)
"""Names of an artifact's figures that say what was measured, not how good it is."""


def quality(accuracy: Mapping[str, float]) -> Values:
    """Return those figures of an artifact that say how good it is; 0 is bad in all of them."""
    return {name: value for name, value in accuracy.items() if name not in _COUNTS}


@dataclass(frozen=True)
class Figures:
    """What a metric says.

    Attributes:
        overall: Figures over all classes.
        by_class: Figures of each class that there is something to say about.
    """

    overall: Values
    by_class: dict[str, Values] = field(default_factory=dict)

    def joined(self, other: "Figures") -> "Figures":
        """Return these figures and those of another metric."""
        names = dict.fromkeys([*self.by_class, *other.by_class])
        return Figures(
            self.overall | other.overall,
            {name: self.by_class.get(name, {}) | other.by_class.get(name, {}) for name in names},
        )


def detection(scores: Sequence[PictureScores], classes: Sequence[str]) -> Figures:
    """Return recall, precision, F1, mean IoU of the matches and panoptic quality.

    Counts are summed over the pictures, at their lowest IoU threshold. Over all classes the
    panoptic quality is the mean of the classes', the others are of the summed counts. What has no
    denominator (the recall of no objects, the precision of no predictions) is left out.

    Args:
        scores: Counts of each picture.
        classes: K class names.
    """
    at = f"at_iou_{scores[0].thresholds[0]:g}" if scores else ""
    tp, fp, fn = (np.zeros(len(classes)) for _ in range(3))
    iou = np.zeros(len(classes))
    for picture in scores:
        shown = slice(0, len(picture.tp))
        tp[shown] += picture.tp[:, 0]
        fp[shown] += picture.fp[:, 0]
        fn[shown] += picture.fn[:, 0]
        iou[shown] += picture.iou[:, 0]
    by_class = {
        name: _rates(at, *(float(counts[k]) for counts in (tp, fp, fn, iou)))
        for k, name in enumerate(classes)
        if tp[k] + fp[k] + fn[k]
    }
    overall = _rates(at, *(float(counts.sum()) for counts in (tp, fp, fn, iou)))
    qualities = [values["panoptic_quality"] for values in by_class.values()]
    if qualities:
        overall["panoptic_quality"] = float(np.mean(qualities))
    return Figures(overall, by_class)


def _rates(at: str, tp: float, fp: float, fn: float, iou: float) -> Values:
    shares = {
        f"recall_{at}": (tp, tp + fn),
        f"precision_{at}": (tp, tp + fp),
        f"f1_{at}": (2 * tp, 2 * tp + fp + fn),
        "mean_iou_of_matches": (iou, tp),
        "panoptic_quality": (iou, tp + (fp + fn) / 2),
    }
    known = {name: part / whole for name, (part, whole) in shares.items() if whole}
    return known | {TRUE: tp + fn, PREDICTED: tp + fp}


def bowl(scores: Sequence[PictureScores], classes: Sequence[str]) -> Figures:
    """Return the average precision as the 2018 Data Science Bowl and StarDist have it.

    Args:
        scores: Counts of each picture.
        classes: K class names.
    """
    shown = {
        name: mean_average_precision(scores, label)
        for label, name in enumerate(classes, start=1)
        if any((s.tp + s.fp + s.fn)[label - 1 : label].any() for s in scores)
    }
    return Figures(
        _named(mean_average_precision(scores)),
        {name: _named(values) for name, values in shown.items()},
    )


def _named(values: dict[float, float]) -> Values:
    named = {f"average_precision_at_iou_{t:g}": value for t, value in values.items()}
    return named | ({"average_precision": float(np.mean(list(values.values())))} if values else {})
